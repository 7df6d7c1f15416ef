"""The demo from beginning to end: servers, baseline, stream, letter, stream, and the account of it all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.audit.replay import Replay
from service.demo.message import Message
from service.demo.population import Population, populate
from service.demo.published import Published, compare
from service.demo.screen import Bars, bars
from service.demo.serving import Installation, installed
from service.demo.stage import BASELINE, LETTER, put_in_force, shipped
from service.demo.tally import Place, Tally, done, tally, written
from service.ledger.engine import open_engine
from service.ledger.lanes import read_heads
from service.ledger.relay import unpublished
from service.policies import LoadedPolicy, load_resolved
from service.stream.deliver import Deliver, delivering
from service.stream.produce import Outgoing

CHUNK = 50
AHEAD = 400
"""The producer waits when so many records are not decided yet: it is a stream, not a heap."""
WITHIN_SECONDS = 120.0
_LOOK_SECONDS = 0.03


class DemoFailed(Exception):  # noqa: N818 -- it tells the caller what to do: say it on one line, exit 1
    """The demo could not be brought to its end. The message is one line for a person."""


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


@dataclass(slots=True, kw_only=True)
class Stream:
    """The stream of events of one run: what was acknowledged, and how far the service has come."""

    installation: Installation
    auditor: AsyncEngine
    deliver: Deliver
    bars: Bars
    sent: list[Place] = field(default_factory=list)
    decided: int = 0

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages in their order, never further ahead of the service than AHEAD."""
        for first in range(0, len(messages), CHUNK):
            await self.until("the service to keep up with the stream", self._close_enough)
            chunk = messages[first : first + CHUNK]
            self.sent += await self.deliver([Outgoing(topic=m.topic, key=m.key, value=m.value) for m in chunk])

    async def caught_up(self) -> None:
        """Return when all that was sent is decided."""
        await self.until("the service to decide all events", self._all_decided)

    async def published(self) -> None:
        """Return when all that was decided is on the topics."""
        await self.until("the relay to publish all decisions", self._all_published)

    async def until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Look again until the condition holds. DemoFailed when it takes too long or the service has ended."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WITHIN_SECONDS
        while not await condition():
            self.installation.refuse_if_ended()
            if loop.time() > deadline:
                raise DemoFailed(
                    f"waited {WITHIN_SECONDS:.0f} s for {what}: {self.decided} of {len(self.sent)} events are decided"
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _close_enough(self) -> bool:
        return len(self.sent) - await self._look() < AHEAD

    async def _all_decided(self) -> bool:
        return await self._look() >= len(self.sent)

    async def _all_published(self) -> bool:
        async with self.auditor.connect() as tx:
            return await unpublished(tx) == 0

    async def _look(self) -> int:
        async with self.auditor.connect() as tx:
            self.decided = await done(tx)
        self.bars.show(produced=len(self.sent), decided=self.decided)
        return self.decided


@asynccontextmanager
async def demonstrated(console: Console, seed: int) -> AsyncIterator[Demonstrated]:
    """Run it all, and keep the servers while the block runs.

    Raises DemoFailed, EmbeddedServerError, ServiceFailed or StreamError, each with one line for a person.
    """
    baseline, letter = shipped(BASELINE), shipped(LETTER)
    console.print("Starting PostgreSQL, a broker and the service ...")
    async with installed(baseline, reason="the law as it stood in February 2026") as installation:
        auditor = open_engine(installation.url, role="auditor", application="exportgate demo", pool_size=2)
        try:
            population = populate(Random(seed), await _now(auditor))  # noqa: S311 -- a made-up population, not a secret
            with bars(console, len(population.all)) as shown:
                async with delivering(installation.connection) as deliver:
                    stream = Stream(installation=installation, auditor=auditor, deliver=deliver, bars=shown)
                    seconds = await _tell(stream, population, letter)
                    await stream.published()
            yield Demonstrated(
                account=await _account(stream, seconds), auditor=auditor, variables=installation.variables
            )
        finally:
            await auditor.dispose()


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


async def _now(auditor: AsyncEngine) -> datetime:
    """The database's clock: the only one that counts here."""
    async with auditor.connect() as tx:
        now: datetime = (await tx.execute(text("SELECT clock_timestamp()"))).scalar_one()
        return now


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
