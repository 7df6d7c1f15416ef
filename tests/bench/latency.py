"""Latency from topic to topic: events sent at a fixed rate, come what may, until their decisions are read."""

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.topics import DECISIONS
from tests.bench.events import TOPIC, Made, make_events, send_events
from tests.bench.stage import Say, Stage
from tests.bench.throughput import reach
from tests.bench.workers import BenchError, running_workers, service

RATES = (100, 500, 1_000)
_LAST_SECONDS = 120.0
_MEGABYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from just before an event is sent until its decision is read; how late the sender was, too."""

    p50_ms: float
    p99_ms: float
    worst_ms: float
    sender_late_p99_ms: float
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident megabytes of one worker after `events_before` events, and after `events_between` more.

    Both times it has just worked off a backlog of so many, whose records the client had fetched ahead.
    """

    start_mb: float
    end_mb: float
    events_before: int
    events_between: int


@dataclass(slots=True)
class _Clock:
    """When events were sent and their decisions read, by account id."""

    due: dict[bytes, float] = field(default_factory=dict)
    sent: dict[bytes, float] = field(default_factory=dict)
    read: dict[bytes, float] = field(default_factory=dict)


async def measure_latency(
    stage: Stage, say: Say, *, warm_seconds: float, seconds: float, memory_events: int
) -> tuple[dict[int, Latency], Memory]:
    """Latency at each rate, then the memory of the worker that did it, after two backlogs of `memory_events`."""
    bootstrap = stage.broker.bootstrap
    async with (
        stage.place() as place,
        stage.published(place) as published,
        AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as sender,
        AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=5) as reader,
        running_workers(service(place, stage.broker), log=stage.log) as workers,
    ):
        topic = place.prefix + DECISIONS.name
        reader.assign([TopicPartition(topic, number) for number in range(DECISIONS.partitions)])
        await workers.all_ready()
        found: dict[int, Latency] = {}
        done = 0
        for rate in RATES:
            records = make_events(int(rate * (warm_seconds + seconds)), f"rate {rate}")
            done += len(records)
            clock = await _at_rate(sender, reader, place.prefix + TOPIC, records, rate)
            found[rate] = _latency(clock, records[int(rate * warm_seconds) :])
            say(f"latency at {rate}/s: p50 {found[rate].p50_ms:.1f} ms, p99 {found[rate].p99_ms:.1f} ms")
        sizes: list[int] = []
        for number in range(2):
            await send_events(bootstrap, place.prefix + TOPIC, make_events(memory_events, f"memory {number}"))
            done += memory_events
            await reach(workers, published, done)
            sizes.append(workers.usage().rss)
        start, end = (size / _MEGABYTE for size in sizes)
        say(f"memory of the worker: {start:.0f} MB, and {end:.0f} MB after {memory_events:,} more events")
        return found, Memory(
            start_mb=start, end_mb=end, events_before=done - memory_events, events_between=memory_events
        )


async def _at_rate(
    sender: AIOKafkaProducer, reader: AIOKafkaConsumer, topic: str, records: Sequence[Made], rate: int
) -> _Clock:
    """Send and read at the same time until every decision is read. BenchError when some do not come."""
    clock = _Clock()
    gc.collect()
    gc.disable()  # A pause of ours is no latency of the service.
    reading = asyncio.create_task(_read(reader, clock, len(records)))
    try:
        await _send(sender, clock, topic, records, rate)
        async with asyncio.timeout(_LAST_SECONDS):
            await reading
    except TimeoutError:
        raise BenchError(f"{len(clock.read)} of {len(records)} decisions came; the log may tell why") from None
    finally:
        reading.cancel()
        gc.enable()
    return clock


async def _send(sender: AIOKafkaProducer, clock: _Clock, topic: str, records: Sequence[Made], rate: int) -> None:
    """Open loop: an event is sent when it is due, not when those before it are decided."""
    began = time.perf_counter()
    for number, record in enumerate(records):
        due = began + number / rate
        await asyncio.sleep(due - time.perf_counter())
        clock.due[record.key] = due
        clock.sent[record.key] = time.perf_counter()
        await sender.send(topic, value=record.value, key=record.key)
    await sender.flush()


async def _read(reader: AIOKafkaConsumer, clock: _Clock, wanted: int) -> None:
    while len(clock.read) < wanted:
        polled = await reader.getmany(timeout_ms=100)
        now = time.perf_counter()
        for record in (record for several in polled.values() for record in several):
            clock.read.setdefault(record.key, now)


def _latency(clock: _Clock, measured: Sequence[Made]) -> Latency:
    took = sorted((clock.read[one.key] - clock.sent[one.key]) * 1_000 for one in measured)
    late = sorted((clock.sent[one.key] - clock.due[one.key]) * 1_000 for one in measured)
    return Latency(
        p50_ms=_quantile(took, 0.5),
        p99_ms=_quantile(took, 0.99),
        worst_ms=took[-1],
        sender_late_p99_ms=_quantile(late, 0.99),
        events=len(took),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
