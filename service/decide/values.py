"""Stored and written values -> values of facts, each by the type that the vocabulary gives it."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import assert_never

from service.decide.facts import Element, FactSpec, FactType, Scalar, Value

_PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


def read_value(spec: FactSpec, raw: object) -> Value:
    """`raw`, as JSON or YAML carry it, as a value of the fact; decimals come as strings. ValueError when it is none.

    A list keeps its order, and a list of elements is a list of objects with full fact names (`evidence.place`).
    """
    match spec.type:
        case FactType.TEXT | FactType.PLACE:
            return _read_text(spec, raw)
        case FactType.BOOLEAN | FactType.WHOLE:
            return _read_plain(spec, raw)
        case FactType.DECIMAL:
            return _read_decimal(spec, raw)
        case FactType.TEXTS | FactType.PLACES:
            return tuple(_read_text(spec, one) for one in _read_list(spec, raw))
        case FactType.ELEMENTS:
            return tuple(_read_element(spec, one) for one in _read_list(spec, raw))
        case _:
            assert_never(spec.type)


def _read_plain(spec: FactSpec, raw: object) -> bool | int:
    """True and 1 are not the same here, although Python says so."""
    if isinstance(raw, int) and isinstance(raw, bool) is (spec.type is FactType.BOOLEAN):
        return raw
    raise _not_a(spec, raw)


def _read_list(spec: FactSpec, raw: object) -> list[object] | tuple[object, ...]:
    if isinstance(raw, list | tuple):
        return raw
    raise _not_a(spec, raw)


def _not_a(spec: FactSpec, raw: object) -> ValueError:
    return ValueError(f"'{spec.name}': expected a {spec.type.value}, got {raw!r}")


def _read_text(spec: FactSpec, raw: object) -> str:
    if not isinstance(raw, str):
        raise _not_a(spec, raw)
    if spec.type in (FactType.PLACE, FactType.PLACES) and not _PLACE.fullmatch(raw):
        raise ValueError(f"'{spec.name}': expected ISO 3166 codes such as GB or UA-43, got {raw!r}")
    if spec.values and raw not in spec.values:
        raise ValueError(f"'{spec.name}': expected one of {', '.join(sorted(spec.values))}, got {raw!r}")
    return raw


def _read_decimal(spec: FactSpec, raw: object) -> Decimal:
    try:
        number = Decimal(raw) if isinstance(raw, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise _not_a(spec, raw)
    return number


def _read_element(spec: FactSpec, raw: object) -> Element:
    if not isinstance(raw, Mapping):
        raise _not_a(spec, raw)
    element: dict[str, Scalar] = {}
    for name, part in raw.items():
        known = spec.elements.get(name)
        if known is None:
            raise ValueError(f"'{spec.name}': expected {', '.join(spec.elements)}, got {name!r}")
        value = read_value(known, part)
        if isinstance(value, str | bool | int | Decimal):
            element[name] = value
        else:
            element[name] = tuple(str(one) for one in value)
    return element
