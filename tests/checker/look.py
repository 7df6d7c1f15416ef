"""Looks: waits until the system has come to rest, then reads the database in one snapshot and all topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.checker.seen import INPUTS, OUTPUTS, CannotLookError, Entry, Partition, Record, Row, Seen

_READ_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_POLL_MS = 50
_UNPUBLISHED = """
    SELECT count(*) FROM ledger.lane LEFT JOIN ledger.relay_position USING (lane)
    WHERE seq IS DISTINCT FROM next_seq - 1
"""


async def look(database_url: str, bootstrap: str, prefix: str, cluster: str | None, within_seconds: float) -> Seen:
    """All there is, once nothing moves any more or the seconds are over.

    `cluster` is the name under which the positions are kept; None makes it of the prefix and the brokers' own id.
    """
    try:
        async with _database(database_url) as database, _topics(bootstrap, prefix) as (consumer, cluster_id):
            name = cluster or (f"{prefix}@{cluster_id}" if prefix else cluster_id)
            reader = _Reader(consumer, prefix)
            deadline = asyncio.get_running_loop().time() + within_seconds
            async with asyncio.timeout(within_seconds + _READ_SECONDS):
                while await reader.read_on() or not await _at_rest(database, name, reader.records):
                    if asyncio.get_running_loop().time() >= deadline:
                        break
                    await asyncio.sleep(_LOOK_SECONDS)
                async with database.transaction(isolation="repeatable_read", readonly=True):
                    rows = await _rows(database, name)
                await reader.read_on()
                return Seen(**rows, **await reader.logs())
    except (KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        raise CannotLookError(f"cannot look ({type(error).__name__}): {error}".splitlines()[0]) from error


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://", 1), timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _topics(bootstrap: str, prefix: str) -> AsyncIterator[tuple[AIOKafkaConsumer, str]]:
    """A consumer of all topics of this prefix, in no group, and the brokers' cluster id."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        # The list of all topics: asking for one by name would make it, on brokers that make topics by themselves.
        counts = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics()}
        cluster_id = str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()
    missing = [prefix + topic for topic in INPUTS + OUTPUTS if prefix + topic not in counts]
    if missing:
        raise CannotLookError(f"no topic {', '.join(missing)} at {bootstrap}; is the prefix right?")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=_POLL_MS,
    )
    try:
        await consumer.start()
        consumer.assign(
            [
                TopicPartition(prefix + topic, number)
                for topic in INPUTS + OUTPUTS
                for number in range(counts[prefix + topic])
            ]
        )
        yield consumer, cluster_id
    finally:
        await consumer.stop()


async def _at_rest(
    database: asyncpg.Connection[asyncpg.Record], cluster: str, records: Mapping[str, Sequence[Record]]
) -> bool:
    """Whether every partition is decided to the last record that was read, or halted, and every lane is published."""
    if await database.fetchval(_UNPUBLISHED):
        return False
    positions = await _positions(database, cluster)
    last = {(one.topic, one.partition): one.offset for topic in INPUTS for one in records[topic]}
    for partition, offset in last.items():
        position = positions.get(partition)
        if position is None or (position["next_offset"] <= offset and position["halted_at"] is None):
            return False
    return True


async def _positions(database: asyncpg.Connection[asyncpg.Record], cluster: str) -> dict[Partition, Row]:
    rows = await database.fetch("SELECT * FROM ledger.stream_position WHERE cluster = $1", cluster)
    return {(row["topic"], row["partition"]): _plain(row) for row in rows}


