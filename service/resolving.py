"""What a person does with a quarantined record.

Have it read again, as it was or corrected, or dismiss it with a reason.
"""

from dataclasses import dataclass
from uuid import UUID

from service.audit.bodies import Cause
from service.audit.canonical import digest
from service.copies import written_anew
from service.deciding import Fate, decide_again, decide_event, duplicate
from service.docket import Docket
from service.ledger.engine import Tx
from service.ledger.history import read_evidence
from service.ledger.inbox import accept
from service.ledger.lanes import lane_of, read_installation
from service.ledger.quarantine import QuarantineRow, Resolution, find_quarantine, store_resolution
from service.ledger.subjects import ACCOUNT
from service.reading import Event, Record, Unreadable, read
from service.transaction import PolicyLoader, open_docket, write


class CannotResolve(ValueError):  # noqa: N818 -- the message tells the person why, and what to do
    """The record cannot be resolved that way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who resolves, and on what ground; both stand in the journal."""

    name: str
    reason: str


async def dismiss(tx: Tx, quarantine_id: UUID, person: Person, load_policy: PolicyLoader) -> None:
    """Close a record without deciding it. The account is decided again, since one doubt less stands against it."""
    row = await _open_row(tx, quarantine_id)
    docket = await _docket(tx, row, row.account_id, load_policy)
    last = await _resolve(tx, docket, row, "dismissed", person)
    if row.account_id is not None and last:
        decide_again(docket, row.account_id, Cause("quarantine", f"{quarantine_id} dismissed"))
    await write(tx, docket)


async def redrive(
    tx: Tx,
    quarantine_id: UUID,
    person: Person,
    *,
    corrected: bytes | None,
    environment: str | None,
    load_policy: PolicyLoader,
) -> Fate:
    """Read a record again and decide it through the same door as any other; `corrected` bytes replace its own.

    A record that still cannot be read stays open: CannotResolve says why. So does one that belongs to another account.
    """
    row = await _open_row(tx, quarantine_id)
    content = await _kept(tx, row) if corrected is None else corrected
    record = Record(
        topic=row.topic, partition=row.partition, offset=row.record_offset, key=None, value=content, timestamp_ms=None
    )
    event = read(record, environment=environment)
    if isinstance(event, Unreadable):
        raise CannotResolve(f"still unreadable: {event.reason}, {event.detail}; correct it and pass --file")
    if row.account_id is not None and event.account_id != row.account_id:
        raise CannotResolve(
            f"the record held account {row.account_id}, but now names another; dismiss it and send anew"
        )
    accepted, known = await accept(tx, {(event.source, event.id): event.raw_sha256})
    docket = await _docket(tx, row, event.account_id, load_policy)
    if not accepted:
        await _refuse_other(tx, row, event, known[event.source, event.id], is_corrected=corrected is not None)
    last = await _resolve(tx, docket, row, "redriven", person)
    fate = decide_event(docket, event) if accepted else duplicate(docket, event)
    if fate is Fate.CONFLICT:
        raise CannotResolve(_FIRST_STANDS)
    if last and (fate is not Fate.DECISION or not event.type.startswith("account.")):
        decide_again(docket, event.account_id, Cause("quarantine", f"{quarantine_id} redriven"))
    await write(tx, docket)
    return fate


_FIRST_STANDS = (
    "it contradicts an event accepted before, which stands; "
    "dismiss it, and send the correction with a new id and version"
)


async def _refuse_other(tx: Tx, row: QuarantineRow, event: Event, first: bytes, *, is_corrected: bool) -> None:
    """An event that was accepted before redrives the record that is a copy of it, and no other."""
    is_copy = event.raw_sha256 == first or event.raw_sha256 in await written_anew(tx, [(event, first)], {})
    if not is_copy or row.reason.startswith("CONFLICTING"):
        raise CannotResolve(_FIRST_STANDS)
    if is_corrected and (row.source, row.event_id) != (event.source, event.id):
        raise CannotResolve(
            "that event was accepted before, and the record did not name it, so it corrects nothing; dismiss the record"
        )


async def _kept(tx: Tx, row: QuarantineRow) -> bytes:
    content = (await read_evidence(tx, [row.raw_sha256])).get(row.raw_sha256)
    if content is None:
        raise CannotResolve("its bytes were erased; dismiss it, or pass --file")
    if digest(content) != row.raw_sha256:
        raise CannotResolve("its stored bytes are not those that came; run `exportgate replay`, and pass --file")
    return content


async def _open_row(tx: Tx, quarantine_id: UUID) -> QuarantineRow:
    found = await find_quarantine(tx, quarantine_id)
    if found is None:
        raise CannotResolve(f"no record {quarantine_id} is quarantined; see `exportgate quarantine list`")
    row, resolution = found
    if resolution is not None:
        raise CannotResolve(f"{quarantine_id} was {resolution.resolution} by {resolution.resolved_by} already")
    return row


async def _docket(tx: Tx, row: QuarantineRow, account_id: str | None, load_policy: PolicyLoader) -> Docket:
    installation = await read_installation(tx)
    accounts = {one for one in (row.account_id, account_id) if one is not None}
    lanes = {row.lane} | {lane_of(one, installation.lanes) for one in accounts}
    docket = await open_docket(
        tx,
        installation,
        lanes,
        keys=[(one, ACCOUNT) for one in sorted(accounts)],
        whole=sorted(accounts),
        policies={},
        signed=set(),
        load_policy=load_policy,
    )
    await _open_row(tx, row.quarantine_id)  # Somebody else may have resolved it while we waited for the lane.
    return docket


async def _resolve(tx: Tx, docket: Docket, row: QuarantineRow, resolution: str, person: Person) -> bool:
    """Note the resolution; whether the account it held, if any, is held by no record any more."""
    lane, seq = docket.write(
        row.account_id,
        "quarantine_resolved",
        {
            "quarantine_id": str(row.quarantine_id),
            "resolution": resolution,
            "by": person.name,
            "reason": person.reason,
        },
    )
    await store_resolution(
        tx,
        Resolution(
            quarantine_id=row.quarantine_id,
            resolution=resolution,
            resolved_by=person.name,
            reason=person.reason,
            resolved_at=docket.now,
            lane=lane,
            seq=seq,
        ),
    )
    return row.account_id is not None and docket.close_one(row.account_id)
