"""Stored and written values -> values of facts, each by the type that the vocabulary gives it."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import assert_never

from service.decide.facts import Element, FactSpec, FactType, Scalar, Value

_PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

Reader = Callable[[object], Value]


def read_value(spec: FactSpec, raw: object) -> Value:
    """`raw`, as JSON or YAML carry it, as a value of the fact; decimals come as strings. ValueError when it is none.

    A list keeps its order, and a list of elements is a list of objects with full fact names (`evidence.place`).
    """
    return reader_of(spec)(raw)


def reader_of(spec: FactSpec) -> Reader:
    """`read_value` for one fact, made once where many values are read."""
    match spec.type:
        case FactType.TEXT | FactType.PLACE:
            return _text_reader(spec)
        case FactType.BOOLEAN | FactType.WHOLE:
            return _plain_reader(spec)
        case FactType.DECIMAL:
            return lambda raw: _read_decimal(spec, raw)
        case FactType.INSTANT:
            return lambda raw: _read_instant(spec, raw)
        case FactType.TEXTS | FactType.PLACES:
            read_text = _text_reader(spec)
            return lambda raw: tuple([read_text(one) for one in _read_list(spec, raw)])
        case FactType.ELEMENTS:
            readers = {name: reader_of(part) for name, part in spec.elements.items()}
            return lambda raw: tuple([_read_element(spec, readers, one) for one in _read_list(spec, raw)])
        case _:
            assert_never(spec.type)


def _plain_reader(spec: FactSpec) -> Callable[[object], bool | int]:
    """True and 1 are not the same here, although Python says so."""
    boolean = spec.type is FactType.BOOLEAN

    def read(raw: object) -> bool | int:
        if isinstance(raw, int) and isinstance(raw, bool) is boolean:
            return raw
        raise _not_a(spec, raw)

    return read


def _text_reader(spec: FactSpec) -> Callable[[object], str]:
    is_place = spec.type in (FactType.PLACE, FactType.PLACES)

    def read(raw: object) -> str:
        if not isinstance(raw, str):
            raise _not_a(spec, raw)
        if is_place and not _PLACE.fullmatch(raw):
            raise ValueError(f"'{spec.name}': expected ISO 3166 codes such as GB or UA-43, got {raw!r}")
        if spec.values and raw not in spec.values:
            raise ValueError(f"'{spec.name}': expected one of {', '.join(sorted(spec.values))}, got {raw!r}")
        return raw

    return read


def _read_instant(spec: FactSpec, raw: object) -> str:
    if not isinstance(raw, str) or not _INSTANT.fullmatch(raw):
        raise _not_a(spec, raw)
    try:
        datetime.fromisoformat(raw)
    except ValueError:
        raise _not_a(spec, raw) from None
    return raw


def _read_decimal(spec: FactSpec, raw: object) -> Decimal:
    try:
        number = Decimal(raw) if isinstance(raw, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise _not_a(spec, raw)
    return number


def _read_list(spec: FactSpec, raw: object) -> list[object] | tuple[object, ...]:
    if isinstance(raw, (list, tuple)):
        return raw
    raise _not_a(spec, raw)


def _read_element(spec: FactSpec, readers: Mapping[str, Reader], raw: object) -> Element:
    if not isinstance(raw, dict):
        raise _not_a(spec, raw)
    element: dict[str, Scalar] = {}
    for name, part in raw.items():
        read = readers.get(name)
        if read is None:
            raise ValueError(f"'{spec.name}': expected {', '.join(spec.elements)}, got {name!r}")
        value = read(part)
        element[name] = tuple([str(one) for one in value]) if isinstance(value, tuple) else value
    return element


def _not_a(spec: FactSpec, raw: object) -> ValueError:
    article = "an" if spec.type is FactType.INSTANT else "a"
    return ValueError(f"'{spec.name}': expected {article} {spec.type.value}, got {raw!r}")
