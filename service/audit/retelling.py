"""What events told of subjects, entry by entry: what is known of these, and why one was left aside, must follow."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.accounts import AccountClosed, AccountData, AccountFlagged, UserData, UserLeft
from schemas.contracts import ContractData, ContractTerminated
from service.audit.canonical import digest
from service.audit.facts import decode_facts, decode_own, encode_facts
from service.deciding import FUTURE
from service.ledger.history import JournalRow
from service.ledger.subjects import ACCOUNT, StandingAccount, Subject, SubjectKey
from service.normalise import NOTHING, OwnFacts, flagged_facts, standing_facts
from service.reading import Event, Record, read

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading bytes may raise that somebody has tampered with. A replay reports them and goes on."""

_NONE = 0, b""
_Known = tuple[int, bytes]


@dataclass(slots=True)
class Retelling:
    """One lane told again. What erased evidence told is not known, and nothing that depends on it is a fault."""

    _known: dict[SubjectKey, _Known | None] = field(default_factory=dict)
    """Version and content of the newest event of a subject; None: its evidence is erased."""
    _decided_on: dict[str, bytes] = field(default_factory=dict)
    """The sha256 of the facts by which an account was decided last."""
    _flagged: defaultdict[str, list[tuple[AccountFlagged, bool] | None]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """What was reported of an account while nothing of it stood, and whether from the future; None: erased."""

    def tell(self, row: JournalRow, body: Mapping[str, Any], event: Event | None) -> list[str]:
        """Take in the next entry, and say what is wrong with it.

        `event` is the one it tells of; None when it tells of none, or of one whose evidence is erased.
        """
        match row.kind:
            case "decision" | "ended":
                return self._told(row.kind, body, event)
            case "flagged":
                self._flagged[body["account_id"]].append(_flag_of(body, event))
                return []
            case "stale" | "duplicate" | "quarantined":
                return [] if event is None else self._left_aside(row.kind, body, event)
        return []

    def _told(self, kind: str, body: Mapping[str, Any], event: Event | None) -> list[str]:
        account_id, subject_kind = body["account_id"], body["subject_kind"]
        key = (account_id, ACCOUNT if subject_kind == ACCOUNT else f"{subject_kind}:{body['subject_id']}")
        if kind == "decision" and key[1] == ACCOUNT:
            self._decided_on[account_id] = bytes.fromhex(body["facts_sha256"])
            self._flagged.pop(account_id, None)
        if body["cause"]["kind"] != "event":
            return []
        if event is None:
            self._known[key] = None
            return []
        told = _version_of(event)
        if told is None or told[0] != key:
            return []
        before = self._known.get(key, _NONE)
        self._known[key] = told[1], event.content_sha256
        if before is not None and told[1] <= before[0]:
            return [f"its event is of version {told[1]}, and {before[0]} was known before"]
        return []

    def _left_aside(self, kind: str, body: Mapping[str, Any], event: Event) -> list[str]:
        told = _version_of(event)
        known = None if told is None else self._known.get(told[0], _NONE)
        if told is None or known is None:
            return []
        is_same = event.content_sha256 == known[1]
        if kind == "stale" and not told[1] < known[0] == body["known_version"]:
            return [f"it calls version {told[1]} stale, but {known[0]} was known"]
        if kind == "duplicate" and body["of"] == "version" and (told[1] != known[0] or not is_same):
            return [f"it calls version {told[1]} a copy of what was not known"]
        if kind == "quarantined" and body["reason"] == "CONFLICTING_VERSION" and (told[1] != known[0] or is_same):
            return [f"it says that version {told[1]} contradicts what was not known"]
        if kind == "quarantined" and body["reason"] == "CONFLICTING_OLDER" and told[1] >= known[0]:
            return [f"it calls version {told[1]} older, but {known[0]} was known"]
        return []

    def faults_of(self, subject: Subject) -> list[str]:
        """What is wrong with what is known of a subject once the lane has been told."""
        known = self._known.get(subject.key, _NONE)
        if known is None or known == (subject.version, subject.content_sha256):
            return []
        return ["its version and content are not those of the newest event about it"]

    def decided_on(self, account_id: str) -> bytes | None:
        """The sha256 of the facts by which an account was decided last; None when it never was."""
        return self._decided_on.get(account_id)

    def faults_of_ended(self, account: Subject, decided_on: bytes | None) -> list[str]:
        """What is wrong with the facts of a closed account, which come back with it.

        `decided_on` are those by which it was decided last, None when it never was.
        """
        own = NOTHING
        if decided_on is not None:
            facts = decode_facts(decided_on)
            own = OwnFacts(values=facts.values, items=facts.items, assurance=facts.assurance)
        for flag in self._flagged.get(account.account_id, ()):
            if flag is None:
                return []
            own = flagged_facts(flag[0], earlier=own, from_future=flag[1])
        if _as_closed(account, own) == _as_closed(account, decode_own(account.facts) if account.facts else NOTHING):
            return []
        return ["its facts are not those by which it was decided last, and what was reported since"]


def known_hash(of: StandingAccount, subject: Subject) -> bytes | None:
    """The sha256 of the facts of a subject as they follow from what is stored of it and its account now."""
    account = next((one for one, _ in of.subjects if one.subject_id == ACCOUNT), None)
    try:
        facts = standing_facts(
            subject.key,
            account=NOTHING if account is None or not account.facts else decode_own(account.facts),
            own=None if subject is account else decode_own(subject.facts) if subject.facts else NOTHING,
            known=account is not None and account.is_known,
            held=of.open_records > 0,
        )
    except UNREADABLE:
        return None
    return digest(encode_facts(facts))


def read_again(body: Mapping[str, Any], content: bytes) -> Event | None:
    """The event of which an entry tells; None when this release cannot read it any more."""
    topic, partition, offset = (body["origin"][name] for name in ("topic", "partition", "offset"))
    record = Record(topic=topic, partition=partition, offset=offset, key=None, value=content, timestamp_ms=None)
    event = read(record, environment=None)
    return event if isinstance(event, Event) else None


def _flag_of(body: Mapping[str, Any], event: Event | None) -> tuple[AccountFlagged, bool] | None:
    if event is None or not isinstance(event.data, AccountFlagged):
        return None
    return event.data, event.time > datetime.fromisoformat(body["at"]) + FUTURE


def _version_of(event: Event) -> tuple[SubjectKey, int] | None:
    """Which subject an event tells of, and the version; None when it carries none."""
    match event.data:
        case AccountData() | AccountClosed():
            return (event.account_id, ACCOUNT), event.data.version
        case UserData() | UserLeft():
            return (event.account_id, f"user:{event.data.user_id}"), event.data.version
        case ContractData() | ContractTerminated():
            return (event.account_id, f"contract:{event.data.contract_id}"), event.data.version
    return None


def _as_closed(account: Subject, own: OwnFacts) -> bytes:
    return encode_facts(standing_facts(account.key, account=own, own=None, known=False, held=False))
