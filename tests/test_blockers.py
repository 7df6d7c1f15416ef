"""A worker that is frozen while it holds locks does not stop the others for ever."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from structlog.testing import capture_logs

from service.ledger.blockers import Blocker, end_blockers
from service.ledger.engine import open_engine
from service.ledger.relay import try_comparing
from service.telemetry import Metrics
from service.unblocking import Unblocker
from tests.events import account, event
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream, end, eventually, get, launch_process, service
from tests.test_outages import is_stopped
from tests.test_relay import last_statuses, standing

pytestmark = pytest.mark.embedded

OURS = "exportgate"
LOCK = text("SELECT lane FROM ledger.lane ORDER BY lane FOR UPDATE")


# ----------------------------------------------------------------------------------------------- the service, whole


@pytest.mark.parametrize("point", ["positions_claimed", "lanes_locked", "relay_locked"])
async def test_a_frozen_worker_loses_its_locks_and_the_others_go_on(stream: Stream, ledger: Ledger, point: str) -> None:
    # Without the idle timeout, as when it was frozen while the server sent it rows: then that one does not count.
    limits = {"idle_timeout_seconds": 0, "lock_timeout_seconds": 1, "blocker_limit_seconds": 2}
    settings = stream.settings(ledger, **limits)
    frozen = await launch_process(settings, fault=f"{point}:stop")
    try:
        sent = await stream.send(*_many(20))
        await eventually(is_stopped(frozen), "the worker is frozen")
        async with service(settings) as (running, _):
            await eventually(lambda: stream.done(ledger, sent), "the other worker decides everything")

            async def is_told() -> bool:
                return await last_statuses(stream) == await standing(ledger)

            await eventually(is_told, "and publishes it, whoever held the relay's rows")
            _, metrics = await get(running.http_port, "/metrics")
            # One at least: its relay may have been in a transaction too when it froze.
            assert re.search(r"exportgate_blockers_ended_total [1-9]", metrics)
    finally:
        frozen.send_signal(signal.SIGCONT)
    # Awake again it finds its session gone, and goes on as if it had lost the connection.
    code, log = await end(frozen, signal.SIGTERM)
    assert code == 0, log
    rows = await ledger.rows("SELECT account_id, count(*) AS times FROM ledger.decision GROUP BY account_id")
    assert (len(rows), {row.times for row in rows}) == (20, {1})
    assert await ledger.replay() == []


def _many(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        event("account.signed_up.v1", account(account_id=f"acct-{number}"), id=f"e-{number}")
        for number in range(first, first + count)
    ]


# ------------------------------------------------------------------------------------------------------ who is ended


@asynccontextmanager
async def worker(url: str, application: str = OURS) -> AsyncIterator[AsyncEngine]:
    """Sessions of a worker that waits for no more than 20 seconds for a lock."""
    engine = open_engine(url, role="service", application=application, lock_timeout_seconds=20)
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
async def logins(ledger: Ledger) -> AsyncIterator[list[str]]:
    """The addresses of two users who may nothing but act as the service."""
    superuser = create_async_engine(ledger.superuser_url)
    names = [f"worker_{number}_{make_url(ledger.superuser_url).database}" for number in (1, 2)]
    async with superuser.begin() as tx:
        for name in names:
            await tx.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'"))
            await tx.execute(text(f"GRANT exportgate_service TO {name}"))
    url = make_url(ledger.superuser_url)
    yield [url.set(username=name, password="secret").render_as_string(hide_password=False) for name in names]
    async with superuser.begin() as tx:
        for name in names:
            await tx.execute(text(f"DROP ROLE {name}"))
    await superuser.dispose()


@asynccontextmanager
async def waiting(engine: AsyncEngine, ledger: Ledger) -> AsyncIterator["asyncio.Task[None]"]:
    """A transaction that waits for all lanes."""

    async def lock() -> None:
        async with engine.begin() as tx:
            await tx.execute(LOCK)

    task = asyncio.create_task(lock())
    try:
        await eventually(ledger.somebody_waits, "it waits")
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def pid_of(tx: AsyncConnection) -> int:
    return int((await tx.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def seen(ledger: Ledger, query: str, **parameters: object) -> bool:
    """Whether the superuser sees any row; others do not see what sessions do that are not theirs."""
    superuser = create_async_engine(ledger.superuser_url)
    async with superuser.connect() as asking:
        found = (await asking.execute(text(query), parameters)).all()
    await superuser.dispose()
    return bool(found)


async def look(engine: AsyncEngine, limit_seconds: float = 0) -> list[Blocker]:
    async with engine.begin() as tx:
        return await end_blockers(tx, OURS, limit_seconds)


async def test_who_has_no_more_than_the_service_role_may_end_a_session_of_his_own(
    ledger: Ledger, logins: list[str]
) -> None:
    async with worker(logins[0]) as frozen, worker(logins[0]) as other, frozen.connect() as tx:
        await tx.execute(LOCK)
        pid = await pid_of(tx)
        async with waiting(other, ledger) as task:
            (one,) = await look(other)
            assert (one.pid, one.ended, one.application) == (pid, True, OURS)
            await asyncio.wait_for(task, DEADLINE_SECONDS)
        with pytest.raises(DBAPIError):
            await tx.execute(text("SELECT 1"))
        # The role is given up for the look alone.
        async with other.connect() as again:
            assert (await again.execute(text("SELECT current_user"))).scalar_one() == "exportgate_service"


async def test_a_session_that_the_server_is_sending_rows_to_is_ended_too(ledger: Ledger, logins: list[str]) -> None:
    async with worker(logins[0]) as frozen, worker(logins[0]) as other, frozen.connect() as tx:
        raw = (await tx.get_raw_connection()).driver_connection
        assert raw is not None
        await tx.execute(text("SELECT 1"))
        raw._transport.pause_reading()
        # As one message, so that there is nothing to be read before the rows come.
        rows = asyncio.create_task(raw.execute("SELECT lane, repeat('x', 10000000) FROM ledger.lane FOR UPDATE"))

        async def is_sending() -> bool:
            query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND datname = current_database()"
            return await seen(ledger, query)

        await eventually(is_sending, "the server cannot get rid of its rows")
        async with waiting(other, ledger) as task:
            assert [one.ended for one in await look(other)] == [True]
            await asyncio.wait_for(task, DEADLINE_SECONDS)
        raw._transport.resume_reading()
        with pytest.raises((PostgresError, InterfaceError, OSError)):
            await rows
        await tx.invalidate()


async def test_a_session_whose_statement_is_at_work_is_not_ended_however_long_that_lasts(
    ledger: Ledger, logins: list[str]
) -> None:
    async with worker(logins[0]) as busy, worker(logins[0]) as other, busy.connect() as tx:
        await tx.execute(LOCK)
        pid = await pid_of(tx)
        # Long enough that only being cancelled ends it.
        statement = asyncio.create_task(tx.execute(text("SELECT count(*) FROM generate_series(1, 100000000000)")))

        async def is_at_work() -> bool:
            query = "SELECT 1 FROM pg_stat_activity WHERE pid = :pid AND state = 'active' AND query LIKE '%series%'"
            return await seen(ledger, query, pid=pid)

        await eventually(is_at_work, "its statement is at work")
        async with waiting(other, ledger):
            assert [(one.pid, one.ended) for one in await look(other)] == [(pid, False)]
        async with other.connect() as canceller:
            await canceller.execute(text("SET ROLE NONE"))
            await canceller.execute(text("SELECT pg_cancel_backend(:pid)"), {"pid": pid})
        with pytest.raises(DBAPIError, match="canceling statement"):
            await statement


async def test_nobody_ends_a_session_of_another_user(ledger: Ledger, logins: list[str]) -> None:
    async with worker(logins[0]) as frozen, worker(logins[1]) as other, frozen.connect() as tx:
        await tx.execute(LOCK)
        async with waiting(other, ledger):
            (one,) = await look(other)
            assert (one.ended, one.seconds) == (False, None)
        await tx.execute(text("SELECT 1"))


async def test_other_applications_are_left_alone_though_the_user_is_the_same(ledger: Ledger, logins: list[str]) -> None:
    async with worker(logins[0], "psql") as person, worker(logins[0]) as other, person.connect() as tx:
        await tx.execute(LOCK)
        async with waiting(other, ledger):
            (one,) = await look(other)
            assert (one.ended, one.application) == (False, "psql")
        await tx.execute(text("SELECT 1"))


async def test_a_session_that_speaks_is_not_ended_however_long_its_transaction_lasts(
    ledger: Ledger, logins: list[str]
) -> None:
    async with worker(logins[0]) as busy, worker(logins[0]) as other, busy.connect() as tx:
        await tx.execute(LOCK)

        async def is_older_than_the_limit() -> bool:
            age = "SELECT clock_timestamp() - transaction_timestamp() > interval '3 seconds'"
            return bool((await tx.execute(text(age))).scalar_one())

        async with waiting(other, ledger):
            await eventually(is_older_than_the_limit, "the transaction is older than the limit")
            assert [one.ended for one in await look(other, limit_seconds=3)] == [False]

            async def is_ended() -> bool:
                return [one.ended for one in await look(other, limit_seconds=3)] == [True]

            await eventually(is_ended, "it is ended once it has been silent for as long")
        await tx.invalidate()


@pytest.mark.parametrize("statement", ["SELECT 1 FROM ledger.relay_position FOR UPDATE", None])
async def test_what_others_pass_by_is_not_held_in_silence_either(logins: list[str], statement: str | None) -> None:
    async with worker(logins[0]) as frozen, worker(logins[0]) as other, frozen.connect() as tx:
        await (try_comparing(tx) if statement is None else tx.execute(text(statement)))
        assert await look(other, limit_seconds=60) == []
        assert [one.ended for one in await look(other)] == [True]
        await tx.invalidate()


async def test_who_waits_himself_is_not_ended_for_what_another_holds(ledger: Ledger, logins: list[str]) -> None:
    async with (
        worker(logins[0], "psql") as person,
        worker(logins[0]) as first,
        worker(logins[0]) as second,
        person.connect() as tx,
    ):
        await tx.execute(LOCK)
        async with waiting(first, ledger) as task, waiting(second, ledger):

            async def both_wait() -> bool:
                return len(await ledger.rows("SELECT 1 FROM pg_locks WHERE NOT granted")) == 2

            await eventually(both_wait, "both wait")
            blockers = await look(second)
            assert [(one.application, one.ended) for one in blockers] == [("psql", False)]
            assert not task.done()


async def test_a_blocker_that_is_not_ours_to_end_is_told_of_once(ledger: Ledger, logins: list[str]) -> None:
    async with worker(logins[0], "psql") as person, worker(logins[0]) as other, person.connect() as tx:
        await tx.execute(LOCK)
        unblocker = Unblocker(engine=other, application=OURS, limit_seconds=0.01, metrics=Metrics())
        with capture_logs() as lines:

            async def is_told() -> bool:
                await unblocker.look()
                return bool(lines)

            async with waiting(other, ledger):
                await eventually(is_told, "it is told of")
                for _ in range(3):
                    await unblocker.look()
        assert [line["event"] for line in lines] == ["a session that we may not end blocks us"]
        assert lines[0]["pid"] == await pid_of(tx)
