"""`exportgate policy shadow`: a candidate evaluated beside the live policy on real traffic, and never published."""

import os
import sys
import threading
import traceback
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import structlog
import typer
from sqlalchemy.exc import IntegrityError

from service.cli.candidate import find_candidate
from service.cli.connect import engine, ledger, run, sqlstate
from service.cli.output import AsJson, By, Failed, Reason, emit, example, say
from service.cli.shadow_report import REPORT_EXAMPLE, report
from service.cli.simulated import changes_object, how
from service.cli.words import moment, plural
from service.decide.policy import Policy
from service.ledger.shadow import ERROR, Shadow, list_shadows, shadow_counts, shadow_lag
from service.policies import PolicyRefused, load_resolved
from service.shadow.acts import ShadowRefused, start_shadow, stop_shadow
from service.shadow.follow import find_follower
from service.simulation import OUTCOMES, Change
from service.telemetry import configure_logging

app = typer.Typer(
    help="Try a candidate on real traffic; nothing of it is published.",
    epilog=example("exportgate policy shadow status"),
)
app.command("report", short_help="Tell what it would have decided otherwise.", epilog=REPORT_EXAMPLE)(report)

log = structlog.get_logger(__name__)

_UNIQUE = "23505"
_LEAST_PRIORITY = 19


@app.command(
    short_help="Start it; running workers see to it.",
    epilog=example('exportgate policy shadow start deploy/policies/2026-06-12.yaml --by ann --reason "before we sign"'),
)
def start(
    candidate: Annotated[str, typer.Argument(metavar="FILE-or-VERSION", help="A document, or a published version.")],
    by: By,
    reason: Reason,
    *,
    as_json: AsJson = False,
) -> None:
    """Evaluate a candidate, published or not, on every decision from now on. One runs at a time."""
    policy, resolved = find_candidate(candidate, role="policy_officer")
    started = run(_start(policy, resolved, by, reason))
    if as_json:
        emit({"shadow_id": started.shadow_id, "version": started.version, "sha256": started.policy_sha256,
              "started_at": started.started_at})  # fmt: skip
    else:
        say(
            f"{policy.name} {policy.version} runs in shadow from {moment(started.started_at)}. Running workers "
            "evaluate it on what they decide; nothing of it is published: exportgate policy shadow report"
        )


@app.command(
    short_help="Stop it; its results stay.",
    epilog=example('exportgate policy shadow stop --by ann --reason "seen enough"'),
)
def stop(by: By, reason: Reason, *, as_json: AsJson = False) -> None:
    """Stop the candidate that runs in shadow. Its results stay."""
    stopped = run(_stop(by, reason))
    if as_json:
        emit({"shadow_id": stopped.shadow_id, "version": stopped.version})
    else:
        say(f"{stopped.version} no longer runs in shadow. What it found stays: exportgate policy shadow report")


@app.command(short_help="Say what runs, and how far it is.", epilog=example("exportgate policy shadow status --json"))
def status(*, as_json: AsJson = False) -> None:
    """Say which candidate runs in shadow, how far it is behind, what it changes, and which ones ran before."""
    known = run(_status())
    if as_json:
        for one in known:
            emit(_object(one))
        return
    if not known:
        say("No candidate ever ran in shadow. Begin with:")
        say("  exportgate policy shadow start FILE-or-VERSION --by NAME --reason TEXT")
    for one in known:
        say(_words(one))


@app.command(short_help="Follow by hand, beside the workers.", epilog=example("exportgate policy shadow follow"))
def follow(
    *, on_leash: Annotated[bool, typer.Option("--on-leash", hidden=True, help="End with the standard input.")] = False
) -> None:
    """Evaluate the candidate in shadow until it is stopped, at the least priority. Workers start this by themselves."""
    if not on_leash:
        os.nice(_LEAST_PRIORITY)
    configure_logging(as_json=on_leash, level="INFO")
    if on_leash:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        followed = run(_follow())
    except Exception as error:
        if not on_leash:
            raise
        # The worker's log has one object a line, so ours has too; the text of an error nobody foresaw may hold values.
        trace = "".join(traceback.format_tb(error.__traceback__))
        told = (
            {"error": str(error)} if isinstance(error, Failed) else {"error": type(error).__name__, "traceback": trace}
        )
        log.warning("the shadow cannot go on", **told)
        raise typer.Exit(1) from error
    if not followed and not on_leash:
        raise Failed("no shadow runs; see: exportgate policy shadow status")


