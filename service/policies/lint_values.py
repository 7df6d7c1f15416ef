"""Values that stand for all others: enough of them to tell whether leaves about one fact can be met together. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import assert_never

from service.decide.comparison import Truth
from service.decide.condition import Exists, Leaf, compile_condition
from service.decide.facts import FactSpec, FactType, Value
from service.decide.vocabulary import VOCABULARY

SPECS: Mapping[str, FactSpec] = {
    **VOCABULARY,
    **{name: inner for spec in VOCABULARY.values() for name, inner in spec.elements.items()},
}
"""Every fact by name, those of list elements included."""

Wanted = frozenset[Truth]
"""The truths of three that a test may have."""

HAS_REGION = "has_region"
"""An operator of the search alone: whether a place names a region."""
_ANY_OTHER = "(any other)"
_NO_VALUES = ("known", "differs_from", HAS_REGION)
_OTHER_PLACE = "ZZ"


@dataclass(frozen=True, slots=True)
class Literal:
    """One test, and the truths that are wanted of it."""

    test: Leaf | Exists
    wanted: Wanted


def leaves_fit(fact: str, literals: Iterable[Literal]) -> bool:
    """Whether some value of `fact`, or its absence, gives each leaf a wanted truth.

    Exact but for `assured` and for the other fact of `differs_from`: those may be anything.
    """
    leaves = [(literal.test, literal.wanted) for literal in literals if isinstance(literal.test, Leaf)]
    spec = SPECS[fact]
    if spec.absent != "never" and all(_absent(leaf, wanted) for leaf, wanted in leaves):
        return True
    return any(all(_fits(leaf, wanted, value) for leaf, wanted in leaves) for value in _values(spec, leaves))


def _absent(leaf: Leaf, wanted: Wanted) -> bool:
    return ((leaf.operand is False) if leaf.operator == "known" else None) in wanted


def _fits(leaf: Leaf, wanted: Wanted, value: Value) -> bool:
    if leaf.operator == "known":
        return (leaf.operand is True) in wanted
    if leaf.operator == "differs_from":
        return leaf.operand != leaf.fact or False in wanted
    if leaf.operator == HAS_REGION:
        return (("-" in str(value)) is leaf.operand) in wanted
    if leaf.assured > 1:
        return None in wanted or _truth(replace(leaf, assured=1), value) in wanted
    return _truth(leaf, value) in wanted


def _truth(leaf: Leaf, value: Value) -> Truth:
    return compile_condition(leaf)({leaf.fact: value})


def _values(spec: FactSpec, leaves: list[tuple[Leaf, Wanted]]) -> Iterator[Value]:
    operands = [leaf.operand for leaf, _ in leaves if leaf.operator not in _NO_VALUES]
    match spec.type:
        case FactType.BOOLEAN:
            yield from (True, False)
        case FactType.TEXT | FactType.PLACE:
            yield from _words(spec, _mentioned(operands))
        case FactType.TEXTS | FactType.PLACES:
            words = _words(spec, _mentioned(operands))
            forbidding = [(leaf, wanted) for leaf, wanted in leaves if True not in wanted]
            yield ()
            yield tuple(word for word in words if all(_fits(leaf, wanted, (word,)) for leaf, wanted in forbidding))
        case FactType.WHOLE:
            yield from {limit + step for limit in _numbers(operands) | {Decimal(0)} for step in (-1, 0, 1)}
        case FactType.DECIMAL:
            yield from _around(_numbers(operands))
        case FactType.INSTANT | FactType.ELEMENTS:
            yield ()
        case _:
            assert_never(spec.type)


def _mentioned(operands: Iterable[object]) -> set[str]:
    found = set[str]()
    for operand in operands:
        found |= operand if isinstance(operand, frozenset) else {str(operand)}
    return found


def _words(spec: FactSpec, mentioned: set[str]) -> list[str]:
    if spec.values:
        return sorted(spec.values)
    if spec.type in (FactType.PLACE, FactType.PLACES):
        countries = {word.partition("-")[0] for word in mentioned} | {_OTHER_PLACE}
        return sorted(mentioned | countries | {f"{country}-(any other)" for country in countries})
    return sorted(mentioned | {_ANY_OTHER})


def _numbers(operands: Iterable[object]) -> set[Decimal]:
    return {Decimal(operand) for operand in operands if isinstance(operand, int | Decimal)}


def _around(limits: set[Decimal]) -> Iterator[Decimal]:
    """Each limit, what lies between two neighbours, and what lies outside all."""
    ordered = sorted(limits) or [Decimal(0)]
    yield ordered[0] - 1
    yield ordered[-1] + 1
    for one, two in pairwise(ordered):
        yield (one + two) / 2
    yield from ordered
