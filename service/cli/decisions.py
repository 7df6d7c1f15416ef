"""`exportgate decisions`: what was decided, as it happens, byte for byte, or in words."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import orjson
import typer

from service.cli.connect import engine, ledger, run
from service.cli.output import AsJson, Failed, clock, emit, emit_bytes, example, read_uuid, say, warn
from service.cli.story import decision_named, journal_body, tell
from service.ledger.engine import Tx
from service.ledger.history import DecisionRow, decisions_after, latest_decisions
from service.ledger.policies import list_policies

app = typer.Typer(help="Follow, show and explain decisions.")
_POLL_SECONDS = 1.0
_OVERLAP = timedelta(seconds=30)
"""Decisions of different lanes commit in another order than they are dated; this far back we look again."""
_PAGE = 1_000


@app.command(short_help="Print the latest decisions.", epilog=example("exportgate decisions tail -f -n 50"))
def tail(
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on printing new ones until Ctrl-C.")] = False,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=100_000, help="How many to begin with.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print the latest decisions, one a line, the newest last."""
    run(_tail(number, follow=follow, as_json=as_json))


@app.command(
    short_help="Print the body of a decision.",
    epilog=example("exportgate decisions show 8f14e45f-ceea-567a-9a36-dedd4bea2543"),
)
def show(
    decision_id: Annotated[str, typer.Argument(metavar="DECISION_ID")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print the body of a decision: with --json the very bytes that were hashed and published, else indented."""
    body = run(_show(read_uuid(decision_id, "a decision id")))
    indented = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    emit_bytes((body if as_json else indented) + b"\n")


@app.command(
    short_help="Say what was decided and why.", epilog=example("exportgate decisions explain acct-1 user:user-1")
)
def explain(
    decision: Annotated[str, typer.Argument(metavar="ID-or-ACCOUNT", help="A decision, or an account's latest.")],
    subject: Annotated[
        str, typer.Argument(metavar="[SUBJECT]", help="Of an account: account, user:ID or contract:ID.")
    ] = "account",
    *,
    as_json: AsJson = False,
) -> None:
    """Say what was decided for whom and when, why, under which law, what would clear it, and who acts next."""
    told = run(tell(decision, subject))
    if as_json:
        emit({"decision": told.body, "stands": told.stands, "words": told.paragraphs})
    else:
        say("\n\n".join(told.paragraphs))


async def _tail(number: int, *, follow: bool, as_json: bool) -> None:
    async with engine("auditor") as opened:
        async with opened.begin() as tx:
            seen = {row.decision_id for row in await _recent(tx)} if follow else set()
            rows = await latest_decisions(tx, number)
            seen |= {row.decision_id for row in rows}
            _print(rows, await _versions(tx), as_json=as_json)
        if not rows and not as_json:
            warn("Nothing was decided yet.")
        while follow:
            await asyncio.sleep(_POLL_SECONDS)
            async with opened.begin() as tx:
                recent = await _recent(tx)
                _print([row for row in recent if row.decision_id not in seen], await _versions(tx), as_json=as_json)
            seen |= {row.decision_id for row in recent}


async def _recent(tx: Tx) -> Sequence[DecisionRow]:
    """All decisions dated within the overlap before the latest one, that one included."""
    latest = await latest_decisions(tx, 1)
    if not latest:
        return ()
    limit = _PAGE
    while len(found := await decisions_after(tx, latest[0].decided_at - _OVERLAP, limit)) == limit:
        # Decisions of one batch have one date, so paging by date could pass some over.
        limit *= 2
    return found


async def _show(decision_id: UUID) -> bytes:
    async with ledger("auditor") as tx:
        row = await decision_named(tx, decision_id)
        body = await journal_body(tx, row)
    if body is None:
        raise Failed(f"the journal holds nothing at entry {row.seq} of lane {row.lane}; run: exportgate replay")
    return body


async def _versions(tx: Tx) -> dict[bytes, str]:
    return {one.sha256: one.version for one in await list_policies(tx)}


def _print(rows: Iterable[DecisionRow], versions: Mapping[bytes, str], *, as_json: bool) -> None:
    for row in rows:
        version = versions.get(row.policy_sha256, row.policy_sha256.hex()[:12])
        if as_json:
            emit({**row._asdict(), "policy_version": version})
        else:
            why = f"  {', '.join(row.rules)}" if row.rules else ""
            who = row.account_id if row.subject_id == "account" else f"{row.account_id} {row.subject_id}"
            line = f"{clock(row.decided_at)}  {row.outcome:<7}  {row.access:<7}  {row.decision_id}  {who}  [{version}]"
            emit_bytes(f"{line}{why}\n".encode())
