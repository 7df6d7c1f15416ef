"""Connections cut at COMMIT, frozen workers, rebalances, servers that die, a full disk, a clock that runs backwards."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import psutil
import pytest
from asyncpg import connect
from asyncpg.exceptions import DiskFullError
from sqlalchemy import make_url, text

from service.cli.database import make_database
from service.embedded.postgres import Server
from service.ledger.engine import open_engine
from tests.brokers import Broker
from tests.events import account, event, signed_up
from tests.kafka import running_kafka
from tests.ledger import Ledger
from tests.policies import small_policy
from tests.proxy import Moment, running_proxy
from tests.servers import Lifeline, may_mount, restartable_postgres, small_disk
from tests.stream import DEADLINE_SECONDS, Stream, eventually, fresh_stream, get, launch_process, service, start_process
from tests.traffic import Traffic, assert_exactly_once, clean_worker

pytestmark = pytest.mark.embedded


# ------------------------------------------------------------------------------------------- connections


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_connection_cut_at_commit_leaves_no_doubt(stream: Stream, ledger: Ledger, moment: Moment) -> None:
    traffic = Traffic(stream)
    async with (
        running_proxy(ledger.superuser_url) as proxy,
        service(stream.settings(ledger, database_url=proxy.url(ledger.superuser_url))),
    ):
        for table in ("stream_position", "relay_position", "stream_position", "relay_position"):
            cut = proxy.cut(f"UPDATE ledger.{table}", moment)
            await traffic.send(accounts=10)
            await asyncio.wait_for(cut.done.wait(), DEADLINE_SECONDS)
        await assert_exactly_once(ledger, traffic)


# ----------------------------------------------------------------------------------------- frozen workers


def is_stopped(process: asyncio.subprocess.Process) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED

    return holds


@pytest.mark.parametrize("point", ["polled", "state_written", "relay_handed_over"])
async def test_a_worker_that_wakes_after_its_session_decides_nothing_twice(
    stream: Stream, ledger: Ledger, point: str
) -> None:
    """Frozen before, and within, its transaction; and while its records are under way to the brokers."""
    traffic = Traffic(stream)
    settings = stream.settings(ledger, idle_timeout_seconds=2, lock_timeout_seconds=1)
    frozen = await launch_process(settings, fault=f"{point}:stop")
    await traffic.send(accounts=20)
    await eventually(is_stopped(frozen), f"it froze at {point}")
    async with clean_worker(settings):
        await traffic.send(accounts=20)
        await eventually(lambda: traffic.done(ledger), "the other one takes over")
        frozen.send_signal(signal.SIGCONT)
        for _ in range(2):
            await traffic.send(accounts=20)
            await eventually(lambda: traffic.done(ledger), "both go on")
        await assert_exactly_once(ledger, traffic)
    frozen.terminate()
    _, log = await frozen.communicate()
    assert frozen.returncode == 0, log.decode()[-2000:]


@pytest.mark.parametrize("table", ["stream_position", "lane", "relay_position"])
async def test_a_worker_frozen_while_rows_are_sent_to_it_does_not_stop_the_others(
    stream: Stream, ledger: Ledger, table: str
) -> None:
    traffic = Traffic(stream)
    settings = stream.settings(ledger, idle_timeout_seconds=2, lock_timeout_seconds=1)
    async with clean_worker(settings):
        await traffic.send()
        await eventually(lambda: traffic.done(ledger), "there are positions")
        async with deaf_session(ledger, f"SELECT * FROM ledger.{table} FOR UPDATE"):
            await traffic.send()
            await assert_exactly_once(ledger, traffic)


@asynccontextmanager
async def deaf_session(ledger: Ledger, lock: str) -> AsyncIterator[None]:
    """A session as a worker has it, which holds locks and reads nothing of a long answer."""
    engine = open_engine(
        ledger.superuser_url,
        role="service",
        application="exportgate",
        statement_timeout_seconds=2,
        idle_timeout_seconds=2,
    )
    async with engine.connect() as tx:
        await tx.execute(text(lock))
        session: Any = (await tx.get_raw_connection()).driver_connection
        statement = await session.prepare("SELECT repeat('x', 10000) FROM generate_series(1, 10000)")
        answer = asyncio.ensure_future(statement.fetch())
        await asyncio.sleep(0)
        session._transport.pause_reading()
        try:
            yield
        finally:
            session.terminate()
            await asyncio.gather(answer, return_exceptions=True)
            await tx.invalidate()
    await engine.dispose()


def _driver_url(ledger: Ledger) -> str:
    return make_url(ledger.superuser_url).set(drivername="postgresql").render_as_string(hide_password=False)


async def test_workers_that_come_and_go_in_mid_stream_decide_nothing_twice(stream: Stream, ledger: Ledger) -> None:
    traffic = Traffic(stream)
    settings = stream.settings(ledger, batch_max_records=20)
    async with clean_worker(settings):
        for how in (signal.SIGTERM, signal.SIGKILL):
            other = await start_process(settings)
            await traffic.send(accounts=100)
            other.send_signal(how)
            await traffic.send(accounts=100)
            await other.communicate()
        await assert_exactly_once(ledger, traffic)


# ------------------------------------------------------------------------------------------------ servers


@asynccontextmanager
async def ledger_on(server: Server, tablespace: str = "") -> AsyncIterator[Ledger]:
    """A ledger with a policy on a server of the test's own."""
    await server._execute(f"CREATE DATABASE exportgate {tablespace}")
    await make_database(make_url(server.url()), lanes=16)
    ledger = Ledger(server.url())
    await ledger.use()
    try:
        yield ledger
    finally:
        await ledger.close()


