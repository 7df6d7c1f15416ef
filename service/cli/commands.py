"""The commands put together, and the one place where errors become exit codes."""

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, cast

import typer

from service import __version__
from service.cli import INTERRUPTED
from service.cli.output import ReaderGone, emit_bytes, example
from service.cli.words import sentence
from service.failures import ForeseenError

OK, MISUSE, READER_GONE = 0, 2, 141
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""Every kind of misuse that typer itself finds; typer exports of these classes only one of the leaves."""
_ALONE = {
    "demo": ("See it all work, in a minute.", "exportgate demo --json"),
    "serve": ("Decide events until stopped.", "exportgate serve --embedded"),
    "replay": ("Make every decision again and compare.", "exportgate replay --since 2026-06-12T21:21:00Z"),
}
"""Commands that are no groups -> what they do, and an example. Their functions are called like their modules."""
_MODULES = {
    "demo": "demo",
    "serve": "serve",
    "db": "database",
    "policy": "policy",
    "events": "events",
    "decisions": "decisions",
    "quarantine": "quarantine",
    "positions": "positions",
    "relay": "relay",
    "status": "status",
    "replay": "replay",
}
"""Commands and groups, in the order of `--help` -> the module of service.cli."""


def command_line(names: Sequence[str] = tuple(_MODULES)) -> typer.Typer:
    """The program with these commands and groups: what one does not need takes most of the time to load."""
    program = typer.Typer(
        name="exportgate",
        help="Decides whether a customer may be licensed under the export policy in force.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    program.callback()(_exportgate)
    for name in names:
        module = import_module(f"service.cli.{_MODULES[name]}")
        if name in _ALONE:
            does, how = _ALONE[name]
            program.command(name, short_help=does, epilog=example(how))(getattr(module, name))
        else:
            program.add_typer(module.app, name=name)
    return program


def _version(wanted: bool) -> None:  # noqa: FBT001 -- typer passes the option's value
    if wanted:
        emit_bytes(f"exportgate {__version__}\n".encode())
        raise typer.Exit


def _exportgate(
    *,
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Decides whether a customer may be licensed under the export policy in force."""


def _is_utf8(text: str) -> bool:
    """Python hands bytes that are no UTF-8 on as halves of characters, which no database and no document takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. What goes wrong in a way that was foreseen is one line on stderr."""
    # What libraries complain about is said by us, once and in words; `serve` sets up logging of its own.
    if not logging.root.handlers:
        logging.root.addHandler(logging.NullHandler())
    illegible = next((one for one in arguments if not _is_utf8(one)), None)
    if illegible is not None:
        return _end(f"expected arguments in UTF-8, got {illegible!a}", MISUSE)
    first = next((one for one in arguments if not one.startswith("-")), "")
    try:
        program = command_line([first] if first in _MODULES else tuple(_MODULES))
        code = program(list(arguments) or ["--help"], prog_name="exportgate", standalone_mode=False)
    except _UsageError as error:
        return _end(_one_line(error), MISUSE)
    except ForeseenError as error:
        return _end(str(error), error.exit_code)
    except ReaderGone:
        return READER_GONE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _end(message: str, code: int) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return code


def _one_line(error: Exception) -> str:
    """What typer found wrong, and where help is."""
    message = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    command = "exportgate" if context is None else context.command_path
    return f"{sentence(message)} See: {command} --help"
