"""How one value is held against an operand. Three-valued: a place whose region is not known may or may not be meant."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import ge, gt, le, lt

from service.decide.facts import Value

Truth = bool | None
"""True, False, or None for UNKNOWN."""
Operand = str | bool | int | Decimal | frozenset[str]
Test = Callable[[Mapping[str, Value]], Truth]
Comparison = Callable[[str, Operand], Test]
"""Makes the test that holds the fact of this name against this operand; an absent fact is UNKNOWN."""


def same_place(place: str, other: str) -> Truth:
    """Whether `place` lies in `other`: `UA-43` lies in `UA`.

    Whether `UA` is `UA-43` is UNKNOWN, its region not being known.
    """
    if place == other or place.startswith(other + "-"):
        return True
    return None if other.startswith(place + "-") else False


def differing_places(place: str, other: str) -> Truth:
    """Whether two places are not the same, whichever is named first: a country and a region of it may be."""
    if place == other:
        return False
    return None if other.startswith(place + "-") or place.startswith(other + "-") else True


def _place_in(wanted: frozenset[str]) -> Callable[[str], Truth]:
    parents = frozenset(entry.partition("-")[0] for entry in wanted if "-" in entry)

    def place_in(place: str) -> Truth:
        if place in wanted or ("-" in place and place.partition("-")[0] in wanted):
            return True
        return None if place in parents else False

    return place_in


_NUMBERS = (int, Decimal)


def _operand_set(operand: Operand) -> frozenset[str]:
    return operand if isinstance(operand, frozenset) else frozenset((str(operand),))


def _is(fact: str, operand: Operand) -> Test:
    def is_(values: Mapping[str, Value]) -> Truth:
        value = values.get(fact)
        return None if value is None else value == operand

    return is_


def _in(fact: str, operand: Operand) -> Test:
    wanted = _operand_set(operand)

    def in_(values: Mapping[str, Value]) -> Truth:
        value = values.get(fact)
        return None if value is None else value in wanted

    return in_


def _in_places(fact: str, operand: Operand) -> Test:
    place_in = _place_in(_operand_set(operand))

    def in_places(values: Mapping[str, Value]) -> Truth:
        value = values.get(fact)
        return place_in(value) if isinstance(value, str) else None

    return in_places


def _overlaps(fact: str, operand: Operand) -> Test:
    wanted = _operand_set(operand)

    def overlaps(values: Mapping[str, Value]) -> Truth:
        value = values.get(fact)
        return not wanted.isdisjoint(value) if isinstance(value, tuple) else None

    return overlaps


def _overlaps_places(fact: str, operand: Operand) -> Test:
    place_in = _place_in(_operand_set(operand))

    def overlaps_places(values: Mapping[str, Value]) -> Truth:
        value = values.get(fact)
        if not isinstance(value, tuple):
            return None
        truth: Truth = False
        for place in value:
            one = place_in(place) if isinstance(place, str) else None
            if one:
                return True
            if one is None:
                truth = None
        return truth

    return overlaps_places


def _ordered(test: Callable[[Decimal | int, Decimal | int], bool]) -> Comparison:
    def with_limit(fact: str, operand: Operand) -> Test:
        limit = operand if isinstance(operand, int) else Decimal(str(operand))

        def holds(values: Mapping[str, Value]) -> Truth:
            value = values.get(fact)
            return test(value, limit) if isinstance(value, _NUMBERS) else None

        return holds

    return with_limit


COMPARISONS: Mapping[str, Comparison] = {
    "is": _is,
    "is_place": _in_places,
    "in": _in,
    "in_places": _in_places,
    "overlaps": _overlaps,
    "overlaps_places": _overlaps_places,
    "at_least": _ordered(ge),
    "above": _ordered(gt),
    "at_most": _ordered(le),
    "below": _ordered(lt),
}
"""By operator. The `_places` forms treat an unknown region as UNKNOWN; the loader chooses them by the fact's type."""