async def test_a_database_killed_in_mid_stream_loses_nothing(stream: Stream) -> None:
    lifeline, traffic = Lifeline(), Traffic(stream)
    async with (
        restartable_postgres(lifeline) as server,
        ledger_on(server) as ledger,
        clean_worker(stream.settings(ledger, batch_max_records=20)),
    ):
        for _ in range(3):
            await traffic.send(accounts=50)
            lifeline.kill()
            await traffic.send(accounts=50)
            await eventually(server.answers, "the database is back")
            await ledger.close()
            await eventually(lambda: traffic.done(ledger), "all records are done")
        await assert_exactly_once(ledger, traffic)


@pytest.mark.only_on("kafka", reason="the embedded broker has its log in memory: a kill leaves nothing to go on with")
async def test_a_broker_killed_in_mid_stream_loses_nothing(ledger: Ledger) -> None:
    lifeline = Lifeline()
    async with running_kafka(lifeline.hold) as kafka:
        broker = Broker(
            kind="kafka",
            bootstrap=kafka.bootstrap,
            cluster_id=kafka.cluster_id,
            idempotent=True,
            session_timeout_ms=3_000,
        )
        stream = await fresh_stream(broker, "killed-")
        traffic = Traffic(stream)
        async with clean_worker(stream.settings(ledger, batch_max_records=20)):
            for _ in range(2):
                await traffic.send(accounts=100)
                lifeline.kill()
                # The worker may have passed all records before the kill.
                await eventually(kafka.answers, "the broker is back")
                await eventually(lambda: traffic.done(ledger), "all records are done")
            await assert_exactly_once(ledger, traffic)


@pytest.mark.skipif(not may_mount(), reason="only root may mount a small disk")
async def test_a_full_disk_of_the_database_is_waited_for(stream: Stream) -> None:
    """The tablespace of the database lies on a small disk, which another table fills; the log has room elsewhere."""
    lifeline, traffic = Lifeline(), Traffic(stream)
    async with restartable_postgres(lifeline, small_disk_mb=64) as server:
        await server._execute(f"CREATE TABLESPACE small LOCATION '{small_disk(lifeline)}'")
        async with ledger_on(server, "TABLESPACE small") as ledger, service(stream.settings(ledger)) as (running, _):
            await traffic.send()
            await eventually(lambda: traffic.done(ledger), "there is room")
            await fill(ledger)
            await traffic.send(accounts=500)

            async def is_refused() -> bool:
                _, metrics = await get(running.http_port, "/metrics")
                return 'retries_total{reason="database"}' in metrics

            await eventually(is_refused, "the batch is tried again")
            assert not await traffic.done(ledger)
            await as_superuser(ledger, "DROP TABLE filler")
            await assert_exactly_once(ledger, traffic)


async def fill(ledger: Ledger) -> None:
    """Fill the disk until not even the smallest row has room. A vacuum would give room back at any moment."""
    await as_superuser(ledger, "CREATE TABLE filler (content text) WITH (autovacuum_enabled = false)")
    for rows in (1_000, 100, 10, 1):
        with suppress(DiskFullError):
            while True:
                await as_superuser(
                    ledger, f"INSERT INTO filler SELECT repeat('x', 1900) FROM generate_series(1, {rows * 4})"
                )


async def as_superuser(ledger: Ledger, statement: str) -> None:
    session = await connect(_driver_url(ledger), ssl=False)
    try:
        await session.execute(statement)
    finally:
        await session.close()


# -------------------------------------------------------------------------------------------------- clock


async def test_a_clock_that_steps_back_does_not_turn_history_around(ledger: Ledger) -> None:
    """Seen from a lane, a step back is the same as a last entry in the future."""
    await ledger.decide(signed_up())
    ahead = "clock_timestamp() + interval '1 hour'"
    await ledger.tamper(f"UPDATE ledger.lane SET last_at = {ahead}")
    for version in (2, 3):
        await ledger.decide(event("account.updated.v1", account(version=version), id=f"e-{version}"))
    # A policy that is activated now comes into force behind what is decided, not before it.
    await ledger.use(small_policy("2"))
    await ledger.decide(event("account.updated.v1", account(version=4), id="e-4"))
    rows = await ledger.rows("SELECT decided_at, policy_sha256 FROM ledger.decision ORDER BY revision")
    instants = [row.decided_at for row in rows]
    assert instants == sorted(set(instants))
    assert instants[1] - instants[0] > timedelta(minutes=59)
    assert rows[3].policy_sha256 != rows[2].policy_sha256
    assert await ledger.replay() == []
