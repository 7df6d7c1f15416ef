"""The demo from beginning to end: servers, baseline, stream, letter, stream, and the account of it all."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from service.audit.replay import Replay
from service.demo.population import Population
from service.demo.published import Published, compare
from service.demo.stage import BASELINE, LETTER, put_in_force, shipped
from service.demo.stream import Stream, staged, streaming
from service.demo.tally import Tally, tally, written
from service.ledger.lanes import read_heads
from service.policies import LoadedPolicy, load_resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a run came to. `seconds` go from the first event sent to the last one decided, the letter included."""

    tally: Tally
    published: Published
    replay_differences: int
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing was lost, decided twice, recomputed otherwise or published otherwise."""
        wrong = self.tally.lost + self.tally.decided_twice + self.replay_differences + self.published.differences
        return wrong == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstrated:
    """A demo that has come to its end, its servers still running. `variables` lead commands to them."""

    account: Account
    auditor: AsyncEngine
    variables: Mapping[str, str]


@asynccontextmanager
async def demonstrated(console: Console, seed: int) -> AsyncIterator[Demonstrated]:
    """Run it all, and keep the servers while the block runs.

    Raises DemoFailed, EmbeddedServerError, ServiceFailed or StreamError, each with one line for a person.
    """
    baseline, letter = shipped(BASELINE), shipped(LETTER)
    async with staged(console, seed, baseline, reason="the law as it stood in February 2026") as stage:
        async with streaming(console, stage) as stream:
            seconds = await _tell(stream, stage.population, letter)
            await stream.published()
        yield Demonstrated(
            account=await _account(stream, seconds), auditor=stage.auditor, variables=stage.installation.variables
        )


async def _tell(stream: Stream, population: Population, letter: LoadedPolicy) -> float:
    """The three acts; returns the seconds they took."""
    clock = asyncio.get_running_loop().time
    start = clock()
    stream.bars.say(f"Sending {len(population.all):,} events; the baseline of February 2026 is in force.")
    await stream.send(population.before)
    await stream.caught_up()
    third = len(population.during) // 3
    await stream.send(population.during[:third])
    # The letter comes while events go on being sent and decided: some before it, some after.
    async with asyncio.TaskGroup() as together:
        together.create_task(_letter_comes(stream, letter))
        together.create_task(stream.send(population.during[third:]))
    await stream.send(population.after)
    await stream.caught_up()
    return clock() - start


async def _letter_comes(stream: Stream, letter: LoadedPolicy) -> None:
    await put_in_force(stream.installation.url, letter, reason="Commerce letter received on 12 June 2026, 21:21 UTC")
    stream.bars.say(
        f"The letter of June 2026 is in force; {stream.decided:,} events were decided before, the stream goes on."
    )


async def _account(stream: Stream, seconds: float) -> Account:
    async with stream.auditor.connect() as tx:
        counted, expected = await tally(tx, stream.sent), await written(tx)
    return Account(
        tally=counted,
        published=await compare(stream.installation.connection, expected),
        replay_differences=await _replay(stream.auditor),
        seconds=seconds,
    )


async def _replay(auditor: AsyncEngine) -> int:
    """Make every decision again from what is stored, in one unchanging view; the number of differences."""
    async with auditor.connect() as connection:
        tx = await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        replay = Replay(tx=tx, load_policy=load_resolved, since=None)
        return sum([1 async for _ in replay.differences(await read_heads(tx))])
