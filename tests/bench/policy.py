"""How fast a policy is loaded and evaluated, beside Google's CEL engine, and how fast everybody is decided again."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from service.decide.derive import with_item
from service.decide.evaluate import all_values, evaluate
from service.decide.facts import Facts
from service.normalise import NOTHING, account_facts, standing_facts
from service.policies import load_file
from service.reading import Event, Record, read
from tests.bench.events import TOPIC, Made, make_events
from tests.bench.stage import POLICY
from tests.oracle import Oracle

_CUSTOMERS = 500
_FOR_CEL = 50
_TIMES = 9
_AT = datetime(2026, 11, 1, tzinfo=UTC)
_COMMAND = """
import resource, sys
from service.cli import run
code = run(sys.argv[1:])
used = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(max(used), file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of one core. A decision is one 2 KB customer with one model against all `rules` in force."""

    decisions_per_second: float
    median_us: float
    load_ms: float
    rules: int
    ratio_to_cel: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """`exportgate policy simulate`, its start included; `peak_mb` is of its largest process."""

    decisions: int
    decisions_per_second: float
    one_core_decisions_per_second: float
    peak_mb: float


def measure_policy() -> Speed:
    """The realistic policy; CEL is asked about the same conditions, facts that follow from others being given to it."""
    load_ms = statistics.median(_seconds(lambda: load_file(POLICY)) for _ in range(_TIMES)) * 1e3
    policy = load_file(POLICY).policy
    customers = [_facts(made) for made in make_events(_CUSTOMERS, "policy")]
    ours = _median(lambda: [evaluate(one, policy, _AT) for one in customers]) / _CUSTOMERS
    plan, oracle = policy.at(_AT), Oracle()
    rules = (*plan.subject_rules, *plan.item_rules)
    seen = [with_item(all_values(one, policy, _AT), one.items[0], policy.catalogue) for one in customers[:_FOR_CEL]]
    given = [oracle.customer(values) for values in seen]
    cel = _median(lambda: [oracle.truth(rule.when, one) for one in given for rule in rules]) / _FOR_CEL
    return Speed(
        decisions_per_second=1 / ours,
        median_us=ours * 1e6,
        load_ms=load_ms,
        rules=len(rules),
        ratio_to_cel=cel / ours,
    )


def measure_simulation(database_url: str, since: datetime) -> Simulated:
    """All decisions since then under the policy that decided them, on all cores and on one."""
    rates, peaks, decisions = [], [], 0
    for workers in (str(os.cpu_count() or 1), "1"):
        asked = ["policy", "simulate", str(POLICY), "--since", since.isoformat(), "--workers", workers, "--json"]
        environment = {**os.environ, "EXPORTGATE_DATABASE_URL": database_url}
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, *asked], env=environment, capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - began
        decisions = int(json.loads(done.stdout)["simulated"])
        rates.append(decisions / seconds)
        peaks.append(float(done.stderr.split()[-1]))
    return Simulated(
        decisions=decisions,
        decisions_per_second=rates[0],
        one_core_decisions_per_second=rates[1],
        peak_mb=max(peaks),
    )


def _facts(made: Made) -> Facts:
    record = Record(topic=TOPIC, partition=0, offset=0, key=made.key, value=made.value, timestamp_ms=None)
    event = read(record, environment=None)
    assert isinstance(event, Event)
    own = account_facts(event.data, earlier=NOTHING, from_future=False)  # type: ignore[arg-type]
    return standing_facts((event.account_id, "account"), account=own, own=None, known=True, held=False)


def _median(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(_TIMES))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
