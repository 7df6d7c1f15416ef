"""The same conditions in zen-engine, a rule engine in Rust: one decision of one expression node, asked once a customer.

It has two truths. What is absent is null there, `null != 'IR'` is true and `not (null == 'IR')` too, so that a rule
written plainly lets through whom nobody knows: it fails open. An ordering of null raises. So every comparison asks for
null first and is false there: a rule that would be unknown is clear or, under a `not`, a hit. Less than ours tells, and
less work.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from zen import ZenEngine

from service.decide.comparison import Operand
from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not
from service.decide.facts import Value
from service.decide.policy import ActiveRule
from service.decide.vocabulary import VOCABULARY


class Zen:
    """Evaluates rules by zen-engine."""

    def __init__(self, rules: Sequence[ActiveRule]) -> None:
        expressions = [
            {"id": active.rule.name, "key": active.rule.name, "value": to_zen(active.when)} for active in rules
        ]
        nodes = [
            {"id": "in", "name": "in", "type": "inputNode"},
            {"id": "rules", "name": "rules", "type": "expressionNode", "content": {"expressions": expressions}},
            {"id": "out", "name": "out", "type": "outputNode"},
        ]
        edges = [
            {"id": f"{one} {two}", "sourceId": one, "targetId": two} for one, two in (("in", "rules"), ("rules", "out"))
        ]
        self._decision = ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))

    def hits(self, customer: dict[str, Any]) -> set[str]:
        """The rules that are hit."""
        return {rule for rule, hit in self._decision.evaluate(customer)["result"].items() if hit}


def customer(values: Mapping[str, Value]) -> dict[str, Any]:
    """Facts as zen-engine takes them: `customer.places` is `places` of `customer`, absent lists are absent."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        owner, _, own = name.partition(".")
        if own:
            nested.setdefault(owner, {})[own] = _plain(value)
        else:
            nested[name] = _plain(value)
    return nested


def to_zen(condition: Condition, inside: str | None = None) -> str:
    """A condition in ZEN; `inside` names the list whose element `#` is."""
    match condition:
        case All(parts):
            return "(" + (" and ".join(to_zen(part, inside) for part in parts) or "true") + ")"
        case AnyOf(parts):
            return "(" + (" or ".join(to_zen(part, inside) for part in parts) or "false") + ")"
        case Not(part):
            return f"not ({to_zen(part, inside)})"
        case Exists(fact, where):
            return f"({_fact(fact, None)} != null and some({_fact(fact, None)}, {to_zen(where, fact)}))"
        case ForAll(fact, where):
            return f"({_fact(fact, None)} != null and all({_fact(fact, None)}, {to_zen(where, fact)}))"
        case Leaf():
            return _leaf(condition, inside)


def _fact(name: str, inside: str | None) -> str:
    own = inside is not None and name in VOCABULARY[inside].elements
    return "#." + name.partition(".")[2] if own else name


def _leaf(leaf: Leaf, inside: str | None) -> str:
    fact = _fact(leaf.fact, inside)
    if leaf.operator == "known":
        return f"{fact} {'!=' if leaf.operand else '=='} null"
    if leaf.operator == "differs_from":
        other = _fact(str(leaf.operand), inside)
        return f"({fact} != null and {other} != null and {fact} != {other})"
    return f"({fact} != null and {_COMPARED[leaf.operator](fact, leaf.operand)})"


def _in_places(place: str, operand: Operand) -> str:
    wanted = _set(operand)
    countries = [one for one in wanted if "-" not in one]
    return f"({place} in {_list(wanted)} or {place}[0:1] in {_list(countries)})"


_COMPARED: Mapping[str, Callable[[str, Operand], str]] = {
    "is": lambda fact, operand: f"{fact} == {_literal(operand)}",
    "in": lambda fact, operand: f"{fact} in {_list(_set(operand))}",
    "overlaps": lambda fact, operand: f"some({fact}, # in {_list(_set(operand))})",
    "is_place": _in_places,
    "in_places": _in_places,
    "overlaps_places": lambda fact, operand: f"some({fact}, {_in_places('#', operand)})",
    "at_least": lambda fact, operand: f"{fact} >= {_literal(operand)}",
    "above": lambda fact, operand: f"{fact} > {_literal(operand)}",
    "at_most": lambda fact, operand: f"{fact} <= {_literal(operand)}",
    "below": lambda fact, operand: f"{fact} < {_literal(operand)}",
}


def _set(operand: Operand) -> list[str]:
    return sorted(operand) if isinstance(operand, frozenset) else [str(operand)]


def _list(several: Iterable[str]) -> str:
    return "[" + ", ".join(json.dumps(one) for one in several) + "]"


def _literal(operand: Operand) -> str:
    return json.dumps(operand) if isinstance(operand, (bool, int, str)) else str(operand)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name.partition(".")[2]: _plain(one) for name, one in value.items()}
    return value
