"""A smallest set of facts on which two versions differ, found by trying the boundaries that they name. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations, islice, product

from service.decide.condition import Condition, facts_of
from service.decide.decision import Outcome, Verdict
from service.decide.evaluate import evaluate
from service.decide.facts import Facts, Item, Value
from service.decide.policy import Policy
from service.policies.boundaries import Domain, domain, item_values
from service.policies.cases import ALWAYS_KNOWN

MOST_SETS = 20_000
MOST_FACTS = 3
"""Facts that are changed together; three find what two facts guard."""

PLAIN: Mapping[str, Value] = {
    **ALWAYS_KNOWN,
    "customer.organized_in": "GB",
    "customer.headquartered_in": "GB",
    "customer.billing_in": "GB",
    "location.evidence": ({"evidence.place": "GB", "evidence.kind": "business"},),
}
"""A plain London customer, from whom the search starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """Facts on which two versions differ about one item. `changed` are those that a plain customer does not have.

    A fact of `changed` that is None is absent here.
    """

    facts: Facts
    changed: Mapping[str, Value | None]
    item: Item
    first: Verdict
    second: Verdict


@dataclass(slots=True, kw_only=True)
class Search:
    """What was found: where only the first version approves, and where only the second one does; None: nowhere.

    `tried` sets of facts were decided by both. `complete` is how many facts were changed together in every way there
    is at the boundaries; beyond, some ways were left out. `fixed` facts were not varied. `asked` is how many conditions
    differ; without any there was nothing to vary.
    """

    only_first: Counterexample | None = None
    only_second: Counterexample | None = None
    tried: int = 0
    complete: int = 0
    asked: int = 0
    fixed: set[str] = field(default_factory=set)


def search(first: Policy, second: Policy, rules: set[str], as_of: datetime) -> Search:
    """Look for differences that `rules`, those that differ, can make as of an instant; smallest sets first."""
    conditions = [
        active.when
        for policy in (first, second)
        for active in (*policy.at(as_of).subject_rules, *policy.at(as_of).item_rules)
        if active.rule.name in rules
    ]
    found = Search(asked=len(conditions))
    values, found.fixed = domain(conditions)
    items = _items(first, second, conditions)
    bases = [base for kind in _kinds(conditions) if (base := {**PLAIN, "subject.kind": kind})]
    for size in range(MOST_FACTS + 1):
        candidates = ((base, changed) for base in bases for changed in _changes(values, size))
        for base, changed in islice(candidates, MOST_SETS - found.tried):
            found.tried += 1
            _try(found, (first, second), _facts(base, changed, items), changed, as_of)
            if found.only_first is not None and found.only_second is not None:
                return found
        if found.tried >= MOST_SETS:
            return found
        found.complete = size
    return found


def _kinds(conditions: Sequence[Condition]) -> list[str]:
    named = {name for condition in conditions for name in facts_of(condition)}
    kinds = ["account"]
    kinds += ["user"] * any(name.startswith("person.") for name in named)
    kinds += ["contract"] * any(name.startswith("contract.") for name in named)
    return kinds


def _items(first: Policy, second: Policy, conditions: Sequence[Condition]) -> tuple[Item, ...]:
    """Every model of either catalogue, in every way of delivery and release that the conditions name."""
    deliveries = item_values(conditions, "item.delivery") or ["api"]
    releases: list[Value | None] = [None, *item_values(conditions, "item.release")]
    return tuple(
        Item(model=model, delivery=str(delivery), release=None if release is None else str(release), volume=None)
        for model in sorted(first.catalogue.keys() | second.catalogue.keys())
        for delivery in deliveries
        for release in releases
    )


def _changes(values: Domain, size: int) -> Iterator[dict[str, Value | None]]:
    for names in combinations(sorted(values), size):
        for chosen in product(*(values[name] for name in names)):
            yield dict(zip(names, chosen, strict=True))


def _facts(base: Mapping[str, Value], changed: Mapping[str, Value | None], items: tuple[Item, ...]) -> Facts:
    merged: dict[str, Value | None] = {**base, **changed}
    values = {name: value for name, value in merged.items() if value is not None}
    return Facts(values=values, items=items, assurance={}, authorizations=())


def _try(
    found: Search, policies: tuple[Policy, Policy], facts: Facts, changed: Mapping[str, Value | None], as_of: datetime
) -> None:
    first, second = (evaluate(facts, policy, as_of) for policy in policies)
    for index, item in enumerate(facts.items):
        one, two = (verdict.items[index].outcome is Outcome.APPROVE for verdict in (first, second))
        if one is two:
            continue
        example = Counterexample(
            facts=facts,
            # What only says what a plain customer has anyway is no part of the smallest set.
            changed={name: value for name, value in changed.items() if PLAIN.get(name) != value},
            item=item,
            first=first,
            second=second,
        )
        if one and found.only_first is None:
            found.only_first = example
        if two and found.only_second is None:
            found.only_second = example
