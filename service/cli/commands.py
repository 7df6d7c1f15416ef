"""The commands put together, and the one place where errors become exit codes."""

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, cast

import typer

from service import __version__
from service import app as exportgate
from service.cli import INTERRUPTED, database, decisions, demo, events, policy, positions, quarantine, relay, status
from service.cli.output import Failed, Misuse, ReaderGone, emit_bytes, example
from service.cli.replay import replay
from service.cli.serve import serve
from service.cli.words import sentence
from service.embedded.server import EmbeddedServerError
from service.stream.connection import StreamError

OK, FAILED, MISUSE, READER_GONE = 0, 1, 2, 141
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""Every kind of misuse that typer itself finds; typer exports of these classes only one of the leaves."""

app = typer.Typer(
    name="exportgate",
    help="Decides whether a customer may be licensed under the export policy in force.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo", short_help="See it all work, in a minute.", epilog=example("exportgate demo --json"))(demo.demo)
app.command("serve", short_help="Decide events until stopped.", epilog=example("exportgate serve --embedded"))(serve)
app.add_typer(database.app, name="db")
app.add_typer(policy.app, name="policy")
app.add_typer(events.app, name="events")
app.add_typer(decisions.app, name="decisions")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(positions.app, name="positions")
app.add_typer(relay.app, name="relay")
app.add_typer(status.app, name="status")
app.command(
    "replay",
    short_help="Make every decision again and compare.",
    epilog=example("exportgate replay --since 2026-06-12T21:21:00Z"),
)(replay)


def _version(wanted: bool) -> None:  # noqa: FBT001 -- typer passes the option's value
    if wanted:
        emit_bytes(f"exportgate {__version__}\n".encode())
        raise typer.Exit


@app.callback()
def _exportgate(
    *,
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Decides whether a customer may be licensed under the export policy in force."""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. What goes wrong in a way that was foreseen is one line on stderr."""
    # What libraries complain about is said by us, once and in words; `serve` sets up logging of its own.
    if not logging.root.handlers:
        logging.root.addHandler(logging.NullHandler())
    try:
        code = app(list(arguments) or ["--help"], prog_name="exportgate", standalone_mode=False)
    except _UsageError as error:
        return _end(_one_line(error), MISUSE)
    except (Misuse, exportgate.MisconfiguredError) as error:
        return _end(str(error), MISUSE)
    except (Failed, exportgate.ServiceFailed, EmbeddedServerError, StreamError) as error:
        return _end(str(error), FAILED)
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
