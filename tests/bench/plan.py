"""All measurements, one after another: rounds in which the candidates take turns, medians, ratios within a round."""

import asyncio
import os
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import workers
from tests.bench.events import Made, by_crc32, make_events
from tests.bench.growth import multiply
from tests.bench.latency import measure_latency
from tests.bench.oracle import measure_agreement
from tests.bench.policy import Simulated, measure_policy, measure_simulation
from tests.bench.sample import take_sample
from tests.bench.shadow import say_how_far, throughput_cost, with_shadow
from tests.bench.stage import Place, Say, Stage, describe_machine
from tests.bench.throughput import Throughput, measure_throughput
from tests.brokers import Kind

_GROWN = "grown"
_AFTER_MILLION = "after_million"
CANDIDATES = ("exportgate", "raw_loop", "per_message", "two_workers", "misaligned", _AFTER_MILLION, "shadow")
"""Who takes turns in a round, in this order."""
_REHEARSAL_EVENTS = 1_000
_BROKERS: dict[Kind, str] = {"kafka": "apache-kafka", "embedded": "tansu"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured; the seconds of latency are at each rate."""

    rounds: int
    events: int
    per_message_events: int
    stored_decisions: int
    warm_seconds: float
    seconds: float
    memory_events: int
    simulated_decisions: int
    oracle_sets: int


FULL = Size(
    rounds=3,
    events=20_000,
    per_message_events=1_000,
    stored_decisions=1_000_000,
    warm_seconds=3,
    seconds=12,
    memory_events=30_000,
    simulated_decisions=200_000,
    oracle_sets=100_000,
)
QUICK = Size(
    rounds=1,
    events=1_500,
    per_message_events=60,
    stored_decisions=3_000,
    warm_seconds=0.3,
    seconds=0.7,
    memory_events=300,
    simulated_decisions=6_000,
    oracle_sets=300,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One go at everything. `sample` is the file that tells the raw loop what to write."""

    stage: Stage
    size: Size
    sample: Path
    say: Say

    async def measure(self) -> Json:
        """Everything, as build/bench.json has it."""
        stage, size = self.stage, self.size
        machine = await describe_machine(stage)
        self.say(", ".join(f"{name} {value}" for name, value in machine.items()))
        await self._rehearse()
        stored = await self._grow()
        policy = await asyncio.to_thread(measure_policy)
        self.say(
            f"policy: {policy.rules} rules, {policy.median_us:.0f} us a decision, loaded in {policy.load_ms:.0f} ms"
        )
        sets = int(os.environ.get("ORACLE_SETS", size.oracle_sets))
        agreement = await asyncio.to_thread(measure_agreement, sets, self.say)
        simulated = await self._simulate()
        runs = await self._rounds(CANDIDATES)
        latency, memory = await measure_latency(
            stage, self.say, warm_seconds=size.warm_seconds, seconds=size.seconds, memory_events=size.memory_events
        )
        return {
            "broker": _BROKERS[stage.broker.kind],
            "machine": machine,
            "size": asdict(size) | {"stored_decisions": stored},
            "pipeline": _pipeline(runs),
            "policy": asdict(policy),
            "oracle": asdict(agreement),
            "simulate": asdict(simulated),
            "shadow": {"throughput_cost": throughput_cost(runs)},
            "latency": {str(rate): asdict(one) for rate, one in latency.items()},
            "memory": asdict(memory) | {"peak_mb": max(one.peak_rss for one in runs["exportgate"]) / 2**20},
            "runs": {name: [asdict(one) for one in several] for name, several in runs.items()},
        }

    async def compare(self, names: Sequence[str]) -> None:
        """Only say how fast these candidates are; for whoever tunes one of them."""
        await self._rehearse()
        if _AFTER_MILLION in names:
            await self._grow()
        for name, several in (await self._rounds(names)).items():
            speeds, cpu = [one.events_per_second for one in several], [one.cpu_us_per_event for one in several]
            self.say(f"median of {name}: {statistics.median(speeds):,.0f} events/s, {statistics.median(cpu):,.0f} us")

    async def _rehearse(self) -> None:
        """Decide some events: they show the raw loop what to write, and the ledger grows from them."""

        async def keep(place: Place) -> None:
            (await take_sample(self.stage, place)).save(self.sample)

        await self.stage.make_database(_GROWN)
        records = make_events(_REHEARSAL_EVENTS, "rehearsal")
        found = await measure_throughput(self.stage, records, self._one, database=_GROWN, then=keep)
        self.say(f"rehearsal: {_words(found)}; an event has {len(records[0].value):,} bytes")

    async def _grow(self) -> int:
        self.say(f"filling a database with {self.size.stored_decisions:,} decisions")
        stored = await multiply(self.stage.server, _GROWN, self.size.stored_decisions)
        self.say(f"it holds {stored:,} decisions")
        return stored

    async def _simulate(self) -> Simulated:
        """The latest of the decisions that the ledger has grown by: a rehearsal's worth a minute."""
        latest = datetime.now(UTC) - timedelta(minutes=self.size.simulated_decisions // _REHEARSAL_EVENTS)
        simulated = await asyncio.to_thread(measure_simulation, self.stage.server.url(_GROWN), latest)
        self.say(
            f"simulated {simulated.decisions:,} decisions: {simulated.decisions_per_second:,.0f} a second, "
            f"{simulated.one_core_decisions_per_second:,.0f} on one core, {simulated.peak_mb:,.0f} MB"
        )
        return simulated

    async def _rounds(self, names: Sequence[str]) -> Mapping[str, Sequence[Throughput]]:
        runs: dict[str, list[Throughput]] = defaultdict(list)
        for number in range(1, self.size.rounds + 1):
            records = make_events(self.size.events, f"round {number}")
            candidates = self._candidates(records)
            for name in names:
                runs[name].append(await candidates[name]())
                self.say(f"round {number} of {self.size.rounds}: {name:<14} {_words(runs[name][-1])}")
        return runs

    def _candidates(self, records: Sequence[Made]) -> Mapping[str, Callable[[], Awaitable[Throughput]]]:
        """Who takes turns in a round."""
        run, few = partial(measure_throughput, self.stage), records[: self.size.per_message_events]
        return {
            "exportgate": partial(run, records, self._one),
            "raw_loop": partial(run, records, self._raw),
            "per_message": partial(run, few, self._per_message),
            "two_workers": partial(run, records, self._two),
            "misaligned": partial(run, records, self._two, partition_of=by_crc32),
            _AFTER_MILLION: partial(run, records, self._one, database=_GROWN),
            "shadow": partial(run, records, with_shadow(self._one), then=partial(say_how_far, say=self.say)),
        }

    def _one(self, place: Place) -> Sequence[workers.Command]:
        return [workers.service(place, self.stage.broker)]

    def _two(self, place: Place) -> Sequence[workers.Command]:
        return [workers.service(place, self.stage.broker, patient=True) for _ in range(2)]

    def _raw(self, place: Place) -> Sequence[workers.Command]:
        return [workers.raw_loop(place, self.stage.broker, self.sample)]

    def _per_message(self, place: Place) -> Sequence[workers.Command]:
        return [workers.per_message(place, self.stage.broker)]


def _pipeline(runs: Mapping[str, Sequence[Throughput]]) -> dict[str, float]:
    def speed(name: str) -> float:
        return statistics.median(one.events_per_second for one in runs[name])

    def cpu(name: str) -> float:
        return statistics.median(one.cpu_us_per_event for one in runs[name])

    def stored(name: str) -> float:
        return statistics.median(one.stored_bytes_per_event for one in runs[name])

    def ratio(name: str, to: str) -> float:
        pairs = zip(runs[name], runs[to], strict=True)
        return statistics.median(one.events_per_second / other.events_per_second for one, other in pairs)

    return {
        "events_per_second": speed("exportgate"),
        "ratio_to_raw_loop": ratio("exportgate", "raw_loop"),
        "ratio_to_per_message": ratio("exportgate", "per_message"),
        "cpu_us_per_event": cpu("exportgate"),
        "two_workers_ratio": ratio("two_workers", "exportgate"),
        "misaligned_ratio": ratio("misaligned", "exportgate"),
        "after_million_ratio": ratio("after_million", "exportgate"),
        "raw_events_per_second": speed("raw_loop"),
        "raw_cpu_us_per_event": cpu("raw_loop"),
        "per_message_events_per_second": speed("per_message"),
        "per_message_cpu_us_per_event": cpu("per_message"),
        "two_workers_events_per_second": speed("two_workers"),
        "misaligned_events_per_second": speed("misaligned"),
        "after_million_events_per_second": speed("after_million"),
        "stored_bytes_per_event": stored("exportgate"),
        "raw_stored_bytes_per_event": stored("raw_loop"),
    }


def _words(one: Throughput) -> str:
    return (
        f"{one.events_per_second:>8,.0f} events/s, {one.cpu_us_per_event:>6,.0f} us of processor an event, "
        f"{one.peak_rss / 2**20:,.0f} MB"
    )
