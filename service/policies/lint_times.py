"""A policy through time: an instant in each stretch between two of its dates, and what a rule says there. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from service.decide.condition import Condition
from service.decide.policy import Policy, Rule, inline_groups

_FIRST_INSTANT = datetime.min.replace(tzinfo=UTC) + timedelta(seconds=1)
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def instants(policy: Policy) -> list[datetime]:
    """One instant before the first date of the policy, and each of its dates; between two of them nothing changes."""
    intervals = [interval for rule in policy.rules for interval in rule.in_force]
    intervals += [member.during for group in policy.groups.values() for member in group.members]
    dates = sorted({date for interval in intervals for date in (interval.start, interval.end) if date is not None})
    if not dates:
        return [_SOME_TIME]
    return [dates[0] - timedelta(seconds=1), *dates] if dates[0] > _FIRST_INSTANT else dates


def holds_at(rule: Rule, instant: datetime) -> bool:
    """Whether the rule is in force."""
    return any(interval.holds(instant) for interval in rule.in_force)


def condition_at(policy: Policy, rule: Rule, instant: datetime) -> Condition:
    """What the rule asks at `instant`, with the members that its groups have then."""
    return inline_groups(rule.when, {name: group.at(instant) for name, group in policy.groups.items()})


def conditions(policy: Policy, rule: Rule) -> Iterator[Condition]:
    """Everything the rule ever asks, each condition once."""
    seen: list[Condition] = []
    for instant in instants(policy):
        if holds_at(rule, instant):
            condition = condition_at(policy, rule, instant)
            if condition not in seen:
                seen.append(condition)
                yield condition
