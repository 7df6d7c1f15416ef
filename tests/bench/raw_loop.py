"""The baseline: poll, validate, write the same rows, produce, commit. No rules, no lanes, no chain, no relay.

Run as a process: `python -m tests.bench.raw_loop SETTINGS SAMPLE`, settings in JSON, and the file of a sample. It does
what makes such a loop fast: one pass of validation, COPY everywhere, one transaction and one commit a batch, and the
collector rests as it does in the service.
"""

import asyncio
import gc
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from pydantic import TypeAdapter

from schemas.catalog import input_event
from schemas.topics import ACCOUNTS, CONTRACTS, DECISIONS, STATUS
from tests.bench.sample import Sample

_BATCH_RECORDS = 500
_POLL_MS = 20
_VALIDATE = TypeAdapter(input_event("account.signed_up.v1")).validator.validate_json
_ZEROS = bytes(32)
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Split:
    """A text of the sample, cut where its decision's id stands, so that each event gets one of its own."""

    parts: tuple[bytes, ...]

    def about(self, decision_id: bytes) -> bytes:
        """The text about another decision."""
        return decision_id.join(self.parts)


async def main(settings: dict[str, Any], sample: Sample) -> None:
    """Until killed."""
    consumer = AIOKafkaConsumer(
        settings["prefix"] + ACCOUNTS.name,
        settings["prefix"] + CONTRACTS.name,
        bootstrap_servers=settings["bootstrap"],
        group_id=settings["prefix"] + "raw",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=settings["fetch_max_wait_ms"],
        session_timeout_ms=settings["session_timeout_ms"],
        heartbeat_interval_ms=settings["session_timeout_ms"] // 15,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=settings["bootstrap"],
        acks="all",
        enable_idempotence=settings["idempotent"],
        compression_type="zstd",
        max_batch_size=256 * 1024,
    )
    database = await asyncpg.connect(settings["database"].replace("+asyncpg", ""))
    await consumer.start()
    await producer.start()
    loop = RawLoop(database, producer, settings["prefix"], sample)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    while True:
        polled = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS)
        records = [record for several in polled.values() for record in several]
        if records:
            await loop.batch(records)
            await consumer.commit()


class RawLoop:
    """What a batch needs; `seq` numbers the rows."""

    def __init__(
        self,
        database: "asyncpg.Connection[asyncpg.Record]",
        producer: AIOKafkaProducer,
        prefix: str,
        sample: Sample,
    ) -> None:
        self.database = database
        self.producer = producer
        self.topics = prefix + DECISIONS.name, prefix + STATUS.name
        self.seq = 0
        self.rules = sample.rules
        self.facts, self.subject_facts = sample.facts.encode(), sample.subject_facts.encode()
        texts = sample.body, sample.decision_record, sample.status_record
        self.body, self.decision, self.status = (
            Split(tuple(text.encode().split(sample.decision_id.encode()))) for text in texts
        )

    async def batch(self, records: list[ConsumerRecord]) -> None:
        """Validate a batch, write its rows in one transaction, and publish two records an event."""
        events = [(_VALIDATE(record.value), record.value, sha256(record.value).digest()) for record in records]
        ids = [UUID(bytes=digest[:16], version=4) for _, _, digest in events]
        names = [str(one).encode() for one in ids]
        numbers = range(self.seq + 1, self.seq + 1 + len(events))
        facts = [sha256(self.facts + digest).digest() for _, _, digest in events]
        journal = [
            (0, number, "decision", self.body.about(name), _ZEROS, _ZEROS)
            for number, name in zip(numbers, names, strict=True)
        ]
        async with self.database.transaction():
            await self._copy("inbox", [(event.source, event.id, digest) for event, _, digest in events])
            evidence = [(digest, raw) for _, raw, digest in events] + [(one, self.facts) for one in facts]
            await self._copy("evidence", evidence, ("sha256", "content"))
            await self._copy("journal", journal)
            await self._copy(
                "decision",
                [
                    self._decision(number, *one)
                    for number, one in zip(numbers, zip(ids, events, facts, strict=True), strict=True)
                ],
            )
            await self._copy(
                "subject",
                [
                    (e.data.account_id, "account", 0, self.subject_facts, 1, digest, 1, one, "approve", False)
                    for one, (e, _, digest) in zip(ids, events, strict=True)
                ],
            )
            self.seq += len(events)
            await self.database.execute("UPDATE ledger.lane SET next_seq = $1 WHERE lane = 0", self.seq + 1)
        await self._publish([event.data.account_id for event, _, _ in events], names)

    async def _publish(self, accounts: list[str], names: list[bytes]) -> None:
        sent = []
        for account, name in zip(accounts, names, strict=True):
            key = account.encode()
            sent.append(await self.producer.send(self.topics[0], self.decision.about(name), key=key))
            sent.append(await self.producer.send(self.topics[1], self.status.about(name), key=key + b"/account/" + key))
        await asyncio.gather(*sent)

    async def _copy(self, table: str, rows: list[tuple[Any, ...]], columns: tuple[str, ...] | None = None) -> None:
        await self.database.copy_records_to_table(table, schema_name="ledger", records=rows, columns=columns)

    def _decision(self, seq: int, decision_id: UUID, event: Any, facts: bytes) -> tuple[Any, ...]:
        envelope, _, digest = event
        account, cause = envelope.data.account_id, f"{envelope.source} {envelope.id}"
        what = ("account", 1, 1, "approve", "full", "event", cause, _ZEROS, self.rules, None)
        return (decision_id, account, *what, digest, facts, _AT, _AT, 0, seq)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), Sample.load(Path(sys.argv[2]))))
