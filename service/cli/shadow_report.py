"""`exportgate policy shadow report`: what a candidate in shadow gave for what was decided, told as a simulation is."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from service.cli.connect import engine, run
from service.cli.output import AsJson, Failed, Misuse, emit, example, read_uuid, say, say_table, warn
from service.cli.picture import picture
from service.cli.progress import progress_bar
from service.cli.simulate import draw
from service.cli.simulated import changes_object, counted_object, tell_counted
from service.cli.words import moment, plural
from service.decide.policy import Policy
from service.ledger.shadow import (
    Compared,
    Shadow,
    count_results,
    list_shadows,
    shadow_document,
    shadow_lag,
    shadow_results,
)
from service.policies import PolicyRefused, load_resolved
from service.shadow.report import tally_results
from service.simulation import Tally

REPORT_EXAMPLE = example("exportgate policy shadow report --svg shadow.svg")
_CHUNK = 1_000


def report(
    shadow_id: Annotated[
        str | None, typer.Argument(metavar="SHADOW-ID", help="Of `status --json`; the latest when left out.")
    ] = None,
    *,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Most samples of each change.")] = 3,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the changes into an SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what the candidate in shadow would have decided otherwise, from outcome to outcome, where, by which rule.

    Ctrl-C stops it and tells what was found so far.
    """
    wanted = None if shadow_id is None else read_uuid(shadow_id, "the id of a shadow")
    found = run(_read(wanted, samples))
    if svg is not None:
        draw(svg, picture(found.tally, found.shadow.version))
    if as_json:
        emit(_object(found))
    else:
        _tell(found)
        if svg is not None:
            say(f"The picture is in {svg}.")
    if not found.is_whole:
        warn(f"interrupted after {found.done:,} of {found.total:,} results")


@dataclass(slots=True, kw_only=True)
class _Found:
    """What was read. `lag` are entries that the shadow has not looked at; 0 once it has stopped."""

    shadow: Shadow
    policy: Policy
    total: int
    lag: int
    tally: Tally = field(default_factory=Tally)
    done: int = 0
    is_whole: bool = False


async def _read(wanted: UUID | None, samples: int) -> _Found:
    async with engine("auditor", patient=True) as opened:
        found = await _begin(opened, wanted)
        # Ctrl-C cancels us: then what was found so far is the answer.
        with suppress(asyncio.CancelledError), progress_bar("results", found.total) as bar:
            last: Compared | None = None
            # Each chunk in a transaction of its own: one long snapshot would keep the database from cleaning up.
            while chunk := await _chunk(opened, found.shadow.shadow_id, last):
                found.tally.add(tally_results(found.policy, chunk, samples), samples)
                found.done += len(chunk)
                bar.advance(len(chunk))
                last = chunk[-1]
            found.is_whole = True
    return found


async def _begin(opened: AsyncEngine, wanted: UUID | None) -> _Found:
    async with opened.connect() as tx:
        shadows = await list_shadows(tx)
        shadow = next((one for one in shadows if wanted in (None, one.shadow_id)), None)
        if shadow is None:
            raise Misuse(
                _NONE if not shadows else f"no shadow has the id {wanted}; see: exportgate policy shadow status"
            )
        try:
            policy = load_resolved(await shadow_document(tx, shadow.shadow_id))
        except PolicyRefused as refusal:
            raise Failed(str(refusal)) from None
        lag = await shadow_lag(tx, shadow.shadow_id) if shadow.stopped_at is None else 0
        return _Found(shadow=shadow, policy=policy, total=await count_results(tx, shadow.shadow_id), lag=lag)


async def _chunk(opened: AsyncEngine, shadow_id: UUID, last: Compared | None) -> Sequence[Compared]:
    async with opened.connect() as tx:
        return await shadow_results(tx, shadow_id, last, _CHUNK)


_NONE = "no candidate ever ran in shadow; begin with: exportgate policy shadow start FILE-or-VERSION"


def _object(found: _Found) -> dict[str, object]:
    shadow, tally = found.shadow, found.tally
    return {
        "shadow_id": shadow.shadow_id,
        "policy": {"name": shadow.name, "version": shadow.version, "sha256": shadow.policy_sha256},
        "started_at": shadow.started_at,
        "stopped_at": shadow.stopped_at,
        "lag_entries": found.lag,
        "total": found.total,
        **counted_object(tally),
        "access": changes_object(tally.access),
        "errors": dict(sorted(tally.errors.items())),
    }


def _tell(found: _Found) -> None:
    shadow, tally = found.shadow, found.tally
    until = "" if shadow.stopped_at is None else f" until {moment(shadow.stopped_at)}"
    say(
        f"Under {shadow.name} {shadow.version}, in shadow from {moment(shadow.started_at)}{until}, "
        f"{tally.changed:,} of {plural(tally.simulated, 'decision')} would have come out differently."
    )
    if shadow.stopped_at is None:
        say(f"It is {plural(found.lag, 'entry', 'entries')} behind.")
    if tally.access:
        ways = [f"{count:,} {change.before} -> {change.after}" for change, count in sorted(tally.access.items())]
        say(f"With the same outcome, other access: {', '.join(ways)}.")
    if tally.errors:
        say(f"The candidate met a bug on {plural(tally.errors.total(), 'decision')}:")
        say_table(["error", "decisions"], [[what, f"{count:,}"] for what, count in tally.errors.most_common()], none="")
    tell_counted(tally)
