"""What guards are for, each as a scenario: played on the `service` that comes first on the path, maybe a mutant.

`python -m tests.scenarios NAME STAGE`, where STAGE is JSON. Races are ordered by real locks that the scenario holds.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import service
from service.ledger.lanes import lane_of
from service.policies.lifecycle import activate, publish
from service.reading import Record
from service.stream.connection import Connection
from service.stream.outgoing import Publisher
from service.stream.relay import Relay, publishing
from service.stream.send import Sender
from service.telemetry import Metrics
from tests.brokers import Broker
from tests.events import account, contract, event, flag, record, review, signed_up
from tests.ledger import Ledger
from tests.policies import small_policy
from tests.stream import Stream, eventually

Json = dict[str, Any]
Database = Any
"""An asyncpg connection."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A ledger and topics, driven step by step: no consumer polls, and the relay publishes when it is told to."""

    ledger: Ledger
    stream: Stream

    async def send(self, *events: Json | Record) -> list[Record]:
        """Send events, and return them as the records that a poll would bring."""
        records = [one if isinstance(one, Record) else record(one) for one in events]
        places = await self.stream.send(*records)
        return [
            replace(one, partition=partition, offset=offset)
            for one, (_, partition, offset) in zip(records, places, strict=True)
        ]

    async def decide(self, *records: Record) -> None:
        """Decide records as one batch of a worker of its own."""
        await self.ledger.decide_records(records, pipeline=self.ledger.pipeline(self.stream.cluster))

    async def sent_and_decided(self, *events: Json | Record) -> list[Record]:
        """Send and decide events as one batch."""
        records = await self.send(*events)
        await self.decide(*records)
        return records

    @asynccontextmanager
    async def relay(self, around: "type[Sender] | None" = None) -> AsyncIterator[Relay]:
        """A relay; `around` is the kind of sender that it has."""
        async with publishing(
            self.stream.connection,
            idempotent=self.stream.broker.idempotent,
            compression=None,
            patience_seconds=5,
        ) as sender:
            kind = around or Sender
            yield Relay(
                engine=self.ledger.engine("service"),
                producer=kind(connection=sender.connection, make=sender.make, patience_seconds=5),
                connection=self.stream.connection,
                publisher=Publisher(source="/exportgate", environment="production"),
                metrics=Metrics(),
                random=Random(1),
            )

    async def publish(self) -> None:
        """Publish all there is."""
        async with self.relay() as relay:
            while await relay.publish_once():
                pass
            await relay.producer.stop()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """A session of our own, in a transaction that is rolled back: it holds what a statement in it locks."""
        url = self.ledger.superuser_url.replace("postgresql+asyncpg://", "postgresql://", 1)
        connection = await asyncpg.connect(url)
        try:
            transaction = connection.transaction()
            await transaction.start()
            yield connection
            await transaction.rollback()
        finally:
            await connection.close()

    async def waiting(self, sessions: int) -> None:
        """Wait until so many sessions of this database wait for a lock."""
        async with self.database() as database:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )

            async def holds() -> bool:
                await database.execute("SELECT pg_stat_clear_snapshot()")
                return bool(await database.fetchval(query) == sessions)

            await eventually(holds, f"{sessions} sessions wait for a lock")


async def two_workers_have_the_same_record(stage: Stage) -> None:
    """A zombie and its successor decide the same record: the second one waits for the position, and sees it done."""
    await stage.sent_and_decided(signed_up())
    (update,) = await stage.send(event("account.updated.v1", account(version=2)))
    async with stage.database() as held:
        await held.execute("SELECT FROM ledger.lane FOR UPDATE")
        zombie = asyncio.create_task(stage.decide(update))
        await stage.waiting(1)
        successor = asyncio.create_task(stage.decide(update))
        await stage.waiting(2)
    await asyncio.gather(zombie, successor)
    await stage.publish()


async def a_record_is_polled_again(stage: Stage) -> None:
    """A record that was decided comes again with a later poll: it lies below the position and is passed over."""
    records = await stage.sent_and_decided(signed_up())
    await stage.decide(*records)
    await stage.publish()


async def events_are_sent_twice(stage: Stage) -> None:
    """Producers send the same events again: the inbox knows their ids."""
    for one in (signed_up(), event("account.flagged.v1", flag()), event("license.reviewed.v1", review())):
        await stage.sent_and_decided(one)
        await stage.sent_and_decided(one)
    await stage.publish()


async def two_workers_have_the_same_account(stage: Stage) -> None:
    """Two topics have events of one account: the second worker waits for the lane before it reads what is known."""
    await stage.sent_and_decided(signed_up())
    records = await stage.send(event("account.updated.v1", account(version=2)), event("contract.signed.v1", contract()))
    async with stage.database() as held:
        # A worker writes evidence when it holds its lanes and before it writes history.
        for one in records:
            await held.execute("INSERT INTO ledger.evidence VALUES (sha256($1), $1)", one.value)
        workers = [asyncio.create_task(stage.decide(one)) for one in records]
        await stage.waiting(2)
    await asyncio.gather(*workers)
    await stage.publish()


