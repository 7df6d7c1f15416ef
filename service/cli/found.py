"""What a rule found: the facts that made its condition true, out of all facts a decision was made on. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from service.audit.bodies import published_model
from service.cli import words
from service.decide.condition import (
    All,
    AnyOf,
    Condition,
    Exists,
    ForAll,
    Leaf,
    Not,
    compile_condition,
    matching_elements,
)
from service.decide.derive import with_item
from service.decide.evaluate import all_values
from service.decide.facts import Facts, Item, Value
from service.decide.policy import ActiveRule, Policy

Values = Mapping[str, Value]
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "person.foreign": ("customer.organized_in", "customer.users_population", "person.us_status"),
    "person.us": ("customer.organized_in", "person.us_status", "person.located_in"),
}
"""What a derived fact follows from, where its name alone would leave a reader asking why."""
_SAID_ALREADY = frozenset({"item.model", "item.delivery", "subject.kind"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finder:
    """Looks up what rules found. `facts` is None when they were erased; then nothing is found."""

    policy: Policy
    facts: Facts | None
    as_of: datetime

    def rules_in_force(self) -> int:
        """How many rules were held against the facts."""
        return len(self._rules())

    def found(self, reason: Mapping[str, Any]) -> list[str]:
        """The facts that made a rule's condition true, in words; [] when it was not, or nobody can tell any more."""
        active = next((one for one in self._rules() if one.rule.name == reason["rule"]), None)
        if active is None or self.facts is None or reason["result"] == "unknown":
            return []
        seen = self._seen(active, self.facts, reason["items"])
        if compile_condition(active.when)(seen) is not True:
            return []
        told = dict(_because(active.when, seen, wanted=True))
        for name in (derived for derived in _SOURCES if derived in told):
            told = {**{source: seen[source] for source in _SOURCES[name] if source in seen}, **told}
        return [f"{_short(name)}: {words.value(found)}" for name, found in told.items() if name not in _SAID_ALREADY]

    def _rules(self) -> tuple[ActiveRule, ...]:
        plan = self.policy.at(self.as_of)
        return plan.subject_rules + plan.item_rules

    def _seen(self, active: ActiveRule, facts: Facts, named: list[str]) -> Values:
        """The facts as the rule saw them: of an item's rule together with the first item it is about."""
        values = all_values(facts, self.policy, self.as_of)
        if not active.rule.per_item or not named:
            return values
        model, _, delivery = named[0].rpartition("/")
        asked = (one for one in facts.items if _is_named(one, model, delivery, self.policy))
        item = next(asked, Item(model=model, delivery=delivery, release=None, volume=None))
        return with_item(values, item, self.policy.catalogue)


def _is_named(item: Item, model: str, delivery: str, policy: Policy) -> bool:
    return (published_model(item.model, policy), item.delivery) == (model, delivery)


def _because(condition: Condition, values: Values, *, wanted: bool) -> Iterator[tuple[str, words.Shown]]:
    """The facts by which `condition` is `wanted`, with their values; parts that do not matter are left out."""
    match condition:
        case All(parts) | AnyOf(parts):
            for part in parts:
                if compile_condition(part)(values) is wanted:
                    yield from _because(part, values, wanted=wanted)
        case Not(part):
            yield from _because(part, values, wanted=not wanted)
        case Exists(fact, _) if wanted:
            yield fact, tuple(matching_elements(condition, fact, values))
        case Exists(fact, _) | ForAll(fact, _) | Leaf(fact=fact):
            if fact in values:
                yield fact, values[fact]
        case _:
            assert_never(condition)


def _short(name: str) -> str:
    """The vocabulary's words for a fact, up to the first explanation in them."""
    spec = words.FACT_WORDS.get(name)
    return name if spec is None else spec.doc.partition(";")[0]
