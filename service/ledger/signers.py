"""Lists of signers and their signatures under policy versions: who may approve, and who did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, text

from service.ledger.engine import Tx
from service.ledger.tables import policy, policy_signature, policy_signer_list

COUNTERSIGN_WITHIN = timedelta(hours=24)
"""How long an emergency activation may stand, from when it begins, before a missing countersignature is an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerListRow:
    """A stored list of signers. `replaces` is the list before it, None for the first; `resolved` is what is hashed.

    `signatures` are those of two people of the list before, or of the first list itself, as canonical JSON.
    """

    sha256: bytes
    document: bytes
    resolved: bytes
    replaces: bytes | None
    signatures: bytes
    published_by: str
    published_at: datetime
    lane: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRow:
    """One person's signature under a policy version."""

    policy_sha256: bytes
    signer: str
    public_key: bytes
    signature: bytes
    signed_at: datetime
    lane: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An emergency activation that nobody has countersigned. `is_overdue`: longer than `COUNTERSIGN_WITHIN`."""

    effective_at: datetime
    policy_sha256: bytes
    version: str
    due_at: datetime
    is_overdue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Authored:
    """What a signature is about: a stored version and who published it."""

    sha256: bytes
    name: str
    version: str
    published_by: str


async def list_signer_lists(tx: Tx) -> Sequence[SignerListRow]:
    """All lists of signers, oldest first; the last one counts."""
    rows = (await tx.execute(select(policy_signer_list).order_by(policy_signer_list.c.seq))).all()
    return [SignerListRow(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name


async def store_signer_list(tx: Tx, row: SignerListRow) -> None:
    """Store a list. A trigger refuses one that does not replace the list in force, or that it has not signed."""
    await tx.execute(insert(policy_signer_list).values({name: getattr(row, name) for name in row.__dataclass_fields__}))


async def signatures_demanded(tx: Tx) -> bool:
    """Whether activations need signatures: from the first list of signers on."""
    return bool((await tx.execute(select(func.count()).select_from(policy_signer_list))).scalar_one())


async def list_signatures(tx: Tx, sha256: bytes | None = None) -> Sequence[SignatureRow]:
    """The signatures under a version, None meaning under every one, in the order in which they were given."""
    statement = select(policy_signature).order_by(policy_signature.c.seq)
    if sha256 is not None:
        statement = statement.where(policy_signature.c.policy_sha256 == sha256)
    return [SignatureRow(**row._mapping) for row in (await tx.execute(statement)).all()]  # noqa: SLF001 -- as above


async def store_signature(tx: Tx, row: SignatureRow) -> None:
    """Store a signature. A trigger refuses that of the author, and of anybody who may not sign now."""
    await tx.execute(insert(policy_signature).values({name: getattr(row, name) for name in row.__dataclass_fields__}))


async def authored(tx: Tx, sha256: bytes) -> Authored:
    """A stored version and its author; LookupError when the ledger does not hold it."""
    columns = (policy.c.sha256, policy.c.name, policy.c.version, policy.c.published_by)
    row = (await tx.execute(select(*columns).where(policy.c.sha256 == sha256))).first()
    if row is None:
        raise LookupError(f"policy {sha256.hex()} is not stored; publish the document again")
    return Authored(**row._mapping)  # noqa: SLF001 -- as above


async def awaiting_countersignature(tx: Tx) -> Sequence[Waiting]:
    """The emergency activations for which fewer than two signatures count now, oldest first.

    They are counted as for an activation, by the list of signers in force now: who has left it counts no more. One that
    a version with signatures enough has replaced waits for nobody any more.
    """
    rows = (await tx.execute(_WAITING, {"within": COUNTERSIGN_WITHIN})).all()
    return [Waiting(**row._mapping) for row in rows]  # noqa: SLF001 -- as above


_WAITING = text(
    """
    SELECT a.effective_at, a.policy_sha256, p.version, a.effective_at + CAST(:within AS interval) AS due_at,
           a.effective_at + CAST(:within AS interval) <= clock_timestamp() AS is_overdue
    FROM ledger.activation_not_cancelled AS a JOIN ledger.policy AS p ON p.sha256 = a.policy_sha256
    CROSS JOIN (SELECT sha256 FROM ledger.policy_signer_list ORDER BY seq DESC LIMIT 1) AS judges
    WHERE a.emergency AND ledger.count_approvers(a.policy_sha256, judges.sha256, clock_timestamp()) < 2
      AND NOT EXISTS (
        SELECT FROM ledger.activation_not_cancelled AS next
        WHERE next.effective_at > a.effective_at AND next.effective_at <= clock_timestamp()
          AND (NOT next.emergency OR ledger.count_approvers(next.policy_sha256, judges.sha256, clock_timestamp()) >= 2))
    ORDER BY a.effective_at
    """
)
