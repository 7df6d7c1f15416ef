"""The relay in trouble: entries that no broker takes, rounds whose lock was lost, a status topic that is wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.demo.tally import written
from service.ledger.engine import open_engine
from service.stream.outgoing import Publisher
from service.stream.relay import MAX_MESSAGE_BYTES, Relay, publishing
from service.stream.republish import rebuild, retry_refused
from service.stream.send import Sender
from service.telemetry import Metrics
from tests.events import account, closed, contract, event, signed_up
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream, eventually, get, service

pytestmark = pytest.mark.embedded

PUBLISHER = Publisher(source="/here", environment="test")


@asynccontextmanager
async def sending(stream: Stream, compression: str | None = "zstd") -> AsyncIterator[Sender]:
    async with publishing(
        stream.connection, idempotent=stream.broker.idempotent, compression=compression, patience_seconds=5
    ) as sender:
        yield sender


def relay_of(stream: Stream, sender: Sender, engine: AsyncEngine) -> Relay:
    return Relay(
        engine=engine,
        producer=sender,
        connection=stream.connection,
        publisher=PUBLISHER,
        metrics=Metrics(),
        random=Random(1),
    )


async def publish_all(stream: Stream, ledger: Ledger, compression: str | None = "zstd") -> None:
    async with sending(stream, compression) as sender:
        relay = relay_of(stream, sender, ledger.engine("service"))
        while await relay.publish_once():
            pass


async def last_statuses(stream: Stream) -> dict[str, str | None]:
    """The decision that the last status record of each key names; None for a tombstone."""
    records = await stream.read("license-status.v1")
    return {
        (one.key or b"").decode(): None if one.value is None else json.loads(one.value)["data"]["decision_id"]
        for one in records
    }


async def standing(ledger: Ledger) -> dict[str, str | None]:
    async with ledger.engine("auditor").connect() as tx:
        return {key: None if one is None else str(one) for key, one in (await written(tx)).standing.items()}


async def enlarge(ledger: Ledger, account_id: str, field: str = "padding", size: int = MAX_MESSAGE_BYTES + 1) -> None:
    """Make the last decision about an account too large, in a field of its own or in its items."""
    padding = f"(SELECT string_agg(md5(n::text), '') FROM generate_series(1, {size // 32 + 1}) AS n)"
    await ledger.tamper(
        "ALTER TABLE ledger.journal DISABLE TRIGGER USER",
        "UPDATE ledger.journal SET body = convert_to((convert_from(body, 'UTF8')::jsonb"
        f" || jsonb_build_object('{field}', {padding}))::text, 'UTF8') WHERE (lane, seq) = (SELECT lane, seq"
        f" FROM ledger.decision WHERE account_id = '{account_id}' ORDER BY revision DESC LIMIT 1)",
    )


def many(count: int) -> list[dict[str, Any]]:
    return [event("account.signed_up.v1", account(account_id=f"acct-{n}"), id=f"e-{n}") for n in range(count)]


def moved(account_id: str, version: int) -> dict[str, Any]:
    return event("account.updated.v1", account(account_id=account_id, version=version), id=f"{account_id}-{version}")


async def refused(ledger: Ledger) -> list[Any]:
    return await ledger.rows("SELECT lane, seq, reason FROM ledger.relay_refused ORDER BY lane, seq")


# ------------------------------------------------------------------------------------------------ refused entries


async def test_an_entry_that_is_too_large_is_put_aside_and_its_lane_goes_on(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(20))
    await enlarge(ledger, "acct-3")
    await ledger.decide(moved("acct-3", 2))
    await publish_all(stream, ledger)
    (aside,) = await refused(ledger)
    assert aside.reason.startswith("license-decisions.v1: 1,0")
    assert len(await stream.events("license-decisions.v1")) == 20
    assert (
        await ledger.rows("SELECT 1 FROM ledger.lane JOIN ledger.relay_position USING (lane) WHERE seq < next_seq-1")
        == []
    )
    assert await last_statuses(stream) == await standing(ledger)


async def test_the_status_of_an_entry_that_is_too_large_for_the_decisions_is_told_all_the_same(
    stream: Stream, ledger: Ledger
) -> None:
    await ledger.decide(signed_up())
    await enlarge(ledger, "acct-1")
    await publish_all(stream, ledger)
    assert await stream.events("license-decisions.v1") == []
    assert await last_statuses(stream) == await standing(ledger)


async def test_a_status_that_is_too_large_withdraws_the_one_before(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await publish_all(stream, ledger)
    await ledger.decide(moved("acct-1", 2))
    await enlarge(ledger, "acct-1", field="items")
    await publish_all(stream, ledger)
    assert await last_statuses(stream) == {"acct-1/account/acct-1": None}
    (aside,) = await refused(ledger)
    assert "license-decisions.v1: " in aside.reason
    assert "; license-status.v1: " in aside.reason


async def test_a_refused_entry_that_is_sent_again_does_not_bring_an_old_status_back(
    stream: Stream, ledger: Ledger
) -> None:
    await ledger.decide(signed_up())
    await enlarge(ledger, "acct-1")
    await publish_all(stream, ledger)
    await ledger.decide(moved("acct-1", 2))
    await publish_all(stream, ledger)
    (aside,) = await refused(ledger)
    service_engine = ledger.engine("service")
    # What the tampered body is padded with cannot be compressed below the limit of every broker.
    await set_limit(stream, "license-decisions.v1", 10_000_000)
    async with sending(stream) as sender:
        assert await retry_refused(service_engine, sender, PUBLISHER, aside.lane, aside.seq) == []
        assert await retry_refused(service_engine, sender, PUBLISHER, aside.lane, aside.seq) is None
    assert await refused(ledger) == []
    decisions = await ledger.rows("SELECT decision_id FROM ledger.decision")
    told = {one["id"] for one in await stream.events("license-decisions.v1")}
    assert told == {str(row.decision_id) for row in decisions}
    assert await last_statuses(stream) == await standing(ledger)


async def set_limit(stream: Stream, topic: str, limit: int) -> None:
    """Set how large a batch the topic takes; the embedded broker has no limit."""
    if stream.broker.kind == "embedded":
        return
    admin = AIOKafkaAdminClient(**stream.connection.arguments())
    await admin.start()
    name = stream.connection.topic(topic)
    wanted = {"max.message.bytes": str(limit)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=wanted)])

    async def in_force() -> bool:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        return any(entry[:2] == ("max.message.bytes", str(limit)) for entry in answer.resources[0][4])

    await eventually(in_force, "the limit is in force")
    await admin.close()


@pytest.mark.only_on("kafka", reason="the embedded broker takes records of any size")
async def test_of_a_batch_that_the_broker_refuses_only_what_is_too_large_is_put_aside(
    stream: Stream, ledger: Ledger
) -> None:
    # First of all: the brokers act on it somewhat later than they tell of it.
    await set_limit(stream, "license-decisions.v1", 6_000)
    await ledger.decide(*many(60))
    await enlarge(ledger, "acct-7", size=20_000)
    async with sending(stream, compression=None) as sender:
        relay = relay_of(stream, sender, ledger.engine("service"))
        while await relay.publish_once():
            pass
        (aside,) = await refused(ledger)
        assert "the broker refuses its" in aside.reason
        assert len({one["id"] for one in await stream.events("license-decisions.v1")}) == 59
        assert await retry_refused(ledger.engine("service"), sender, PUBLISHER, aside.lane, aside.seq) == [aside.reason]
        assert await refused(ledger) == [aside]
        # Behind a refused batch an idempotent producer's numbers have a hole: what comes next must be taken.
        await ledger.decide(*(moved(f"acct-{number}", 2) for number in range(60)))
        while await relay.publish_once():
            pass
        await set_limit(stream, "license-decisions.v1", 1_000_000)

        async def is_taken() -> bool:
            return await retry_refused(ledger.engine("service"), sender, PUBLISHER, aside.lane, aside.seq) == []

        await eventually(is_taken, "the brokers take it")
    assert len({one["id"] for one in await stream.events("license-decisions.v1")}) == 120
    assert await last_statuses(stream) == await standing(ledger)


async def test_refused_entries_show_in_the_metrics(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await enlarge(ledger, "acct-1")
    async with service(stream.settings(ledger)) as (running, _):

        async def shows() -> bool:
            return "exportgate_relay_refused_entries 1.0" in (await get(running.http_port, "/metrics"))[1]

        await eventually(shows, "the refused entry shows")


# -------------------------------------------------------------------------------------------------- a lost lock


class Held:
    """A real producer that waits before its first record: a relay frozen between its lock and its records."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        self.reached.set()
        await self.gate.wait()
        return await self.producer.send(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.producer, name)