def _end_with_input() -> None:
    """End when the worker that holds the other end of our input is gone, however it went; nothing is lost by that."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


async def _follow() -> bool:
    """Follow the shadow that runs until it stops; False when none does."""
    try:
        async with engine("service") as opened:
            follower = await find_follower(opened, load_resolved)
            if follower is None:
                return False
            await follower.run()
            return True
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None


async def _start(policy: Policy, resolved: bytes, by: str, reason: str) -> Shadow:
    try:
        async with ledger("policy_officer") as tx:
            return await start_shadow(tx, policy=policy, resolved=resolved, by=by, reason=reason)
    except ShadowRefused as refusal:
        raise Failed(str(refusal)) from None
    except IntegrityError as error:
        if sqlstate(error) != _UNIQUE:
            raise
        raise Failed("another shadow was started just now; see: exportgate policy shadow status") from None


async def _stop(by: str, reason: str) -> Shadow:
    try:
        async with ledger("policy_officer") as tx:
            return await stop_shadow(tx, by=by, reason=reason)
    except ShadowRefused as refusal:
        raise Failed(str(refusal)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A shadow with its numbers; `changes` by outcome, unchanged ones too. `lag` are entries it has not looked at."""

    shadow: Shadow
    changes: Counter[Change]
    errors: int
    skipped: int
    lag: int

    @property
    def evaluated(self) -> int:
        return self.changes.total()

    @property
    def changed(self) -> int:
        return sum(count for (before, after), count in self.changes.items() if before != after)


async def _status() -> list[_Known]:
    async with ledger("auditor") as tx:
        known = []
        for one in await list_shadows(tx):
            counts = await shadow_counts(tx, one.shadow_id)
            changes = Counter({Change(*pair): count for pair, count in counts.items() if pair[1] in OUTCOMES})
            errors = sum(count for (_, after), count in counts.items() if after == ERROR)
            known.append(
                _Known(
                    shadow=one,
                    changes=changes,
                    errors=errors,
                    skipped=counts.total() - changes.total() - errors,
                    lag=await shadow_lag(tx, one.shadow_id) if one.stopped_at is None else 0,
                )
            )
        return known


def _object(one: _Known) -> dict[str, object]:
    shadow = {name: getattr(one.shadow, name) for name in Shadow.__dataclass_fields__}
    numbers = {name: getattr(one, name) for name in ("evaluated", "changed", "errors", "skipped", "lag")}
    return {"running": one.shadow.stopped_at is None, **shadow, **numbers, "changes": changes_object(one.changes)}


def _words(one: _Known) -> str:
    shadow = one.shadow
    # Also where no outcome changes: access may, and only the report looks at it.
    in_part = (
        f"\nHow much of it is in part: exportgate policy shadow report {shadow.shadow_id}" if one.evaluated else ""
    )
    begun = f"from {moment(shadow.started_at)}, started by {shadow.started_by}: {shadow.start_reason}"
    changes = f" ({how(one.changes)})" if one.changed else ""
    numbers = (
        f"{plural(one.evaluated, 'decision')} evaluated, {one.changed:,} with another outcome{changes}, "
        f"{plural(one.errors, 'error')}, {one.skipped:,} not possible"
    )
    if shadow.stopped_at is None:
        behind = plural(one.lag, "entry", "entries")
        return f"RUNS: {shadow.name} {shadow.version}, {begun}; {numbers}, {behind} behind.{in_part}"
    stopped = f"stopped by {shadow.stopped_by}: {shadow.stop_reason}"
    return f"{shadow.name} {shadow.version}, {begun}; {stopped}; {numbers}.{in_part}"