async def a_policy_is_activated_while_a_batch_waits(stage: Stage) -> None:
    """An activation holds every lane: a batch that waits for it decides by the new policy."""
    await stage.sent_and_decided(signed_up())
    loaded = small_policy("2", held="fable-5")
    officer = stage.ledger.engine("policy_officer")
    async with officer.begin() as tx:
        await publish(tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by="ann")
    (update,) = await stage.send(event("account.updated.v1", account(version=2)))
    async with officer.begin() as tx:
        sha256 = bytes.fromhex(loaded.policy.sha256)
        await activate(tx, sha256=sha256, at=None, activated_by="bob", reason="a test")
        batch = asyncio.create_task(stage.decide(update))
        await stage.waiting(1)
    await batch
    await stage.publish()


async def a_batch_waits_for_one_lane_while_another_goes_on(stage: Stage) -> None:
    """A batch that needs two lanes waits for the first: meanwhile others write the second, and time must not fall."""
    lanes = {lane_of(f"acct-{number}", 16): f"acct-{number}" for number in range(100)}
    first, second = lanes[0], lanes[1]
    both = await stage.send(
        event("account.signed_up.v1", account(account_id=first), id="first"),
        event("account.signed_up.v1", account(account_id=second), id="second"),
    )
    (meanwhile,) = await stage.send(
        event("contract.signed.v1", contract(account_id=second), id="meanwhile"),
    )
    async with stage.database() as held:
        await held.execute("SELECT FROM ledger.lane WHERE lane = 0 FOR UPDATE")
        batch = asyncio.create_task(stage.decide(*both))
        await stage.waiting(1)
        await stage.decide(meanwhile)
    await batch
    await stage.publish()


async def two_relays_have_the_same_lane(stage: Stage) -> None:
    """One relay is slow between reading and sending: no other one may publish that lane, and so overtake it."""
    slow_has_read, slow_may_send, quick_has_sent, quick_may_commit = (asyncio.Event() for _ in range(4))

    class Slow(Sender):
        async def send(self, *arguments: Any, **more: Any) -> Any:
            slow_has_read.set()
            await slow_may_send.wait()
            return await super().send(*arguments, **more)

    class Quick(Sender):
        async def send(self, *arguments: Any, **more: Any) -> Any:
            answer = await super().send(*arguments, **more)
            quick_has_sent.set()
            await quick_may_commit.wait()
            return answer

    await stage.sent_and_decided(signed_up())
    async with stage.relay(Slow) as slow, stage.relay(Quick) as quick:
        slow_round = asyncio.create_task(slow.publish_once())
        await slow_has_read.wait()
        await stage.sent_and_decided(event("account.updated.v1", account(version=2)))
        quick_round = asyncio.create_task(quick.publish_once())
        sent = asyncio.create_task(quick_has_sent.wait())
        await asyncio.wait({quick_round, sent}, return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()
        slow_may_send.set()
        await slow_round
        quick_may_commit.set()
        await quick_round
        await slow.producer.stop()
        await quick.producer.stop()
    await stage.publish()


async def a_record_cannot_be_read(stage: Stage) -> None:
    """What could not be read may have been what mattered: the account is held, whatever comes next."""
    await stage.sent_and_decided(signed_up())
    await stage.sent_and_decided(record(b"{", key=b"acct-1"))
    await stage.sent_and_decided(event("account.updated.v1", account(version=2)))
    await stage.publish()


async def a_topic_is_made_anew(stage: Stage) -> Sequence[Record]:
    """Where a position has been already lies another record now: the partition halts, and a person has to look.

    The records that the new topic holds.
    """
    await stage.sent_and_decided(signed_up())
    await _make_anew(stage.stream.connection.bootstrap, stage.stream.connection.topic("accounts.v1"))
    records = await stage.send(event("account.flagged.v1", flag()), event("account.updated.v1", account(version=2)))
    await stage.decide(*records)
    await stage.publish()
    return records


async def _make_anew(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()

    async def is_known() -> bool:
        return name in await admin.list_topics()

    async def is_forgotten() -> bool:
        return not await is_known()

    async def is_made() -> bool:
        answer = await admin.create_topics([NewTopic(name, 16, 1)])
        return bool(answer.topic_errors[0][1] == 0)

    await admin.delete_topics([name])
    # Kafka's controller answers before the brokers act: records could else go into the log that is about to vanish.
    await eventually(is_forgotten, "the brokers have forgotten the topic")
    await eventually(is_made, "the topic is made anew")
    await eventually(is_known, "the brokers know of it")
    await admin.close()


SCENARIOS: dict[str, Callable[[Stage], Awaitable[object]]] = {
    one.__name__: one
    for one in (
        two_workers_have_the_same_record,
        a_record_is_polled_again,
        events_are_sent_twice,
        two_workers_have_the_same_account,
        a_policy_is_activated_while_a_batch_waits,
        a_batch_waits_for_one_lane_while_another_goes_on,
        two_relays_have_the_same_lane,
        a_record_cannot_be_read,
        a_topic_is_made_anew,
    )
}


async def _play(name: str, told: Json) -> None:
    broker = Broker(**told["broker"])
    connection = Connection(bootstrap=broker.bootstrap, client_id="test", topic_prefix=told["prefix"])
    ledger = Ledger(told["database"])
    stream = Stream(broker=broker, connection=connection, cluster_id=told["cluster_id"])
    await SCENARIOS[name](Stage(ledger=ledger, stream=stream))
    await ledger.close()


if __name__ == "__main__":
    _NAME, _TOLD = sys.argv[1], json.loads(sys.argv[2])
    # The tree that was asked for, and not the one that is installed.
    assert Path(service.__file__).is_relative_to(_TOLD["tree"]), service.__file__
    asyncio.run(_play(_NAME, _TOLD))
