"""What each event means: which subjects it changes, decides or ends.

One function an event; each returns the record's fate.
"""

import re
from datetime import timedelta
from enum import Enum
from typing import NamedTuple, assert_never

from schemas.accounts import AccountClosed, AccountData, AccountFlagged, UserData, UserLeft
from schemas.contracts import ContractData, ContractTerminated
from schemas.reviews import AccessEnforced, LicenseReviewed
from service.audit.bodies import Cause, Origin
from service.docket import Docket
from service.earlier import ACCOUNT_FIELDS, CONTRACT_FIELDS, USER_FIELDS, untold_since
from service.ledger.quarantine import QuarantineRow
from service.ledger.subjects import ACCOUNT, Subject
from service.normalise import NOTHING, OwnFacts, account_facts, contract_facts, flagged_facts, user_facts
from service.reading import Event, Record, Unreadable

FUTURE = timedelta(minutes=5)
"""How far ahead of the database's clock an event's own time may lie.

Only the future is suspicious; the past is a backlog.
"""


class Fate(Enum):
    """What became of a record: each has exactly one."""

    DECISION = "decision"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    STALE = "stale"
    QUARANTINE = "quarantine"
    RECORDED = "recorded"


class _Told(NamedTuple):
    """An event that was accepted, with what every step of deciding it needs."""

    event: Event
    cause: Cause
    origin: Origin


def origin_of(record: Record) -> Origin:
    """Where a record lay."""
    return Origin(record.topic, record.partition, record.offset)


def cause_of(event: Event) -> Cause:
    """An event as the cause of a decision."""
    return Cause("event", f"{_SPACE_OR_PERCENT.sub(_escape, event.source)} {event.id}")


_SPACE_OR_PERCENT = re.compile(r"[ %]")


def _escape(found: re.Match[str]) -> str:
    """Without it, source `a b` with id `c` would read like source `a` with id `b c`."""
    return "%20" if found[0] == " " else "%25"


def decide_event(docket: Docket, event: Event) -> Fate:
    """Decide an event whose id is new."""
    told = _Told(event, cause_of(event), origin_of(event.record))
    keep(docket, event)
    data = event.data
    from_future = event.time > docket.now + FUTURE
    match data:
        case AccountData():
            account = docket.subject(data.account_id, ACCOUNT)
            return _carry_state(docket, told, account, from_future=from_future)
        case UserData():
            user = docket.subject(data.account_id, f"user:{data.user_id}")
            return _carry_state(docket, told, user, from_future=from_future)
        case ContractData():
            contract = docket.subject(data.account_id, f"contract:{data.contract_id}")
            return _carry_state(docket, told, contract, from_future=from_future)
        case AccountFlagged():
            return _flag(docket, told, data, from_future=from_future)
        case AccountClosed() | UserLeft() | ContractTerminated():
            return _end(docket, told, data)
        case LicenseReviewed() | AccessEnforced():
            return _record(docket, told, data)
        case _:
            assert_never(data)


def duplicate(docket: Docket, event: Event) -> Fate:
    """Note a second copy of an event; nothing is decided."""
    keep(docket, event)
    docket.write(event.account_id, "duplicate", {**_mention(event), "of": "event"})
    return Fate.DUPLICATE


def conflict(docket: Docket, event: Event, *, reason: str, detail: str) -> Fate:
    """Put aside an event that contradicts one accepted before; the first one stands, and the account is held for it."""
    unreadable = Unreadable(
        reason=reason,
        detail=detail,
        account_id=event.account_id,
        source=event.source,
        event_id=event.id,
        raw_sha256=event.raw_sha256,
        record=event.record,
    )
    put_aside(docket, unreadable)
    return Fate.CONFLICT


def put_aside(docket: Docket, unreadable: Unreadable) -> Fate:
    """Quarantine a record. A legible account is held by it: what could not be read may have been what mattered."""
    record, account_id = unreadable.record, unreadable.account_id
    origin = origin_of(record)
    identity = docket.quarantine_id(account_id)
    keep(docket, unreadable)
    place = docket.write(
        account_id,
        "quarantined",
        {
            "quarantine_id": str(identity),
            "reason": unreadable.reason,
            "detail": unreadable.detail,
            "source": unreadable.source,
            "event_id": unreadable.event_id,
            "origin": origin.body(),
            "raw_sha256": unreadable.raw_sha256.hex(),
        },
    )
    row = QuarantineRow(
        quarantine_id=identity,
        account_id=account_id,
        reason=unreadable.reason,
        detail=unreadable.detail,
        source=unreadable.source,
        event_id=unreadable.event_id,
        topic=record.topic,
        partition=record.partition,
        record_offset=record.offset,
        raw_sha256=unreadable.raw_sha256,
        opened_at=docket.now,
        lane=place[0],
        seq=place[1],
    )
    docket.quarantined.append(row)
    if account_id is not None and docket.open_another(account_id):
        decide_again(docket, account_id, Cause("quarantine", str(identity)))
    return Fate.QUARANTINE


def decide_again(docket: Docket, account_id: str, cause: Cause) -> None:
    """Decide an account again because of something that is no event of its own.

    One nobody knows has nothing to decide.
    """
    account = docket.subject(account_id, ACCOUNT)
    if account.revision == 0 or account.ended:
        for subject in docket.live_dependents(account_id):
            docket.decide(subject, cause, None, None)
        return
    docket.decide_account(account_id, cause, None, None)


