"""The status topic is held against the ledger now and then: what somebody put there wrongly does not stay."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import STATUS
from service.ledger.relay import try_comparing
from service.stream.compare import Comparison
from service.stream.outgoing import status_key, subject_of
from service.stream.send import Sender, publishing
from service.telemetry import Metrics
from tests.events import closed, contract, event
from tests.ledger import Ledger
from tests.stream import Stream, eventually, get, service
from tests.test_relay import PUBLISHER, Held, enlarge, last_statuses, many, moved, publish_all, standing

pytestmark = pytest.mark.embedded


def comparison_of(stream: Stream, ledger: Ledger) -> Comparison:
    return Comparison(
        engine=ledger.engine("service"),
        sending=partial(
            publishing, stream.connection, idempotent=stream.broker.idempotent, compression="zstd", patience_seconds=5
        ),
        connection=stream.connection,
        publisher=PUBLISHER,
        metrics=Metrics(),
        random=Random(1),
        interval_seconds=300,
    )


async def put(stream: Stream, *records: tuple[bytes, bytes | None]) -> None:
    """Put records on the status topic by hand."""
    async with AIOKafkaProducer(bootstrap_servers=stream.connection.bootstrap, acks="all") as producer:
        for key, value in records:
            await producer.send_and_wait(stream.connection.topic(STATUS.name), value, key=key)


async def status_of(stream: Stream, key: bytes) -> bytes:
    """The first status that was published of a subject."""
    return next(one.value for one in await stream.read(STATUS.name) if one.key == key and one.value is not None)


def changed(value: bytes, **data: object) -> bytes:
    """A status that says something else."""
    status = json.loads(value)
    return json.dumps(status | {"data": status["data"] | data}).encode()


def counted(comparison: Comparison, name: str) -> float:
    lines = comparison.metrics.text().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"exportgate_{name} "))


async def test_a_wrong_status_is_mended_and_counted_while_the_service_runs(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger, status_check_seconds=0.5)) as (running, _):
        sent = await stream.send(*many(5))
        await eventually(lambda: stream.done(ledger, sent), "all records are done")

        async def is_told() -> bool:
            return await last_statuses(stream) == await standing(ledger)

        await eventually(is_told, "all statuses are published")
        key = b"acct-2/account/acct-2"
        wrong = changed(await status_of(stream, key), decision_id="nobodys", outcome="deny")
        await put(stream, (key, wrong), (b"acct-3/account/acct-3", None))

        async def is_mended() -> bool:
            _, metrics = await get(running.http_port, "/metrics")
            return "exportgate_status_mended_total 2.0" in metrics

        await eventually(is_mended, "the wrong statuses are counted")
        assert await last_statuses(stream) == await standing(ledger)


async def test_a_topic_that_is_right_is_left_alone(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(20), event("contract.signed.v1", contract(account_id="acct-2")))
    await ledger.decide(event("account.closed.v1", closed(account_id="acct-4", version=2), id="c"))
    await publish_all(stream, ledger)
    before = await stream.read(STATUS.name)
    comparison = comparison_of(stream, ledger)
    assert await comparison.look() == 0
    assert await stream.read(STATUS.name) == before
    assert counted(comparison, "status_compared_total") == len(before)


WRONG: dict[str, Callable[[bytes], bytes | None]] = {
    "a decision that does not stand": lambda value: changed(value, decision_id="nobodys"),
    "another outcome of the right decision": lambda value: changed(value, outcome="deny", access="none"),
    "no JSON": lambda _: b"{",
    "no event": lambda _: b"[1, 2]",
    "a tombstone": lambda _: None,
}


@pytest.mark.parametrize("what", WRONG)
async def test_whatever_differs_is_mended_once(stream: Stream, ledger: Ledger, what: str) -> None:
    await ledger.decide(*many(3))
    await publish_all(stream, ledger)
    key = b"acct-1/account/acct-1"
    right = await status_of(stream, key)
    await put(stream, (key, WRONG[what](right)))
    comparison = comparison_of(stream, ledger)
    assert await comparison.look() == 1
    last = [one for one in await stream.read(STATUS.name) if one.key == key][-1]
    assert last.value == right
    assert await comparison.look() == 0
    assert counted(comparison, "status_mended_total") == 1


async def test_an_approval_of_a_subject_that_has_ended_is_withdrawn_again(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(3))
    await publish_all(stream, ledger)
    key = b"acct-1/account/acct-1"
    approval = await status_of(stream, key)
    await ledger.decide(event("account.closed.v1", closed(account_id="acct-1", version=2), id="c"))
    await publish_all(stream, ledger)
    await put(stream, (key, approval))
    assert await comparison_of(stream, ledger).look() == 1
    assert (await last_statuses(stream))[key.decode()] is None


async def test_what_waits_to_be_published_is_left_to_the_relay(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(3))
    await publish_all(stream, ledger)
    await ledger.decide(moved("acct-1", 2))
    await ledger.decide(event("account.closed.v1", closed(account_id="acct-2", version=2), id="c"))
    before = await stream.read(STATUS.name)
    assert await comparison_of(stream, ledger).look() == 0
    assert await stream.read(STATUS.name) == before


async def test_a_subject_that_ended_is_mended_though_its_lane_is_behind(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(3), event("contract.signed.v1", contract(account_id="acct-1")))
    await publish_all(stream, ledger)
    key = next(one.key for one in await stream.read(STATUS.name) if one.key and b"/contract/" in one.key)
    signed = await status_of(stream, key)
    await ledger.decide(event("account.closed.v1", closed(account_id="acct-1", version=2), id="c"))
    await publish_all(stream, ledger)
    await put(stream, (key, signed))
    # Another subject of the same lane waits to be published.
    await ledger.decide(moved("acct-1", 3))
    assert await comparison_of(stream, ledger).look() == 1
    assert (await last_statuses(stream))[key.decode()] is None


async def test_a_subject_that_the_ledger_does_not_know_is_told_of_and_left_alone(
    stream: Stream, ledger: Ledger
) -> None:
    await ledger.decide(*many(2))
    await publish_all(stream, ledger)
    strange = await status_of(stream, b"acct-1/account/acct-1")
    await put(stream, (b"nobody/account/nobody", strange), (b"no key of ours", strange), (b"gone/account/gone", None))
    before = await stream.read(STATUS.name)
    comparison = comparison_of(stream, ledger)
    assert await comparison.look() == 0
    assert await stream.read(STATUS.name) == before
    assert counted(comparison, "status_unknown_total") == 2


async def test_a_status_that_no_broker_takes_stays_withdrawn_in_peace(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(2))
    await enlarge(ledger, "acct-1", field="items")
    await publish_all(stream, ledger)
    assert (await last_statuses(stream))["acct-1/account/acct-1"] is None
    comparison = comparison_of(stream, ledger)
    assert [await comparison.look() for _ in range(2)] == [0, 0]


async def test_it_reads_on_where_it_has_stopped(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(30))
    await publish_all(stream, ledger)
    comparison = comparison_of(stream, ledger)
    assert await comparison.look() == 0
    await ledger.decide(moved("acct-1", 2))
    await publish_all(stream, ledger)
    assert await comparison.look() == 0
    assert counted(comparison, "status_compared_total") == 31


async def test_one_worker_compares_at_a_time(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(3))
    await publish_all(stream, ledger)
    await put(stream, (b"acct-1/account/acct-1", None))
    async with ledger.engine("service").begin() as tx:
        assert await try_comparing(tx)
        assert await comparison_of(stream, ledger).look() == 0
    assert await comparison_of(stream, ledger).look() == 1


async def test_a_relay_that_publishes_meanwhile_is_not_overtaken(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*many(3))
    await publish_all(stream, ledger)
    await put(stream, (b"acct-1/account/acct-1", None))
    reached, gate = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def sending() -> AsyncIterator[Sender]:
        async with comparison_of(stream, ledger).sending() as sender:
            held = sender._producer = Held(sender._producer)
            held.reached, held.gate = reached, gate
            yield sender

    comparison = comparison_of(stream, ledger)
    comparison.sending = sending
    looking = asyncio.create_task(comparison.look())
    await reached.wait()
    # It has read what it will send; the relay must wait behind its lock.
    await ledger.decide(moved("acct-1", 2))
    await publish_all(stream, ledger)
    gate.set()
    assert await looking == 1
    await publish_all(stream, ledger)
    assert await last_statuses(stream) == await standing(ledger)


@pytest.mark.parametrize("identifiers", [("a", "b"), ("a/b", "c%2Fd"), ("%", "%25"), ("é/", "/"), ("a%252F", "")])
def test_a_key_leads_back_to_its_subject(identifiers: Sequence[str]) -> None:
    account_id, own_id = identifiers
    assert subject_of(status_key(account_id, "contract", own_id).encode()) == (account_id, f"contract:{own_id}")
    assert subject_of(status_key(account_id, "account", account_id).encode()) == (account_id, "account")


@pytest.mark.parametrize(
    "key", [b"", b"a", b"a/account", b"a/b/c/d", b"\xff/account/a", b"a%2f/account/b", b"a%/user/b"]
)
def test_a_key_that_we_would_not_make_is_nobodys(key: bytes) -> None:
    assert subject_of(key) is None
