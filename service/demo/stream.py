"""The stream of made-up events to a running installation: what was sent, and how far the service has come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.demo.message import Message
from service.demo.population import Population, populate
from service.demo.screen import Bars, bars
from service.demo.serving import Installation, installed
from service.demo.tally import Place, done
from service.ledger.engine import open_engine
from service.ledger.relay import unpublished
from service.policies import LoadedPolicy
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
class Stage:
    """A running installation, an auditor's connections to its database, and all who will send it events."""

    installation: Installation
    auditor: AsyncEngine
    population: Population


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
async def staged(console: Console, seed: int, policy: LoadedPolicy, *, reason: str) -> AsyncIterator[Stage]:
    """Servers of its own where `policy` is in force, and a population; all of it is gone when the block ends.

    Raises EmbeddedServerError, ServiceFailed or StreamError, each with one line for a person.
    """
    console.print("Starting PostgreSQL, a broker and the service ...")
    async with installed(policy, reason=reason) as installation:
        auditor = open_engine(installation.url, role="auditor", application="exportgate demo", pool_size=2)
        try:
            population = populate(Random(seed), await now(auditor))  # noqa: S311 -- a made-up population, not a secret
            yield Stage(installation=installation, auditor=auditor, population=population)
        finally:
            await auditor.dispose()


@asynccontextmanager
async def streaming(console: Console, stage: Stage, *, with_bars: bool = True) -> AsyncIterator[Stream]:
    """A stream to the servers of `stage`, and on a terminal the bars of it."""
    with bars(console, len(stage.population.all), hidden=not with_bars) as shown:
        async with delivering(stage.installation.connection) as deliver:
            yield Stream(installation=stage.installation, auditor=stage.auditor, deliver=deliver, bars=shown)


async def now(auditor: AsyncEngine) -> datetime:
    """The database's clock: the only one that counts here."""
    async with auditor.connect() as tx:
        at: datetime = (await tx.execute(text("SELECT clock_timestamp()"))).scalar_one()
        return at
