"""`exportgate policy simulate`: what a candidate would do to those who were decided, without publishing it."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from service.cli.candidate import find_candidate
from service.cli.connect import engine, now, run
from service.cli.output import AsJson, Misuse, emit, example, read_time, say, warn
from service.cli.picture import picture
from service.cli.progress import Bar, progress_bar
from service.cli.simulated import as_object, tell
from service.decide.policy import Policy
from service.ledger.population import (
    Decided,
    Period,
    count_decisions,
    count_standing_decisions,
    decisions_made,
    standing_decisions,
)
from service.simulation import Tally, simulate
from service.simulation_worker import Packed, begin, decide

_CHUNK = 1_000
_CHUNKS_A_WORKER = 3
_WORTH_WORKERS = 5_000
"""Below so many decisions, starting processes takes longer than the work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is decided again by what. `resolved` is the policy's form from which other processes make it again."""

    policy: Policy
    resolved: bytes
    as_of: datetime
    samples: int


def simulate_policy(
    candidate: Annotated[str, typer.Argument(metavar="FILE-or-VERSION", help="A document, or a published version.")],
    *,
    since: Annotated[str | None, typer.Option(metavar="RFC3339", help="Past decisions, from then on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="RFC3339", help="Past decisions, before then.")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="RFC3339", help="Decide as of then; now when left out.")] = None,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Most samples of each change.")] = 3,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the changes into an SVG file.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Processes; all cores when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decide all who stand, or the decisions of a period, under a candidate; nothing is published or changed.

    Ctrl-C stops it and tells what was found so far.
    """
    begin = None if since is None else read_time(since, "--since")
    end = None if until is None else read_time(until, "--until")
    then = None if as_of is None else read_time(as_of, "--as-of")
    period = None if since is None and until is None else Period(since=begin, until=end)
    if begin is not None and end is not None and begin >= end:
        raise Misuse(f"--until {until} is not after --since {since}, so nothing lies between them")
    policy, resolved = find_candidate(candidate)
    work = Work(policy=policy, resolved=resolved, as_of=then or run(now()), samples=samples)
    tally, total = run(_simulate(work, period, workers or os.cpu_count() or 1))
    if svg is not None:
        draw(svg, picture(tally, policy.version))
    if as_json:
        emit(as_object(tally, policy, work.as_of, total))
    else:
        tell(tally, policy, work.as_of)
        if svg is not None:
            say(f"The picture is in {svg}.")
    done = tally.simulated + tally.erased + tally.unreadable
    if done < total:
        warn(f"interrupted after {done:,} of {total:,} decisions")


def draw(file: Path, drawing: str) -> None:
    """Write a picture. Misuse when the file cannot be written."""
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise Misuse(f"the picture cannot be written to {file}: {error.strerror}") from None


async def _simulate(work: Work, period: Period | None, workers: int) -> tuple[Tally, int]:
    tally = Tally()
    async with engine("auditor", patient=True) as opened:
        async with opened.connect() as tx:
            total = await (count_standing_decisions(tx) if period is None else count_decisions(tx, period))
        # Ctrl-C cancels us: then what was found so far is the answer.
        with suppress(asyncio.CancelledError), progress_bar("simulating", total) as bar:
            async with aclosing(_chunks(opened, period)) as chunks:
                if total < _WORTH_WORKERS or workers == 1:
                    await _here(work, chunks, tally, bar)
                else:
                    await _in_processes(work, workers, chunks, tally, bar)
    return tally, total


async def _chunks(opened: AsyncEngine, period: Period | None) -> AsyncGenerator[Sequence[Decided], None]:
    """Each chunk in a transaction of its own: one long snapshot would keep the database from cleaning up."""
    after: Decided | None = None
    while True:
        async with opened.connect() as tx:
            chunk = await (
                standing_decisions(tx, after, _CHUNK) if period is None else decisions_made(tx, period, after, _CHUNK)
            )
        if not chunk:
            return
        after = chunk[-1]
        yield chunk


def _packed(chunk: Sequence[Decided]) -> Packed:
    return [(one.account_id, one.subject_id, one.outcome, one.access, one.facts) for one in chunk]


async def _here(work: Work, chunks: AsyncIterator[Sequence[Decided]], tally: Tally, bar: Bar) -> None:
    async for chunk in chunks:
        tally.add(simulate(work.policy, chunk, work.as_of, work.samples), work.samples)
        bar.advance(len(chunk))


async def _in_processes(
    work: Work, workers: int, chunks: AsyncIterator[Sequence[Decided]], tally: Tally, bar: Bar
) -> None:
    """The same, on several cores. Answers are taken in the order of the chunks, so that the same samples come out."""
    loop, waiting = asyncio.get_running_loop(), deque[tuple[int, asyncio.Future[Tally]]]()

    async def take() -> None:
        size, answer = waiting.popleft()
        tally.add(await answer, work.samples)
        bar.advance(size)

    handed = work.resolved, work.as_of, work.samples
    with ProcessPoolExecutor(workers, get_context("spawn"), begin, handed) as pool:
        async for chunk in chunks:
            waiting.append((len(chunk), loop.run_in_executor(pool, decide, _packed(chunk))))
            if len(waiting) >= workers * _CHUNKS_A_WORKER:
                await take()
        while waiting:
            await take()


EXAMPLE = example("exportgate policy simulate deploy/policies/2026-06-12.yaml --svg changes.svg")
