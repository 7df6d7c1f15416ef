"""What a candidate in shadow costs the live policy: a place where one runs before the first event is decided."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import asyncpg

from tests.bench.stage import POLICY, Place
from tests.bench.throughput import Throughput
from tests.bench.workers import BenchError, Command

CANDIDATE = POLICY.with_name("2026-06-12.yaml")
_EVALUATED = """
    SELECT (SELECT coalesce(sum(count), 0) FROM ledger.shadow_count) AS evaluated,
           (SELECT count(*) FROM ledger.decision) AS decided
"""


def start_shadow(place: Place, candidate: Path = CANDIDATE) -> None:
    """Let a candidate run in shadow, as an officer does. BenchError when that is refused."""
    arguments = ("policy", "shadow", "start", str(candidate), "--by", "bench", "--reason", "bench")
    done = subprocess.run(
        (sys.executable, "-m", "service", *arguments),
        env={**os.environ, "EXPORTGATE_DATABASE_URL": place.url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"no shadow could be started: {done.stderr.strip()}")


async def say_how_far(place: Place, say: Callable[[str], None]) -> None:
    """Say how many of the decisions it has seen by the end: a run that is too short says nothing of what it costs."""
    database = await asyncpg.connect(place.driver_url)
    row = await database.fetchrow(_EVALUATED)
    await database.close()
    assert row is not None
    say(f"the shadow has seen {row['evaluated']:,} of {row['decided']:,} decisions meanwhile")


def with_shadow(start: Callable[[Place], Sequence[Command]]) -> Callable[[Place], Sequence[Command]]:
    """The same workers, in a place where a shadow runs."""

    def begin(place: Place) -> Sequence[Command]:
        start_shadow(place)
        return start(place)

    return begin


def throughput_cost(runs: Mapping[str, Sequence[Throughput]]) -> float:
    """The share of the live throughput that the shadow takes, as a median over rounds; below 0 is noise."""
    pairs = zip(runs["shadow"], runs["exportgate"], strict=True)
    return 1 - median(one.events_per_second / other.events_per_second for one, other in pairs)
