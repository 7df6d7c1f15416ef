"""A policy version as values, and the rules of it that are in force at an instant."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from service.decide.clearing import Clearing, compile_clearing
from service.decide.comparison import Test
from service.decide.condition import (
    All,
    AnyOf,
    Condition,
    Exists,
    ForAll,
    Leaf,
    Missing,
    Not,
    compile_condition,
    compile_missing,
    facts_of,
)
from service.decide.decision import Outcome
from service.decide.facts import Value
from service.decide.vocabulary import ITEM_FACTS

HOLD_KINDS = (
    "unread_events",
    "unknown_account",
    "contradiction",
    "red_flag",
    "possible_match",
    "license_required",
    "fact_missing",
)
"""What kind of doubt or duty a hold is."""

NEXT_ACTORS: Mapping[str, str] = {
    "license_required": "licensing_officer",
    "unread_events": "reviewer",
    "contradiction": "reviewer",
    "red_flag": "reviewer",
    "possible_match": "reviewer",
    "unknown_account": "customer",
    "fact_missing": "customer",
}
"""Who acts next on a hold of a kind; of several kinds the first of this order decides."""

WAIVER_KINDS = frozenset({"license", "exception", "general_license", "carve_out"})


@dataclass(frozen=True, slots=True)
class Interval:
    """From an instant, included, to an instant, excluded. None means without a bound."""

    start: datetime | None
    end: datetime | None

    def holds(self, instant: datetime) -> bool:
        """Whether the instant lies inside."""
        return (self.start is None or self.start <= instant) and (self.end is None or instant < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """The law a rule rests on; `href` is None where no public text exists."""

    text: str
    href: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a policy.

    `outcome` applies on a hit, `unknown` when it cannot be told. An `outcome` of APPROVE is a note: it may add a
    `limit`, the kind of condition whose places are those of the elements of `limit_from` that fit. A leaf of `when` may
    refer to a group by `group:<name>`; it is replaced by the group's members at the instant of the decision. A rule
    that is not `enforced` finds and holds as any other, and is told as such.
    """

    name: str
    title: str
    outcome: Outcome
    unknown: Outcome
    hold_kind: str | None
    per_item: bool
    citation: Citation
    in_force: tuple[Interval, ...]
    when: Condition
    waivable_by: frozenset[str]
    droppable: bool
    clears: tuple[str, ...]
    message: str
    customer_message: str
    limit: str | None
    limit_from: str | None
    enforced: bool = True

    @property
    def law(self) -> str:
        """The law as it is told to people: what nobody enforces is law still, and they must see both."""
        return self.citation.text if self.enforced else f"{self.citation.text} - codified, not enforced"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group, and when it is one."""

    value: str
    during: Interval


@dataclass(frozen=True, slots=True)
class Group:
    """A named set a leaf may refer to; membership may be dated."""

    members: tuple[Member, ...]

    def at(self, instant: datetime) -> frozenset[str]:
        """The members at an instant."""
        return frozenset(member.value for member in self.members if member.during.holds(instant))


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule in force, with its condition compiled."""

    rule: Rule
    when: Condition
    test: Test
    _missing: list[Missing] = field(default_factory=list, repr=False, compare=False)

    def missing(self, values: Mapping[str, Value]) -> list[str]:
        """The facts that make the rule unknown for `values`; may repeat a name. Compiled when first asked for."""
        if not self._missing:
            self._missing.append(compile_missing(self.when))
        return self._missing[0](values)


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules in force between two neighbouring dates of a policy, by scope, in order of their names."""

    subject_rules: tuple[ActiveRule, ...]
    item_rules: tuple[ActiveRule, ...]
    _subject_clearing: Clearing
    _item_clearing: Clearing

    def subject_suspects(self, values: Mapping[str, Value]) -> list[ActiveRule]:
        """The rules about the subject that are not surely clear, in order of their names."""
        suspects = self._subject_clearing(values)
        return [self.subject_rules[index] for index in suspects] if suspects else []

    def item_suspects(self, values: Mapping[str, Value]) -> list[ActiveRule]:
        """The rules about items that what is known of the subject does not surely clear, in order of their names."""
        return [self.item_rules[index] for index in self._item_clearing(values)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One immutable policy version. `sha256` is that of its resolved form, in hexadecimal.

    `catalogue` says what each model is, with fact names as keys. `valid_for` bounds an approval, None does not.
    """

    name: str
    version: str
    sha256: str
    title: str
    rules: tuple[Rule, ...]
    groups: Mapping[str, Group]
    catalogue: Mapping[str, Mapping[str, Value]]
    valid_for: timedelta | None
    required_lists: tuple[str, ...]
    _plans: dict[int, Plan] = field(default_factory=dict, repr=False, compare=False)
    _dates: list[datetime] = field(default_factory=list, repr=False, compare=False)

    def at(self, instant: datetime) -> Plan:
        """The rules in force at `instant`, compiled once per stretch between two dates of the policy."""
        if not self._dates:
            self._dates.extend(_dates(self))
        stretch = bisect_right(self._dates, instant)
        plan = self._plans.get(stretch)
        if plan is None:
            plan = self._plans[stretch] = _plan(self, instant)
        return plan

    def rule(self, name: str) -> Rule:
        """The rule of that name; KeyError when the policy has none."""
        return next(rule for rule in self.rules if rule.name == name)