async def terminate(ledger: Ledger, application: str) -> None:
    superuser = create_async_engine(ledger.superuser_url)
    async with superuser.connect() as tx:
        statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
        await tx.execute(text(statement), {"name": application})
    await superuser.dispose()


@pytest.mark.parametrize("killer", ["an administrator", "the idle timeout"])
async def test_a_relay_that_lost_its_lock_while_frozen_mends_the_status_topic(
    stream: Stream, ledger: Ledger, killer: str
) -> None:
    await ledger.decide(*many(5), event("contract.signed.v1", contract(account_id="acct-2")))
    # Far more than it takes to read a round, however busy the machine.
    idle = 5 if killer == "the idle timeout" else 30
    engine = open_engine(ledger.superuser_url, role="service", application="frozen", idle_timeout_seconds=idle)
    async with sending(stream) as sender:
        held = sender._producer = Held(sender._producer)
        frozen = relay_of(stream, sender, engine)
        round_ = asyncio.create_task(frozen.publish_once())
        await asyncio.wait_for(held.reached.wait(), DEADLINE_SECONDS)
        if killer == "an administrator":
            await terminate(ledger, "frozen")
        await eventually(lambda: _is_gone(ledger, "frozen"), "the frozen relay's session has ended")
        # Meanwhile another relay publishes the same entries and newer ones.
        await ledger.decide(*(moved(f"acct-{number}", 2) for number in range(4)))
        await ledger.decide(event("account.closed.v1", closed(account_id="acct-4", version=3), id="c"))
        await publish_all(stream, ledger)
        assert await last_statuses(stream) == await standing(ledger)
        held.gate.set()
        with pytest.raises(DBAPIError):
            await round_
        # So it would stay, were it not mended: approvals of an ended account and of older facts stand last.
        assert await last_statuses(stream) != await standing(ledger)
        assert await frozen.publish_once() == 0
        assert await last_statuses(stream) == await standing(ledger)
        assert "exportgate_relay_repaired_total 6.0" in frozen.metrics.text().decode()
        before = len(await stream.read("license-status.v1"))
        assert await frozen.publish_once() == 0
        assert len(await stream.read("license-status.v1")) == before
    await engine.dispose()


