"""Lanes: which one an account belongs to, and the row lock that makes its holder the only writer of its history."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from struct import unpack_from

from sqlalchemy import select, text

from service.ledger.engine import Tx
from service.ledger.tables import installation
from service.ledger.tables import lane as lane_table

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF

GENESIS = bytes(32)
"""The link before the first entry of a lane."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What was fixed when the database was made: the number of account lanes."""

    lanes: int

    @property
    def control_lane(self) -> int:
        """The lane of what belongs to no account."""
        return self.lanes


@dataclass(slots=True)
class Head:
    """The end of one lane, as its holder moves it on."""

    lane: int
    next_seq: int
    link: bytes
    last_at: datetime


@lru_cache(maxsize=16_384)  # The keys of what is under way: each is hashed for its lane and several partitions.
def murmur2(key: bytes) -> int:
    """Kafka's default partitioner hash, made non-negative, so that lanes and partitions of a key line up."""
    length = len(key)
    hashed = (_SEED ^ length) & _MASK
    whole = length & ~3
    for word in unpack_from(f"<{whole // 4}I", key):
        k = (word * _M) & _MASK
        hashed = ((hashed * _M) & _MASK) ^ (((k ^ (k >> 24)) * _M) & _MASK)
    if length > whole:
        hashed = ((hashed ^ int.from_bytes(key[whole:], "little")) * _M) & _MASK
    hashed = ((hashed ^ (hashed >> 13)) * _M) & _MASK
    return (hashed ^ (hashed >> 15)) & 0x7FFFFFFF


def lane_of(account_id: str, lanes: int) -> int:
    """The lane whose lock orders everything about an account."""
    return murmur2(account_id.encode()) % lanes


async def read_installation(tx: Tx) -> Installation:
    """What was fixed at `db init`."""
    return Installation(lanes=(await tx.execute(select(installation.c.lanes))).scalar_one())


async def lock_lanes(tx: Tx, lanes: Iterable[int]) -> dict[int, Head]:
    """Lock the rows of `lanes` and return their heads; in order of number, so that no two workers deadlock."""
    rows = (await tx.execute(_LOCK, {"lanes": list(set(lanes))})).all()
    return {row.lane: Head(row.lane, row.next_seq, row.head, row.last_at) for row in rows}


async def advance_lanes(tx: Tx, heads: Iterable[Head]) -> None:
    """Write the moved heads back."""
    await tx.execute(_ADVANCE, moved_lanes(heads))


def moved_lanes(heads: Iterable[Head]) -> dict[str, object]:
    """The parameters of `ADVANCE_LANES`."""
    moved = sorted(heads, key=lambda head: head.lane)
    return {
        "lanes": [head.lane for head in moved],
        "seqs": [head.next_seq for head in moved],
        "links": [head.link for head in moved],
        "ats": [head.last_at for head in moved],
    }


_LOCK = text(
    """
    SELECT lane, next_seq, head, last_at FROM ledger.lane
    WHERE lane = ANY(CAST(:lanes AS smallint[])) ORDER BY lane FOR UPDATE
    """
)
ADVANCE_LANES = """
    UPDATE ledger.lane SET next_seq = moved.next_seq, head = moved.head, last_at = moved.last_at
    FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[]), CAST(:links AS bytea[]),
                CAST(:ats AS timestamptz[])) AS moved (lane, next_seq, head, last_at)
    WHERE lane.lane = moved.lane
"""
_ADVANCE = text(ADVANCE_LANES)


async def read_heads(tx: Tx) -> dict[int, Head]:
    """The heads of all lanes, not locked."""
    rows = (await tx.execute(select(lane_table))).all()
    return {row.lane: Head(row.lane, row.next_seq, row.head, row.last_at) for row in rows}