_BEGINNING = datetime.min.replace(tzinfo=UTC)


def _dates(policy: Policy) -> list[datetime]:
    intervals = [interval for rule in policy.rules for interval in rule.in_force]
    intervals += [member.during for group in policy.groups.values() for member in group.members]
    bounds = {bound for interval in intervals for bound in (interval.start, interval.end) if bound is not None}
    return sorted(bounds | {_BEGINNING})


def _plan(policy: Policy, instant: datetime) -> Plan:
    groups = {name: group.at(instant) for name, group in policy.groups.items()}
    active = []
    for rule in sorted(policy.rules, key=lambda rule: rule.name):
        if any(interval.holds(instant) for interval in rule.in_force):
            when = inline_groups(rule.when, groups)
            active.append(ActiveRule(rule, when, compile_condition(when)))
    subject_rules = tuple(one for one in active if not one.rule.per_item)
    item_rules = tuple(one for one in active if one.rule.per_item)
    return Plan(
        subject_rules,
        item_rules,
        compile_clearing([one.when for one in subject_rules]),
        compile_clearing([_subject_part(one.when) for one in item_rules]),
    )


def _subject_part(condition: Condition) -> Condition:
    """Those of its parts that look at no item: where they are false, no item needs to be looked at."""
    parts = condition.parts if isinstance(condition, All) else (condition,)
    return All(tuple(part for part in parts if not any(name in ITEM_FACTS for name in facts_of(part))))


GROUP_PREFIX = "group:"
"""A leaf operand `group:<name>` stands for the members of that group at the instant of the decision."""


def inline_groups(condition: Condition, groups: Mapping[str, frozenset[str]]) -> Condition:
    """`condition` with every reference to a group replaced by its members. KeyError for a group that does not exist."""
    match condition:
        case All(parts) | AnyOf(parts):
            return type(condition)(tuple(inline_groups(part, groups) for part in parts))
        case Not(part):
            return Not(inline_groups(part, groups))
        case Exists(fact, where) | ForAll(fact, where):
            return type(condition)(fact, inline_groups(where, groups))
        case Leaf(operand=str(operand)) if operand.startswith(GROUP_PREFIX):
            return replace(condition, operand=groups[operand.removeprefix(GROUP_PREFIX)])
        case Leaf():
            return condition


def contradictory(intervals: tuple[Interval, ...]) -> bool:
    """Whether dated intervals contradict: one ends before it starts, or two overlap."""
    ordered = sorted(intervals, key=lambda one: one.start or _BEGINNING)
    reversed_ = any(one.start and one.end and one.end <= one.start for one in ordered)
    overlapping = any(one.end is None or (two.start or _BEGINNING) < one.end for one, two in pairwise(ordered))
    return reversed_ or overlapping
