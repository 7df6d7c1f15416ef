"""A policy version's life in the ledger: published once, activated at a time, in force until the next one begins."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from service.audit.canonical import digest, identity, instant
from service.audit.journal import Scribe
from service.decide.policy import Policy
from service.ledger.engine import Tx
from service.ledger.history import append_journal
from service.ledger.lanes import Head, advance_lanes, lock_lanes, read_installation
from service.ledger.policies import (
    Activation,
    Cancellation,
    Pin,
    list_activations,
    read_pin,
    store_activation,
    store_cancellation,
    store_policy,
)
from service.ledger.signers import authored, list_signatures
from service.policies.approval import Approval, Judges, NotSigned, needed_for, read_judges
from service.policies.load import load_resolved
from service.policies.must_hold import refuse_approval_in_doubt
from service.policies.refusal import PolicyRefused
from service.policies.stored import stored_bytes, stored_policy


async def publish(tx: Tx, *, policy: Policy, document: bytes, resolved: bytes, published_by: str) -> bool:
    """Store a version; False when exactly it is stored already. Publishing changes nothing that is decided.

    PolicyRefused when it is about no model, when it does not hold what every version has to hold, and when it demands
    lists: this release screens nobody, and a demand that nobody meets would approve on doubt.
    """
    if not policy.catalogue:
        raise PolicyRefused(f"policy {policy.version} has an empty catalogue; name the models that it is about")
    if policy.required_lists:
        raise PolicyRefused(
            f"policy {policy.version} requires lists ({', '.join(policy.required_lists)}), but this release screens no "
            "names yet; take them out of `lists.required`"
        )
    refuse_approval_in_doubt(policy)
    installation = await read_installation(tx)
    heads = await lock_lanes(tx, [installation.control_lane])
    pin = await read_pin(tx, heads[installation.control_lane].last_at)
    is_new = await store_policy(
        tx,
        sha256=bytes.fromhex(policy.sha256),
        name=policy.name,
        version=policy.version,
        document=document,
        resolved=resolved,
        published_by=published_by,
        published_at=pin.now,
    )
    if is_new:
        scribe = Scribe(heads)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """From when a version decides, and whose signatures that rests on: None when nobody's is demanded.

    `emergency`: one signature had to do. Not `is_new`: it was to be in force then already, so nothing was stored.
    """

    effective_at: datetime
    signed_by: tuple[str, ...] | None
    emergency: bool = False
    is_new: bool = True


async def activate(
    tx: Tx,
    *,
    sha256: bytes,
    at: datetime | None,
    activated_by: str,
    reason: str,
    emergency: bool = False,
    rollback: bool = False,
) -> Activated:
    """Put a stored version in force at an instant, None meaning now.

    Takes every lane, in order, and stamps its time there: a batch that holds a lane has decided before this, one that
    waits will read the new pin. Stores nothing when the version is to be in force then anyway. It is an emergency only
    where fewer have signed than are needed otherwise. Refuses an instant in the past, since no decision may lose its
    law, a version that cannot be loaded, one that approves in doubt or whose law is proposed or rescinded, one that too
    few people have signed, and, unless `rollback`, one that others have replaced.
    """
    installation = await read_installation(tx)
    heads = await lock_lanes(tx, range(installation.control_lane + 1))
    pin = await read_pin(tx, max(head.last_at for head in heads.values()))
    policy = await _law(tx, sha256)
    if at is not None and at < pin.now:
        raise PolicyRefused(
            f"an activation may not reach into the past: {instant(at)} is before {instant(pin.now)}; "
            "leave out the time to activate now"
        )
    effective_at = at or pin.now
    judges = await read_judges(tx)
    judge = judges.in_force
    approval = judges.approval(await authored(tx, sha256), await list_signatures(tx, sha256), pin.now)
    signed_by = list(approval.names)
    before = [one for one in await list_activations(tx) if one.effective_at <= effective_at][-1:]
    if before and before[0].policy_sha256 == sha256:
        return Activated(
            effective_at=before[0].effective_at, signed_by=None if judge is None else approval.names, is_new=False
        )
    await _refuse_wrong_direction(tx, policy, effective_at, pin.now, rollback=rollback)
    _refuse_unsigned(judges, approval, emergency=emergency)
    emergency = emergency and len(signed_by) < needed_for(emergency=False)
    body: dict[str, object] = {
        "activation_id": str(_activation_id(sha256, effective_at)),
        "policy": _version(policy),
        "previous": await _previous(tx, effective_at),
        "in_force_from": instant(effective_at),
        "activated_by": activated_by,
        "reason": reason,
        "emergency": emergency,
        "rollback": rollback,
        "signed_by": signed_by,
        "signers_sha256": None if judge is None else judge.sha256.hex(),
    }
    lane, seq = await _write(tx, heads, pin, "policy_activated", body)
    activation = Activation(
        effective_at=effective_at,
        policy_sha256=sha256,
        activated_by=activated_by,
        reason=reason,
        lane=lane,
        seq=seq,
        recorded_at=pin.now,
        emergency=emergency,
        rollback=rollback,
        signers_sha256=None if judge is None else judge.sha256,
    )
    await store_activation(tx, activation)
    await _advance(tx, heads, pin)
    return Activated(
        effective_at=effective_at, signed_by=None if judge is None else approval.names, emergency=emergency
    )


async def cancel(tx: Tx, *, effective_at: datetime, cancelled_by: str, reason: str) -> str:
    """Take back an activation before it begins, and return its version. PolicyRefused when it has begun, or is none.

    Takes every lane as an activation does: a batch has decided before it began, or finds it cancelled.
    """
    installation = await read_installation(tx)
    heads = await lock_lanes(tx, range(installation.control_lane + 1))
    pin = await read_pin(tx, max(head.last_at for head in heads.values()))
    planned = [one for one in await list_activations(tx) if one.effective_at > pin.now]
    found = next((one for one in await list_activations(tx) if one.effective_at == effective_at), None)
    if found is None:
        known = ", ".join(instant(one.effective_at) for one in planned) or "none is planned"
        raise PolicyRefused(f"no activation is to begin at {instant(effective_at)}; planned: {known}")
    if found not in planned:
        raise PolicyRefused(
            f"the activation of {instant(effective_at)} has begun, and decisions may rest on it; "
            "activate another version, or roll back"
        )
    policy = await stored_policy(tx, found.policy_sha256)
    body: dict[str, object] = {
        "cancellation_id": str(identity("cancellation", instant(effective_at))),
        "activation_id": str(_activation_id(found.policy_sha256, effective_at)),
        "policy": _version(policy),
        "in_force_from": instant(effective_at),
        "cancelled_by": cancelled_by,
        "reason": reason,
        "account_id": None,
    }
    lane, seq = await _write(tx, heads, pin, "policy_cancelled", body)
    cancellation = Cancellation(
        effective_at=effective_at,
        cancelled_by=cancelled_by,
        reason=reason,
        cancelled_at=pin.now,
        lane=lane,
        seq=seq,
    )
    await store_cancellation(tx, cancellation)
    await _advance(tx, heads, pin)
    return policy.version


async def _law(tx: Tx, sha256: bytes) -> Policy:
    """A stored version that may decide. PolicyRefused when it may not."""
    resolved = await stored_bytes(tx, sha256)
    policy = load_resolved(resolved)
    status = orjson.loads(resolved)["legal_status"]
    if status in _NO_LAW:
        raise PolicyRefused(
            f"the law of {policy.version} is {status}, so it cannot be in force; `exportgate policy simulate "
            f"{policy.version}` shows what it would decide"
        )
    refuse_approval_in_doubt(policy)
    return policy


_NO_LAW = frozenset({"proposed", "rescinded"})


async def _refuse_wrong_direction(tx: Tx, policy: Policy, at: datetime, now: datetime, *, rollback: bool) -> None:
    """An activation that is played again must not bring back what was replaced: that takes a rollback, by name."""
    activations = await list_activations(tx)
    begun = any(one.policy_sha256.hex() == policy.sha256 and one.effective_at <= now for one in activations)
    before = [one.policy_sha256.hex() for one in activations if one.effective_at < at]
    if begun and not rollback and before[-1:] != [policy.sha256]:
        raise PolicyRefused(
            f"{policy.version} was in force before, and was replaced; to go back to it on purpose: "
            f"exportgate policy rollback --to {policy.version} --by NAME --reason TEXT"
        )
    if rollback and not begun:
        raise PolicyRefused(f"{policy.version} was never in force, so there is no way back to it; activate it")


def _refuse_unsigned(judges: Judges, approval: Approval, *, emergency: bool) -> None:
    """NotSigned when too few people have signed for an activation."""
    if judges.in_force is None:
        if emergency:
            raise PolicyRefused("nobody's signature is demanded yet, so leave --emergency out")
        return
    of, needed = approval.of, needed_for(emergency=emergency)
    if len(approval.names) < needed:
        who = f", {approval.told()}" if approval.names or approval.others else ""
        hint = "" if emergency else "; in an emergency one is enough, see --emergency"
        raise NotSigned(
            f"{of.version} needs the signatures of {needed} of the signers other than {of.published_by}, who published "
            f"it, and has {len(approval.names)}{who}: exportgate policy sign {of.version} --by NAME --key FILE{hint}"
        )


async def _write(tx: Tx, heads: dict[int, Head], pin: Pin, kind: str, body: dict[str, object]) -> tuple[int, int]:
    """Write one entry into the control lane, now."""
    scribe = Scribe(heads)
    place = scribe.write(max(heads), kind, {**body, "at": instant(pin.now)})
    await append_journal(tx, scribe.rows)
    return place


async def _advance(tx: Tx, heads: dict[int, Head], pin: Pin) -> None:
    for head in heads.values():
        head.last_at = pin.now
    await advance_lanes(tx, heads.values())


def _version(policy: Policy) -> dict[str, str]:
    return {"name": policy.name, "version": policy.version, "sha256": policy.sha256}


async def _previous(tx: Tx, effective_at: datetime) -> dict[str, str] | None:
    before = [one for one in await list_activations(tx) if one.effective_at < effective_at]
    return _version(await stored_policy(tx, before[-1].policy_sha256)) if before else None


def _activation_id(sha256: bytes, effective_at: datetime) -> UUID:
    return identity("activation", sha256.hex(), instant(effective_at))
