"""Records that could not be decided, and what became of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, text

from service.ledger.engine import Tx, copy_rows
from service.ledger.tables import quarantine, quarantine_resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRow:
    """One record put aside. `account_id` is None when nobody is held for it."""

    quarantine_id: UUID
    account_id: str | None
    reason: str
    detail: str
    source: str | None
    event_id: str | None
    topic: str
    partition: int
    record_offset: int
    raw_sha256: bytes
    opened_at: datetime
    lane: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How a quarantined record was resolved, by whom and why. `resolution` is redriven or dismissed."""

    quarantine_id: UUID
    resolution: str
    resolved_by: str
    reason: str
    resolved_at: datetime
    lane: int
    seq: int


_COLUMNS = tuple(QuarantineRow.__dataclass_fields__)


async def append_quarantine(tx: Tx, rows: Sequence[QuarantineRow]) -> None:
    """Add quarantined records."""
    await copy_rows(tx, "quarantine", _COLUMNS, [tuple(getattr(row, name) for name in _COLUMNS) for row in rows])


async def store_resolution(tx: Tx, resolution: Resolution) -> None:
    """Store what became of a record; its primary key lets only one resolution exist."""
    values = {name: getattr(resolution, name) for name in Resolution.__dataclass_fields__}
    await tx.execute(insert(quarantine_resolution).values(values))


async def open_counts(tx: Tx, accounts: Collection[str]) -> dict[str, int]:
    """How many records of each account are open; accounts without are left out. Their lanes must be held."""
    rows = (await tx.execute(_OPEN_COUNTS, {"accounts": list(accounts)})).all()
    return {row.account_id: row.open for row in rows}


async def list_open(tx: Tx, *, account_id: str | None, limit: int) -> Sequence[QuarantineRow]:
    """Open records, oldest first; only those of `account_id` unless it is None."""
    resolved = select(quarantine_resolution.c.quarantine_id)
    statement = select(*(quarantine.c[name] for name in _COLUMNS)).where(quarantine.c.quarantine_id.not_in(resolved))
    if account_id is not None:
        statement = statement.where(quarantine.c.account_id == account_id)
    rows = (await tx.execute(statement.order_by(quarantine.c.opened_at).limit(limit))).all()
    return [QuarantineRow(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name


async def find_quarantine(tx: Tx, quarantine_id: UUID) -> tuple[QuarantineRow, Resolution | None] | None:
    """A record put aside and its resolution, or None when there is no such record."""
    row = (await tx.execute(select(quarantine).where(quarantine.c.quarantine_id == quarantine_id))).first()
    if row is None:
        return None
    found = select(quarantine_resolution).where(quarantine_resolution.c.quarantine_id == quarantine_id)
    resolution = (await tx.execute(found)).first()
    return (
        QuarantineRow(**row._mapping),  # noqa: SLF001 -- as above
        None if resolution is None else Resolution(**resolution._mapping),  # noqa: SLF001 -- as above
    )


_OPEN_COUNTS = text(
    """
    SELECT account_id, count(*) AS open FROM ledger.quarantine
    WHERE account_id = ANY(CAST(:accounts AS text[])) AND NOT EXISTS (
        SELECT FROM ledger.quarantine_resolution AS resolution
        WHERE resolution.quarantine_id = quarantine.quarantine_id)
    GROUP BY account_id
    """
)


async def open_bugs(tx: Tx) -> int:
    """How many records that met a bug of ours are still open; remembered across restarts, since it is counted here."""
    return int((await tx.execute(_OPEN_BUGS)).scalar_one())


_OPEN_BUGS = text(
    """
    SELECT count(*) FROM ledger.quarantine WHERE reason = 'BUG' AND NOT EXISTS (
        SELECT FROM ledger.quarantine_resolution AS resolution
        WHERE resolution.quarantine_id = quarantine.quarantine_id)
    """
)


async def quarantined_hashes(tx: Tx, hashes: Collection[bytes]) -> set[bytes]:
    """Which of these digests belong to records that were put aside; their bytes may have been erased since."""
    if not hashes:
        return set()
    statement = select(quarantine.c.raw_sha256).where(quarantine.c.raw_sha256.in_(list(hashes)))
    return set((await tx.execute(statement)).scalars())
