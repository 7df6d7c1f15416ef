"""What every transaction that decides has in common: a docket is opened under its lanes, and written back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from service.audit.journal import Scribe
from service.decide.policy import Policy
from service.docket import Docket
from service.faults import reach
from service.ledger.engine import Tx
from service.ledger.history import append_decisions, append_journal
from service.ledger.lanes import Installation, lock_lanes
from service.ledger.policies import read_pin, resolved_policy
from service.ledger.positions import TopicPartition
from service.ledger.quarantine import append_quarantine, open_counts
from service.ledger.state import write_state
from service.ledger.subjects import SubjectKey, load_subjects
from service.policies.approval import NotSigned, check_activation
from service.policies.must_hold import approved_in_doubt

PolicyLoader = Callable[[bytes], Policy]
_NOWHERE: Mapping[TopicPartition, int] = {}


class NoPolicyInForce(Exception):  # noqa: N818 -- as above: wait, consume nothing
    """No policy has been activated, so nothing can be decided. Never go on without one."""


class MustStop(Exception):  # noqa: N818 -- as above: the process must end
    """Something is wrong with us: the pinned policy cannot be loaded, or too many records meet a bug."""


async def open_docket(
    tx: Tx,
    installation: Installation,
    lanes: Iterable[int],
    *,
    keys: Sequence[SubjectKey],
    whole: Sequence[str],
    policies: dict[bytes, Policy],
    signed: set[datetime],
    load_policy: PolicyLoader,
) -> Docket:
    """Everything that decides under these lanes starts here, whether an event, a redrive or a re-evaluation asks.

    `policies` and `signed` remember what was loaded, and which activations are signed as they must be.

    Whatever a decision reads is written under its account's lane or changed by "commit, then walk every lane": so the
    pin is read after the lanes are held, in a statement of its own.
    """
    heads = await lock_lanes(tx, lanes)
    reach("lanes_locked")
    pin = await read_pin(tx, max(head.last_at for head in heads.values()))
    reach("pin_read")
    if pin.policy_sha256 is None:
        raise NoPolicyInForce
    for head in heads.values():
        head.last_at = pin.now
    policy = policies.get(pin.policy_sha256)
    if policy is None:
        policy = policies[pin.policy_sha256] = await _load(tx, pin.policy_sha256, load_policy)
    if pin.effective_at is not None and pin.effective_at not in signed:
        await _check_signed(tx, policy.version, pin.effective_at)
        signed.add(pin.effective_at)
    accounts = {account for account, _ in keys}
    unread = await open_counts(tx, accounts)
    docket = Docket(
        installation=installation, epoch=pin.epoch, now=pin.now, policy=policy, scribe=Scribe(heads), unread=unread
    )
    for subject in await load_subjects(tx, keys, whole):
        docket.know(subject)
    reach("subjects_loaded")
    return docket


async def write(
    tx: Tx, docket: Docket, *, cluster: str = "", next_offsets: Mapping[TopicPartition, int] = _NOWHERE
) -> None:
    """Write what a docket has decided, and move its lanes on, and the claimed positions to `next_offsets`."""
    await append_journal(tx, docket.scribe.rows)
    reach("journal_written")
    await append_decisions(tx, docket.decisions)
    reach("decisions_written")
    await append_quarantine(tx, docket.quarantined)
    reach("quarantine_written")
    await write_state(
        tx,
        evidence=docket.evidence,
        subjects=[docket.subjects[key] for key in docket.changed],
        heads=docket.scribe.heads.values(),
        cluster=cluster,
        next_offsets=next_offsets,
    )
    reach("state_written")


async def _check_signed(tx: Tx, version: str, effective_at: datetime) -> None:
    try:
        await check_activation(tx, effective_at)
    except (NotSigned, LookupError) as error:
        raise MustStop(f"the policy in force, {version}, is not signed as it must be: {error}") from error


async def _load(tx: Tx, sha256_: bytes, load_policy: PolicyLoader) -> Policy:
    try:
        policy = load_policy(await resolved_policy(tx, sha256_))
        approved = approved_in_doubt(policy)
    except (LookupError, ValueError, SyntaxError, RecursionError) as error:
        raise MustStop(f"the policy in force, {sha256_.hex()}, cannot be loaded: {error}") from error
    if policy.required_lists:
        # Publishing refuses such a version; one that came in another way must not approve what nobody has screened.
        raise MustStop(f"the policy in force, {policy.version}, requires lists, but this release screens no names yet")
    if approved:
        raise MustStop(f"the policy in force, {policy.version}, would approve in doubt: {'; '.join(approved)}")
    return policy
