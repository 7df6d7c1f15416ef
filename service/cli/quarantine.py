"""`exportgate quarantine`: the records that could not be decided, and what people do about them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from service.cli.connect import ledger, run
from service.cli.output import (
    AsJson,
    By,
    Failed,
    Misuse,
    Reason,
    clock,
    emit,
    emit_bytes,
    example,
    read_uuid,
    say,
    say_table,
)
from service.cli.words import moment
from service.deciding import Fate
from service.ledger.history import read_evidence
from service.ledger.quarantine import QuarantineRow, Resolution, find_quarantine, list_open
from service.policies import load_resolved
from service.resolving import CannotResolve, Person
from service.resolving import dismiss as dismiss_record
from service.resolving import redrive as redrive_record
from service.settings import read_stream_settings
from service.transaction import MustStop, NoPolicyInForce

app = typer.Typer(help="Handle records that could not be decided.")
Id = Annotated[str, typer.Argument(metavar="ID", help="The quarantine id.")]
_MOST_LISTED = 1_000
_ANSWERS = {
    Fate.DECISION: "It was read and decided.",
    Fate.DUPLICATE: "It had been accepted before with the same bytes; nothing had to be decided.",
    Fate.STALE: "It was read, but is older than what is known; it changes nothing.",
    Fate.RECORDED: "It was read and recorded.",
}


@app.command("list", short_help="List the open records.", epilog=example("exportgate quarantine list --account acct-1"))
def list_(
    account: Annotated[str | None, typer.Option("--account", metavar="ID", help="Only this account's.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the open records, oldest first. An account is held while one of its records is open."""
    found = run(_list(account))
    if as_json:
        for one in found:
            emit(one)
        return
    rows = [
        [str(one.quarantine_id), clock(one.opened_at), one.account_id or "(none)", one.reason, _place(one), one.detail]
        for one in found
    ]
    nothing = "No record is quarantined." if account is None else f"No record of account {account} is quarantined."
    say_table(["id", "since", "account", "reason", "where", "detail"], rows, none=nothing)


@app.command(
    short_help="Say why a record could not be decided.",
    epilog=example("exportgate quarantine show 8f14e45f-ceea-567a-9a36-dedd4bea2543"),
)
def show(
    quarantine_id: Id,
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Print the record's bytes instead; they may name people.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say where a record lay, why it could not be decided, and what became of it."""
    row, resolution, content = run(_show(read_uuid(quarantine_id, "a quarantine id")))
    if raw:
        if content is None:
            raise Failed(f"the bytes of {quarantine_id} were erased; their sha256 is {row.raw_sha256.hex()}")
        emit_bytes(content)
    elif as_json:
        emit({"record": row, "resolution": resolution})
    else:
        say("\n\n".join(_told(row, resolution, None if content is None else len(content))))


@app.command(
    short_help="Have a record read again and decided.",
    epilog=example(
        'exportgate quarantine redrive 8f14e45f-ceea-567a-9a36-dedd4bea2543 --by eve --reason "typo" --file fixed.json'
    ),
)
def redrive(
    quarantine_id: Id,
    by: By,
    reason: Reason,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="A corrected event, to be decided instead; - for stdin."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Read a record again, as it was or corrected, and decide it like any other event; the account is decided again."""
    corrected = None if file is None else _read(file)
    identity = read_uuid(quarantine_id, "a quarantine id")
    fate = run(_redrive(identity, Person(name=by, reason=reason), corrected))
    if as_json:
        emit({"quarantine_id": identity, "resolution": "redriven", "fate": fate.value})
    else:
        say(f"Redriven by {by}. {_ANSWERS.get(fate, '')}")


@app.command(
    short_help="Close a record without deciding it.",
    epilog=example(
        'exportgate quarantine dismiss 8f14e45f-ceea-567a-9a36-dedd4bea2543 --by eve --reason "a test message"'
    ),
)
def dismiss(quarantine_id: Id, by: By, reason: Reason, *, as_json: AsJson = False) -> None:
    """Close a record without deciding it; the account is decided again, with one doubt less."""
    identity = read_uuid(quarantine_id, "a quarantine id")
    run(_dismiss(identity, Person(name=by, reason=reason)))
    if as_json:
        emit({"quarantine_id": identity, "resolution": "dismissed"})
    else:
        say(f"Dismissed by {by}.")


def _place(row: QuarantineRow) -> str:
    return f"{row.topic}/{row.partition}@{row.record_offset}"


def _told(row: QuarantineRow, resolution: Resolution | None, size: int | None) -> list[str]:
    event = f"event {row.event_id} of {row.source}" if row.event_id else "a record without a legible id"
    held = "nobody is held for it" if row.account_id is None else f"account {row.account_id} is held while it is open"
    what = f"On {moment(row.opened_at)}, {event} could not be decided ({row.reason}): {row.detail}."
    where = f"It lay in topic {row.topic}, partition {row.partition}, offset {row.record_offset}"
    told = [f"{what} {where}; {held}."]
    kept = "its bytes were erased" if size is None else f"its {size:,} bytes are kept (--raw prints them)"
    told.append(f"The record's sha256 is {row.raw_sha256.hex()}; {kept}.")
    if resolution is None:
        told.append("It is open. Redrive it, with --file FILE if it needs a correction, or dismiss it with a reason.")
    else:
        when = moment(resolution.resolved_at)
        told.append(f"It was {resolution.resolution} by {resolution.resolved_by} on {when}: “{resolution.reason}”.")
    return told


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read().strip()
    try:
        return file.read_bytes().strip()
    except OSError as error:
        raise Misuse(f"--file: {file} cannot be read: {error.strerror}") from None


async def _list(account: str | None) -> Sequence[QuarantineRow]:
    async with ledger("auditor") as tx:
        return await list_open(tx, account_id=account, limit=_MOST_LISTED)


async def _show(identity: UUID) -> tuple[QuarantineRow, Resolution | None, bytes | None]:
    async with ledger("auditor") as tx:
        found = await find_quarantine(tx, identity)
        if found is None:
            raise Misuse(f"no record {identity} is quarantined; see: exportgate quarantine list")
        row, resolution = found
        return row, resolution, (await read_evidence(tx, [row.raw_sha256])).get(row.raw_sha256)


async def _redrive(identity: UUID, person: Person, corrected: bytes | None) -> Fate:
    environment = read_stream_settings().environment
    try:
        async with ledger("reviewer") as tx:
            return await redrive_record(
                tx,
                identity,
                person,
                corrected=corrected,
                environment=environment,
                load_policy=load_resolved,
            )
    except (CannotResolve, MustStop) as error:
        raise Failed(str(error)) from None
    except NoPolicyInForce:
        raise Failed(_NO_POLICY) from None


async def _dismiss(identity: UUID, person: Person) -> None:
    try:
        async with ledger("reviewer") as tx:
            await dismiss_record(tx, identity, person, load_resolved)
    except (CannotResolve, MustStop) as error:
        raise Failed(str(error)) from None
    except NoPolicyInForce:
        raise Failed(_NO_POLICY) from None


_NO_POLICY = (
    "no policy is in force to decide the account by; run: exportgate policy activate VERSION --by NAME --reason TEXT"
)
