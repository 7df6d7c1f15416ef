"""Commands as a person types them: each a process of its own, in one folder, with what it said and how long it took."""

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.demo.stream import DemoFailed

EXPORTGATE = "exportgate"
REFUSED = 1
_OURS = "EXPORTGATE_"
_INTO = ">"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A command to type, with why. `refused`: it must end with exit code 1. `> FILE` at its end takes what it answers.

    `brief`: it was shown before for another version, so a line is enough for it.
    """

    command: str
    why: str
    refused: bool = False
    brief: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that was typed. `version` is the one it is about, None for what is done once; `said` has every line."""

    version: str | None
    command: str
    why: str
    refused: bool
    exit_code: int
    seconds: float
    said: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Where commands run: a folder, and the installation that `variables` lead to, whatever the outer shell is for.

    `columns` is how wide its lines are.
    """

    folder: Path
    variables: Mapping[str, str]
    columns: int

    async def run(self, typed: Typed, *, version: str | None) -> Step:
        """Run a command to its end. DemoFailed when it does not end as it must."""
        program, *arguments = shlex.split(typed.command)
        into = None
        if arguments[-2:-1] == [_INTO]:
            into, arguments = self.folder / arguments[-1], arguments[:-2]
        if program != EXPORTGATE:
            raise ValueError(f"expected a command of {EXPORTGATE}, found {program}")
        begun = time.monotonic()
        code, said = await self._run(arguments, into)
        step = Step(
            version=version,
            command=typed.command,
            why=typed.why,
            refused=typed.refused,
            exit_code=code,
            seconds=time.monotonic() - begun,
            said=said,
        )
        if code != (REFUSED if typed.refused else 0):
            expected = "be refused" if typed.refused else "succeed"
            raise DemoFailed(f"expected to {expected}, ended with {code}: {typed.command}: {' '.join(said[-1:])}")
        return step

    async def _run(self, arguments: Sequence[str], into: Path | None) -> tuple[int, Sequence[str]]:
        """How it ended and what it said, but for what went into a file."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "service",
            *arguments,
            cwd=self.folder,
            env={**outer, **self.variables, "COLUMNS": str(self.columns)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if into is None else asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if into is not None:
            await asyncio.to_thread(into.write_bytes, output)
        said = output if into is None else errors
        return await process.wait(), said.decode(errors="replace").splitlines()