async def _rows(database: asyncpg.Connection[asyncpg.Record], cluster: str) -> dict[str, Any]:
    others = await database.fetch(
        "SELECT DISTINCT cluster FROM ledger.stream_position WHERE cluster <> $1 AND next_offset > 0", cluster
    )
    if others:
        names = ", ".join(sorted(repr(row["cluster"]) for row in others))
        raise CannotLookError(
            f"the database decides for {names} too; entries name no cluster, so fates cannot be told apart"
        )
    entries = [_entry(row) for row in await database.fetch("SELECT * FROM ledger.journal ORDER BY lane, seq")]
    return {
        "entries": entries,
        "raw": await _raw(database, entries),
        "lanes": {row["lane"]: _plain(row) for row in await database.fetch("SELECT * FROM ledger.lane")},
        "positions": await _positions(database, cluster),
        "inbox": {
            (row["source"], row["event_id"]): row["raw_sha256"]
            for row in await database.fetch("SELECT * FROM ledger.inbox")
        },
        "decisions": await _table(database, "decision"),
        "subjects": await _table(database, "subject"),
        "quarantine": await _table(database, "quarantine"),
        "resolutions": await _table(database, "quarantine_resolution"),
        "activations": await _activations(database),
        "refused": {(row["lane"], row["seq"]): row["reason"] for row in await _table(database, "relay_refused")},
    }


async def _raw(database: asyncpg.Connection[asyncpg.Record], entries: Sequence[Entry]) -> dict[str, bytes]:
    wanted = {digest for entry in entries if isinstance(digest := entry.said.get("raw_sha256"), str)}
    rows = await database.fetch(
        "SELECT encode(sha256, 'hex') AS digest, content FROM ledger.evidence WHERE encode(sha256, 'hex') = ANY($1)",
        sorted(wanted),
    )
    return {row["digest"]: row["content"] for row in rows}


async def _activations(database: asyncpg.Connection[asyncpg.Record]) -> list[Row]:
    """By when they begin, without those that were cancelled before."""
    cancelled = {row["effective_at"] for row in await _table(database, "policy_cancellation")}
    rows = [row for row in await _table(database, "policy_activation") if row["effective_at"] not in cancelled]
    return sorted(rows, key=lambda row: str(row["effective_at"]))


async def _table(database: asyncpg.Connection[asyncpg.Record], name: str) -> list[Row]:
    return [_plain(row) for row in await database.fetch(f"SELECT * FROM ledger.{name}")]


def _plain(row: asyncpg.Record) -> Row:
    return {name: _instant(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _entry(row: asyncpg.Record) -> Entry:
    try:
        said = json.loads(row["body"])
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    at = said.get("decided_at") or said.get("at") or ""
    return Entry(row["lane"], row["seq"], row["kind"], row["body"], row["leaf"], row["link"], said, at)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads topics further and further. `records` are sorted by place once all is read."""

    consumer: AIOKafkaConsumer
    prefix: str
    records: dict[str, list[Record]] = field(default_factory=lambda: {topic: [] for topic in INPUTS + OUTPUTS})

    async def read_on(self) -> bool:
        """Read to where the logs end now; whether there was anything new."""
        partitions = sorted(self.consumer.assignment())
        ends = await self.consumer.end_offsets(partitions)
        is_new = False
        while True:
            unread = [one for one in partitions if await self.consumer.position(one) < ends[one]]
            if not unread:
                return is_new
            for one, batch in (await self.consumer.getmany(*unread, timeout_ms=_POLL_MS)).items():
                topic = one.topic.removeprefix(self.prefix)
                self.records[topic] += [Record(topic, one.partition, r.offset, r.key, r.value) for r in batch]
                is_new = True

    async def logs(self) -> dict[str, Any]:
        """What was read, and where the logs begin and end. What was read counts: the embedded broker tells less."""
        partitions = sorted(self.consumer.assignment())
        begins, ends = await self.consumer.beginning_offsets(partitions), await self.consumer.end_offsets(partitions)
        positions = {one: await self.consumer.position(one) for one in partitions}
        return {
            "records": {topic: sorted(each, key=lambda record: record.place) for topic, each in self.records.items()},
            "begins": {self._contract(one): offset for one, offset in begins.items()},
            "ends": {self._contract(one): max(offset, positions[one]) for one, offset in ends.items()},
        }

    def _contract(self, one: TopicPartition) -> Partition:
        return one.topic.removeprefix(self.prefix), one.partition
