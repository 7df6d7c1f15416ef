"""A second reading of the law: conditions written in CEL, evaluated by Google's engine, which shares no code with us.

In CEL an error is absorbed by `&&`, `||`, `exists` and `all` just as UNKNOWN is in Kleene's logic, and a missing key is
an error: so an error stands for UNKNOWN here.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cel_expr_python import cel

from service.decide.comparison import Operand, Truth
from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not
from service.decide.derive import derive, with_item
from service.decide.facts import Assurance, Facts, FactType, Item, Value
from service.decide.policy import ActiveRule, Policy
from service.decide.vocabulary import VOCABULARY
from service.policies import load_file, policy_files
from service.policies.boundaries import domain
from service.policies.counterexample import PLAIN

NOW = datetime(2026, 6, 20, tzinfo=UTC)
_ABSENT, _PLAIN = 0.25, 0.6
_UNKNOWN = 'v["?"]'
"""A key that is never there."""


class Oracle:
    """Evaluates conditions by CEL."""

    def __init__(self) -> None:
        self._environment = cel.NewEnv(variables={"v": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})
        self._bool = cel.Type.BOOL

    def customer(self, values: Mapping[str, Value]) -> Any:
        """Facts as CEL takes them."""
        return self._environment.Activation({"v": {name: _plain(value) for name, value in values.items()}})

    def program(self, condition: Condition) -> Any:
        """A condition, compiled once for many customers."""
        return self._environment.compile(to_cel(condition), disable_check=True)

    def truth(self, program: Any, customer: Any) -> Truth:
        """What CEL makes of a condition that was compiled."""
        answer = program.eval(customer)
        return bool(answer.value()) if answer.type() == self._bool else None


@dataclass(frozen=True, slots=True)
class Compared:
    """`disagreements` tell the number of a fact set and the rule; `truths` count what our engine found."""

    disagreements: list[tuple[int, str]] = field(default_factory=list)
    truths: Counter[Truth] = field(default_factory=Counter)


def policies() -> list[Policy]:
    """The shipped versions."""
    return [
        load_file(path).policy for path in policy_files(Path(__file__).resolve().parents[1] / "deploy" / "policies")
    ]


def rules_in_force(policy: Policy) -> tuple[ActiveRule, ...]:
    """All rules of that time, about subjects and about items."""
    plan = policy.at(NOW)
    return plan.subject_rules + plan.item_rules


def compare(policy: Policy, number: int, *, seed: int, oracle: Oracle) -> Compared:
    """Every rule on so many fact sets, by both engines."""
    compared = Compared()
    rules = [(active, oracle.program(active.when)) for active in rules_in_force(policy)]
    for index, values in enumerate(customers(policy, number, seed=seed)):
        customer = oracle.customer(values)
        for active, program in rules:
            ours = active.test(values)
            compared.truths[ours] += 1
            if oracle.truth(program, customer) is not ours:
                compared.disagreements.append((index, active.rule.name))
    return compared


def customers(policy: Policy, number: int, *, seed: int) -> Iterator[Mapping[str, Value]]:
    """Facts at the boundaries that the rules name, many of them missing, each with one item that is asked for."""
    chance = random.Random(seed)
    values, _ = domain(active.when for active in rules_in_force(policy))
    for _ in range(number):
        told: dict[str, Value | None] = dict(PLAIN)
        for name, several in values.items():
            dice = chance.random()
            if dice < _ABSENT:
                told[name] = None
            elif dice > _PLAIN or name not in PLAIN:
                told[name] = chance.choice(several)
        known = {name: value for name, value in told.items() if value is not None}
        assurance = {name: chance.choice(list(Assurance)) for name in known if chance.random() < _ABSENT}
        facts = Facts(values=known, items=(), assurance=assurance, authorizations=())
        item = Item(
            model=chance.choice([*policy.catalogue, "not-in-the-catalogue"]),
            delivery=chance.choice(["api", "weights", "fine_tuning", "compute"]),
            release=chance.choice([None, "none", "source_code", "technology"]),
            volume=None,
        )
        yield with_item(derive(facts), item, policy.catalogue)


def to_cel(condition: Condition, element: Mapping[str, str] | None = None) -> str:
    """A condition in CEL; `element` says by which variable the facts of list elements are found."""
    scope = element or {}
    match condition:
        case All(parts):
            return "(" + (" && ".join(to_cel(part, scope) for part in parts) or "true") + ")"
        case AnyOf(parts):
            return "(" + (" || ".join(to_cel(part, scope) for part in parts) or "false") + ")"
        case Not(part):
            return f"!({to_cel(part, scope)})"
        case Exists(fact, where):
            return _over("exists", fact, where, scope)
        case ForAll(fact, where):
            return _over("all", fact, where, scope)
        case Leaf():
            return _leaf(condition, scope)


def _over(macro: str, fact: str, where: Condition, scope: Mapping[str, str]) -> str:
    variable = f"e{len(set(scope.values()))}"
    inner = {**scope, **dict.fromkeys(VOCABULARY[fact].elements, variable)}
    return f"{_fact(fact, scope)}.{macro}({variable}, {to_cel(where, inner)})"


def _fact(name: str, scope: Mapping[str, str]) -> str:
    return f"{scope.get(name, 'v')}[{json.dumps(name)}]"


def _leaf(leaf: Leaf, scope: Mapping[str, str]) -> str:
    there = f"({json.dumps(leaf.fact)} in {scope.get(leaf.fact, 'v')})"
    if leaf.operator == "known":
        return there if leaf.operand else f"!{there}"
    told = _compared(leaf, scope)
    if leaf.assured <= 1:
        return told
    level = f'"assured:{leaf.fact}"'
    return f"(({level} in v ? v[{level}] : 1.0) >= {float(leaf.assured)} ? {told} : {_UNKNOWN})"


def _compared(leaf: Leaf, scope: Mapping[str, str]) -> str:
    if leaf.operator == "differs_from":
        return _differs(leaf.fact, str(leaf.operand), scope)
    return _COMPARED[leaf.operator](_fact(leaf.fact, scope), leaf.operand)


def _in_places(place: str, operand: Operand) -> str:
    """In a place when it is that one or a region of it; who tells a country only may be in any of its regions."""
    places = _literal(_set(operand))
    inside = f'{places}.exists(w, {place} == w || {place}.startsWith(w + "-"))'
    around = f'{places}.exists(w, w.startsWith({place} + "-"))'
    return f"({inside} ? true : {around} ? {_UNKNOWN} : false)"


def _differs(name: str, other: str, scope: Mapping[str, str]) -> str:
    one, two = _fact(name, scope), _fact(other, scope)
    if VOCABULARY[name].type is not FactType.PLACE:
        return f"({one} != {two})"
    around = f'({one}.startsWith({two} + "-") || {two}.startsWith({one} + "-"))'
    return f"({one} == {two} ? false : {around} ? {_UNKNOWN} : true)"


_COMPARED: Mapping[str, Callable[[str, Operand], str]] = {
    "is": lambda fact, operand: f"({fact} == {_literal(operand)})",
    "in": lambda fact, operand: f"({fact} in {_literal(_set(operand))})",
    "overlaps": lambda fact, operand: f"{fact}.exists(o, o in {_literal(_set(operand))})",
    "is_place": _in_places,
    "in_places": _in_places,
    "overlaps_places": lambda fact, operand: f"{fact}.exists(p, {_in_places('p', operand)})",
    "at_least": lambda fact, operand: f"({fact} >= {_literal(operand)})",
    "above": lambda fact, operand: f"({fact} > {_literal(operand)})",
    "at_most": lambda fact, operand: f"({fact} <= {_literal(operand)})",
    "below": lambda fact, operand: f"({fact} < {_literal(operand)})",
}


def _set(operand: Operand) -> frozenset[str]:
    return operand if isinstance(operand, frozenset) else frozenset((str(operand),))


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return repr(float(value))
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, frozenset):
        return "[" + ", ".join(json.dumps(one) for one in sorted(value)) + "]"
    raise TypeError(f"no CEL for a {type(value).__name__}")


def _plain(value: object) -> object:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return value
