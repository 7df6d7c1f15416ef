"""How far each lane is published. Holding a lane's row here makes a relay the only one that publishes it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text

from service.ledger.engine import Tx
from service.ledger.history import JournalRow
from service.ledger.tables import relay_refused

COMPARISON_LOCK = 0x65787063
"""The advisory lock of who compares the status topic: of our own number, beside that of the migrations."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far a lane is published: `seq` is the last entry published or put aside, `last_seq` the last one written."""

    lane: int
    seq: int
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An entry that the brokers did not take, which their lane went past."""

    lane: int
    seq: int
    reason: str
    refused_at: datetime


async def lock_backlogs(tx: Tx, most: int) -> Sequence[Backlog]:
    """Lock up to `most` lanes that have something to publish and that no other relay holds."""
    rows = (await tx.execute(_LOCK, {"most": most})).all()
    return [Backlog(row.lane, row.seq, row.last_seq) for row in rows]


async def lock_relays(tx: Tx, lanes: Iterable[int]) -> None:
    """Wait for the relay rows of these lanes, in order: until this transaction ends nobody else publishes them."""
    await tx.execute(_LOCK_LANES, {"lanes": sorted(set(lanes))})


async def try_comparing(tx: Tx) -> bool:
    """Whether this transaction is now the only one that compares the status topic; until it ends."""
    return bool((await tx.execute(_COMPARING, {"lock": COMPARISON_LOCK})).scalar_one())


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


async def list_backlogs(tx: Tx) -> Sequence[Backlog]:
    """How far each lane is published, all of them, sorted."""
    return [Backlog(row.lane, row.seq, row.last_seq) for row in (await tx.execute(_BACKLOGS)).all()]


async def put_aside(tx: Tx, reasons: Mapping[tuple[int, int], str]) -> None:
    """Note entries, by (lane, seq), that the brokers refuse, and why; what is noted already stays. Lanes are held."""
    if not reasons:
        return
    places = sorted(reasons)
    parameters = {
        "lanes": [lane for lane, _ in places],
        "seqs": [seq for _, seq in places],
        "reasons": [reasons[place] for place in places],
    }
    await tx.execute(_PUT_ASIDE, parameters)


async def list_refused(tx: Tx) -> Sequence[Refused]:
    """The entries put aside, sorted."""
    statement = select(relay_refused).order_by(relay_refused.c.lane, relay_refused.c.seq)
    return [Refused(**row._mapping) for row in (await tx.execute(statement)).all()]  # noqa: SLF001 -- as above


async def find_refused(tx: Tx, lane: int, seq: int) -> Refused | None:
    """The entry put aside at this place, or None."""
    statement = select(relay_refused).where(relay_refused.c.lane == lane, relay_refused.c.seq == seq)
    row = (await tx.execute(statement)).first()
    return None if row is None else Refused(**row._mapping)  # noqa: SLF001 -- as above


async def forget_refused(tx: Tx, lane: int, seq: int) -> None:
    """Take an entry off the list, since the brokers have taken it now. Its lane must be held."""
    await tx.execute(delete(relay_refused).where(relay_refused.c.lane == lane, relay_refused.c.seq == seq))


_COMPARING = text("SELECT pg_try_advisory_xact_lock(:lock)")
_LOCK_LANES = text(
    """
    SELECT lane FROM ledger.relay_position WHERE lane = ANY(CAST(:lanes AS smallint[])) ORDER BY lane FOR UPDATE
    """
)
_BACKLOGS = text(
    """
    SELECT relay_position.lane, relay_position.seq, lane.next_seq - 1 AS last_seq
    FROM ledger.relay_position JOIN ledger.lane USING (lane) ORDER BY relay_position.lane
    """
)
_PUT_ASIDE = text(
    """
    INSERT INTO ledger.relay_refused (lane, seq, reason)
    SELECT * FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[]), CAST(:reasons AS text[]))
    ON CONFLICT DO NOTHING
    """
)
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
