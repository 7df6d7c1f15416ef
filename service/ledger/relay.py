"""How far each lane is published. Holding a lane's row here makes a relay the only one that publishes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from service.ledger.engine import Tx
from service.ledger.history import JournalRow


@dataclass(frozen=True, slots=True)
class Backlog:
    """A lane with entries to publish: `seq` is the last one published, `last_seq` the last one written."""

    lane: int
    seq: int
    last_seq: int


async def lock_backlogs(tx: Tx, most: int) -> Sequence[Backlog]:
    """Lock up to `most` lanes that have something to publish and that no other relay holds."""
    rows = (await tx.execute(_LOCK, {"most": most})).all()
    return [Backlog(row.lane, row.seq, row.last_seq) for row in rows]


async def read_backlogs(tx: Tx, backlogs: Sequence[Backlog], most: int) -> Mapping[int, Sequence[JournalRow]]:
    """Up to `most` unpublished entries of each of these lanes, in order, by lane. Read after their locks are held."""
    parameters = {"lanes": [one.lane for one in backlogs], "seqs": [one.seq for one in backlogs], "most": most}
    entries: dict[int, list[JournalRow]] = {one.lane: [] for one in backlogs}
    for row in (await tx.execute(_READ, parameters)).all():
        entries[row.lane].append(JournalRow(**row._mapping))  # noqa: SLF001 -- SQLAlchemy's public name
    return entries


async def advance_relay(tx: Tx, published: Mapping[int, int]) -> None:
    """Move the cursors of held lanes to the entries that the broker has acknowledged."""
    lanes = sorted(published)
    await tx.execute(_ADVANCE, {"lanes": lanes, "seqs": [published[lane] for lane in lanes]})


async def unpublished(tx: Tx) -> int:
    """How many journal entries wait to be published."""
    return int((await tx.execute(_UNPUBLISHED)).scalar_one())


_LOCK = text(
    """
    SELECT relay_position.lane, relay_position.seq, lane.next_seq - 1 AS last_seq
    FROM ledger.relay_position JOIN ledger.lane USING (lane)
    WHERE relay_position.seq < lane.next_seq - 1
    ORDER BY relay_position.lane LIMIT :most FOR UPDATE OF relay_position SKIP LOCKED
    """
)
_READ = text(
    """
    SELECT entry.* FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[])) AS held (lane, seq)
    CROSS JOIN LATERAL (
        SELECT lane, seq, kind, body, leaf, link FROM ledger.journal
        WHERE journal.lane = held.lane AND journal.seq > held.seq ORDER BY journal.seq LIMIT :most
    ) AS entry
    ORDER BY entry.lane, entry.seq
    """
)
_ADVANCE = text(
    """
    UPDATE ledger.relay_position SET seq = done.seq
    FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[])) AS done (lane, seq)
    WHERE relay_position.lane = done.lane
    """
)
_UNPUBLISHED = text(
    """
    SELECT coalesce(sum(lane.next_seq - 1 - relay_position.seq), 0)
    FROM ledger.lane JOIN ledger.relay_position USING (lane)
    """
)
