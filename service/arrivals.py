"""What a poll brought: which records come next, and what deciding them needs. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from schemas.accounts import AccountClosed, AccountData, UserData, UserLeft
from schemas.catalog import INPUT_EVENTS
from schemas.contracts import ContractData, ContractTerminated
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
    """The records that come next, the confirmed holes that were passed, and those that are not confirmed.

    Of a partition with `gaps`, in order, nothing behind the first one is fresh: it must be sought back to.
    """

    fresh: list[Read]
    gaps: dict[TopicPartition, list[Gap]]
    passed: dict[TopicPartition, list[Gap]]


_VERSIONED = AccountData | UserData | ContractData | AccountClosed | UserLeft | ContractTerminated
_KINDS = (("user_id", "user"), ("contract_id", "contract"))
_DEPENDENTS = {
    model: [(field, kind) for field, kind in _KINDS if field in model.model_fields] for model in INPUT_EVENTS.values()
}
"""Model of an event's data -> the field that names a user or contract, and which of the two it names."""


def partition_of(record: Record) -> TopicPartition:
    """Where a record belongs."""
    return record.topic, record.partition


def sift(
    batch: Sequence[Read],
    positions: Mapping[TopicPartition, Position],
    confirmed: Mapping[TopicPartition, Collection[Gap]],
) -> Sifted:
    """The records of a sorted batch that come next, those of halted partitions left out.

    What lies behind a hole waits until a refetch has confirmed the hole. Later holes are told too, so that one refetch
    can confirm them all.
    """
    expected = {partition: position.next_offset for partition, position in positions.items()}
    sifted = Sifted([], {}, {})
    for one in batch:
        partition, offset = partition_of(one.record), one.record.offset
        if positions[partition].halted_at is not None or offset < expected[partition]:
            continue
        gap = Gap(expected[partition], offset)
        expected[partition] = offset + 1
        if offset > gap.expected and gap not in confirmed.get(partition, ()):
            sifted.gaps.setdefault(partition, []).append(gap)
        if partition in sifted.gaps:
            continue
        if offset > gap.expected:
            sifted.passed.setdefault(partition, []).append(gap)
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

    def unlike(self, fresh: Sequence[Read]) -> list[tuple[Event, bytes]]:
        """The events whose id is known by other bytes, each with the sha256 of these."""
        others = [(one, self.hash_of(one)) for one in fresh if isinstance(one, Event) and not self.is_new(one)]
        return [(one, first) for one, first in others if one.raw_sha256 != first]

    def at_hand(self, digests: Collection[bytes]) -> dict[bytes, bytes]:
        """Of these records those that came with this very batch."""
        first = self.first_copies.values()
        return {one.raw_sha256: one.record.value or b"" for one in first if one.raw_sha256 in digests}


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
        keys += [(one.account_id, f"{kind}:{getattr(one.data, field)}") for field, kind in _DEPENDENTS[type(one.data)]]
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
        if not isinstance(one, Event) or not isinstance(one.data, _VERSIONED):
            continue
        version = one.data.version
        key = subjects_of(one)[-1]
        if version <= newest.get(key, 0):
            contested.add(one.account_id)
        newest[key] = max(version, newest.get(key, 0))
    return sorted(contested)
