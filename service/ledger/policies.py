"""Policy documents and their activations: what is in force, and from when."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256 as sha256_of

from sqlalchemy import func, insert, select, text

from service.ledger.engine import Tx
from service.ledger.tables import policy, policy_activation, policy_cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What one batch decides by: the instant, the policy in force then and since when, and the ledger epoch.

    `policy_sha256` and `effective_at` are None when none is. The epoch may be raised while workers run.
    """

    now: datetime
    policy_sha256: bytes | None
    effective_at: datetime | None
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A stored policy version. `effective_at` is its latest activation, None when it never was activated."""

    sha256: bytes
    name: str
    version: str
    published_by: str
    published_at: datetime
    effective_at: datetime | None
    in_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """From when a stored version decides, until the next activation begins.

    `emergency`: one signature was enough. `rollback`: it goes back to a version that was in force before.
    `signers_sha256` is the list of signers that it was judged by, None when there was none.
    """

    effective_at: datetime
    policy_sha256: bytes
    activated_by: str
    reason: str
    lane: int
    seq: int
    recorded_at: datetime
    emergency: bool = False
    rollback: bool = False
    signers_sha256: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """That an activation, known by when it was to begin, never begins."""

    effective_at: datetime
    cancelled_by: str
    reason: str
    cancelled_at: datetime
    lane: int
    seq: int


async def read_pin(tx: Tx, not_before: datetime | None) -> Pin:
    """Read the clock once, never earlier than `not_before`, and the policy in force at that instant, and the epoch.

    Call it in a statement of its own after the lanes are held: read together with the lock, it can return the old
    policy with the new lane. `not_before` is the last instant written in the locked lanes; the clock may have stepped
    back since.
    """
    row = (await tx.execute(_PIN, {"not_before": not_before})).one()
    return Pin(now=row.now, policy_sha256=row.policy_sha256, effective_at=row.effective_at, epoch=row.epoch)


async def resolved_policy(tx: Tx, sha256: bytes) -> bytes:
    """The resolved form of a stored policy.

    LookupError when the ledger does not hold it, ValueError when it holds other bytes under this digest.
    """
    found = (await tx.execute(select(policy.c.resolved).where(policy.c.sha256 == sha256))).scalar()
    if found is None:
        raise LookupError(f"policy {sha256.hex()} is not stored; publish the document again")
    resolved = bytes(found)
    if sha256_of(resolved).digest() != sha256:
        other = sha256_of(resolved).hexdigest()
        raise ValueError(f"policy {sha256.hex()} is stored with other bytes, {other}; they are nobody's law")
    return resolved


async def policy_document(tx: Tx, version: str) -> tuple[bytes, bytes] | None:
    """(sha256, document) of the stored version, or None.

    A digest in hexadecimal names a version too, and so do its first digits, `SHORTEST` at least, where no other begins
    so.
    """
    columns = select(policy.c.sha256, policy.c.document)
    rows = (await tx.execute(columns.where(policy.c.version == version))).all()
    if not rows and _DIGEST.fullmatch(version):
        digits = func.encode(policy.c.sha256, "hex")
        rows = (await tx.execute(columns.where(digits.startswith(version)))).all()
    return (rows[0].sha256, rows[0].document) if len(rows) == 1 else None


async def store_policy(
    tx: Tx,
    *,
    sha256: bytes,
    name: str,
    version: str,
    document: bytes,
    resolved: bytes,
    published_by: str,
    published_at: datetime,
) -> bool:
    """Store a document by its digest; False when exactly it is stored already.

    The same version with other bytes violates a unique constraint: a version never means two things.
    """
    known = (await tx.execute(select(policy.c.sha256).where(policy.c.sha256 == sha256))).scalar()
    if known is not None:
        return False
    values = {
        "sha256": sha256,
        "name": name,
        "version": version,
        "document": document,
        "resolved": resolved,
        "published_by": published_by,
        "published_at": published_at,
    }
    await tx.execute(insert(policy).values(values))
    return True


async def store_activation(tx: Tx, activation: Activation) -> None:
    """Store an activation.

    A trigger refuses an instant before any lane's last one: nothing decided may change its law.
    """
    values = {name: getattr(activation, name) for name in activation.__dataclass_fields__}
    await tx.execute(insert(policy_activation).values(values))


async def store_cancellation(tx: Tx, cancellation: Cancellation) -> None:
    """Store a cancellation. A trigger refuses that of an activation that has begun, or is none."""
    values = {name: getattr(cancellation, name) for name in cancellation.__dataclass_fields__}
    await tx.execute(insert(policy_cancellation).values(values))


async def list_policies(tx: Tx) -> Sequence[Published]:
    """All stored versions, oldest first."""
    return [Published(**row._mapping) for row in (await tx.execute(_LIST)).all()]  # noqa: SLF001 -- SQLAlchemy's public name


async def list_activations(tx: Tx, *, with_cancelled: bool = False) -> Sequence[Activation]:
    """All activations, in the order in which they come into force; without those that were cancelled, unless asked."""
    cancelled = select(policy_cancellation.c.effective_at)
    statement = select(*(policy_activation.c[name] for name in Activation.__dataclass_fields__))
    if not with_cancelled:
        statement = statement.where(policy_activation.c.effective_at.not_in(cancelled))
    rows = (await tx.execute(statement.order_by(policy_activation.c.effective_at))).all()
    return [Activation(**row._mapping) for row in rows]  # noqa: SLF001 -- as above


async def list_cancellations(tx: Tx) -> Sequence[Cancellation]:
    """All cancellations, by when the activation was to begin."""
    statement = select(policy_cancellation).order_by(policy_cancellation.c.effective_at)
    return [Cancellation(**row._mapping) for row in (await tx.execute(statement)).all()]  # noqa: SLF001 -- as above


SHORTEST = 12
"""Digits of a sha256 that name a version; `policy list` shows so many."""
_DIGEST = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}")

_PIN = text(
    """
    WITH instant AS MATERIALIZED (
        SELECT greatest(clock_timestamp(), CAST(:not_before AS timestamptz) + interval '1 microsecond') AS now
    )
    SELECT instant.now, in_force.policy_sha256, in_force.effective_at, (SELECT epoch FROM ledger.installation) AS epoch
    FROM instant LEFT JOIN LATERAL (
        SELECT policy_sha256, effective_at FROM ledger.activation_not_cancelled WHERE effective_at <= instant.now
        ORDER BY effective_at DESC LIMIT 1
    ) AS in_force ON true
    """
)
_LIST = text(
    """
    SELECT policy.sha256, policy.name, policy.version, policy.published_by, policy.published_at,
           (SELECT max(effective_at) FROM ledger.activation_not_cancelled WHERE policy_sha256 = policy.sha256)
               AS effective_at,
           policy.sha256 IS NOT DISTINCT FROM (
               SELECT policy_sha256 FROM ledger.activation_not_cancelled WHERE effective_at <= clock_timestamp()
               ORDER BY effective_at DESC LIMIT 1
           ) AS in_force
    FROM ledger.policy ORDER BY policy.published_at
    """
)
