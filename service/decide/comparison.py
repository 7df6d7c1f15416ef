"""How one value is held against an operand. Three-valued: a place whose region is not known may or may not be meant."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from service.decide.facts import Value

Truth = bool | None
"""True, False, or None for UNKNOWN."""
Operand = str | bool | int | Decimal | frozenset[str]


def same_place(place: str, other: str) -> Truth:
    """Whether `place` lies in `other`: `UA-43` lies in `UA`.

    Whether `UA` is `UA-43` is UNKNOWN, its region not being known.
    """
    if place == other or place.startswith(other + "-"):
        return True
    return None if other.startswith(place + "-") else False


def _place_in(wanted: frozenset[str]) -> Callable[[str], Truth]:
    parents = frozenset(entry.partition("-")[0] for entry in wanted if "-" in entry)

    def place_in(place: str) -> Truth:
        if place in wanted or ("-" in place and place.partition("-")[0] in wanted):
            return True
        return None if place in parents else False

    return place_in


def _operand_set(operand: Operand) -> frozenset[str]:
    return operand if isinstance(operand, frozenset) else frozenset((str(operand),))


def _is(operand: Operand) -> Callable[[Value], Truth]:
    return lambda value: value == operand


def _in(operand: Operand) -> Callable[[Value], Truth]:
    wanted = _operand_set(operand)
    return lambda value: value in wanted


def _in_places(operand: Operand) -> Callable[[Value], Truth]:
    place_in = _place_in(_operand_set(operand))
    return lambda value: place_in(value) if isinstance(value, str) else None


def _overlaps(operand: Operand) -> Callable[[Value], Truth]:
    wanted = _operand_set(operand)
    return lambda value: None if not isinstance(value, tuple) else not wanted.isdisjoint(value)


def _overlaps_places(operand: Operand) -> Callable[[Value], Truth]:
    place_in = _place_in(_operand_set(operand))

    def overlaps(value: Value) -> Truth:
        if not isinstance(value, tuple):
            return None
        truths = {place_in(place) for place in value if isinstance(place, str)}
        return True if True in truths else None if None in truths else False

    return overlaps


def _ordered(
    test: Callable[[Decimal | int, Decimal | int], bool],
) -> Callable[[Operand], Callable[[Value], Truth]]:
    def with_limit(operand: Operand) -> Callable[[Value], Truth]:
        limit = operand if isinstance(operand, int) else Decimal(str(operand))
        return lambda value: test(value, limit) if isinstance(value, int | Decimal) else None

    return with_limit


COMPARISONS: Mapping[str, Callable[[Operand], Callable[[Value], Truth]]] = {
    "is": _is,
    "is_place": _in_places,
    "in": _in,
    "in_places": _in_places,
    "overlaps": _overlaps,
    "overlaps_places": _overlaps_places,
    "at_least": _ordered(lambda value, limit: value >= limit),
    "above": _ordered(lambda value, limit: value > limit),
    "at_most": _ordered(lambda value, limit: value <= limit),
    "below": _ordered(lambda value, limit: value < limit),
}
"""By operator. The `_places` forms treat an unknown region as UNKNOWN; the loader chooses them by the fact's type."""
