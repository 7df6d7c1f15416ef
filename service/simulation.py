"""What a candidate policy would do to those who were decided: counted, and explained by samples. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from service.audit.facts import decode_facts
from service.decide.decision import OUTCOME_WORDS, Verdict
from service.decide.evaluate import evaluate
from service.decide.facts import Facts
from service.decide.policy import Policy

OUTCOMES = tuple(OUTCOME_WORDS.values())
"""From the least strict to the strictest."""
IN_PART, DENIED_IN_PART = "in part", "deny in part"
ANSWERS = ("approve", IN_PART, "hold", DENIED_IN_PART, "deny")
"""Outcomes with access, from the least strict to the strictest; a hold or denial with partial access is one in part."""
_PARTIAL = {"hold": IN_PART, "deny": DENIED_IN_PART}
_OUTCOMES = {answer: outcome for outcome, answer in _PARTIAL.items()}
_COUNTRY_FACTS = ("customer.headquartered_in", "customer.organized_in", "customer.billing_in")
NOWHERE = "unknown"
"""The country of a customer that has told none."""


class Change(NamedTuple):
    """From the answer that was decided to the one that the candidate gives; equal ones are a change too, of none."""

    before: str
    after: str

    @property
    def outcomes(self) -> "Change":
        """The same without regard to access."""
        return Change(_OUTCOMES.get(self.before, self.before), _OUTCOMES.get(self.after, self.after))


def answer_of(outcome: str, access: str) -> str:
    """One of `ANSWERS`."""
    return _PARTIAL.get(outcome, outcome) if access == "partial" else outcome


class Standing(Protocol):
    """What a simulation looks at of a decision; `facts` are as in `Decided`."""

    @property
    def account_id(self) -> str:
        """Whose account."""

    @property
    def subject_id(self) -> str:
        """Of it."""

    @property
    def outcome(self) -> str:
        """What was decided."""

    @property
    def access(self) -> str:
        """How much of what was asked for."""

    @property
    def facts(self) -> bytes | None:
        """On what."""


class Why(NamedTuple):
    """A rule of the candidate that speaks, whether it is hit, unknown or waived, and what would settle it."""

    rule: str
    result: str
    missing: tuple[str, ...]
    clears: tuple[str, ...]


class SampleItem(NamedTuple):
    """What the candidate would give for one item."""

    model: str
    delivery: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One subject whose answer would change, with the candidate's reasons, and its outcome for each item."""

    account_id: str
    subject_id: str
    country: str
    why: tuple[Why, ...]
    items: tuple[SampleItem, ...]


# Functions with names, since a tally travels between processes.
def _counters() -> "defaultdict[str, Counter[Change]]":
    return defaultdict(Counter)


def _values() -> "defaultdict[Change, Decimal]":
    return defaultdict(Decimal)


def _samples() -> "defaultdict[Change, list[Sample]]":
    return defaultdict(list)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a candidate would do. `value_usd` adds up the contracts; `rules` counts those that a rule of it concerns.

    `erased` were decided on facts that are gone, and `unreadable` on facts that this release cannot read: neither can
    be simulated, so neither is in any other count. `errors` are those on which a candidate in shadow met a bug.
    `access` counts, by what is granted before and after, where only that differs; a shadow alone fills it.
    """

    changes: Counter[Change] = field(default_factory=Counter)
    countries: defaultdict[str, Counter[Change]] = field(default_factory=_counters)
    rules: defaultdict[str, Counter[Change]] = field(default_factory=_counters)
    value_usd: defaultdict[Change, Decimal] = field(default_factory=_values)
    samples: defaultdict[Change, list[Sample]] = field(default_factory=_samples)
    access: Counter[Change] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    erased: int = 0
    unreadable: int = 0

    @property
    def simulated(self) -> int:
        """How many were decided again."""
        return self.changes.total()

    @property
    def changed(self) -> int:
        """How many would come to another outcome, or to other access."""
        return sum(count for change, count in self.changes.items() if change.before != change.after)

    def add(self, other: "Tally", most_samples: int) -> None:
        """Take in another tally, with samples up to `most_samples` a change."""
        self.changes.update(other.changes)
        for country, changes in other.countries.items():
            self.countries[country].update(changes)
        for rule, changes in other.rules.items():
            self.rules[rule].update(changes)
        for change, value in other.value_usd.items():
            self.value_usd[change] += value
        for change, samples in other.samples.items():
            self.samples[change] += samples[: most_samples - len(self.samples[change])]
        self.access.update(other.access)
        self.errors.update(other.errors)
        self.erased += other.erased
        self.unreadable += other.unreadable


def answers_of(tally: Tally) -> list[str]:
    """The answers to tell of, from the least strict on; one in part that nobody has is left out."""
    seen = {answer for change, count in tally.changes.items() if count for answer in change}
    return [answer for answer in ANSWERS if answer in seen or answer not in _OUTCOMES]


def simulate(policy: Policy, decided: Sequence[Standing], as_of: datetime, most_samples: int) -> Tally:
    """Decide them all again under `policy` as of one instant, on the facts they were decided on."""
    tally = Tally()
    for one in decided:
        if one.facts is None:
            tally.erased += 1
            continue
        try:
            facts = decode_facts(one.facts)
        except (ValueError, LookupError, TypeError):
            tally.unreadable += 1
            continue
        verdict = evaluate(facts, policy, as_of)
        change = Change(
            answer_of(one.outcome, one.access), answer_of(OUTCOME_WORDS[verdict.outcome], verdict.access.value)
        )
        count_change(tally, change, facts, {reason.rule for reason in verdict.reasons})
        if change.before != change.after and len(tally.samples[change]) < most_samples:
            tally.samples[change].append(sample_of(one, facts, verdict, policy))
    return tally


def count_change(tally: Tally, change: Change, facts: Facts | None, rules: Iterable[str]) -> None:
    """Count one change, with each rule of the candidate that speaks; where and how much is known from facts alone."""
    tally.changes[change] += 1
    tally.countries[NOWHERE if facts is None else _country(facts)][change] += 1
    for rule in rules:
        tally.rules[rule][change] += 1
    value = None if facts is None else facts.values.get("contract.value_usd")
    if isinstance(value, Decimal):
        tally.value_usd[change] += value


def sample_of(one: Standing, facts: Facts, verdict: Verdict, policy: Policy) -> Sample:
    """One changed decision, with the candidate's reasons."""
    why = tuple(
        Why(reason.rule, reason.result.value, reason.missing, policy.rule(reason.rule).clears)
        for reason in verdict.reasons
    )
    items = tuple(SampleItem(item.model, item.delivery, OUTCOME_WORDS[item.outcome]) for item in verdict.items)
    return Sample(account_id=one.account_id, subject_id=one.subject_id, country=_country(facts), why=why, items=items)


def _country(facts: Facts) -> str:
    for name in _COUNTRY_FACTS:
        place = facts.values.get(name)
        if isinstance(place, str):
            return place.partition("-")[0]
    return NOWHERE
