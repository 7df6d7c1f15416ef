"""Who was decided, with the facts it was decided on: what a simulation and a report read, in chunks of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from service.ledger.engine import Tx


class Decided(NamedTuple):
    """One decision. `facts` are the canonical bytes it was made on, None when they were erased."""

    decision_id: UUID
    account_id: str
    subject_id: str
    outcome: str
    decided_at: datetime
    facts: bytes | None
    access: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The decisions made from `since` on and before `until`; None means without a bound."""

    since: datetime | None
    until: datetime | None


async def count_standing_decisions(tx: Tx) -> int:
    """How many decisions stand now."""
    return int((await tx.execute(_COUNT_STANDING)).scalar_one())


async def count_standing_approvals(tx: Tx) -> int:
    """How many decisions that stand now approve."""
    return int((await tx.execute(_COUNT_APPROVALS)).scalar_one())


async def standing_decisions(tx: Tx, after: Decided | None, limit: int) -> Sequence[Decided]:
    """Up to `limit` standing decisions behind `after`, in the order of accounts and subjects; None begins."""
    place = ("", "") if after is None else (after.account_id, after.subject_id)
    parameters = {"account": place[0], "subject": place[1], "most": limit}
    return [Decided(*row) for row in (await tx.execute(_STANDING, parameters)).all()]


async def count_decisions(tx: Tx, period: Period) -> int:
    """How many decisions were made in a period."""
    parameters = {"since": period.since, "until": period.until}
    return int((await tx.execute(_COUNT_MADE, parameters)).scalar_one())


async def decisions_made(tx: Tx, period: Period, after: Decided | None, limit: int) -> Sequence[Decided]:
    """Up to `limit` decisions of a period behind `after`, oldest first; None begins."""
    parameters = {
        "since": period.since,
        "until": period.until,
        "after_at": None if after is None else after.decided_at,
        "after_id": None if after is None else after.decision_id,
        "most": limit,
    }
    return [Decided(*row) for row in (await tx.execute(_MADE, parameters)).all()]


_COLUMNS = "d.decision_id, d.account_id, d.subject_id, d.outcome, d.decided_at, e.content, d.access"
_COUNT_STANDING = text("SELECT count(*) FROM ledger.subject WHERE decision_id IS NOT NULL")
_COUNT_APPROVALS = text("SELECT count(*) FROM ledger.subject WHERE decision_id IS NOT NULL AND outcome = 'approve'")
_STANDING = text(
    f"""
    SELECT {_COLUMNS} FROM (
        SELECT decision_id, account_id, subject_id FROM ledger.subject
        WHERE decision_id IS NOT NULL AND (account_id, subject_id) > (:account, :subject)
        ORDER BY account_id, subject_id LIMIT :most
    ) AS s JOIN ledger.decision AS d USING (decision_id) LEFT JOIN ledger.evidence AS e ON e.sha256 = d.facts_sha256
    ORDER BY d.account_id, d.subject_id
    """  # noqa: S608 -- a constant of ours
)
_IN_PERIOD = """
    decided_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
    AND decided_at < coalesce(CAST(:until AS timestamptz), 'infinity')
"""
_COUNT_MADE = text(f"SELECT count(*) FROM ledger.decision WHERE {_IN_PERIOD}")  # noqa: S608 -- as above
_MADE = text(
    f"""
    SELECT {_COLUMNS} FROM (
        SELECT * FROM ledger.decision WHERE {_IN_PERIOD} AND (decided_at, decision_id) > (
            coalesce(CAST(:after_at AS timestamptz), '-infinity'),
            coalesce(CAST(:after_id AS uuid), '00000000-0000-0000-0000-000000000000'))
        ORDER BY decided_at, decision_id LIMIT :most
    ) AS d LEFT JOIN ledger.evidence AS e ON e.sha256 = d.facts_sha256
    ORDER BY d.decided_at, d.decision_id
    """  # noqa: S608 -- as above
)
