"""The eighteen days of June 2026, walked at the speed of a person: every step is a command, every change is seen."""

import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from service.demo.chapters import (
    BEFORE,
    CHAPTERS,
    PEOPLE,
    SIGNER_LIST,
    Chapter,
    begin,
    enact,
    keys,
    list_of_signers,
    look,
    look_back,
)
from service.demo.june_screen import INDENT, show_chapter, show_said, show_sightings, show_typed
from service.demo.message import Clerk, Message
from service.demo.shell import Shell, Step, Typed
from service.demo.stage import POLICIES, shipped
from service.demo.stream import DemoFailed, Stage, Stream, now, staged, streaming
from service.demo.walked import Walked
from service.demo.watched import Sighting, sightings, tell_again

NARROWEST = 76
_PUBLIC_KEY = re.compile(r"ed25519:\S+")


@dataclass(slots=True, kw_only=True)
class Walk:
    """What was typed and seen so far."""

    console: Console
    stream: Stream
    shell: Shell
    clerk: Clerk
    steps: list[Step] = field(default_factory=list)
    seen: list[Sequence[Sighting]] = field(default_factory=list)

    async def type(self, typed: Typed, version: str | None = None) -> Step:
        """Run one command and show it."""
        self.stream.installation.refuse_if_ended()
        show_typed(self.console, typed)
        step = await self.shell.run(typed, version=version)
        self.steps.append(step)
        show_said(self.console, step, typed)
        return step

    async def see(self, messages: Sequence[Message]) -> None:
        """Send events, then one of each watched customer, and show what is published of those."""
        await self.stream.send(messages)
        self.seen.append(await sightings(self.stream, tell_again(self.clerk, len(self.seen))))
        show_sightings(self.console, len(messages), self.seen[-1])


@asynccontextmanager
async def walked(console: Console, seed: int) -> AsyncIterator[Walked]:
    """Walk from the law before the letter to the lifting, and keep the servers while the block runs.

    Raises DemoFailed, EmbeddedServerError, ServiceFailed or StreamError, each with one line for a person.
    """
    law = shipped(f"{BEFORE}.yaml")
    with TemporaryDirectory(prefix="exportgate-june-") as folder:
        async with staged(console, seed, law, reason="the law as it stood before the letter") as stage:
            async with streaming(console, stage, with_bars=False) as stream:
                walk = Walk(
                    console=console,
                    stream=stream,
                    shell=Shell(
                        folder=Path(folder),
                        variables=stage.installation.variables,
                        columns=max(NARROWEST, console.width - INDENT),
                    ),
                    clerk=Clerk(await now(stage.auditor)),
                )
                await _walk(walk, stage)
            yield Walked(steps=walk.steps, seen=walk.seen, stage=stage)


async def _walk(walk: Walk, stage: Stage) -> None:
    people = stage.population
    console = walk.console
    _lay_out(walk.shell.folder)
    show_chapter(console, "Early June 2026", f"the law before the letter is in force ({BEFORE})")
    console.print("Each version comes into force when its command is typed, today: the clock is not faked.")
    await walk.see(people.before)
    await _signers(walk)
    since = None
    for chapter, next_events in zip(CHAPTERS, (people.during, people.after, ()), strict=True):
        show_chapter(console, chapter.came, chapter.text)
        await _chapter(walk, chapter, since)
        since = (await now(stage.auditor)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await walk.see(next_events)
    show_chapter(console, "Afterwards", "what remains")
    for typed in look_back():
        await walk.type(typed)


async def _signers(walk: Walk) -> None:
    """Keys and the list, which are made once, long before they are needed."""
    lines = ['signers: "2026-06"', "people:"]
    for name, typed in zip(PEOPLE, keys(), strict=True):
        made = await walk.type(typed)
        lines.append(f'  - {{name: {name}, public_key: "{_public_key(made)}", valid_from: "2026-01-01T00:00:00Z"}}')
    (walk.shell.folder / SIGNER_LIST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for typed in list_of_signers():
        await walk.type(typed)


async def _chapter(walk: Walk, chapter: Chapter, since: str | None) -> None:
    version, brief = chapter.version, since is not None
    await walk.type(begin(chapter, brief=brief), version)
    shutil.copy(POLICIES / f"{version}.yaml", walk.shell.folder)
    if not brief:
        walk.console.print(
            f"\n  Ann writes the text into the draft. Here, and below, the shipped {version}.yaml takes its place:\n"
            "  her thinking is not in the seconds, the commands are."
        )
    for typed in (*look(chapter, since), *enact(chapter, brief=brief)):
        await walk.type(typed, version)


def _lay_out(folder: Path) -> None:
    """Put what is shipped into a folder, but for the versions that are to be written."""
    to_come = {f"{chapter.version}.yaml" for chapter in CHAPTERS}
    for file in POLICIES.glob("*.yaml"):
        if file.name not in to_come:
            shutil.copy(file, folder)


def _public_key(step: Step) -> str:
    found = _PUBLIC_KEY.search("\n".join(step.said))
    if found is None:
        raise DemoFailed(f"found no public key in what {step.command} said")
    return found[0]
