"""How commands speak: prose and tables for people, JSON for programs, one line on stderr when something is wrong."""

import os
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.failures import ForeseenError
from service.policies.model import read_instant

WIDEST = 100
"""Longer lines of prose are hard to read."""
NOT_A_TERMINAL = 160
"""Columns of tables where nobody says how wide they may be."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program, and nothing else.")]


def _said(text: str) -> str:
    """The text of an option that is kept in the journal. Misuse when it says nothing, or not what a terminal shows."""
    if any(unicodedata.category(letter) in _UNSEEN for letter in text):
        raise typer.BadParameter(f"expected text on one line without control characters, got {text!a}")
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        raise typer.BadParameter(f"expected text that says something, got {text!a}")
    return text


_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, of bytes that are no UTF-8, and of separators of lines."""


def _said_instead_of(placeholder: str, wanted: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text == placeholder:
            raise typer.BadParameter(f"expected {wanted}, got the placeholder {text}")
        return _said(text)

    return check


_NAME, _TEXT = "NAME", "TEXT"
"""What stands in place of a name and of a reason where we print how a command is typed."""

By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar=_NAME,
        callback=_said_instead_of(_NAME, "your name"),
        help="Who does it; kept in the journal for ever.",
    ),
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar=_TEXT,
        callback=_said_instead_of(_TEXT, "your reason"),
        help="Why; kept in the journal for ever.",
    ),
]


class Misuse(ForeseenError):  # noqa: N818 -- it tells the caller what to do: say it on one line, exit 2
    """The command was given something it cannot work with. The message is one line for the person who typed it."""

    exit_code = 2


class Failed(ForeseenError):  # noqa: N818 -- as above, exit 1
    """What was asked for was tried and did not succeed, or a check did not hold. The message is one line."""


class ReaderGone(Exception):  # noqa: N818 -- as above, exit 141 as other programs do
    """Nobody reads stdout any more, as after `| head`. It is no OSError, which would be taken for the database's."""


def example(command: str) -> str:
    """The end of a command's help: how it is typed. The backspace keeps typer from wrapping it."""
    return f"\b\nExample:\n  {command}"


def console() -> Console:
    """Where answers to people go. Markup is off: what we print was written by others and may hold brackets."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else NOT_A_TERMINAL
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False, width=width)


def say(text: str) -> None:
    """Print prose; a paragraph is wrapped at a width that can be read."""
    width = min(WIDEST, console().width)
    for line in text.split("\n"):
        emit_bytes(f"{textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)}\n".encode())


def say_command(command: str) -> None:
    """Print a command to type next, on a line of its own and never wrapped, since it is there to be copied."""
    emit_bytes(f"  {command}\n".encode())


def warn(text: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(f"{text}\n")


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, none: str) -> None:
    """Print a table, or the sentence `none` when it has no rows."""
    if not rows:
        say(none)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        # The first column is what one copies.
        table.add_column(column, no_wrap=number == 0)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    out = console()
    with out.capture() as captured:
        out.print(table)
    # Cells are padded to their column's width, which nobody wants in a file.
    emit_bytes("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()).encode())


def emit(value: object) -> None:
    """Print one JSON value on a line of its own; bytes as hexadecimal, instants as RFC 3339 in UTC."""
    options = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_APPEND_NEWLINE
    emit_bytes(orjson.dumps(value, default=_plain, option=options))


def emit_bytes(content: bytes) -> None:
    """Print bytes as they are. ReaderGone when nobody takes them."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def clock(at: datetime | None) -> str:
    """An instant in a table: sortable, to the second, UTC; a dash for none."""
    return "-" if at is None else at.strftime("%Y-%m-%d %H:%M:%SZ")


def read_time(text: str, option: str) -> datetime:
    """The instant that `option` gives. Misuse when it is none."""
    try:
        return read_instant(text)
    except ValueError as error:
        raise Misuse(f"{option}: {error}") from None


def read_uuid(text: str, what: str) -> UUID:
    """The id in `text`. Misuse when it is none."""
    try:
        return UUID(text)
    except ValueError:
        raise Misuse(f"expected {what} such as 8f14e45f-ceea-567a-9a36-dedd4bea2543, got {text!r}") from None


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case Decimal() | UUID():
            return str(value)
        case frozenset():
            return sorted(value)
        case _ if hasattr(value, "__dataclass_fields__"):
            return {name: getattr(value, name) for name in value.__dataclass_fields__}
        case _:
            raise TypeError(f"no JSON form for a {type(value).__name__}")
