"""The values at which conditions may change their minds: what a search for a difference has to try. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, product

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not
from service.decide.facts import Element, FactSpec, FactType, Scalar, Value
from service.decide.vocabulary import VOCABULARY
from service.places import COUNTRIES

_MOST_ELEMENTS = 60
_OTHER = "something else"
_STEP = Decimal("0.01")
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "customer.home_places": ("customer.headquartered_in",),
    "customer.places": ("customer.headquartered_in",),
    "customer.places_readable": ("customer.unreadable_places",),
    "location.presence": ("location.evidence",),
    "person.foreign": ("customer.organized_in", "customer.users_population", "person.us_status"),
    "person.us": ("customer.organized_in", "person.us_status", "person.located_in"),
}
"""Derived facts, and the told ones by which they are varied."""
_SOURCE_ELEMENTS: Mapping[str, str] = {
    "presence.place": "evidence.place",
    "presence.days": "evidence.days",
    "presence.share": "evidence.share",
}
_TOLD: Mapping[str, tuple[Value, ...]] = {
    "customer.organized_in": ("US", "FR"),
    "customer.unreadable_places": ((), ("billing_in",)),
}
"""What a derived fact tells apart, beyond the operands that name it."""

Domain = Mapping[str, Sequence[Value | None]]
"""Fact -> the values worth trying; None means that it is absent."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What conditions ask: leaves by fact, the parts that are asked of list elements, and places of each kind."""

    leaves: Mapping[str, Sequence[Leaf]]
    parts: Mapping[str, Sequence[str]]
    places: Sequence[str]


def domain(conditions: Iterable[Condition]) -> tuple[Domain, set[str]]:
    """The values to try of every fact that these conditions look at, and the facts that cannot be varied.

    Places that no condition tells apart are one value; thresholds are tried below, at and above.
    """
    asked = _asked(conditions)
    values: dict[str, Sequence[Value | None]] = {}
    fixed: set[str] = set()
    for name in sorted((asked.leaves.keys() | asked.parts.keys()) & VOCABULARY.keys()):
        if name.startswith("item."):
            continue
        if VOCABULARY[name].derived and name not in _SOURCES:
            fixed.add(name)
            continue
        for source in _SOURCES.get(name, (name,)):
            own = _values(asked, VOCABULARY[source], name)
            values[source] = _distinct([*values.get(source, ()), *own, *_TOLD.get(source, ()), *_absence(source)])
    return values, fixed


def item_values(conditions: Iterable[Condition], fact: str) -> list[Value]:
    """The values that conditions name for a fact of an item, such as its delivery."""
    asked = _asked(conditions)
    found = _values(asked, VOCABULARY[fact], fact) if fact in asked.leaves else []
    return [value for value in found if value != _OTHER]


def _asked(conditions: Iterable[Condition]) -> _Asked:
    leaves: defaultdict[str, list[Leaf]] = defaultdict(list)
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for condition in conditions:
        _collect(condition, leaves, parts)
    return _Asked(leaves, parts, _representatives([leaf for several in leaves.values() for leaf in several]))


def _collect(condition: Condition, leaves: defaultdict[str, list[Leaf]], parts: defaultdict[str, list[str]]) -> None:
    match condition:
        case All(inner) | AnyOf(inner):
            for part in inner:
                _collect(part, leaves, parts)
        case Not(part):
            _collect(part, leaves, parts)
        case Exists(fact, where) | ForAll(fact, where):
            inside: defaultdict[str, list[Leaf]] = defaultdict(list)
            _collect(where, inside, parts)
            parts[fact] += sorted(name for name in inside if name in VOCABULARY[fact].elements)
            for name, several in inside.items():
                leaves[name] += several
        case Leaf():
            leaves[condition.fact].append(condition)
            if condition.operator == "differs_from":
                leaves[str(condition.operand)].append(condition)


def _values(asked: _Asked, spec: FactSpec, name: str) -> list[Value]:
    """The values to try of a fact of this kind, where `name` is the fact that conditions ask about."""
    if spec.type is FactType.ELEMENTS:
        return [(), *_lists_of_one(asked, spec, name)]
    return [*_scalars(asked, spec, name)]


