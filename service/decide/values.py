"""Stored and written values -> values of facts, each by the type that the vocabulary gives it."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import assert_never, cast

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
            return _elements_reader(spec)
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
    is_place, values = spec.type in (FactType.PLACE, FactType.PLACES), spec.values

    def read_one_of(raw: object) -> str:
        if isinstance(raw, str) and raw in values:
            return raw
        raise _no_text(spec, raw)

    def read_place(raw: object) -> str:
        if isinstance(raw, str) and _is_place(raw):
            return raw
        raise _no_text(spec, raw)

    def read_any(raw: object) -> str:
        if isinstance(raw, str):
            return raw
        raise _no_text(spec, raw)

    return read_place if is_place else read_one_of if values else read_any


@lru_cache(maxsize=4096)
def _is_place(text: str) -> bool:
    return _PLACE.fullmatch(text) is not None


def _no_text(spec: FactSpec, raw: object) -> ValueError:
    if not isinstance(raw, str):
        return _not_a(spec, raw)
    known = ", ".join(sorted(spec.values)) or "ISO 3166 codes such as GB or UA-43"
    return ValueError(f"'{spec.name}': expected {f'one of {known}' if spec.values else known}, got {raw!r}")


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


def _elements_reader(spec: FactSpec) -> Callable[[object], tuple[Element, ...]]:
    # Lists do not nest, so what an element holds is no list of elements.
    readers = {name: cast("Callable[[object], Scalar]", reader_of(part)) for name, part in spec.elements.items()}

    def read(raw: object) -> tuple[Element, ...]:
        elements: list[Element] = []
        for one in _read_list(spec, raw):
            if not isinstance(one, dict):
                raise _not_a(spec, one)
            try:
                elements.append({name: readers[name](part) for name, part in one.items()})
            except KeyError as error:
                known = ", ".join(spec.elements)
                raise ValueError(f"'{spec.name}': expected {known}, got {error.args[0]!r}") from None
        return tuple(elements)

    return read


def _not_a(spec: FactSpec, raw: object) -> ValueError:
    article = "an" if spec.type is FactType.INSTANT else "a"
    return ValueError(f"'{spec.name}': expected {article} {spec.type.value}, got {raw!r}")
