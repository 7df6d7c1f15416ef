"""History as rows: what one transaction adds to it. Written with COPY, read back whole."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, Select, select, text

from service.ledger.engine import Tx, copy_rows
from service.ledger.tables import decision, evidence, journal


class JournalRow(NamedTuple):
    """One entry of a lane. `body` is exactly what is hashed and published."""

    lane: int
    seq: int
    kind: str
    body: bytes
    leaf: bytes
    link: bytes


class DecisionRow(NamedTuple):
    """The columns people query of a decision; every one of them can be recomputed from the journal's body."""

    decision_id: UUID
    account_id: str
    subject_id: str
    epoch: int
    revision: int
    outcome: str
    access: str
    cause_kind: str
    cause_id: str
    policy_sha256: bytes
    rules: tuple[str, ...]
    supersedes: UUID | None
    raw_sha256: bytes | None
    facts_sha256: bytes
    decided_at: datetime
    valid_until: datetime | None
    lane: int
    seq: int


async def append_journal(tx: Tx, rows: Sequence[JournalRow]) -> None:
    """Add entries. Their lanes must be held."""
    await copy_rows(tx, "journal", JournalRow._fields, rows)


async def append_decisions(tx: Tx, rows: Sequence[DecisionRow]) -> None:
    """Add decisions.

    A decision id that exists is a violation, since it would be a second decision of the same cause.
    """
    await copy_rows(tx, "decision", DecisionRow._fields, rows)


def kept_evidence(contents: Mapping[bytes, bytes]) -> dict[str, object]:
    """The parameters of `KEEP_EVIDENCE`. Sorted, so that two workers do not wait for each other."""
    digests = sorted(contents)
    return {"digests": digests, "contents": [contents[digest] for digest in digests]}


async def read_evidence(tx: Tx, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """The contents kept under these digests; what was erased or never kept is left out."""
    statement = select(evidence.c.sha256, evidence.c.content).where(evidence.c.sha256.in_(digests))
    return {row.sha256: row.content for row in (await tx.execute(statement)).all()}


async def known_records(tx: Tx, digests: Sequence[bytes]) -> set[bytes]:
    """Which of these digests are kept."""
    statement = text("SELECT sha256 FROM ledger.evidence WHERE sha256 = ANY(CAST(:digests AS bytea[]))")
    return set((await tx.execute(statement, {"digests": list(digests)})).scalars())


async def find_decision(tx: Tx, decision_id: UUID) -> DecisionRow | None:
    """A decision by its id."""
    row = (await tx.execute(_decisions().where(decision.c.decision_id == decision_id))).first()
    return None if row is None else _decision(row)


async def decisions_of(tx: Tx, account_id: str) -> Sequence[DecisionRow]:
    """All decisions of an account and its subjects, oldest first."""
    statement = _decisions().where(decision.c.account_id == account_id).order_by(decision.c.decided_at, decision.c.seq)
    return [_decision(row) for row in (await tx.execute(statement)).all()]


async def decisions_after(tx: Tx, decided_at: datetime, limit: int) -> Sequence[DecisionRow]:
    """Decisions made after an instant, oldest first; for following along."""
    statement = _decisions().where(decision.c.decided_at > decided_at)
    rows = (await tx.execute(statement.order_by(decision.c.decided_at).limit(limit))).all()
    return [_decision(row) for row in rows]


async def latest_decisions(tx: Tx, limit: int) -> Sequence[DecisionRow]:
    """The last `limit` decisions, oldest first."""
    statement = _decisions().order_by(decision.c.decided_at.desc()).limit(limit)
    return [_decision(row) for row in reversed((await tx.execute(statement)).all())]


async def journal_entry(tx: Tx, lane: int, seq: int) -> JournalRow | None:
    """One entry of the journal."""
    statement = select(journal).where(journal.c.lane == lane, journal.c.seq == seq)
    row = (await tx.execute(statement)).first()
    return None if row is None else JournalRow(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's public name


async def read_lane(tx: Tx, lane: int, *, after_seq: int, limit: int) -> Sequence[JournalRow]:
    """Up to `limit` entries of a lane behind `after_seq`, in order."""
    statement = select(journal).where(journal.c.lane == lane, journal.c.seq > after_seq)
    rows = (await tx.execute(statement.order_by(journal.c.seq).limit(limit))).all()
    return [JournalRow(**row._mapping) for row in rows]  # noqa: SLF001 -- as above


async def walk_lane(tx: Tx, lane: int, *, chunk: int = 1_000) -> AsyncIterator[JournalRow]:
    """All entries of a lane, read in chunks so that memory stays flat."""
    after = 0
    while rows := await read_lane(tx, lane, after_seq=after, limit=chunk):
        for row in rows:
            yield row
        after = rows[-1].seq


async def decisions_at(tx: Tx, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], DecisionRow]:
    """The decision rows of journal entries, by (lane, seq)."""
    statement = text(
        """
        SELECT lane, seq FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[])) AS wanted (lane, seq)
        """
    ).columns(decision.c.lane, decision.c.seq)
    wanted = statement.subquery("wanted")
    joined = _decisions().join(wanted, (decision.c.lane == wanted.c.lane) & (decision.c.seq == wanted.c.seq))
    parameters = {"lanes": [lane for lane, _ in places], "seqs": [seq for _, seq in places]}
    rows = (await tx.execute(joined, parameters)).all()
    return {(row.lane, row.seq): _decision(row) for row in rows}


def _decisions() -> Select[Any]:
    return select(*(decision.c[name] for name in DecisionRow._fields))


def _decision(row: Row[Any]) -> DecisionRow:
    values = dict(row._mapping)  # noqa: SLF001 -- as above
    values["rules"] = tuple(values["rules"])
    return DecisionRow(**values)


KEEP_EVIDENCE = """
    INSERT INTO ledger.evidence (sha256, content)
    SELECT * FROM unnest(CAST(:digests AS bytea[]), CAST(:contents AS bytea[])) ON CONFLICT DO NOTHING
"""
"""Keeps contents by their sha256; what is kept already stays."""


async def walk_evidence(tx: Tx, *, chunk: int = 500) -> AsyncIterator[tuple[bytes, bytes]]:
    """All evidence as (sha256, content), read in chunks so that memory stays flat."""
    after = b""
    while True:
        statement = select(evidence.c.sha256, evidence.c.content).where(evidence.c.sha256 > after)
        rows = (await tx.execute(statement.order_by(evidence.c.sha256).limit(chunk))).all()
        if not rows:
            return
        for row in rows:
            yield row.sha256, row.content
        after = rows[-1].sha256
