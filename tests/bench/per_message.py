"""The other baseline: a plain FastStream handler, one event a call and one transaction an event.

Run as a process: `python -m tests.bench.per_message SETTINGS`. What a competent first version looks like: a pydantic
model in the signature, a table of the events seen, one of accounts and one of decisions, at least once, a handful of
rules in Python. No policy document, no evidence, no chain, no outbox.
"""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from pydantic import BaseModel
from sqlalchemy import Column, DateTime, LargeBinary, MetaData, String, Table, Uuid, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from schemas.accounts import AccountData
from schemas.envelope import InputEnvelope
from schemas.topics import ACCOUNTS, DECISIONS

_EMBARGOED = {"CU", "IR", "KP", "SY"}
_TABLES = MetaData()
_EVENT = Table(
    "event", _TABLES, Column("source", String, primary_key=True), Column("id", String, primary_key=True),
    Column("raw", LargeBinary, nullable=False),
)  # fmt: skip
_ACCOUNT = Table(
    "account", _TABLES, Column("account_id", String, primary_key=True), Column("facts", JSONB, nullable=False),
    Column("outcome", String, nullable=False),
)  # fmt: skip
_DECISION = Table(
    "decision", _TABLES, Column("decision_id", Uuid, primary_key=True),
    Column("account_id", String, nullable=False, index=True), Column("outcome", String, nullable=False),
    Column("reasons", ARRAY(String), nullable=False), Column("decided_at", DateTime(timezone=True), nullable=False),
)  # fmt: skip


class SignedUp(InputEnvelope):
    """The event that is handled."""

    type: Literal["account.signed_up.v1"]
    data: AccountData


class Decision(BaseModel):
    """What is published of it."""

    decision_id: UUID
    account_id: str
    outcome: str
    reasons: list[str]
    decided_at: datetime


async def main(settings: dict[str, Any]) -> None:
    """Until killed."""
    engine = create_async_engine(settings["database"])
    async with engine.begin() as tx:
        await tx.run_sync(_TABLES.create_all)
    broker = KafkaBroker(
        settings["bootstrap"],
        acks="all",
        enable_idempotence=settings["idempotent"],
        compression_type="zstd",
        logger=logging.getLogger("per_message"),
    )
    publisher = broker.publisher(settings["prefix"] + DECISIONS.name)

    async def decoded(message: KafkaMessage) -> SignedUp:
        return SignedUp.model_validate_json(message.body)

    @broker.subscriber(  # type: ignore[untyped-decorator] # FastStream's decorator
        settings["prefix"] + ACCOUNTS.name,
        group_id=settings["prefix"] + "plain",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        fetch_max_wait_ms=settings["fetch_max_wait_ms"],
        session_timeout_ms=settings["session_timeout_ms"],
        heartbeat_interval_ms=settings["session_timeout_ms"] // 15,
        decoder=decoded,
    )
    async def on_signed_up(event: SignedUp, message: KafkaMessage) -> None:
        decision = await _decide(engine, event, message.body)
        if decision is not None:
            await publisher.publish(decision, key=decision.account_id.encode())

    await FastStream(broker, logger=None).run()


async def _decide(engine: AsyncEngine, event: SignedUp, raw: bytes) -> Decision | None:
    """The decision, or None for a copy of an event that was decided before."""
    async with engine.begin() as tx:
        seen = insert(_EVENT).values(source=event.source, id=event.id, raw=raw).on_conflict_do_nothing()
        if (await tx.execute(seen)).rowcount == 0:
            return None
        await tx.execute(select(_ACCOUNT).where(_ACCOUNT.c.account_id == event.data.account_id).with_for_update())
        reasons = _reasons(event.data)
        decision = Decision(
            decision_id=uuid4(),
            account_id=event.data.account_id,
            outcome="hold" if reasons else "approve",
            reasons=reasons,
            decided_at=datetime.now(UTC),
        )
        await _save(tx, event.data, decision)
    return decision


async def _save(tx: AsyncConnection, account: AccountData, decision: Decision) -> None:
    facts = account.model_dump(mode="json")
    row = insert(_ACCOUNT).values(account_id=account.account_id, facts=facts, outcome=decision.outcome)
    await tx.execute(
        row.on_conflict_do_update(
            index_elements=["account_id"], set_={"facts": row.excluded.facts, "outcome": row.excluded.outcome}
        )
    )
    await tx.execute(insert(_DECISION).values(decision.model_dump()))


def _reasons(account: AccountData) -> list[str]:
    places = {account.organized_in, account.headquartered_in, account.billing_in}
    reasons = []
    if places & _EMBARGOED:
        reasons.append("embargoed_destination")
    if None in places:
        reasons.append("place_unknown")
    if account.owners_disclosed is not True:
        reasons.append("owners_unknown")
    if any(flag.resolution is None for flag in account.red_flags or ()):
        reasons.append("red_flag")
    return reasons


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
