"""The resolved form -> the `Policy` that the core applies. Every check of meaning that needs no event is made here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from service.decide.condition import All, AnyOf, Condition, Exists
from service.decide.decision import Outcome
from service.decide.facts import Value
from service.decide.policy import (
    HOLD_KINDS,
    WAIVER_KINDS,
    Citation,
    Group,
    Interval,
    Member,
    Policy,
    Rule,
    contradictory,
)
from service.decide.values import read_value
from service.decide.vocabulary import CATALOGUE_FACTS
from service.policies.conditions import Reader, read_condition, read_required
from service.policies.document import Path
from service.policies.model import read_days, read_instant
from service.policies.refusal import PolicyRefused, suggestion
from service.policies.resolve import FORMAT, FORMAT_WITH_REQUIRED_FACTS, Json

KNOWN_LISTS = frozenset({"bis-dpl", "bis-entity", "bis-meu", "bis-uvl", "ofac-cons", "ofac-sdn", "un-sc"})
LIMIT_KINDS = frozenset({"geo_block"})
LIMIT_SOURCES = frozenset({"location.evidence"})
RELEASABLE = frozenset({"contradiction", "red_flag", "possible_match", "fact_missing"})

Where = Callable[[str, str, Path], str]
"""(`rule`, `group` or `policy`, its name, the path inside it) -> `file:line`, or what else tells a person the place."""


def build(tree: Mapping[str, Json], sha256: str, where: Where) -> Policy:
    """The policy of a resolved form. PolicyRefused at the first rule, group or list that makes no sense."""
    name = f"{tree.get('policy')} {tree.get('version')}"
    if tree.get("format") not in (FORMAT, FORMAT_WITH_REQUIRED_FACTS):
        known = f"{FORMAT} or {FORMAT_WITH_REQUIRED_FACTS}"
        raise PolicyRefused(
            f"policy {name}: expected resolved form {known}, got {tree.get('format')!r}; use a newer exportgate"
        )
    groups = {
        group: _group(group, cast("list[dict[str, Json]]", members), where)
        for group, members in cast("dict[str, Json]", tree["groups"]).items()
    }
    values = {group: frozenset(one.value for one in known.members) for group, known in groups.items()}
    lists = cast("dict[str, Json]", tree["lists"])
    days = cast("str | None", tree["valid_for"])
    return Policy(
        name=str(tree["policy"]),
        version=str(tree["version"]),
        sha256=sha256,
        title=str(tree["title"]),
        rules=tuple(_rule(one, values, where) for one in cast("list[dict[str, Json]]", tree["rules"])),
        groups=groups,
        catalogue=_catalogue(cast("dict[str, dict[str, Json]]", tree["catalogue"])),
        valid_for=None if days is None else read_days(days),
        required_lists=_lists(cast("list[str]", lists["required"]), where),
    )


def _lists(required: Sequence[str], where: Where) -> tuple[str, ...]:
    for name in required:
        if name not in KNOWN_LISTS:
            close = suggestion(name, KNOWN_LISTS)
            raise PolicyRefused(
                f"{where('policy', 'lists', ())}: unknown list '{name}'{close}; known: {', '.join(sorted(KNOWN_LISTS))}"
            )
    return tuple(required)


def _catalogue(tree: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, Value]]:
    return {
        model: {CATALOGUE_FACTS[key].name: read_value(CATALOGUE_FACTS[key], raw) for key, raw in entry.items()}
        for model, entry in tree.items()
    }


def _interval(tree: Mapping[str, Json]) -> Interval:
    start, end = tree["from"], tree["to"]
    return Interval(None if start is None else read_instant(start), None if end is None else read_instant(end))


def _group(name: str, tree: Sequence[Mapping[str, Json]], where: Where) -> Group:
    members = tuple(Member(str(one["value"]), _interval(one)) for one in tree)
    if not members:
        raise PolicyRefused(
            f"{where('group', name, ())}: group {name}: expected at least one member; remove it or fill it"
        )
    for value in {member.value for member in members}:
        if contradictory(tuple(member.during for member in members if member.value == value)):
            raise PolicyRefused(
                f"{where('group', name, ())}: group {name}: '{value}' stands there twice for the same time; keep one"
            )
    return Group(members)


def _rule(tree: Mapping[str, Json], groups: Mapping[str, frozenset[str]], where: Where) -> Rule:
    name = str(tree["rule"])

    def place(path: Path) -> str:
        return where("rule", name, path)

    per_item = tree["scope"] == "item"
    reader = Reader(name, per_item, groups, place, {}, None)
    when = read_condition(tree["when"], reader, ("when",))
    required = cast("list[str] | None", tree.get("required_facts"))
    if required is not None:
        when = All((when, read_required(required, reader, ("required_facts",))))
    waivable = cast("list[str]", tree["waivable_by"])
    hold_kind = cast("str | None", tree["hold_kind"])
    citation = cast("dict[str, str | None]", tree["citation"])
    rule = Rule(
        name=name,
        title=str(tree["title"]),
        outcome=Outcome[str(tree["outcome"]).upper()],
        unknown=Outcome[str(tree["unknown"]).upper()],
        hold_kind=hold_kind,
        per_item=per_item,
        citation=Citation(text=str(citation["text"]), href=citation["href"]),
        in_force=tuple(_interval(one) for one in cast("list[dict[str, Json]]", tree["in_force"])),
        when=when,
        waivable_by=frozenset(waivable),
        droppable=bool(tree["droppable"]),
        clears=tuple(cast("list[str]", tree["clears"])),
        message=str(tree["message"]),
        customer_message=str(tree["customer_message"]),
        limit=None,
        limit_from=None,
        enforced=tree.get("enforcement", "enforced") == "enforced",
    )
    if required is not None and rule.hold_kind != "fact_missing":
        text = "a rule with required_facts asks for facts; say outcome: hold and hold_kind: fact_missing"
        raise _refuse(rule, place(("required_facts",)), text)
    _check_softening(rule, released=tree["release"] is not None, place=place)
    _check_dates(rule, place)
    return _limited(rule, cast("dict[str, str] | None", tree["limit"]), place)


def _refuse(rule: Rule, where: str, text: str) -> PolicyRefused:
    return PolicyRefused(f"{where}: rule {rule.name}: {text}")


def _check_softening(rule: Rule, *, released: bool, place: Callable[[Path], str]) -> None:
    """What may soften the rule fits what it finds: a finding that a license is required is lifted by a license only."""
    if rule.outcome is Outcome.HOLD and rule.hold_kind not in HOLD_KINDS:
        got = "nothing" if rule.hold_kind is None else f"'{rule.hold_kind}'"
        close = suggestion(rule.hold_kind or "", HOLD_KINDS)
        text = f"a hold needs a hold_kind, got {got}{close}; known: {', '.join(HOLD_KINDS)}"
        raise _refuse(rule, place(("hold_kind",)), text)
    if rule.outcome is not Outcome.HOLD and rule.hold_kind is not None:
        raise _refuse(
            rule, place(("hold_kind",)), f"hold_kind is for outcome: hold, not {rule.outcome.name.lower()}; remove it"
        )
    for kind in sorted(rule.waivable_by - WAIVER_KINDS):
        close = suggestion(kind, WAIVER_KINDS)
        text = f"unknown kind of authorization '{kind}'{close}; known: {', '.join(sorted(WAIVER_KINDS))}"
        raise _refuse(rule, place(("waivable_by",)), text)
    lifted = rule.outcome is Outcome.DENY or rule.hold_kind == "license_required"
    if rule.waivable_by and not lifted:
        text = "an authorization answers a license requirement or a denial, nothing else; remove waivable_by"
        raise _refuse(rule, place(("waivable_by",)), text)
    if released and rule.hold_kind not in RELEASABLE:
        text = (
            f"people may release {', '.join(sorted(RELEASABLE))} holds only; remove release, name what waives the rule"
        )
        raise _refuse(rule, place(("release",)), text)


def _check_dates(rule: Rule, place: Callable[[Path], str]) -> None:
    if not rule.in_force:
        raise _refuse(
            rule, place(("in_force",)), "in_force is empty, so the rule never applies; leave the key out or date it"
        )
    if contradictory(rule.in_force):
        raise _refuse(
            rule, place(("in_force",)), "an interval ends before it starts or overlaps another; mend the dates"
        )


def _limited(rule: Rule, limit: Mapping[str, str] | None, place: Callable[[Path], str]) -> Rule:
    if limit is None:
        return rule
    where = place(("limit",))
    if rule.outcome is not Outcome.APPROVE:
        raise _refuse(
            rule, where, "a limit is for outcome: approve; a hold or denial gives nothing that could be limited"
        )
    if len(limit) != 1 or not set(limit) <= LIMIT_KINDS or not set(limit.values()) <= LIMIT_SOURCES:
        raise _refuse(rule, where, f"expected {{geo_block: location.evidence}}, got {dict(limit)}")
    ((kind, source),) = limit.items()
    if not _looks_into(rule.when, source):
        raise _refuse(
            rule, where, f"the places come from {source}, but 'when' has no 'exists: {source}' to choose them"
        )
    return replace(rule, limit=kind, limit_from=source)


def _looks_into(condition: Condition, source: str) -> bool:
    match condition:
        case All(parts) | AnyOf(parts):
            return any(_looks_into(part, source) for part in parts)
        case Exists(fact):
            return fact == source
        case _:
            return False
