"""What pydantic found wrong with a value, in the words of this project: what was expected, and what came."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from service.policies.refusal import suggestion

MOST_SHOWN = 80

_CHOICES = re.compile(r"\^\(([a-z_|]+)\)\$")
_PATTERNS: Mapping[str, str] = {
    r"^[a-z][a-z0-9_]{0,62}$": "a name of small letters, digits and _, at most 63, such as embargoed_places",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$": "a name of letters, digits, '.', '_' and '-', at most 63",
    r"^[0-9a-f]{64}$": "a sha256 of 64 hexadecimal digits",
    r"\S": "a text that says something",
}


def wording(error: ErrorDetails) -> str:
    """`expected ..., got ...` for one error of a form, with a suggestion where a known word comes close."""
    given = error["input"]
    if error["type"] == "value_error":
        # Our own checks; they say themselves what came.
        return error["msg"].removeprefix("Value error, ")
    expected = _EXPECTED.get(error["type"])
    if expected is None:
        raise AssertionError(f"no words for {error['type']}")
    return f"expected {expected(error.get('ctx', {}), given)}, got {short(given)}{_quote(error['type'], given)}"


def short(value: object) -> str:
    """A value as it is shown in a message."""
    text = _plain(value)
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "..."


def _plain(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _:
            return repr(value)


def _quote(kind: str, given: object) -> str:
    return "; quote it" if kind == "string_type" and isinstance(given, bool | int) else ""


def _one_of(words: list[str], given: object) -> str:
    return f"one of {', '.join(words)}{suggestion(given, words) if isinstance(given, str) else ''}"


def _pattern(about: Mapping[str, Any], given: object) -> str:
    pattern = str(about["pattern"])
    choices = _CHOICES.fullmatch(pattern)
    return _one_of(choices[1].split("|"), given) if choices else _PATTERNS[pattern]


def _literal(about: Mapping[str, Any], given: object) -> str:
    return _one_of(re.findall(r"'([^']*)'", str(about["expected"])), given)


_EXPECTED: Mapping[str, Callable[[Mapping[str, Any], object], str]] = {
    "string_type": lambda _about, _given: "a text",
    "string_too_short": lambda _about, _given: "a text that says something",
    "string_too_long": lambda about, _given: f"a text of at most {about['max_length']} letters",
    "string_pattern_mismatch": _pattern,
    "literal_error": _literal,
    "int_type": lambda _about, _given: "a whole number without quotes",
    "greater_than_equal": lambda about, _given: f"at least {about['ge']}",
    "less_than_equal": lambda about, _given: f"at most {about['le']}",
    "bool_type": lambda _about, _given: "true or false",
    "list_type": lambda _about, _given: "a list, such as [a, b]",
    "too_short": lambda about, _given: f"a list of at least {about['min_length']}",
    "dict_type": lambda _about, _given: "a mapping of keys to values",
    "model_type": lambda _about, _given: "a mapping of keys to values",
}
