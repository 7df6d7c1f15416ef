"""`python -m tests.chaos --faults N [--seed S]`: exit 0 when every law held, 1 with the violations when not."""

import argparse
import asyncio
import logging
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from service.ledger.engine import DATABASE_ERRORS
from tests.chaos.faults import faults_of
from tests.chaos.stage import Stage, standing
from tests.chaos.traffic import Place, Traffic
from tests.checker.check import check

_PROGRESS_SECONDS = 120.0
_REST_SECONDS = 180.0
_LOOK_SECONDS = 0.05
_SERVERS = ("end_sessions", "kill_the_database", "kill_the_broker")


class NoProgressError(Exception):
    """Events that were sent after a fault were not decided in time."""


async def chaos(faults: int, seed: int) -> Sequence[str]:
    """Do the faults and say each on a line; what is wrong at the end, [] when nothing is."""
    _say(f"seed {seed}: {faults} faults; the same ones with --seed {seed}, at other moments")
    async with standing() as stage:
        if stage.without_kafka:
            _say(f"on the embedded broker, which is never killed: {stage.without_kafka}")
        _say(f"two workers; when something is wrong, their logs stay in {stage.logs}")
        traffic = Traffic(stage.stream, stage.ledger, Random(seed + 1))
        async with _workers(stage):
            try:
                async with _tasks(traffic.run(), traffic.change_policies()):
                    await _do(stage, traffic, faults, Random(seed))
            except NoProgressError as error:
                return [str(error), *await _halts(stage)]
            violations = await _verdict(stage, traffic)
        if not violations:
            shutil.rmtree(stage.logs)
    return violations


@asynccontextmanager
async def _workers(stage: Stage) -> AsyncIterator[None]:
    try:
        async with _tasks(*(worker.run() for worker in stage.workers)):
            yield
    finally:
        await asyncio.gather(*(worker.end() for worker in stage.workers))


@asynccontextmanager
async def _tasks(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These run until the block ends; one that ends by itself is a bug of ours, which is raised."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for one in ended:
        if isinstance(one, Exception):
            raise one


async def _do(stage: Stage, traffic: Traffic, faults: int, random: Random) -> None:
    loop = asyncio.get_running_loop()
    began, drawn, done = loop.time(), faults_of(stage), Counter[str]()
    _say(f"first progress after {await _progress(stage, traffic):.1f} s")
    for number in range(1, faults + 1):
        (fault,) = random.choices(list(drawn), list(drawn.values()))
        worker = random.choice(stage.workers)
        said = await fault(stage, worker, random)
        done[fault.__name__] += 1
        whom = "servers " if fault.__name__ in _SERVERS else f"worker {worker.number}"
        seconds = await _progress(stage, traffic)
        _say(f"{number:4}/{faults}  {loop.time() - began:6.1f} s  {whom}  {said:58}  back after {seconds:5.1f} s")
    _say("done: " + ", ".join(f"{times} {name}" for name, times in sorted(done.items())))


async def _progress(stage: Stage, traffic: Traffic) -> float:
    """Seconds until events that are sent from now on are decided."""
    loop = asyncio.get_running_loop()
    began, bursts = loop.time(), traffic.bursts
    places: list[Place] = []
    while loop.time() - began < _PROGRESS_SECONDS:
        # The burst in flight may have been sent before.
        if not places and traffic.bursts > bursts + 1:
            places = traffic.last
        if places and await _decided(stage, places):
            return loop.time() - began
        await asyncio.sleep(_LOOK_SECONDS)
    raise NoProgressError(f"no progress for {_PROGRESS_SECONDS:.0f} s: {places or 'the brokers took no events'}")


async def _decided(stage: Stage, places: Sequence[Place]) -> bool:
    try:
        return await stage.stream.done(stage.ledger, places)
    except DATABASE_ERRORS:
        return False


async def _verdict(stage: Stage, traffic: Traffic) -> Sequence[str]:
    ends = Counter(code for worker in stage.workers for code in worker.ends)
    _say(f"{traffic.sent} records sent, {traffic.unsure} unsure, {traffic.activated} policies put in force")
    _say("workers ended: " + ", ".join(f"{times} times with {code}" for code, times in sorted(ends.items())))
    _say("waiting for rest, then checking")
    connection = stage.stream.connection
    found = await check(
        stage.ledger.superuser_url, connection.bootstrap, connection.topic_prefix, within_seconds=_REST_SECONDS
    )
    return [str(one) for one in found] + [line for worker in stage.workers for line in worker.confessions()]


async def _halts(stage: Stage) -> list[str]:
    query = "SELECT topic, partition, halt_reason FROM ledger.stream_position WHERE halted_at IS NOT NULL"
    rows = await stage.ledger.rows(query)
    return [f"halted: {row.topic}/{row.partition}: {row.halt_reason}" for row in rows]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """As the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=50, metavar="N", help="how many faults (50)")
    parser.add_argument("--seed", type=int, metavar="S", help="draw the same faults again")
    asked = parser.parse_args()
    # What brokers that were killed make our own clients say is no news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    wrong = asyncio.run(chaos(asked.faults, seed))
    for line in wrong:
        _say(line)
    _say(f"seed {seed}: {len(wrong)} violations")
    return 1 if wrong else 0


sys.exit(main())
