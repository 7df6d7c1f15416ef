"""What a poll brought: which records come next, and what deciding them needs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.docket import Docket
from service.ledger.inbox import EventKey
from service.ledger.positions import Position, TopicPartition
from service.ledger.subjects import ACCOUNT, SubjectKey
from service.reading import Event, Record, Unreadable

Read = Event | Unreadable


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a partition: `expected` is the offset we had to see next, `found` the one that came."""

    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Sifted:
    """The records that come next; the holes that must be sought back to; the confirmed ones that were passed."""

    fresh: list[Read]
    gaps: dict[TopicPartition, Gap]
    passed: dict[TopicPartition, Gap]


def partition_of(record: Record) -> TopicPartition:
    """Where a record belongs."""
    return record.topic, record.partition


def sift(
    batch: Sequence[Read], positions: Mapping[TopicPartition, Position], confirmed: Mapping[TopicPartition, Gap]
) -> Sifted:
    """The records of a sorted batch that come next, those of halted partitions left out.

    What lies behind a hole waits until a refetch has confirmed the hole.
    """
    expected = {partition: position.next_offset for partition, position in positions.items()}
    sifted = Sifted([], {}, {})
    for one in batch:
        partition, offset = partition_of(one.record), one.record.offset
        halted = positions[partition].halted_at is not None
        if halted or partition in sifted.gaps or offset < expected[partition]:
            continue
        gap = Gap(expected[partition], offset)
        if offset > gap.expected:
            if confirmed.get(partition) != gap:
                sifted.gaps[partition] = gap
                continue
            sifted.passed[partition] = gap
        expected[partition] = offset + 1
        sifted.fresh.append(one)
    return sifted


@dataclass(frozen=True, slots=True)
class Inbox:
    """The first copy of each id in a batch, the ids that are new, and the hashes by which the others are known."""

    first_copies: Mapping[EventKey, Event]
    accepted: set[EventKey]
    known: Mapping[EventKey, bytes]

    def is_new(self, event: Event) -> bool:
        """Whether this record is the one by which the event is accepted."""
        key = event.source, event.id
        return key in self.accepted and self.first_copies[key] is event

    def hash_of(self, event: Event) -> bytes:
        """The sha256 of the record by which an event of this id is, or was, accepted."""
        key = event.source, event.id
        return self.first_copies[key].raw_sha256 if key in self.accepted else self.known[key]


def first_copies(fresh: Sequence[Read]) -> dict[EventKey, Event]:
    """Of several copies in one batch the first in arrival order counts."""
    first: dict[EventKey, Event] = {}
    for one in fresh:
        if isinstance(one, Event):
            first.setdefault((one.source, one.id), one)
    return first


def subjects_of(one: Read) -> list[SubjectKey]:
    """The subjects a record needs: its account, and behind it the user or contract it is about."""
    if one.account_id is None:
        return []
    keys = [(one.account_id, ACCOUNT)]
    if isinstance(one, Event):
        user_id, contract_id = getattr(one.data, "user_id", None), getattr(one.data, "contract_id", None)
        if user_id is not None:
            keys.append((one.account_id, f"user:{user_id}"))
        if contract_id is not None:
            keys.append((one.account_id, f"contract:{contract_id}"))
    return keys


def whole_accounts(batch: Sequence[Read], inbox: Inbox) -> list[str]:
    """The accounts whose users and contracts are decided too: what changes them, holds them, or may contradict."""
    return sorted({one.account_id for one in batch if one.account_id is not None and _touches_account(one, inbox)})


def _touches_account(one: Read, inbox: Inbox) -> bool:
    return isinstance(one, Unreadable) or one.type.startswith("account.") or not inbox.is_new(one)


def contested_accounts(docket: Docket, batch: Sequence[Read]) -> list[str]:
    """Accounts with an event that is not newer than what is known: if it contradicts, the whole account is held."""
    newest = {key: subject.version for key, subject in docket.subjects.items()}
    contested = set()
    for one in batch:
        version = getattr(one.data, "version", None) if isinstance(one, Event) else None
        if version is None or one.account_id is None:
            continue
        key = subjects_of(one)[-1]
        if version <= newest.get(key, 0):
            contested.add(one.account_id)
        newest[key] = max(version, newest.get(key, 0))
    return sorted(contested)
