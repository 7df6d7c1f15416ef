"""A ledger of a test: a fresh, migrated database, and what a test wants to ask it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.arrivals import Gap
from service.audit.replay import Difference, Replay
from service.ledger.engine import open_engine
from service.ledger.lanes import read_heads
from service.pipeline import Pipeline, Report
from service.policies import LoadedPolicy, load_resolved
from service.policies.lifecycle import activate, publish
from service.reading import Record
from tests.events import record
from tests.policies import small_policy

Json = dict[str, Any]
TOPICS = {"account": "accounts.v1", "user": "accounts.v1", "contract": "contracts.v1"}


@dataclass
class Ledger:
    """One database, and engines of each role on it. `superuser_url` is for those who try to break in."""

    superuser_url: str
    engines: dict[str, AsyncEngine] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)

    def engine(self, role: str) -> AsyncEngine:
        if role not in self.engines:
            self.engines[role] = open_engine(self.superuser_url, role=role, application="test", pool_size=3)
        return self.engines[role]

    async def close(self) -> None:
        for engine in self.engines.values():
            await engine.dispose()

    def pipeline(self, cluster: str = "test", bug_limit: int = 10) -> Pipeline:
        return Pipeline(
            engine=self.engine("service"),
            cluster=cluster,
            environment="production",
            load_policy=load_resolved,
            bug_limit=bug_limit,
        )

    async def use(self, loaded: LoadedPolicy | None = None) -> None:
        """Publish a policy and put it in force."""
        loaded = loaded or small_policy()
        async with self.engine("policy_officer").begin() as tx:
            await publish(
                tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by="ann"
            )
            sha256 = bytes.fromhex(loaded.policy.sha256)
            await activate(tx, sha256=sha256, at=None, activated_by="bob", reason="a test")

    def next_record(self, value: Json | bytes | None, topic: str = "accounts.v1", key: bytes | None = None) -> Record:
        """The next record of a topic's partition 0."""
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        content = json.dumps(value).encode() if isinstance(value, dict) else value
        if key is None and isinstance(value, dict):
            key = str(value["data"]["account_id"]).encode()
        return Record(topic=topic, partition=0, offset=offset, key=key, value=content, timestamp_ms=None)

    async def decide(self, *values: Json | Record, pipeline: Pipeline | None = None) -> Report:
        """Decide these events, or records, as one batch."""
        records = [one if isinstance(one, Record) else self.next_record(one, _topic(one)) for one in values]
        records = sorted(records, key=lambda one: (one.topic, one.offset))
        return await self.decide_records(records, pipeline=pipeline)

    async def decide_records(
        self,
        records: Sequence[Record],
        *,
        pipeline: Pipeline | None = None,
        accepted_gaps: Mapping[tuple[str, int], Sequence[Gap]] | None = None,
    ) -> Report:
        beginnings = {(one.topic, one.partition): 0 for one in records}
        return await (pipeline or self.pipeline()).decide(
            records, beginnings=beginnings, accepted_gaps=accepted_gaps or {}
        )

    async def rows(self, query: str, **parameters: object) -> list[Any]:
        async with self.engine("auditor").connect() as tx:
            return list((await tx.execute(text(query), parameters)).all())

    async def somebody_waits(self) -> bool:
        """Whether a session of the server waits for a lock."""
        return bool(await self.rows("SELECT pid FROM pg_locks WHERE NOT granted"))

    async def decisions(self, account_id: str = "acct-1") -> list[tuple[str, int, str, tuple[str, ...]]]:
        """(subject, revision, outcome, rules) of every decision of an account, in the order of the journal."""
        query = (
            "SELECT subject_id, revision, outcome, rules FROM ledger.decision WHERE account_id = :id ORDER BY lane, seq"
        )
        found = await self.rows(query, id=account_id)
        return [(row.subject_id, row.revision, row.outcome, tuple(row.rules)) for row in found]

    async def journal(self, kind: str) -> list[Json]:
        query = "SELECT body FROM ledger.journal WHERE kind = :kind ORDER BY lane, seq"
        return [json.loads(row.body) for row in await self.rows(query, kind=kind)]

    async def replay(self) -> list[Difference]:
        async with self.engine("auditor").connect() as tx:
            replay = Replay(tx=tx, load_policy=load_resolved, since=None)
            return [difference async for difference in replay.differences(await read_heads(tx))]

    async def tamper(self, *statements: str) -> None:
        """Change what nobody may change, as the owner of everything, with the triggers off."""
        owner = open_engine(self.superuser_url, role="owner", application="tamper")
        async with owner.begin() as tx:
            for statement in statements:
                await tx.execute(text(statement))
        await owner.dispose()


def _topic(event: Json) -> str:
    return TOPICS[event["type"].partition(".")[0]]


__all__ = ["Ledger", "record"]
