"""What the golden cases of a document show, and what they leave unshown. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain

from service.decide.condition import Leaf, compile_condition
from service.decide.decision import Result
from service.decide.derive import with_item
from service.decide.evaluate import all_values
from service.decide.facts import Element, FactType, Item, Value
from service.decide.policy import Interval, Rule
from service.policies.cases import Case, CaseResult
from service.policies.conditions import ORDERINGS, required_in
from service.policies.lint_leaves import leaves, own_rules
from service.policies.lint_logic import TRUE, can_be_false, can_be_true, can_be_unknown
from service.policies.lint_times import condition_at, conditions, holds_at
from service.policies.lint_values import SPECS
from service.policies.load import LoadedPolicy
from service.policies.refusal import one_line

Values = Mapping[str, Value]

KINDS = ("hit", "clear", "unknown", "threshold", "date", "waiver")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing that some case should show. `kind` is one of KINDS, `what` says what no case shows."""

    kind: str
    place: str
    about: str
    what: str
    shown: bool

    def __str__(self) -> str:
        return one_line(f"{self.place}: {self.about}: {self.what}")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One case as it was decided, with the values it was decided on: the subject's, then each item's."""

    result: CaseResult
    views: tuple[Values, ...]

    @property
    def as_of(self) -> datetime:
        return self.result.case.as_of


def coverage(loaded: LoadedPolicy, results: Sequence[CaseResult]) -> list[Point]:
    """Everything that the cases of `loaded`, whose results these are, should show of the rules in it.

    Asked for is what can be: a rule whose facts are never absent is never unknown. Inherited rules are covered where
    they stand.
    """
    seen = [_Seen(result, _views(loaded, result.case)) for result in results]
    return [*chain.from_iterable(_of_rule(loaded, name, seen) for name in own_rules(loaded.source)),
            *_group_dates(loaded, seen)]  # fmt: skip


def gaps(points: Iterable[Point]) -> list[Point]:
    """What no case shows."""
    return [point for point in points if not point.shown]


def _views(loaded: LoadedPolicy, case: Case) -> tuple[Values, ...]:
    facts, catalogue = case.facts, {**loaded.policy.catalogue, **case.catalogue}
    values = all_values(facts, loaded.policy, case.as_of)
    items = facts.items or tuple(Item(model=model, delivery="api", release=None, volume=None) for model in catalogue)
    return (values, *(with_item(values, item, catalogue) for item in items))


def _of_rule(loaded: LoadedPolicy, name: str, seen: Sequence[_Seen]) -> Iterator[Point]:
    rule = loaded.policy.rule(name)
    during = [one for one in seen if holds_at(rule, one.as_of)]
    yield from _results(loaded, rule, during)
    yield from _thresholds(loaded, rule, during)
    yield from _dates(loaded, rule, seen)
    yield from _waivers(loaded, rule, during)


def _results(loaded: LoadedPolicy, rule: Rule, during: Sequence[_Seen]) -> Iterator[Point]:
    asked = list(conditions(loaded.policy, rule))
    demanded = Leaf(fact="screening.demanded", operator="known", operand=bool(loaded.policy.required_lists), assured=1)
    given = (demanded, TRUE)
    may_hit = not required_in(rule.when) and any(can_be_true(condition, given) for condition in asked)
    wanted = [
        ("hit", "no case hits it", may_hit),
        ("clear", "no case is clear of it", any(can_be_false(condition, given) for condition in asked)),
        ("unknown", "no case leaves it unknown", any(can_be_unknown(condition, given) for condition in asked)),
    ]
    found = {kind for one in during for kind in _kinds(rule, one)}
    for kind, what, possible in wanted:
        if possible:
            place = loaded.where("rule", rule.name, ())
            yield Point(kind=kind, place=place, about=f"rule {rule.name}", what=what, shown=kind in found)


def _kinds(rule: Rule, one: _Seen) -> Iterator[str]:
    """What the case showed of a rule in force. A rule that is not among the findings was clear."""
    verdict = one.result.verdict
    own = [finding for finding in verdict.findings if finding.rule == rule.name]
    yield from (finding.result.value for finding in own)
    if len({finding.item for finding in own}) < (len(verdict.items) if rule.per_item else 1):
        yield "clear"


def _thresholds(loaded: LoadedPolicy, rule: Rule, during: Sequence[_Seen]) -> Iterator[Point]:
    for leaf, path in leaves(rule.when):
        limit = leaf.operand
        if leaf.operator not in ORDERINGS or not isinstance(limit, int | Decimal):
            continue
        numbers = {number for one in during for view in one.views for number in _numbers(view, leaf.fact)}
        counts_from_nought = SPECS[leaf.fact].type is FactType.WHOLE and limit == 0
        sides = {
            "below": counts_from_nought or any(number < limit for number in numbers),
            "at": any(number == limit for number in numbers),
            "above": any(number > limit for number in numbers),
        }
        for side, shown in sides.items():
            yield Point(
                kind="threshold",
                place=loaded.where("rule", rule.name, path),
                about=f"rule {rule.name}",
                what=f"no case has {leaf.fact} {side} {limit}",
                shown=shown,
            )


def _numbers(view: Values, fact: str) -> Iterator[int | Decimal]:
    for name, value in view.items():
        if name == fact and isinstance(value, int | Decimal):
            yield value
        elif isinstance(value, tuple):
            for element in value:
                part = None if isinstance(element, str) else element.get(fact)
                if isinstance(part, int | Decimal):
                    yield part


def _dates(loaded: LoadedPolicy, rule: Rule, seen: Sequence[_Seen]) -> Iterator[Point]:
    def concerned(one: _Seen) -> bool:
        """Whether the rule, were it in force, would find something: only such a case shows that its date matters."""
        test = compile_condition(condition_at(loaded.policy, rule, one.as_of))
        return any(test(view) is not False for view in (one.views[1:] if rule.per_item else one.views[:1]))

    about = [one for one in seen if concerned(one)] if _bounds(rule.in_force) else []
    for bound in _bounds(rule.in_force):
        place = loaded.where("rule", rule.name, ("in_force",))
        yield from _moments(bound, about, place, f"rule {rule.name}", "that it is about")


def _bounds(intervals: Iterable[Interval]) -> list[datetime]:
    return sorted({bound for one in intervals for bound in (one.start, one.end) if bound is not None})


def _moments(bound: datetime, about: Sequence[_Seen], place: str, whom: str, which: str) -> Iterator[Point]:
    for at, words in ((bound - _SECOND, "one second before"), (bound, "at")):
        yield Point(
            kind="date",
            place=place,
            about=whom,
            what=f"no case {which} is decided {words} {bound.isoformat().replace('+00:00', 'Z')}",
            shown=any(one.as_of == at for one in about),
        )


def _group_dates(loaded: LoadedPolicy, seen: Sequence[_Seen]) -> Iterator[Point]:
    groups = loaded.source.tree.get("groups")
    for name in groups if isinstance(groups, dict) else ():
        for member in loaded.policy.groups[name].members:
            about = [one for one in seen if any(_holds(view, member.value) for view in one.views)]
            for bound in _bounds([member.during]):
                place = loaded.where("group", name, ())
                yield from _moments(bound, about, place, f"group {name}", f"with {member.value}")


def _holds(view: Values, word: str) -> bool:
    return any(value == word or (isinstance(value, tuple) and word in _words(value)) for value in view.values())


def _words(value: tuple[str, ...] | tuple[Element, ...]) -> Iterator[object]:
    for one in value:
        if isinstance(one, str):
            yield one
        else:
            yield from one.values()


def _waivers(loaded: LoadedPolicy, rule: Rule, during: Sequence[_Seen]) -> Iterator[Point]:
    used = {kind for one in during for kind in _kinds_used(rule, one)}
    for kind in sorted(rule.waivable_by):
        yield Point(
            kind="waiver",
            place=loaded.where("rule", rule.name, ("waivable_by",)),
            about=f"rule {rule.name}",
            what=f"no case has it waived by {kind}",
            shown=kind in used,
        )


def _kinds_used(rule: Rule, one: _Seen) -> Iterator[str]:
    kinds = {authorization.number: authorization.kind for authorization in one.result.case.facts.authorizations}
    for finding in one.result.verdict.findings:
        if finding.rule == rule.name and finding.result is Result.WAIVED and finding.authorization is not None:
            yield kinds[finding.authorization]
