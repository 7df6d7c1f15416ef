"""How fast a policy is loaded and evaluated, beside other ways to write it, and how fast everybody is decided again."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from service.decide.decision import Result
from service.decide.derive import with_item
from service.decide.evaluate import all_values, evaluate
from service.decide.facts import Facts
from service.decide.policy import Policy
from service.normalise import NOTHING, account_facts, standing_facts
from service.policies import LoadedPolicy, load_file, load_resolved
from service.policies.document import read_document
from service.reading import Event, Record, read
from tests.bench import zen
from tests.bench.events import TOPIC, Made, make_events
from tests.bench.hand_written import HandWritten
from tests.bench.stage import POLICY
from tests.oracle import Oracle

RULES = 25
AT = datetime(2026, 11, 1, tzinfo=UTC)
_CUSTOMERS = 500
_FOR_ENGINES = 50
_TIMES = 9
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
    """Processor time of one core. A decision is one 2 KB customer with one model, from its facts to the verdict.

    `rules` of the policy are measured beside the same rules by hand and in other engines; a ratio says how many times
    as long those take. `load_ms` is what a worker needs for the whole policy: from the stored form to the first
    decision. `document_ms` is its document with all its golden cases, read from disk and checked.
    """

    decisions_per_second: float
    median_us: float
    load_ms: float
    document_ms: float
    rules: int
    all_rules: int
    all_rules_median_us: float
    derive_us: float
    ratio_to_hand_written: float
    ratio_to_cel: float
    ratio_to_zen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """`exportgate policy simulate`, its start included; `peak_mb` is of its largest process."""

    decisions: int
    decisions_per_second: float
    one_core_decisions_per_second: float
    peak_mb: float


def measure_policy() -> Speed:
    """The first rules of the shipped policy beside the same by hand, in CEL and in zen-engine, then all its rules."""
    loaded = load_file(POLICY)
    whole, few = loaded.policy, first_rules(loaded)
    customers = [_facts(made) for made in make_events(_CUSTOMERS, "policy")]
    by_hand = hand_written(few)
    check_agreement(by_hand, few, [*customers, *(case.facts for case in loaded.cases)])
    ours = _median(lambda: [evaluate(one, few, AT) for one in customers]) / _CUSTOMERS
    hand = _median(lambda: [by_hand.decide(all_values(one, few, AT), one.items) for one in customers]) / _CUSTOMERS
    cel, in_zen = _engines(few, customers[:_FOR_ENGINES])
    return Speed(
        decisions_per_second=1 / ours,
        median_us=ours * 1e6,
        load_ms=_median(lambda: load_resolved(loaded.resolved).at(AT)) * 1e3,
        document_ms=_median(_load_document) * 1e3,
        rules=len(few.rules),
        all_rules=len(_in_force(whole)),
        all_rules_median_us=_median(lambda: [evaluate(one, whole, AT) for one in customers]) / _CUSTOMERS * 1e6,
        derive_us=_median(lambda: [all_values(one, few, AT) for one in customers]) / _CUSTOMERS * 1e6,
        ratio_to_hand_written=hand / ours,
        ratio_to_cel=cel / ours,
        ratio_to_zen=in_zen / ours,
    )


def first_rules(loaded: LoadedPolicy) -> Policy:
    """The policy with no more rules than are compared: those in force that stand first in its document."""
    force = _in_force(loaded.policy)
    written = loaded.source.tree["rules"]
    assert isinstance(written, list)
    names = [str(rule["rule"]) for rule in written if isinstance(rule, dict) and rule["rule"] in force][:RULES]
    rules = tuple(rule for rule in loaded.policy.rules if rule.name in names)
    return replace(loaded.policy, rules=rules, _plans={}, _dates=[])


def hand_written(policy: Policy) -> HandWritten:
    """The same rules by hand, with the groups as they are then."""
    return HandWritten({name: group.at(AT) for name, group in policy.groups.items()}, policy.catalogue)


def check_agreement(by_hand: HandWritten, policy: Policy, several: Sequence[Facts]) -> None:
    """AssertionError where the two come to another outcome or find something else, authorizations left out."""
    for facts in (replace(one, authorizations=()) for one in several if one.items):
        verdict = evaluate(facts, policy, AT)
        found = [(one.rule, one.item, one.result is Result.HIT) for one in verdict.findings]
        assert by_hand.decide(all_values(facts, policy, AT), facts.items) == (verdict.outcome, found), facts


def _engines(policy: Policy, customers: Sequence[Facts]) -> tuple[float, float]:
    """Seconds a decision in CEL and in zen-engine, which are given the facts that follow from others."""
    plan, oracle = policy.at(AT), Oracle()
    rules = (*plan.subject_rules, *plan.item_rules)
    seen = [with_item(all_values(one, policy, AT), one.items[0], policy.catalogue) for one in customers]
    hits = [{active.rule.name for active in rules if active.test(values)} for values in seen]
    for_cel, for_zen = [oracle.customer(values) for values in seen], [zen.customer(values) for values in seen]
    programs = {active.rule.name: oracle.program(active.when) for active in rules}
    engine = zen.Zen(rules)
    assert [{rule for rule, one in programs.items() if oracle.truth(one, given)} for given in for_cel] == hits
    assert [engine.hits(one) for one in for_zen] == hits
    cel = _median(lambda: [oracle.truth(one, given) for given in for_cel for one in programs.values()])
    return cel / len(seen), _median(lambda: [engine.hits(one) for one in for_zen]) / len(seen)


def _in_force(policy: Policy) -> set[str]:
    plan = policy.at(AT)
    return {active.rule.name for active in (*plan.subject_rules, *plan.item_rules)}


def _load_document() -> LoadedPolicy:
    read_document.cache_clear()
    return load_file(POLICY)


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
    """Processor time, since a core may be shared."""
    return statistics.median(_seconds(work) for _ in range(_TIMES))


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
