"""What may befall the document of an event before it is written: the larger part of the mutations of the fuzz tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

Json = dict[str, Any]
Place = tuple[Any, Any]
"""A container, and a name or index in it."""

TWICE = "@twice@"
"""Stands before a name that is to be written a second time."""
RAW = "@raw@"
"""Stands before what is to be written as it is, and not as a string."""


def _places(value: Any) -> list[Place]:
    """All (container, name or index) of a document, outermost first."""
    found: list[Place] = []
    waiting = [value]
    for container in waiting:
        pairs = list(container.items()) if isinstance(container, dict) else list(enumerate(container))
        found += [(container, name) for name, _ in pairs]
        waiting += [inner for _, inner in pairs if isinstance(inner, dict | list)]
    return found


def _at(document: Json, where: int) -> Place:
    places = _places(document)
    return places[where % len(places)] if places else (document, "x")


def pick(values: Sequence[Any], what: int) -> Any:
    """One of these, as a copy, since the next mutation may change it."""
    return deepcopy(values[what % len(values)])


def _deep(levels: int) -> Any:
    value: Any = 7
    for _ in range(levels):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 1.0, 1.5, -0.0, 2**53 - 1, 2**53, 2**63, -(2**63), 10**30),
    *(RAW + text for text in ("1e999", "NaN", "-Infinity", f"1{'0' * 5000}", "1E+2", "01", "+1", ".5")),
    *("", " ", "1", "-1", "0", "NaN", "sNaN", "Infinity", "1e999999", "1,5", "١", "100.000000000000000001", "9" * 40),
    *("GB", "IR", "gb", "HK", "ZZ", "UA-43", "Russia", "null", "true", "api", "none", "x" * 600, "é" * 200),
    *("2026-06-01", "2099-01-01T00:00:00Z", "2026-06-01T12:00:00", "1780000000", "2023-02-29", "0001-01-01T00:00:00Z"),
    *("\u0000", "\ud800", "\udc00", "\u202e", "\ufeff", "\u2028", "\uffff", "\U0010ffff", "a\u0301", "🏦"),
    *([], {}, [None], [[]], [""], ["IR"], {"a": 1}, [1] * 600, {f"n{n}": n for n in range(300)}, _deep(20), _deep(40)),
)
_CHARACTERS = "\x00\x01\n\x7f\x9b\ud800\udfff\u202e\u2066\u200b\ufeff\u2028\u00a0\u0301\ufffeаＩ'\"\\<{@%"
_MISSPELLINGS: tuple[Callable[[str], str], ...] = (
    str.upper,
    str.capitalize,
    lambda name: name + " ",
    lambda name: "\ufeff" + name,
    lambda name: name.replace("_", "-") + "-",
    lambda name: re.sub("_(.)", lambda found: found[1].upper(), name) + "X",
    lambda name: name.replace("a", "а").replace("e", "е") + "е",
    lambda name: name[:-1],
    lambda name: name + "\u200b",
)


def _remove(document: Json, where: int, _: int) -> None:
    container, name = _at(document, where)
    del container[name]


def _rename(document: Json, where: int, what: int) -> None:
    container, name = _at(document, where)
    if isinstance(container, dict):
        container[pick(_MISSPELLINGS, what)(name)] = container.pop(name)


def _double(document: Json, where: int, what: int) -> None:
    container, name = _at(document, where)
    if isinstance(container, dict):
        container[TWICE + name] = container[name] if what % 2 else pick(VALUES, what)


def _replace(document: Json, where: int, what: int) -> None:
    container, name = _at(document, where)
    container[name] = pick(VALUES, what)


def _nest(document: Json, where: int, what: int) -> None:
    container, name = _at(document, where)
    value = container[name]
    container[name] = pick(([value], {"value": value}, {name: value}, [[value]], json.dumps(value)), what)


def _retype(document: Json, where: int, _: int) -> None:
    """The same value as the type that a careless writer gives it."""
    container, name = _at(document, where)
    value = container[name]
    if isinstance(value, bool) or value is None:
        container[name] = str(value).lower()
    elif isinstance(value, int):
        container[name] = pick((str(value), float(value), bool(value)), where)
    elif isinstance(value, str):
        container[name] = float(value) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value, re.ASCII) else list(value)
    elif isinstance(value, list):
        container[name] = {str(number): one for number, one in enumerate(value)}


def _hoist(document: Json, where: int, _: int) -> None:
    data = document.get("data")
    if isinstance(data, dict) and data:
        name = pick(list(data), where)
        document[name] = data.pop(name)


def _swallow(document: Json, where: int, _: int) -> None:
    data = document.get("data")
    if isinstance(data, dict):
        name = pick(list(document), where)
        if name != "data":
            data[name] = document.pop(name)


def _in_text(document: Json, where: int, what: int) -> None:
    texts = [(container, name) for container, name in _places(document) if isinstance(container[name], str)]
    if texts:
        container, name = texts[where % len(texts)]
        value = container[name]
        at = what % (len(value) + 1)
        container[name] = value[:at] + pick(_CHARACTERS, what) + value[at:]


_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.upper,
    str.lower,
    str.swapcase,
    lambda text: " " + text,
    lambda text: text + " ",
    lambda text: text + "\u00a0",
    lambda text: text[1:],
    lambda text: text[::-1],
    lambda text: text * 2,
)


def _respell(document: Json, where: int, what: int) -> None:
    texts = [(container, name) for container, name in _places(document) if isinstance(container[name], str)]
    if texts:
        container, name = texts[where % len(texts)]
        container[name] = pick(_SPELLINGS, what)(container[name])


_PLACES = (
    *("gb", " GB", "GB ", "Gb", "UK", "ZZ", "XK", "SU", "IR", "HK", "UA", "UA-43", "UA-99", "Russia", "", "ІR"),
    "GBR",
)
_PLACE_FIELDS = ("_in", "place", "country", "countries", "deliver_to")


def _move(document: Json, where: int, what: int) -> None:
    """Another place, or what somebody took for one."""
    places = [(container, name) for container, name in _places(document) if str(name).endswith(_PLACE_FIELDS)]
    if places:
        container, name = places[where % len(places)]
        place = pick(_PLACES, what)
        container[name] = [place] if isinstance(container[name], list) else place


_TIMES = (
    *("2099-06-01T12:00:00Z", "2001-01-01T00:00:00Z", "2026-06-01T12:00:00+14:00", "2026-06-01t12:00:00z"),
    *("2026-06-01T12:00:00", "2026-06-01 12:00:00Z", "2026-06-01T23:59:60Z", "2026-02-30T12:00:00Z", "1780000000"),
    *("2026-06-01T12:00:00.123456789Z", "2100-01-01T00:00:00Z", "2026-06-01T24:00:00Z", "2026-06-01T12:00:00+25:00"),
)


def _date(document: Json, _: int, what: int) -> None:
    document["time"] = pick(_TIMES, what)


def _add_unknown(document: Json, where: int, what: int) -> None:
    """A field of a version to come, or an extension attribute; harmless, whatever its value of JSON is."""
    data = document.get("data")
    place = data if where % 2 and isinstance(data, dict) else document
    place["zz_unknown"] = pick((None, 7, "IR", ["a:b"], {"account_id": "rival"}, 1.5, "🏦", _deep(20)), what)


def _add_attribute(document: Json, _: int, what: int) -> None:
    name, value = pick((("datacontenttype", "text/plain"), ("env", "production"), ("subject", "x")), what)
    document[name] = value


def _no_document(document: Json, _: int, what: int) -> None:
    """The data is gone, or stands alone."""
    data = document.pop("data", {})
    if what % 2 and isinstance(data, dict):
        document.clear()
        document.update(data)


IN_DOCUMENT: dict[str, Callable[[Json, int, int], None]] = {
    "removed": _remove,
    "renamed": _rename,
    "doubled": _double,
    "replaced": _replace,
    "nested": _nest,
    "retyped": _retype,
    "hoisted": _hoist,
    "swallowed": _swallow,
    "a character in a text": _in_text,
    "respelt": _respell,
    "moved": _move,
    "dated": _date,
    "no data": _no_document,
    "an unknown field": _add_unknown,
    "an attribute": _add_attribute,
}
