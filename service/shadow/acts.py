"""A shadow's life in the ledger: an officer starts and stops it, which the journal keeps with name and reason."""

from sqlalchemy.exc import DBAPIError

from service.audit.canonical import identity, instant
from service.audit.control import hold_control_lane, write_control_entry
from service.decide.policy import Policy
from service.ledger.engine import STATEMENT_TIMEOUT, Tx, sqlstate
from service.ledger.shadow import Shadow, end_shadow, hold_shadow, is_running, running_shadow, store_shadow


class ShadowRefused(ValueError):  # noqa: N818 -- the message tells the person what to do
    """A shadow cannot be started or stopped now. The message is one line."""


async def start_shadow(tx: Tx, *, policy: Policy, resolved: bytes, by: str, reason: str) -> Shadow:
    """Start evaluating a candidate on every decision that is made from now on. ShadowRefused while another runs."""
    head = await hold_control_lane(tx)
    running = await running_shadow(tx)
    if running is not None:
        raise ShadowRefused(
            f"{running.version} runs in shadow already, since {instant(running.started_at)}, started by "
            f"{running.started_by}; to make room: exportgate policy shadow stop --by NAME --reason TEXT"
        )
    shadow_id = identity("shadow", policy.sha256, instant(head.last_at))
    body: dict[str, object] = {
        "shadow_id": str(shadow_id),
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "by": by,
        "reason": reason,
    }
    _, seq = await write_control_entry(tx, head, "shadow_started", body)
    started = Shadow(
        shadow_id=shadow_id,
        policy_sha256=bytes.fromhex(policy.sha256),
        name=policy.name,
        version=policy.version,
        started_by=by,
        start_reason=reason,
        started_at=head.last_at,
        lane=head.lane,
        seq=seq,
    )
    await store_shadow(tx, started, resolved)
    return started


async def stop_shadow(tx: Tx, *, by: str, reason: str) -> Shadow:
    """Stop the shadow that runs; its results stay. ShadowRefused when none does, or a follower of it stands still."""
    running = await running_shadow(tx)
    if running is None:
        raise ShadowRefused(_NONE)
    # Before the control lane: decisions need that, and must not wait for a follower.
    await _hold(tx, running)
    head = await hold_control_lane(tx)
    if not await is_running(tx, running.shadow_id):
        raise ShadowRefused(_NONE)
    body: dict[str, object] = {
        "shadow_id": str(running.shadow_id),
        "policy": {"name": running.name, "version": running.version, "sha256": running.policy_sha256.hex()},
        "by": by,
        "reason": reason,
    }
    _, seq = await write_control_entry(tx, head, "shadow_stopped", body)
    await end_shadow(tx, running.shadow_id, by=by, reason=reason, at=head.last_at, seq=seq)
    return running


_NONE = "no shadow runs; see: exportgate policy shadow status"
_LOCK_TIMEOUT = "55P03"


async def _hold(tx: Tx, running: Shadow) -> None:
    try:
        await hold_shadow(tx, running.shadow_id)
    except DBAPIError as error:
        if sqlstate(error) not in (_LOCK_TIMEOUT, STATEMENT_TIMEOUT):
            raise
        raise ShadowRefused(
            f"{running.version} still runs in shadow: a process that evaluates it stands still; end that process "
            "(exportgate policy shadow follow), or try again in a minute, when the database has ended its session"
        ) from error
