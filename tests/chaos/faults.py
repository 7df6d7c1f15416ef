"""The faults. Each function does one to a worker, or a server, and says in a few words what it did."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from asyncpg import connect
from sqlalchemy import make_url

from service.faults import POINTS
from service.ledger.engine import DATABASE_ERRORS
from tests.chaos.stage import Stage, Worker

Fault = Callable[[Stage, Worker, Random], Awaitable[str]]

_REACH_SECONDS = 20.0
_LOOK_SECONDS = 0.02


async def kill_at_a_point(_stage: Stage, worker: Worker, random: Random) -> str:
    """Kill -9 exactly where a point is reached for the n-th time."""
    fault = _somewhere(random, "kill")
    await worker.restart(fault)
    life = worker.process
    if await _within(lambda: worker.process is not life):
        return f"kill -9 at {fault}"
    worker.send(signal.SIGKILL)
    return f"kill -9, {fault} was not reached"


async def freeze_at_a_point(_stage: Stage, worker: Worker, random: Random) -> str:
    """Freeze it where a point is reached, for longer than its session, then let it go on."""
    fault = _somewhere(random, "stop")
    seconds = random.uniform(2.5, 5)
    await worker.restart(fault)
    if not await _within(worker.is_stopped):
        return f"kill -9, {fault} was not reached"
    await asyncio.sleep(seconds)
    worker.send(signal.SIGCONT)
    return f"frozen for {seconds:.1f} s at {fault}"


async def kill_at_any_time(_stage: Stage, worker: Worker, random: Random) -> str:
    """Kill -9 whatever it is doing."""
    await asyncio.sleep(random.uniform(0, 1))
    worker.send(signal.SIGKILL)
    return "kill -9 at any time"


async def freeze_shortly(_stage: Stage, worker: Worker, random: Random) -> str:
    """Freeze it for less than its session."""
    return await _freeze(worker, random.uniform(0.1, 1.2))


async def freeze_long(_stage: Stage, worker: Worker, random: Random) -> str:
    """Freeze it for longer than its session, and than the limits of the database."""
    return await _freeze(worker, random.uniform(2.5, 5))


async def cut_at_commit(_stage: Stage, worker: Worker, random: Random) -> str:
    """Cut its connection at the COMMIT of a batch or of a relay's round, before or after the server heard it."""
    table = random.choice(["stream_position", "relay_position"])
    moment = random.choice(["before", "after"])
    cut = worker.proxy.cut(f"UPDATE ledger.{table}", "before" if moment == "before" else "after")
    with suppress(TimeoutError):
        await asyncio.wait_for(cut.done.wait(), _REACH_SECONDS)
        return f"connection cut {moment} COMMIT of {table}"
    worker.proxy.cuts.remove(cut)
    return f"no COMMIT of {table} to cut"


async def end_sessions(stage: Stage, _worker: Worker, random: Random) -> str:
    """Have the server end some of the workers' sessions."""
    url = make_url(stage.server.url()).set(drivername="postgresql").render_as_string(hide_password=False)
    ended = 0
    with suppress(*DATABASE_ERRORS):
        session = await connect(url, ssl=False)
        rows = await session.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'exportgate' ORDER BY pid"
        )
        for row in rows:
            if random.random() < 0.5:
                ended += await session.fetchval("SELECT pg_terminate_backend($1)", row["pid"])
        await session.close()
    return f"{ended} sessions ended by the server"


async def kill_the_database(stage: Stage, _worker: Worker, random: Random) -> str:
    """Kill -9 PostgreSQL with all its processes; it comes back by itself."""
    await asyncio.sleep(random.uniform(0, 0.5))
    stage.database_line.kill()
    return "PostgreSQL: kill -9 and restart"


async def kill_the_broker(stage: Stage, _worker: Worker, random: Random) -> str:
    """Kill -9 Kafka; it comes back by itself with its log."""
    assert stage.broker_line is not None
    await asyncio.sleep(random.uniform(0, 0.5))
    stage.broker_line.kill()
    return "Kafka: kill -9 and restart"


def faults_of(stage: Stage) -> dict[Fault, int]:
    """The faults that these servers can bear, and how often each is drawn."""
    drawn: dict[Fault, int] = {
        kill_at_a_point: 30,
        freeze_at_a_point: 8,
        kill_at_any_time: 12,
        freeze_shortly: 8,
        freeze_long: 8,
        cut_at_commit: 14,
        end_sessions: 8,
        kill_the_database: 8,
    }
    return drawn if stage.broker_line is None else drawn | {kill_the_broker: 4}


def _somewhere(random: Random, kind: str) -> str:
    point = random.choice(POINTS)
    # There is something to repair only after a round that ended in doubt.
    before = "relay_before_commit:fail," if point.startswith("relay_repair") else ""
    nth = 1 if point.startswith("relay_repair") or point == "offsets_committed" else random.randint(1, 4)
    return f"{before}{point}:{nth}:{kind}"


async def _freeze(worker: Worker, seconds: float) -> str:
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    worker.send(signal.SIGCONT)
    return f"frozen for {seconds:.1f} s"


async def _within(holds: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _REACH_SECONDS
    while not holds():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True
