"""Runs the measurements: `python -m tests.bench [--quick] [--broker NAME] [--only NAME ...] [--profile]`."""

import argparse
import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from service.embedded.server import EmbeddedServerError
from service.telemetry import configure_logging
from tests.bench.picture import draw
from tests.bench.plan import CANDIDATES, FULL, QUICK, Bench, Json
from tests.bench.profiling import profile
from tests.bench.stage import Say, running_stage
from tests.bench.workers import BenchError
from tests.kafka import KafkaMissing
from tests.servers import memory_disk

FIGURES = Path("build/bench.json")

_ROWS = (
    ("events_per_second", "events/s, topic to topic, one worker"),
    ("ratio_to_raw_loop", "x a raw loop that validates, writes and publishes as much, and decides nothing"),
    ("ratio_to_per_message", "x a plain FastStream handler, one transaction an event"),
    ("cpu_us_per_event", "us of the worker's processor time an event"),
    ("raw_cpu_us_per_event", "us of the raw loop's processor time an event"),
    ("two_workers_ratio", "x one worker: two on disjoint lanes, which share the cores with broker and database"),
    ("misaligned_ratio", "x one worker: two, with records on other partitions than their lanes'"),
    ("after_million_ratio", "x an empty database: one worker, with as many decisions stored as said above"),
)


def main() -> int:
    """Print the table and write build/bench.json and build/bench.svg; 1, with one line, when it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure exportgate beside baselines.")
    parser.add_argument("--broker", choices=("kafka", "embedded"), help="default: kafka where Java and Maven are")
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures mean nothing")
    parser.add_argument("--profile", action="store_true", help="only profile the worker, into build/bench.prof")
    parser.add_argument("--only", nargs="+", choices=CANDIDATES, help="only compare these; writes no figures")
    parser.add_argument("--into", type=Path, default=FIGURES, help="where the figures go (%(default)s)")
    arguments = parser.parse_args()
    arguments.into.parent.mkdir(exist_ok=True)
    arguments.into.with_suffix(".log").unlink(missing_ok=True)
    configure_logging(as_json=False, level="WARNING")
    # A client tells of each partition of a new topic that has no leader yet, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_run(arguments))
    except (BenchError, KafkaMissing, EmbeddedServerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    size, say = QUICK if arguments.quick else FULL, _sayer()
    into: Path = arguments.into
    # The figures of a smoke run mean nothing, so it need not wait for a disk.
    within = memory_disk() if arguments.quick else None
    async with running_stage(arguments.broker, into.with_suffix(".log"), say, within=within) as stage:
        bench = Bench(stage=stage, size=size, sample=into.with_suffix(".sample"), say=say)
        if arguments.profile:
            await profile(stage, size.events, into.with_suffix(".prof"), say)
            return
        if arguments.only:
            await bench.compare(arguments.only)
            return
        figures = await bench.measure()
    _tell(figures, into)


def _sayer() -> Say:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {line}", flush=True)

    return say


def _tell(figures: Json, into: Path) -> None:
    _print(figures)
    into.write_text(json.dumps(figures, indent=2) + "\n")
    picture = into.with_suffix(".svg")
    picture.write_text(draw(figures))
    rounds = figures["size"]["rounds"]
    print(f"written to {into} and {picture}; {rounds} rounds, medians; the broker was {figures['broker']}")


def _print(figures: Json) -> None:
    rows: list[tuple[str, Any, str]] = [(f"pipeline.{name}", figures["pipeline"][name], about) for name, about in _ROWS]
    for rate, one in figures["latency"].items():
        rows += [(f"latency.{rate}.{name}", one[name], f"ms at {rate} events/s") for name in ("p50_ms", "p99_ms")]
    memory, policy, simulated, oracle = (figures[name] for name in ("memory", "policy", "simulate", "oracle"))
    rows += [
        ("policy.median_us", policy["median_us"], f"us a decision by {policy['rules']} rules, one core"),
        ("policy.decisions_per_second", policy["decisions_per_second"], "decisions/s, one core"),
        (
            "policy.all_rules_median_us",
            policy["all_rules_median_us"],
            f"us by all {policy['all_rules']} rules in force",
        ),
        (
            "policy.ratio_to_hand_written",
            policy["ratio_to_hand_written"],
            "x as fast as the same rules by hand in Python",
        ),
        ("policy.ratio_to_cel", policy["ratio_to_cel"], "x as fast as the same conditions in Google's CEL engine"),
        ("policy.ratio_to_zen", policy["ratio_to_zen"], "x as fast as the same conditions in zen-engine"),
        ("policy.load_ms", policy["load_ms"], "ms from the stored form to a compiled policy, as a worker loads it"),
        ("policy.document_ms", policy["document_ms"], "ms to read and check its document, golden cases and all"),
        (
            "oracle.seconds",
            oracle["seconds"],
            f"s for {oracle['sets']:,} fact sets by CEL, both telling the same truth",
        ),
        ("simulate.decisions_per_second", simulated["decisions_per_second"], "stored decisions made again a second"),
        ("simulate.peak_mb", simulated["peak_mb"], f"MB of the largest process, {simulated['decisions']:,} decisions"),
        ("shadow.throughput_cost", figures["shadow"]["throughput_cost"], "of the throughput, taken by a shadow"),
        ("memory.start_mb", memory["start_mb"], f"MB of one worker after {memory['events_before']:,} events"),
        ("memory.end_mb", memory["end_mb"], f"MB after {memory['events_between']:,} more"),
    ]
    print()
    for name, value, about in rows:
        print(f"  {name:<32}{value:>10,.{0 if value >= 1_000 else 2}f}  {about}")
    print()


if __name__ == "__main__":
    sys.exit(main())
