"""How things are put into words: instants, items, places, lists, facts. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from service.decide.facts import FactSpec, Value
from service.decide.vocabulary import VOCABULARY

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DELIVERIES = {"api": "by API", "weights": "as weights", "fine_tuning": "for fine-tuning", "compute": "as compute"}
_MOST_LISTED = 6

Shown = Value | tuple[Mapping[str, Value], ...]
"""A fact's value, or those elements of a list that matter."""

FACT_WORDS: Mapping[str, FactSpec] = {
    **VOCABULARY,
    **{name: inner for spec in VOCABULARY.values() for name, inner in spec.elements.items()},
}
"""Every fact by name, those of list elements included."""


def day(at: datetime) -> str:
    """`12 June 2026`, in UTC."""
    at = at.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def moment(at: datetime) -> str:
    """`12 June 2026 at 21:21:00 UTC`."""
    return f"{day(at)} at {at.astimezone(UTC):%H:%M:%S} UTC"


def joined(parts: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; everything is named, however many there are."""
    shown = list(parts)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}" if shown else "nothing"


def few(parts: Sequence[str]) -> str:
    """As `joined`; of a long list the first few and how many more."""
    if len(parts) <= _MOST_LISTED:
        return joined(parts)
    return joined([*parts[: _MOST_LISTED - 1], f"{len(parts) - _MOST_LISTED + 1} more"])


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 rule`, `2 rules`, `1,204 rules`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def item(model: str, delivery: str) -> str:
    """`fable-5 by API`."""
    return f"{model} {_DELIVERIES.get(delivery, delivery)}"


def items(listed: Sequence[Mapping[str, Any]]) -> str:
    """Items of a decision's body."""
    return joined(item(one["model"], one["delivery"]) for one in listed)


def sentence(text: str) -> str:
    """`text` with a full stop."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def fact(name: str) -> str:
    """A fact in the words of the vocabulary, its name behind it."""
    spec = FACT_WORDS.get(name)
    return name if spec is None else f"{spec.doc} ({name})"


def value(raw: Shown) -> str:
    """A fact's value in words; of a list of elements each one."""
    match raw:
        case bool():
            return "yes" if raw else "no"
        case tuple():
            return joined(_element(one) if isinstance(one, Mapping) else str(one) for one in raw) if raw else "none"
        case _:
            return str(raw)


def _element(one: Mapping[str, Value]) -> str:
    """What an event said of one element of a list, in the order of the vocabulary."""
    told = [name for name, spec in FACT_WORDS.items() if name in one and not spec.derived]
    return ", ".join(f"{name.rpartition('.')[2].replace('_', ' ')} {value(one[name])}" for name in told)