def _scalars(asked: _Asked, spec: FactSpec, name: str) -> list[Scalar]:
    leaves = asked.leaves.get(name, ())
    make = _SCALARS.get(spec.type)
    return [] if make is None else make(asked, spec, leaves)


_Make = Callable[[_Asked, FactSpec, Sequence[Leaf]], list[Scalar]]
_SCALARS: Mapping[FactType, _Make] = {
    FactType.PLACE: lambda asked, _spec, _leaves: [*asked.places],
    FactType.PLACES: lambda asked, _spec, _leaves: [(), *((place,) for place in asked.places)],
    FactType.BOOLEAN: lambda _asked, _spec, _leaves: [True, False],
    FactType.TEXT: lambda _asked, spec, leaves: sorted(spec.values) if spec.values else [*_texts(leaves), _OTHER],
    FactType.TEXTS: lambda _asked, _spec, leaves: [(), *((text,) for text in _texts(leaves))],
    FactType.WHOLE: lambda _asked, spec, leaves: _around(spec, leaves),
    FactType.DECIMAL: lambda _asked, spec, leaves: _around(spec, leaves),
}


def _lists_of_one(asked: _Asked, spec: FactSpec, name: str) -> Iterator[tuple[Element, ...]]:
    """Lists of one element, in all combinations of what is asked of elements, up to a limit."""
    choices = []
    for part in sorted(set(asked.parts.get(name, ()))):
        told = _SOURCE_ELEMENTS.get(part, part)
        if told in spec.elements and not spec.elements[told].derived:
            choices.append([(told, value) for value in _scalars(asked, spec.elements[told], part)] + [None])
    for chosen in islice(product(*choices), _MOST_ELEMENTS):
        element = dict(one for one in chosen if one is not None)
        if element:
            yield (element,)


def _texts(leaves: Iterable[Leaf]) -> list[str]:
    operands = [leaf.operand for leaf in leaves if leaf.operator not in ("known", "differs_from")]
    return sorted(
        {text for one in operands for text in (one if isinstance(one, frozenset) else [one]) if isinstance(text, str)}
    )


def _around(spec: FactSpec, leaves: Iterable[Leaf]) -> list[Scalar]:
    """Below, at and above every threshold."""
    limits = sorted({Decimal(str(leaf.operand)) for leaf in leaves if _is_number(leaf.operand)})
    if spec.type is FactType.WHOLE:
        return [number for limit in limits for number in (int(limit) - 1, int(limit), int(limit) + 1)]
    return [number for limit in limits for number in (limit - _STEP, limit, limit + _STEP)]


def _is_number(operand: object) -> bool:
    return isinstance(operand, (int, Decimal)) and not isinstance(operand, bool)


def _representatives(leaves: Iterable[Leaf]) -> list[str]:
    """One place of each kind that conditions tell apart; the United Kingdom stands for its kind."""
    sets = list({_places(leaf.operand) for leaf in leaves if leaf.operator.endswith(("place", "places"))})
    candidates = ["GB", "US", *sorted(COUNTRIES), *sorted({place for one in sets for place in one if "-" in place})]
    kinds: dict[tuple[bool, ...], str] = {}
    for place in candidates:
        country = place.partition("-")[0]
        kind = (*(place in one or country in one for one in sets), "-" in place, place == "US")
        kinds.setdefault(kind, place)
    return list(kinds.values())


def _places(operand: object) -> frozenset[str]:
    return operand if isinstance(operand, frozenset) else frozenset((str(operand),))


def _absence(name: str) -> list[None]:
    """A fact that is never absent must not be tried without."""
    return [] if VOCABULARY[name].absent == "never" else [None]


def _distinct(values: Iterable[Value | None]) -> list[Value | None]:
    found: list[Value | None] = []
    for value in values:
        # True equals 1 here, which does not matter: a fact is of one type.
        if not any(value is one or (value is not None and value == one) for one in found):
            found.append(value)
    return found
