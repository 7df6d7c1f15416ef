"""Throughput of the whole way, topic to topic: events that wait on Kafka until they are decided and published."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg

from tests.bench.events import TOPIC, Made, send_events
from tests.bench.stage import Place, Published, Stage
from tests.bench.workers import BenchError, Command, Workers, running_workers

_LOOK_SECONDS = 0.02
_PATIENCE_SECONDS = 60.0
_TABLES = ("inbox", "evidence", "journal", "decision", "subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Events a second, processor time of the workers an event in microseconds, and most memory in bytes.

    `stored_bytes_per_event` is what an event leaves in the tables of the ledger; 0 where it was not looked at.
    """

    events_per_second: float
    cpu_us_per_event: float
    peak_rss: int
    stored_bytes_per_event: float = 0


Start = Callable[[Place], Sequence[Command]]


async def measure_throughput(
    stage: Stage,
    records: Sequence[Made],
    start: Start,
    *,
    database: str | None = None,
    partition_of: Callable[[bytes], int] | None = None,
    then: Callable[[Place], Awaitable[None]] | None = None,
) -> Throughput:
    """Send the events, then start the workers, and watch from the first decision published to the last.

    Several workers begin together, once they share the partitions. `then` looks at the place before it is removed.
    """
    async with stage.place(database) as place, stage.published(place) as published:
        await send_events(stage.broker.bootstrap, place.prefix + TOPIC, records, partition_of=partition_of)
        commands = start(place)
        async with (
            _held_back(place, begin_together=len(commands) > 1) as begin,
            running_workers(*commands, log=stage.log) as workers,
        ):
            await begin(workers)
            found = await watch(workers, published, len(records))
        if then is not None:
            await then(place)
        return found if database else replace(found, stored_bytes_per_event=await _stored(place) / len(records))


async def _stored(place: Place) -> int:
    """Bytes of the rows in the tables that deciding fills; the policy's two entries weigh nothing beside them."""
    database = await asyncpg.connect(place.driver_url)
    sums = [f"(SELECT coalesce(sum(pg_column_size(t.*)), 0) FROM ledger.{table} AS t)" for table in _TABLES]
    stored = await database.fetchval(f"SELECT {' + '.join(sums)}")
    await database.close()
    return int(stored)


async def watch(workers: Workers, published: Published, events: int) -> Throughput:
    """From the first decision that is published to that of the last event.

    Where so few are measured that most are seen at once, from the first look: less than the truth.
    """
    looked = Reached(count=0, at=time.perf_counter(), cpu_seconds=workers.usage().cpu_seconds, peak_rss=0)
    began = await reach(workers, published, 1)
    ended = await reach(workers, published, events)
    began = began if began.count * 2 < ended.count else looked
    done, seconds = ended.count - began.count, ended.at - began.at
    return Throughput(
        events_per_second=done / seconds,
        cpu_us_per_event=(ended.cpu_seconds - began.cpu_seconds) / done * 1e6,
        peak_rss=max(began.peak_rss, ended.peak_rss),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A moment of a run."""

    count: int
    at: float
    cpu_seconds: float
    peak_rss: int


async def reach(workers: Workers, published: Published, wanted: int) -> Reached:
    """The first moment with so many decisions. BenchError when a worker ends, or none comes for a minute."""
    seen, peak, moved_at = -1, 0, time.perf_counter()
    while True:
        count, at, usage = await published.count(), time.perf_counter(), workers.usage()
        peak = max(peak, usage.rss)
        if count >= wanted:
            return Reached(count=count, at=at, cpu_seconds=usage.cpu_seconds, peak_rss=peak)
        if count > seen:
            seen, moved_at = count, at
        if at - moved_at > _PATIENCE_SECONDS:
            raise BenchError(f"the workers came to {count} of {wanted} and no further; {workers.last_words()}")
        await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def _held_back(place: Place, *, begin_together: bool) -> AsyncIterator["_Begin"]:
    """Holds all lanes, so that nothing is decided until the workers share the partitions."""
    if not begin_together:
        yield _at_once
        return
    database = await asyncpg.connect(place.driver_url)
    try:
        await database.execute("BEGIN")
        await database.execute("SELECT FROM ledger.lane FOR UPDATE")

        async def begin(workers: Workers) -> None:
            await workers.all_share()
            await database.execute("ROLLBACK")

        yield begin
    finally:
        await database.close()


async def _at_once(_workers: Workers) -> None:
    """One worker needs no gate."""


_Begin = Callable[[Workers], Awaitable[None]]
