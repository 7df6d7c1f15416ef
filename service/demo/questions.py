"""What the summary asks the auditor's views: outcomes by policy version, rules, how the cast ended, what is old."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from service.ledger.engine import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many decisions had this outcome and access under this policy version."""

    policy_version: str
    outcome: str
    access: str
    decisions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """In how many decisions a rule had this result."""

    rule: str
    result: str
    title: str
    decisions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The last decision about a subject. `rules` are those that bore on it."""

    account_id: str
    subject_id: str
    outcome: str
    access: str
    policy_version: str
    rules: Sequence[str]


async def shares(tx: Tx) -> list[Share]:
    """Decisions by policy version, outcome and access."""
    return [Share(**row._mapping) for row in (await tx.execute(_SHARES)).all()]  # noqa: SLF001 -- SQLAlchemy's public name


async def rules(tx: Tx) -> list[RuleCount]:
    """The rules that bore on decisions, the most frequent first."""
    return [RuleCount(**row._mapping) for row in (await tx.execute(_RULES)).all()]  # noqa: SLF001 -- as above


async def endings(tx: Tx, accounts: Sequence[str]) -> dict[tuple[str, str], Ending]:
    """The last decision about each subject of some accounts, by account and subject."""
    rows = (await tx.execute(_ENDINGS, {"accounts": list(accounts)})).all()
    return {(row.account_id, row.subject_id): Ending(**row._mapping) for row in rows}  # noqa: SLF001 -- as above


async def outlived(tx: Tx) -> int:
    """How many subjects still stand as an earlier policy version left them."""
    return int((await tx.execute(_OUTLIVED)).scalar_one())


_SHARES = text(
    """
    SELECT policy_version, outcome, access, count(*) AS decisions FROM audit.decisions
    GROUP BY policy_version, outcome, access ORDER BY min(decided_at), outcome, access
    """
)
_RULES = text(
    """
    SELECT rule, result, min(title) AS title, count(*) AS decisions FROM audit.reasons
    GROUP BY rule, result ORDER BY count(*) DESC, rule, result
    """
)
_ENDINGS = text(
    """
    SELECT DISTINCT ON (account_id, subject_id) account_id, subject_id, outcome, access, policy_version, rules
    FROM audit.decisions WHERE account_id = ANY (CAST(:accounts AS text[]))
    ORDER BY account_id, subject_id, epoch DESC, revision DESC
    """
)
_OUTLIVED = text(
    """
    SELECT count(*) FROM (
        SELECT DISTINCT ON (account_id, subject_id) outcome, policy_sha256 FROM audit.decisions
        ORDER BY account_id, subject_id, epoch DESC, revision DESC
    ) AS standing
    WHERE policy_sha256 <> (
        SELECT policy_sha256 FROM audit.policy_in_force WHERE in_force_from <= clock_timestamp()
        ORDER BY in_force_from DESC LIMIT 1
    )
    """
)
