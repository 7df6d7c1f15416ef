"""How a policy document is refused: one line that says where, what was expected, what came and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_SAID = 1000
"""A name that somebody wrote may be longer than anybody reads."""


class PolicyRefused(ValueError):  # noqa: N818
    """The document cannot become a policy. The message is one line, meant for the person who wrote it."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def one_line(text: str) -> str:
    """`text` as one line of what can be shown, whatever names somebody wrote stand in it."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:MOST_SAID])
    return shown if len(text) <= MOST_SAID else shown + "..."


def suggestion(given: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when nothing known comes close."""
    close = get_close_matches(given, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
