"""`exportgate replay`: make every stored decision again and compare the bytes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from service.audit.replay import Difference, Replay, Replayed
from service.cli.connect import engine, run
from service.cli.output import AsJson, Failed, emit, read_time, say
from service.cli.progress import drawing
from service.cli.words import plural
from service.ledger.engine import Tx
from service.ledger.lanes import Head, read_heads
from service.policies import load_resolved

_SHOWN = 20
_REDRAW_SECONDS = 0.2


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What a replay found: how many differences, and the first of them."""

    done: Replayed
    lanes: int
    count: int = 0
    first: list[Difference] = field(default_factory=list)


def replay(
    since: Annotated[
        str | None,
        typer.Option(metavar="RFC3339", help="Only make decisions from then on again; chains are walked whole."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make every stored decision again from its stored facts and policy, compare bytes, and walk the hash chains.

    Exit 1 on any difference.
    """
    verdict = run(_replay(None if since is None else read_time(since, "--since")))
    if as_json:
        done = verdict.done
        emit({"entries": done.entries, "decisions": done.decisions, "evidence": done.evidence,
              "differences": verdict.count, "first": verdict.first})  # fmt: skip
    else:
        _tell(verdict)
    if verdict.count:
        raise Failed(f"{plural(verdict.count, 'difference')}: what is stored is not what was decided")


def _tell(verdict: Verdict) -> None:
    done = verdict.done
    entries, lanes = plural(done.entries, "entry", "entries"), plural(verdict.lanes, "lane")
    made, checked = plural(done.decisions, "decision"), plural(done.evidence, "piece")
    say(f"Walked {entries} of {lanes}, made {made} again, checked {checked} of evidence.")
    for difference in verdict.first:
        lane, slash, seq = difference.where.partition("/")
        where = f"Entry {seq} of lane {lane}" if slash else difference.where.capitalize()
        say(f"{where}: {difference.what}.")
    if verdict.count > len(verdict.first):
        say(f"And {verdict.count - len(verdict.first):,} more.")
    if not verdict.count:
        say("0 differences: every decision follows byte for byte from its facts and the policy then in force.")


async def _replay(since: datetime | None) -> Verdict:
    async with engine("auditor", patient=True) as opened, _snapshot(opened) as tx:
        heads = await read_heads(tx)
        work = Replay(tx=tx, load_policy=load_resolved, since=since)
        verdict = Verdict(done=work.progress, lanes=len(heads))
        async with _bar(work.progress, heads):
            async for difference in work.differences(heads):
                verdict.count += 1
                if len(verdict.first) < _SHOWN:
                    verdict.first.append(difference)
        return verdict


@asynccontextmanager
async def _snapshot(opened: AsyncEngine) -> AsyncIterator[Tx]:
    """One unchanging view of the whole database, so that rows written meanwhile are no differences."""
    async with opened.connect() as connection:
        yield await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


@asynccontextmanager
async def _bar(done: Replayed, heads: Mapping[int, Head]) -> AsyncIterator[None]:
    """How far the replay has come, drawn meanwhile."""
    with drawing() as progress:
        entries = progress.add_task("journal", total=sum(head.next_seq - 1 for head in heads.values()))
        evidence = progress.add_task("evidence", total=None)

        async def redraw() -> None:
            while True:
                progress.update(entries, completed=done.entries)
                progress.update(evidence, completed=done.evidence)
                await asyncio.sleep(_REDRAW_SECONDS)

        redrawing = asyncio.create_task(redraw())
        try:
            yield
        finally:
            redrawing.cancel()
