"""Facts + policy + instant -> verdict.

A pure function: the same input gives the same answer, whatever the order of keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from service.decide.comparison import Truth
from service.decide.condition import matching_elements
from service.decide.decision import (
    Access,
    Authority,
    Finding,
    ItemVerdict,
    Limit,
    Outcome,
    Reason,
    Result,
    Verdict,
)
from service.decide.derive import derive, with_item
from service.decide.facts import Authorization, Facts, Item, Value
from service.decide.matches import weigh_matches
from service.decide.policy import HOLD_KINDS, NEXT_ACTORS, ActiveRule, Policy
from service.decide.waiver import end_of, waives

Values = Mapping[str, Value]

_LAST_INSTANT = datetime.max.replace(tzinfo=UTC)
_NO_LICENSE_REQUIRED = Authority(kind="no_license_required", number=None)

ENGINE = "exportgate-decide/1"
"""Names the meaning of this package. It changes whenever the same facts and policy could give another verdict."""


def evaluate(facts: Facts, policy: Policy, as_of: datetime) -> Verdict:
    """The verdict of `policy` on `facts` at `as_of`.

    Doubt is a value: a rule whose facts are missing is UNKNOWN and holds, or denies if it says so. Never raises for
    facts and policies that were checked when they were made.
    """
    plan = policy.at(as_of)
    values = all_values(facts, policy, as_of)
    items = facts.items or _whole_catalogue(policy)
    hearing = _Hearing(policy, facts, as_of, items)
    hearing.hear(plan.subject_suspects(values), values, None)
    suspects = plan.item_suspects(values)
    for index, item in enumerate(items if suspects else ()):
        hearing.hear(suspects, with_item(values, item, policy.catalogue), index)
    return _verdict(hearing)


def all_values(facts: Facts, policy: Policy, as_of: datetime) -> dict[str, Value]:
    """What rules about the subject see: the facts, and all that follows from them at `as_of` under `policy`."""
    values = derive(facts)
    if "matches" in values:
        weigh_matches(values, facts.authorizations, as_of)
    if policy.required_lists:
        values["screening.demanded"] = True
    return values


def _whole_catalogue(policy: Policy) -> tuple[Item, ...]:
    return tuple(Item(model=model, delivery="api", release=None, volume=None) for model in sorted(policy.catalogue))


class Doubt(NamedTuple):
    """A finding that is not clear, with what it takes to explain it."""

    active: ActiveRule
    finding: Finding
    outcome: Outcome
    values: Values


@dataclass(slots=True)
class _Hearing:
    """One evaluation while it goes on."""

    policy: Policy
    facts: Facts
    as_of: datetime
    items: tuple[Item, ...]
    doubtful: list[Doubt] = field(default_factory=list)

    def hear(self, rules: Iterable[ActiveRule], values: Values, item: int | None) -> None:
        """Apply `rules` to the subject, or to one item of it."""
        for active in rules:
            truth = active.test(values)
            if truth is not False:
                self.doubtful.append(self._doubt(active, truth, values, item))

    def _doubt(self, active: ActiveRule, truth: Truth, values: Values, item: int | None) -> Doubt:
        rule = active.rule
        if truth is None:
            return Doubt(active, Finding(rule.name, item, Result.UNKNOWN, None), rule.unknown, values)
        waiver = _waiver(rule.waivable_by, values, self.facts.authorizations, self.as_of)
        if waiver is not None:
            return Doubt(active, Finding(rule.name, item, Result.WAIVED, waiver.number), Outcome.APPROVE, values)
        return Doubt(active, Finding(rule.name, item, Result.HIT, None), rule.outcome, values)


def _waiver(
    kinds: frozenset[str], values: Values, authorizations: tuple[Authorization, ...], as_of: datetime
) -> Authorization | None:
    """Of several that fit the one with the first number, so that their order changes nothing."""
    fitting = (one for one in authorizations if one.kind in kinds and waives(one, values, as_of))
    return min(fitting, key=lambda one: one.number, default=None)


def _verdict(hearing: _Hearing) -> Verdict:
    doubtful = hearing.doubtful
    if hearing.items and not doubtful:
        return _plain_approval(hearing)
    items = _item_verdicts(hearing.items, doubtful)
    outcomes = [item.outcome for item in items]
    # Where nothing is asked for there is nothing to approve.
    outcome = max(outcomes) if outcomes else max(_subject_outcome(doubtful), Outcome.HOLD)
    approved = outcomes.count(Outcome.APPROVE)
    reasons = _reasons(doubtful)
    hold_kinds = _hold_kinds(reasons) if outcome is Outcome.HOLD else ()
    something = approved > 0
    used = _used(hearing) if something and hearing.facts.authorizations else []
    return Verdict(
        outcome=outcome,
        access=_access(approved, len(items)),
        items=items,
        findings=tuple([one.finding for one in doubtful]),
        reasons=reasons,
        limits=_limits(doubtful) if something else (),
        authority=_authority(used) if something else None,
        hold_kinds=hold_kinds,
        next_actor=_next_actor(hold_kinds),
        valid_until=_valid_until(hearing, used) if something else None,
    )


def _plain_approval(hearing: _Hearing) -> Verdict:
    """The verdict where every rule is clear: what most customers get."""
    return Verdict(
        outcome=Outcome.APPROVE,
        access=Access.FULL,
        items=tuple([ItemVerdict(item.model, item.delivery, Outcome.APPROVE, ()) for item in hearing.items]),
        findings=(),
        reasons=(),
        limits=(),
        authority=_NO_LICENSE_REQUIRED,
        hold_kinds=(),
        next_actor=None,
        valid_until=_valid_until(hearing, []),
    )


def _item_verdicts(items: tuple[Item, ...], doubtful: list[Doubt]) -> tuple[ItemVerdict, ...]:
    subject = _subject_outcome(doubtful)
    return tuple([_item_verdict(index, item, subject, doubtful) for index, item in enumerate(items)])


def _item_verdict(index: int, item: Item, subject: Outcome, doubtful: list[Doubt]) -> ItemVerdict:
    own = [one for one in doubtful if one.finding.item == index]
    return ItemVerdict(
        model=item.model,
        delivery=item.delivery,
        outcome=max([subject, *[one.outcome for one in own]]),
        rules=tuple([one.finding.rule for one in own]),
    )


def _subject_outcome(doubtful: list[Doubt]) -> Outcome:
    return max([one.outcome for one in doubtful if one.finding.item is None], default=Outcome.APPROVE)


def _hold_kinds(reasons: tuple[Reason, ...]) -> tuple[str, ...]:
    held = {reason.hold_kind for reason in reasons}
    return tuple([kind for kind in HOLD_KINDS if kind in held])


def _access(approved: int, asked: int) -> Access:
    if approved == 0:
        return Access.NONE
    return Access.FULL if approved == asked else Access.PARTIAL


def _reasons(doubtful: list[Doubt]) -> tuple[Reason, ...]:
    grouped: dict[tuple[str, str], list[Doubt]] = {}
    for one in doubtful:
        grouped.setdefault((one[1].rule, one[1].result.value), []).append(one)
    return tuple(_reason(grouped[key]) for key in sorted(grouped))


def _reason(same: list[Doubt]) -> Reason:
    active, finding, outcome, _ = same[0]
    missing: set[str] = set()
    if finding.result is Result.UNKNOWN:
        for one in same:
            missing.update(active.missing(one[3]))
    holds = outcome is Outcome.HOLD
    unknown_kind = (
        active.rule.hold_kind if active.rule.hold_kind in ("unknown_account", "unread_events") else "fact_missing"
    )
    return Reason(
        rule=finding.rule,
        result=finding.result,
        outcome=outcome,
        hold_kind=(active.rule.hold_kind if finding.result is Result.HIT else unknown_kind) if holds else None,
        missing=tuple(sorted(missing)),
        items=tuple(one[1].item for one in same if one[1].item is not None),
    )


def _limits(doubtful: list[Doubt]) -> tuple[Limit, ...]:
    places: dict[str, set[str]] = {}
    for active, finding, _, values in doubtful:
        rule = active.rule
        if finding.result is Result.HIT and rule.limit is not None and rule.limit_from is not None:
            found = matching_elements(active.when, rule.limit_from, values)
            places.setdefault(rule.limit, set()).update(str(place) for one in found if (place := _place_of(one)))
    return tuple(Limit(kind=kind, places=tuple(sorted(places[kind]))) for kind in sorted(places))


def _place_of(element: Mapping[str, Value]) -> Value | None:
    return element.get("evidence.place")


def _authority(used: list[Authorization]) -> Authority:
    return Authority(kind=used[0].kind, number=used[0].number) if used else _NO_LICENSE_REQUIRED


def _used(hearing: _Hearing) -> list[Authorization]:
    """The authorizations that lifted a hit, in order of their numbers."""
    numbers = {doubt.finding.authorization for doubt in hearing.doubtful}
    return sorted((one for one in hearing.facts.authorizations if one.number in numbers), key=lambda one: one.number)


def _next_actor(hold_kinds: tuple[str, ...]) -> str | None:
    return next((actor for kind, actor in NEXT_ACTORS.items() if kind in hold_kinds), None) if hold_kinds else None


def _valid_until(hearing: _Hearing, used: list[Authorization]) -> datetime | None:
    """The earliest end of what the approval rests on, or of the time for which the policy lets an approval stand."""
    ends = [end_of(one) for one in used]
    valid_for = hearing.policy.valid_for
    if valid_for is not None:
        # Near the last instant that there is, an approval lasts until then.
        ends.append(min(hearing.as_of, _LAST_INSTANT - valid_for) + valid_for)
    return min(ends) if ends else None