async def _is_gone(ledger: Ledger, application: str) -> bool:
    found = await ledger.rows("SELECT 1 FROM pg_stat_activity WHERE application_name = :name", name=application)
    return not found


async def test_a_relay_that_is_told_to_stop_mends_what_it_left_in_doubt(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(5))
    engine = open_engine(ledger.superuser_url, role="service", application="stopping")
    async with sending(stream) as sender:
        held = sender._producer = Held(sender._producer)
        relay = relay_of(stream, sender, engine)
        running = asyncio.create_task(relay.run())
        await asyncio.wait_for(held.reached.wait(), DEADLINE_SECONDS)
        await terminate(ledger, "stopping")
        await ledger.decide(*(moved(f"acct-{number}", 2) for number in range(5)))
        await publish_all(stream, ledger)
        relay.stop()
        held.gate.set()
        await running
    assert await last_statuses(stream) == await standing(ledger)
    await engine.dispose()


# ------------------------------------------------------------------------------------------------------ rebuild


async def test_a_status_topic_that_is_wrong_is_rebuilt_from_the_ledger(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(30), event("contract.signed.v1", contract(account_id="acct-2")))
    await ledger.decide(event("account.closed.v1", closed(account_id="acct-4", version=2), id="c"))
    await publish_all(stream, ledger)
    old = await stream.read("license-status.v1")
    async with AIOKafkaProducer(bootstrap_servers=stream.connection.bootstrap, acks="all") as producer:
        topic = stream.connection.topic("license-status.v1")
        wrong = next(one for one in old if one.key == b"acct-4/account/acct-4" and one.value is not None)
        await producer.send_and_wait(topic, wrong.value, key=wrong.key)
        await producer.send_and_wait(topic, None, key=b"acct-5/account/acct-5")
    assert await last_statuses(stream) != await standing(ledger)
    async with sending(stream) as sender:
        chunks = [one async for one in rebuild(ledger.engine("service"), sender, PUBLISHER)]
    assert sum(one.subjects for one in chunks) == 31
    assert sum(one.ended for one in chunks) == 1
    assert await last_statuses(stream) == await standing(ledger)


async def test_a_relay_does_not_overtake_a_rebuild_that_has_read_what_it_will_send(
    stream: Stream, ledger: Ledger
) -> None:
    await ledger.decide(signed_up())
    await publish_all(stream, ledger)
    async with sending(stream) as sender:
        held = sender._producer = Held(sender._producer)

        async def again() -> None:
            async for _chunk in rebuild(ledger.engine("service"), sender, PUBLISHER):
                pass

        rebuilding = asyncio.create_task(again())
        await asyncio.wait_for(held.reached.wait(), DEADLINE_SECONDS)
        await ledger.decide(moved("acct-1", 2))
        await publish_all(stream, ledger)
        held.gate.set()
        await rebuilding
    await publish_all(stream, ledger)
    assert await last_statuses(stream) == await standing(ledger)
