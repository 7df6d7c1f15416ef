"""A policy version's life in the ledger: published once, activated at a time, in force until the next one begins."""

from datetime import datetime
from uuid import UUID

from service.audit.canonical import digest, identity, instant
from service.audit.journal import Scribe
from service.decide.policy import Policy
from service.ledger.engine import Tx
from service.ledger.history import append_journal
from service.ledger.lanes import advance_lanes, lock_lanes, read_installation
from service.ledger.policies import (
    Activation,
    list_activations,
    read_pin,
    resolved_policy,
    store_activation,
    store_policy,
)
from service.policies.load import load_resolved
from service.policies.refusal import PolicyRefused


async def publish(tx: Tx, *, policy: Policy, document: bytes, resolved: bytes, published_by: str) -> bool:
    """Store a version; False when exactly it is stored already. Publishing changes nothing that is decided.

    PolicyRefused when it is about no model, and when it demands lists: this release screens nobody, and a demand that
    nobody meets would approve on doubt.
    """
    if not policy.catalogue:
        raise PolicyRefused(f"policy {policy.version} has an empty catalogue; name the models that it is about")
    if policy.required_lists:
        raise PolicyRefused(
            f"policy {policy.version} requires lists ({', '.join(policy.required_lists)}), but this release screens no "
            "names yet; take them out of `lists.required`"
        )
    installation = await read_installation(tx)
    heads = await lock_lanes(tx, [installation.control_lane])
    is_new = await store_policy(
        tx,
        sha256=bytes.fromhex(policy.sha256),
        name=policy.name,
        version=policy.version,
        document=document,
        resolved=resolved,
        published_by=published_by,
    )
    if is_new:
        scribe = Scribe(heads)
        pin = await read_pin(tx, heads[installation.control_lane].last_at)
        heads[installation.control_lane].last_at = pin.now
        body: dict[str, object] = {
            "policy": _version(policy),
            "document_sha256": digest(document).hex(),
            "published_by": published_by,
            "at": instant(pin.now),
        }
        scribe.write(installation.control_lane, "policy_published", body)
        await append_journal(tx, scribe.rows)
        await advance_lanes(tx, heads.values())
    return is_new


async def activate(tx: Tx, *, sha256: bytes, at: datetime | None, activated_by: str, reason: str) -> datetime:
    """Put a stored version in force at an instant, None meaning now, and return that instant.

    Takes every lane, in order, and stamps its time there: a batch that holds a lane has decided before this, one that
    waits will read the new pin. Refuses an instant in the past, since no decision may lose its law, and a version that
    cannot be loaded.
    """
    policy = load_resolved(await resolved_policy(tx, sha256))
    installation = await read_installation(tx)
    heads = await lock_lanes(tx, range(installation.control_lane + 1))
    pin = await read_pin(tx, max(head.last_at for head in heads.values()))
    if at is not None and at < pin.now:
        raise PolicyRefused(
            f"an activation may not reach into the past: {instant(at)} is before {instant(pin.now)}; "
            "leave out the time to activate now"
        )
    effective_at = at or pin.now
    scribe = Scribe(heads)
    body: dict[str, object] = {
        "activation_id": str(_activation_id(sha256, effective_at)),
        "policy": _version(policy),
        "previous": await _previous(tx, effective_at),
        "in_force_from": instant(effective_at),
        "activated_by": activated_by,
        "reason": reason,
        "emergency": False,
        "at": instant(pin.now),
    }
    lane, seq = scribe.write(installation.control_lane, "policy_activated", body)
    await append_journal(tx, scribe.rows)
    activation = Activation(
        effective_at=effective_at,
        policy_sha256=sha256,
        activated_by=activated_by,
        reason=reason,
        lane=lane,
        seq=seq,
    )
    await store_activation(tx, activation)
    for head in heads.values():
        head.last_at = pin.now
    await advance_lanes(tx, heads.values())
    return effective_at


def _version(policy: Policy) -> dict[str, str]:
    return {"name": policy.name, "version": policy.version, "sha256": policy.sha256}


async def _previous(tx: Tx, effective_at: datetime) -> dict[str, str] | None:
    before = [one for one in await list_activations(tx) if one.effective_at < effective_at]
    return _version(load_resolved(await resolved_policy(tx, before[-1].policy_sha256))) if before else None


def _activation_id(sha256: bytes, effective_at: datetime) -> UUID:
    return identity("activation", sha256.hex(), instant(effective_at))
