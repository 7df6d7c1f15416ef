"""The `exportgate` command: one module a group of commands. This one is light: Ctrl-C is quiet early."""

import os
import sys
from collections.abc import Sequence

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit: 0 done, 1 a failed check, 2 misuse, 130 Ctrl-C, 141 nobody reads the output."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    _drop_unread_output()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. What goes wrong in a way that was foreseen is one line on stderr."""
    from service.cli import commands  # noqa: PLC0415 -- it takes a second, in which Ctrl-C may come

    return commands.run(arguments)


def _drop_unread_output() -> None:
    """Flush stdout. Where nobody reads it any more, Python itself would complain about that on its way out."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
