"""Where each subject stands now, with the entry that says so: what the status topic must say of it in the end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, text

from service.ledger.engine import Tx
from service.ledger.history import JournalRow
from service.ledger.subjects import SubjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a subject stands. `entry` is that of its standing decision; None when it has ended and none stands."""

    account_id: str
    subject_id: str
    lane: int
    entry: JournalRow | None

    @property
    def key(self) -> SubjectKey:
        """Which subject it is."""
        return self.account_id, self.subject_id


async def standing_of(tx: Tx, keys: Collection[SubjectKey]) -> Sequence[Standing]:
    """Where these subjects stand; those never decided are left out. Publish it only while their relay rows are held."""
    ordered = sorted(keys)
    parameters = {"accounts": [account for account, _ in ordered], "subjects": [subject for _, subject in ordered]}
    return [_standing(row) for row in (await tx.execute(_OF, parameters)).all()]


async def standing_after(tx: Tx, lane: int, after: SubjectKey, limit: int) -> Sequence[Standing]:
    """Where up to `limit` subjects of a lane stand, in order behind `after`. Publish it only under the lane's lock."""
    parameters = {"lane": lane, "account": after[0], "subject": after[1], "most": limit}
    return [_standing(row) for row in (await tx.execute(_AFTER, parameters)).all()]


async def count_standing(tx: Tx) -> int:
    """How many subjects were ever decided."""
    return int((await tx.execute(_COUNT)).scalar_one())


def _standing(row: Row[tuple[object, ...]]) -> Standing:
    values = dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's public name
    own = {name: values.pop(name) for name in ("account_id", "subject_id", "subject_lane")}
    entry = None if values["seq"] is None else JournalRow(**values)
    return Standing(account_id=own["account_id"], subject_id=own["subject_id"], lane=own["subject_lane"], entry=entry)


_SELECT = """
    SELECT subject.account_id, subject.subject_id, subject.lane AS subject_lane,
           journal.lane, journal.seq, journal.kind, journal.body, journal.leaf, journal.link
    FROM ledger.subject LEFT JOIN ledger.decision USING (decision_id)
         LEFT JOIN ledger.journal ON journal.lane = decision.lane AND journal.seq = decision.seq
    WHERE subject.revision > 0
"""
_OF = text(
    f"""
    {_SELECT} AND (subject.account_id, subject.subject_id) IN (
        SELECT * FROM unnest(CAST(:accounts AS text[]), CAST(:subjects AS text[])))
    ORDER BY subject.account_id, subject.subject_id
    """  # noqa: S608 -- a constant of ours
)
_AFTER = text(
    f"""
    {_SELECT} AND subject.lane = :lane AND (subject.account_id, subject.subject_id) > (:account, :subject)
    ORDER BY subject.account_id, subject.subject_id LIMIT :most
    """
)
_COUNT = text("SELECT count(*) FROM ledger.subject WHERE revision > 0")
