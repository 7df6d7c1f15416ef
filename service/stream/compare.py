"""Compares what the status topic says last of a subject with the ledger, now and then, and mends what differs."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import islice
from random import Random

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.topics import STATUS
from service.ledger.engine import Tx, one_line
from service.ledger.relay import Backlog, find_refused, list_backlogs, lock_relays, read_backlogs, try_comparing
from service.ledger.standing import Standing, standing_of
from service.ledger.subjects import SubjectKey
from service.stream.connection import Connection, StreamError
from service.stream.outgoing import Message, Publisher, subject_of
from service.stream.patience import AWAY, is_away, until
from service.stream.republish import publish_standing
from service.stream.send import Sender
from service.stream.tail import Tail, tail_of
from service.telemetry import Metrics

log = structlog.get_logger(__name__)

_NEVER_SECONDS = 86_400.0
_MOST_OF_A_PARTITION = 1_000
_CHUNK = 1_000
_ENTRIES_BEHIND = 1_000

Statuses = Mapping[bytes, bytes | None]
"""By key, the value of the last record; None is a tombstone."""


@dataclass(slots=True, kw_only=True)
class Comparison:
    """Looks every `interval_seconds`, 0: never, at what came since its last look, at most 1,000 records a partition.

    One worker looks at a time. Subjects with entries that wait to be published are left out: the relay will tell.
    """

    engine: AsyncEngine
    sending: Callable[[], AbstractAsyncContextManager[Sender]]
    connection: Connection
    publisher: Publisher
    metrics: Metrics
    random: Random
    interval_seconds: float
    _places: dict[int, int] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Let `run` end, after the look that is under way: what it publishes must not outlive its locks."""
        self._stop.set()

    async def run(self) -> None:
        """Look until stopped. While broker or database are away there is nothing to compare."""
        pause = self.interval_seconds or _NEVER_SECONDS
        # Workers that start together would else all try at the same moments.
        await until(self._stop.wait(), pause * self.random.uniform(0.5, 1.0))
        while not self._stop.is_set():
            if self.interval_seconds > 0:
                await self._look_if_possible()
            await until(self._stop.wait(), pause)

    async def _look_if_possible(self) -> None:
        try:
            await self.look()
        except (StreamError, *AWAY) as error:
            if not isinstance(error, StreamError) and not is_away(error):
                raise
            log.info("could not compare the status topic", error=one_line(error))

    async def look(self) -> int:
        """Compare once, unless another worker is at it; how many statuses were published again."""
        async with self.engine.begin() as tx:
            if not await try_comparing(tx):
                return 0
            async with tail_of(self.connection, STATUS.name, places=self._places, most=_MOST_OF_A_PARTITION) as tail:
                return await self._compare(tx, tail)

    async def _compare(self, tx: Tx, tail: Tail) -> int:
        async def heard_from() -> None:
            await tx.execute(text("SELECT 1"))

        count, last = await tail.read(heard_from)
        places = await tail.places()
        found = await self._differences(tx, last)
        wrong: list[Standing] = []
        if found.wrong:
            await lock_relays(tx, {one.lane for one in found.wrong})
            # Only now nobody publishes them: what came until the locks were held counts, in the log and the ledger.
            _, later = await tail.read(heard_from)
            keys = {self.publisher.status(one).key or b"" for one in found.wrong}
            again = {key: value for key, value in (last | later).items() if key in keys}
            wrong = (await self._differences(tx, again)).wrong
        if wrong:
            async with self.sending() as sender:
                await publish_standing(tx, sender, self.publisher, wrong)
        self._places = places
        self._tell(count, wrong, found.unknown)
        return len(wrong)

    async def _differences(self, tx: Tx, last: Statuses) -> "_Differences":
        found = _Differences()
        for chunk in _chunks(last, _CHUNK):
            await self._look_up(tx, {key: last[key] for key in chunk}, found)
        return found

    async def _look_up(self, tx: Tx, last: Statuses, found: "_Differences") -> None:
        """Note the subjects of which the topic does not say what it has to say by now."""
        keys = {subject: key for key in last if (subject := subject_of(key)) is not None}
        standing = await standing_of(tx, keys)
        backlogs = {one.lane: one for one in await list_backlogs(tx)}
        told = [one for one in standing if _is_told(one, backlogs[one.lane])]
        differing = [one for one in told if not _says(last[keys[one.key]], self.publisher.status(one))]
        waiting = await self._waiting(tx, {one.lane: backlogs[one.lane] for one in differing if one.entry is None})
        for one in differing:
            withdrawn = last[keys[one.key]] is None and await _is_withdrawn(tx, one)
            if one.key not in waiting and not withdrawn:
                found.wrong.append(one)
        known = {keys[one.key] for one in standing}
        found.unknown += sum(value is not None and key not in known for key, value in last.items())

    async def _waiting(self, tx: Tx, backlogs: Mapping[int, Backlog]) -> Collection[SubjectKey]:
        """Subjects of these lanes with an entry that waits to be published."""
        if not backlogs:
            return ()
        entries = await read_backlogs(tx, list(backlogs.values()), _ENTRIES_BEHIND)
        messages = [m for some in entries.values() for entry in some for m in self.publisher.messages(entry)]
        return {one.status_of for one in messages if one.status_of is not None}

    def _tell(self, count: int, wrong: Collection[Standing], unknown: int) -> None:
        self.metrics.status_compared.inc(count)
        self.metrics.status_mended.inc(len(wrong))
        self.metrics.status_unknown.inc(unknown)
        if wrong:
            lanes = sorted({one.lane for one in wrong})
            log.error("the status topic differed from the ledger and was mended", statuses=len(wrong), lanes=lanes)
        if unknown:
            # Not withdrawn by itself: with the wrong database behind us that would withdraw everybody's approvals.
            log.error("the status topic tells of subjects that the ledger does not know", statuses=unknown)


@dataclass(slots=True)
class _Differences:
    """Subjects that the topic tells wrongly, and how many it tells of that the ledger does not know."""

    wrong: list[Standing] = field(default_factory=list)
    unknown: int = 0


def _chunks(keys: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    rest = iter(keys)
    while chunk := list(islice(rest, size)):
        yield chunk


def _is_told(one: Standing, backlog: Backlog) -> bool:
    """Whether the decision that stands was published. When it has ended, that is looked for in what waits."""
    if one.entry is None:
        return backlog.last_seq - backlog.seq <= _ENTRIES_BEHIND
    return one.entry.seq <= backlog.seq


async def _is_withdrawn(tx: Tx, one: Standing) -> bool:
    """Whether a tombstone is right though a decision stands: no broker takes its status."""
    return one.entry is not None and await find_refused(tx, one.entry.lane, one.entry.seq) is not None


def _says(value: bytes | None, wanted: Message) -> bool:
    """Whether a record says what it has to. Another release may say more: workers of two releases must not quarrel."""
    if value is None or wanted.value is None:
        return value is wanted.value
    try:
        told = orjson.loads(value)["data"]
        return all(told[name] == one for name, one in orjson.loads(wanted.value)["data"].items())
    except (ValueError, LookupError, TypeError):
        return False
