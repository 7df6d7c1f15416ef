"""Rules that change nothing, because another one hits wherever they do and weighs at least as much. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from service.decide.condition import Condition, facts_of
from service.decide.decision import Outcome
from service.decide.policy import Policy, Rule
from service.policies.conditions import required_in
from service.policies.lint_finding import Finding
from service.policies.lint_logic import can_be_true, implies
from service.policies.lint_times import condition_at, holds_at, instants
from service.policies.load import LoadedPolicy


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """A warning for each rule that another one of the version makes idle; of two equal ones the later by name."""
    policy = loaded.policy
    times = instants(policy)
    asked = {rule.name: _through_time(policy, rule, times) for rule in policy.rules if not required_in(rule.when)}
    rules = [rule for rule in policy.rules if rule.name in asked]
    for rule in rules:
        others = [other for other in rules if other is not rule and _may_shadow(other, rule)]
        by = next((other for other in others if _shadows(other, rule, asked)), None)
        if by is not None:
            yield Finding(
                level="warning",
                check="shadowed",
                place=loaded.where("rule", rule.name, ("when",)),
                about=f"rule {rule.name}",
                what=f"wherever it hits, rule {by.name} ({by.outcome.name.lower()}) hits too, so it changes nothing",
                todo="drop it, or say what it is about that the other is not",
            )


def _through_time(policy: Policy, rule: Rule, times: list[datetime]) -> list[Condition | None]:
    """What the rule asks at each of `times`, the same object while nothing changes; None while it is not in force."""
    asked = list[Condition | None]()
    last: Condition | None = None
    for at in times:
        condition = condition_at(policy, rule, at)
        last = last if condition == last else condition
        asked.append(last if holds_at(rule, at) else None)
    return asked


def _shadows(other: Rule, rule: Rule, asked: Mapping[str, list[Condition | None]]) -> bool:
    both = zip(asked[rule.name], asked[other.name], strict=True)
    pairs = {(id(one), id(two)): (one, two) for one, two in both if one is not None}
    known = [(one, two) for one, two in pairs.values() if two is not None]
    if not known or len(known) < len(pairs) or not all(implies(one, two) for one, two in known):
        return False
    if not any(can_be_true(one) for one, _ in known):
        return False
    equal = _weighs_as_much(rule, other) and all(implies(two, one) for one, two in known)
    return not equal or other.name < rule.name


def _may_shadow(other: Rule, rule: Rule) -> bool:
    """Of two conditions about different facts none follows from the other."""
    return _weighs_as_much(other, rule) and not set(facts_of(rule.when)).isdisjoint(facts_of(other.when))


def _weighs_as_much(other: Rule, rule: Rule) -> bool:
    """Whether `other` leaves nothing of what `rule` would do: no stronger outcome, other kind of hold, or firmness.

    A note beside a hold or denial tells people something else, so only a note of the same kind makes a note idle.
    """
    if other.per_item and not rule.per_item:
        return False
    if Outcome.APPROVE in (rule.outcome, other.outcome):
        return rule.outcome is other.outcome and (rule.limit, rule.limit_from) == (other.limit, other.limit_from)
    if rule.outcome is other.outcome and rule.hold_kind != other.hold_kind:
        return False
    return other.outcome >= rule.outcome and other.waivable_by <= rule.waivable_by
