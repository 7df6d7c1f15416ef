"""The baseline: poll, validate, write the same rows, produce, commit. No rules, no lanes, no chain, no relay.

Run as a process: `python -m tests.bench.raw_loop BOOTSTRAP PREFIX DATABASE_URL`.
"""

import asyncio
import hashlib
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from service.reading import Event, Record, read

BODY = b"x" * 900
FACTS = b"y" * 1200
ZEROS = bytes(32)
AT = datetime(2026, 1, 1, tzinfo=UTC)


async def main(bootstrap: str, prefix: str, url: str) -> None:
    """Until killed."""
    topics = (prefix + "accounts.v1", prefix + "contracts.v1")
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=prefix + "raw",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=False)
    database = await asyncpg.connect(url.replace("+asyncpg", ""))
    await consumer.start()
    await producer.start()
    seq = 0
    while True:
        polled = await consumer.getmany(timeout_ms=20, max_records=500)
        records = [record for several in polled.values() for record in several]
        if records:
            seq = await batch(database, producer, prefix, records, seq)
            await consumer.commit()


async def batch(
    database: "asyncpg.Connection[asyncpg.Record]",
    producer: AIOKafkaProducer,
    prefix: str,
    records: list[ConsumerRecord],
    seq: int,
) -> int:
    """Validate a batch, write its rows in one transaction, and publish two records an event."""
    events = [event for record in records if isinstance(event := _read(prefix, record), Event)]
    numbered = list(enumerate(events, seq + 1))
    journal = [(0, number, "decision", BODY, ZEROS, ZEROS) for number, _ in numbered]
    decisions = [_decision(number, event) for number, event in numbered]
    evidence = [(event.raw_sha256, event.record.value) for event in events]
    evidence += [(hashlib.sha256(FACTS + event.raw_sha256).digest(), FACTS) for event in events]
    async with database.transaction():
        await _copy(database, "inbox", [(event.source, event.id, event.raw_sha256) for event in events])
        await _copy(database, "evidence", evidence, ("sha256", "content"))
        await _copy(database, "journal", journal)
        await _copy(database, "decision", decisions)
        await _copy(
            database,
            "subject",
            [(e.account_id, "account", 0, FACTS, 1, ZEROS, 1, None, "approve", False) for e in events],
        )
        await database.execute("UPDATE ledger.lane SET next_seq = $1 WHERE lane = 0", seq + len(events) + 1)
        sent = [
            await producer.send(prefix + topic, BODY, key=event.account_id.encode())
            for event in events
            for topic in ("license-decisions.v1", "license-status.v1")
        ]
        await asyncio.gather(*sent)
        await database.execute("UPDATE ledger.relay_position SET seq = $1 WHERE lane = 0", seq + len(events))
    return seq + len(events)


async def _copy(
    database: "asyncpg.Connection[asyncpg.Record]",
    table: str,
    rows: list[tuple[Any, ...]],
    columns: tuple[str, ...] | None = None,
) -> None:
    await database.copy_records_to_table(table, schema_name="ledger", records=rows, columns=columns)


def _read(prefix: str, record: ConsumerRecord) -> object:
    return read(
        Record(
            topic=record.topic.removeprefix(prefix),
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            timestamp_ms=record.timestamp,
        ),
        environment=None,
    )


def _decision(seq: int, event: Event) -> tuple[Any, ...]:
    identity = uuid.UUID(bytes=event.raw_sha256[:16], version=4)
    cause = f"{event.source} {event.id}"
    fixed: tuple[Any, ...] = (
        "account",
        1,
        1,
        "approve",
        "full",
        "event",
        cause,
        ZEROS,
        [],
        None,
        event.raw_sha256,
        ZEROS,
        AT,
        AT,
    )
    return (identity, event.account_id, *fixed, 0, seq)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
