"""What is wrong with a value that does not fit a schema, in words that never repeat the value. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

_KINDS: Mapping[str, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number with a point",
    "str": "text",
    "list": "a list",
    "dict": "an object",
    "NoneType": "null",
}
_TYPES: Mapping[str, str] = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
_FORMS: Mapping[str, str] = {
    "^[^": "text without control characters",
    "^-?[0-9]{": 'a decimal number in quotes, such as "49.99"',
    "^[0-9a-f]{64}": "a SHA-256 in lower-case hexadecimal",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[": "a time with its zone, such as 2026-06-01T12:00:00Z",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}": "a day, such as 2026-06-01",
}
"""How patterns of the schemas begin, the longer ones before those they begin with."""
_OTHERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "greater_than_equal": lambda bound: f"expected at least {bound['ge']}",
    "greater_than": lambda bound: f"expected more than {bound['gt']}",
    "less_than_equal": lambda bound: f"expected at most {bound['le']}",
    "less_than": lambda bound: f"expected less than {bound['lt']}",
    "string_too_short": lambda bound: f"expected text of at least {_many(bound['min_length'], 'character')}",
    "string_too_long": lambda bound: f"expected text of at most {_many(bound['max_length'], 'character')}",
    "too_short": lambda bound: f"expected at least {_many(bound['min_length'], 'member')}",
    "too_long": lambda bound: f"expected at most {_many(bound['max_length'], 'member')}",
    "literal_error": lambda bound: f"expected {bound['expected']}",
    "identifier_too_long": lambda _: "expected at most 256 bytes of UTF-8",
    "string_pattern_mismatch": lambda bound: f"expected {_form(bound['pattern'])}",
}
"""By pydantic's kind of error; what stands in its context comes from the schema."""


def wrong(error: ErrorDetails) -> str:
    """What was expected, and of what kind the value is where that is the fault; nothing of the value itself.

    `error` must hold its context. A kind of error that we have no words for is named as pydantic names it.
    """
    kind = error["type"]
    if kind in _TYPES:
        found = _KINDS.get(type(error["input"]).__name__, "another kind of value")
        return f"expected {_TYPES[kind]}, got {found}"
    if kind in _OTHERS:
        return _OTHERS[kind](error.get("ctx", {}))
    if kind.startswith(("date_", "datetime_", "timezone_")):
        return "expected a day or time of the calendar, with the zone where there is a time"
    return kind


def _many(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _form(pattern: str) -> str:
    return next((words for start, words in _FORMS.items() if pattern.startswith(start)), "text of another form")