def keep(docket: Docket, read: Event | Unreadable) -> None:
    """Keep the record's bytes as evidence, under their sha256."""
    docket.evidence[read.raw_sha256] = read.record.value or b""


def _mention(event: Event) -> dict[str, object]:
    return {
        "source": event.source,
        "event_id": event.id,
        "type": event.type,
        "origin": origin_of(event.record).body(),
        "raw_sha256": event.raw_sha256.hex(),
    }


_State = AccountData | UserData | ContractData
_End = AccountClosed | UserLeft | ContractTerminated


def _carry_state(docket: Docket, told: _Told, subject: Subject, *, from_future: bool) -> Fate:
    data = told.event.data
    if not isinstance(data, _State):
        raise TypeError(f"{told.event.type} carries no state")
    refused = _out_of_order(docket, told.event, subject, data)
    if refused is not None:
        return refused
    subject.ended = False
    docket.learn(subject, _facts_of(told.event, data, earlier=docket.own_facts(subject), from_future=from_future))
    if isinstance(data, AccountData):
        docket.decide_account(data.account_id, told.cause, told.origin, told.event.raw_sha256)
    else:
        docket.decide(subject, told.cause, told.origin, told.event.raw_sha256)
    return Fate.DECISION


def _facts_of(event: Event, data: _State, *, earlier: OwnFacts, from_future: bool) -> OwnFacts:
    match data:
        case AccountData():
            return account_facts(data, earlier=earlier, from_future=from_future)
        case UserData():
            return user_facts(data, earlier=earlier, said_on=event.time.date(), from_future=from_future)
        case ContractData():
            return contract_facts(data, earlier=earlier, from_future=from_future)


def _untold_since(docket: Docket, event: Event, data: _State | _End, subject: Subject) -> list[str]:
    """What an event that is older than what is known tells, and nothing newer did."""
    if not isinstance(data, _State):
        return []
    fields = {AccountData: ACCOUNT_FIELDS, UserData: USER_FIELDS, ContractData: CONTRACT_FIELDS}[type(data)]
    older = _facts_of(event, data, earlier=NOTHING, from_future=False)
    return untold_since(older.values, docket.own_facts(subject).values, fields)


def _out_of_order(docket: Docket, event: Event, subject: Subject, data: _State | _End) -> Fate | None:
    """The fate of an event that is not newer than what is known of its subject.

    None when it is newer, and then noted.
    """
    if data.version > subject.version:
        subject.version = data.version
        subject.content_sha256 = event.content_sha256
        return None
    if data.version < subject.version:
        untold = _untold_since(docket, event, data, subject)
        if untold:
            detail = (
                f"version {data.version} of {subject.subject_id} came after version {subject.version} and tells what "
                f"that did not, {', '.join(untold)}; send it as a newer version, or dismiss it"
            )
            return conflict(docket, event, reason="CONFLICTING_OLDER", detail=detail)
        docket.write(
            event.account_id, "stale", {**_mention(event), "version": data.version, "known_version": subject.version}
        )
        return Fate.STALE
    if event.content_sha256 == subject.content_sha256:
        docket.write(event.account_id, "duplicate", {**_mention(event), "of": "version"})
        return Fate.DUPLICATE
    detail = (
        f"version {data.version} of {subject.subject_id} was accepted with other content; send it as a newer version"
    )
    return conflict(docket, event, reason="CONFLICTING_VERSION", detail=detail)


def _end(docket: Docket, told: _Told, data: _End) -> Fate:
    subject_id = (
        ACCOUNT
        if isinstance(data, AccountClosed)
        else f"user:{data.user_id}"
        if isinstance(data, UserLeft)
        else f"contract:{data.contract_id}"
    )
    subject = docket.subject(data.account_id, subject_id)
    refused = _out_of_order(docket, told.event, subject, data)
    if refused is not None:
        return refused
    dependents = docket.live_dependents(data.account_id) if subject_id == ACCOUNT else []
    for one in (subject, *dependents):
        docket.end(one, told.cause, told.origin, told.event.raw_sha256)
    return Fate.DECISION


def _flag(docket: Docket, told: _Told, data: AccountFlagged, *, from_future: bool) -> Fate:
    """Learn a report of the provider's monitoring. Of a closed account nothing stands; it counts once that is back."""
    account = docket.subject(data.account_id, ACCOUNT)
    docket.learn(account, flagged_facts(data, earlier=docket.own_facts(account), from_future=from_future))
    if not account.ended:
        docket.decide_account(data.account_id, told.cause, told.origin, told.event.raw_sha256)
        return Fate.DECISION
    docket.write(data.account_id, "flagged", _mention(told.event))
    for subject in docket.live_dependents(data.account_id):
        docket.decide(subject, told.cause, told.origin, told.event.raw_sha256)
    return Fate.RECORDED


def _record(docket: Docket, told: _Told, data: LicenseReviewed | AccessEnforced) -> Fate:
    """Reviews and enforcements are remembered.

    Applying a review is a capability of its own, and until then changes nothing.
    """
    kind = "reviewed" if isinstance(data, LicenseReviewed) else "enforced"
    docket.write(data.account_id, kind, {**_mention(told.event), "decision_id": data.decision_id})
    return Fate.RECORDED
