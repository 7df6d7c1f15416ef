"""How a policy document is refused: one line that says where, what was expected, what came and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class PolicyRefused(ValueError):  # noqa: N818
    """The document cannot become a policy. The message is meant for the person who wrote it."""


def suggestion(given: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when nothing known comes close."""
    close = get_close_matches(given, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
