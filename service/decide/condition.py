"""Three-valued conditions: a tree of law, compiled to closures. Strong Kleene logic; None is UNKNOWN."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from service.decide.comparison import COMPARISONS, Operand, Test, Truth, differing_places
from service.decide.facts import Value
from service.decide.vocabulary import VOCABULARY


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One fact held against one operand.

    `operator` is `known`, `differs_from` or one of `COMPARISONS`. `assured`: a value known less surely than this is
    UNKNOWN; 1 demands nothing.
    """

    fact: str
    operator: str
    operand: Operand
    assured: int


@dataclass(frozen=True, slots=True)
class All:
    """True when all are; false when one is, whatever the others."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one is, whatever the others; false when all are."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Exists:
    """Some element of the list fits. An absent list is UNKNOWN, an empty one false."""

    fact: str
    where: "Condition"


@dataclass(frozen=True, slots=True)
class ForAll:
    """Every element of the list fits. An absent list is UNKNOWN, an empty one true."""

    fact: str
    where: "Condition"


Condition = Leaf | All | AnyOf | Not | Exists | ForAll
Missing = Callable[[Mapping[str, Value]], list[str]]


def compile_condition(condition: Condition) -> Test:
    """A function that tells the truth of `condition` for a mapping of values.

    It never raises for values of the right type.
    """
    match condition:
        case All(parts):
            return _all(tuple(compile_condition(part) for part in parts))
        case AnyOf(parts):
            return _any(tuple(compile_condition(part) for part in parts))
        case Not(part):
            return _not(compile_condition(part))
        case Exists(fact, where):
            return _exists(fact, compile_condition(where), alone=_asks_only_elements(where, fact))
        case ForAll(fact, where):
            return _not(_exists(fact, _not(compile_condition(where)), alone=_asks_only_elements(where, fact)))
        case Leaf():
            return _leaf(condition)


def facts_of(condition: Condition) -> Iterator[str]:
    """The facts that `condition` looks at. May repeat a name."""
    match condition:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from facts_of(part)
        case Not(part):
            yield from facts_of(part)
        case Exists(fact, where) | ForAll(fact, where):
            yield fact
            yield from facts_of(where)
        case Leaf(fact=fact, operator=operator, operand=operand):
            yield fact
            if operator == "differs_from":
                yield str(operand)


def missing_facts(condition: Condition, values: Mapping[str, Value]) -> list[str]:
    """The facts that make `condition` unknown for `values`: what somebody would have to tell us. May repeat a name."""
    return compile_missing(condition)(values)


def compile_missing(condition: Condition) -> Missing:
    """`missing_facts` for one condition, made once where many mappings of values are looked at."""
    test, found = compile_condition(condition), _missing_inside(condition)
    return lambda values: found(values) if test(values) is None else []


def _missing_inside(condition: Condition) -> Missing:
    """What is missing of the parts of a condition that is unknown."""
    match condition:
        case All(parts) | AnyOf(parts):
            several = tuple(compile_missing(part) for part in parts)
            return lambda values: [fact for one in several for fact in one(values)]
        case Not(part):
            return compile_missing(part)
        case Exists(fact, where) | ForAll(fact, where):
            return _missing_of_elements(fact, compile_missing(where))
        case Leaf(fact=fact):
            return lambda _: [fact]


def _missing_of_elements(fact: str, where: Missing) -> Missing:
    def missing(values: Mapping[str, Value]) -> list[str]:
        elements = values.get(fact)
        if elements is None:
            return [fact]
        return [name for element in _elements(elements) for name in where({**values, **element})]

    return missing


def matching_elements(condition: Condition, fact: str, values: Mapping[str, Value]) -> Iterator[Mapping[str, Value]]:
    """The elements of list `fact` that some `exists` of `condition` finds fitting."""
    match condition:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from matching_elements(part, fact, values)
        case Exists(name, where) if name == fact:
            test = compile_condition(where)
            for element in _elements(values.get(fact, ())):
                if test({**values, **element}):
                    yield element
        case _:
            return


def _elements(value: Value) -> tuple[Mapping[str, Value], ...]:
    """The elements of a list fact. TypeError for anything else: passing over it would be passing over a hit."""
    if not isinstance(value, tuple):
        raise TypeError(f"expected a list of elements, found a {type(value).__name__}")
    return cast("tuple[Mapping[str, Value], ...]", value)


def _all(tests: tuple[Test, ...]) -> Test:
    def all_of(values: Mapping[str, Value]) -> Truth:
        truth: Truth = True
        for test in tests:
            one = test(values)
            if one is False:
                return False
            if one is None:
                truth = None
        return truth

    return all_of


def _any(tests: tuple[Test, ...]) -> Test:
    def any_of(values: Mapping[str, Value]) -> Truth:
        truth: Truth = False
        for test in tests:
            one = test(values)
            if one:
                return True
            if one is None:
                truth = None
        return truth

    return any_of


def _not(test: Test) -> Test:
    def opposite(values: Mapping[str, Value]) -> Truth:
        truth = test(values)
        return None if truth is None else not truth

    return opposite


def _asks_only_elements(where: Condition, fact: str) -> bool:
    """Whether `where` looks at the element alone, so that it need not be seen together with all other facts."""
    return all(name in VOCABULARY[fact].elements for name in facts_of(where)) and not _demands_assurance(where)


def _demands_assurance(condition: Condition) -> bool:
    match condition:
        case All(parts) | AnyOf(parts):
            return any(_demands_assurance(part) for part in parts)
        case Not(part) | Exists(_, part) | ForAll(_, part):
            return _demands_assurance(part)
        case Leaf():
            return condition.assured > 1


def _exists(fact: str, where: Test, *, alone: bool) -> Test:
    def exists(values: Mapping[str, Value]) -> Truth:
        elements = values.get(fact)
        if elements is None:
            return None
        truth: Truth = False
        for element in _elements(elements):
            one = where(element if alone else {**values, **element})
            if one:
                return True
            if one is None:
                truth = None
        return truth

    return exists


def _leaf(leaf: Leaf) -> Test:
    fact = leaf.fact
    if leaf.operator == "known":
        return lambda values: (fact in values) is leaf.operand
    if leaf.operator == "differs_from":
        return _differs(fact, str(leaf.operand))
    holds = COMPARISONS[leaf.operator](fact, leaf.operand)
    if leaf.assured <= 1:
        return holds
    key = "assured:" + fact
    demanded = leaf.assured

    def holds_assured(values: Mapping[str, Value]) -> Truth:
        level = values.get(key, 1)
        return holds(values) if isinstance(level, int) and level >= demanded else None

    return holds_assured


def _differs(fact: str, other: str) -> Test:
    def differs(values: Mapping[str, Value]) -> Truth:
        one, two = values.get(fact), values.get(other)
        if one is None or two is None:
            return None
        if isinstance(one, str) and isinstance(two, str):
            return differing_places(one, two)
        return one != two

    return differs
