"""Who may sign, and signing: a list of signers replaces another, and people approve of a policy version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.audit.canonical import canonical, digest, instant
from service.audit.journal import Scribe
from service.ledger.engine import Tx
from service.ledger.history import append_journal
from service.ledger.lanes import Head, advance_lanes, lock_lanes, read_installation
from service.ledger.policies import read_pin
from service.ledger.signers import (
    Authored,
    SignatureRow,
    SignerListRow,
    authored,
    list_signatures,
    store_signature,
    store_signer_list,
)
from service.policies.approval import NotSigned, read_judges
from service.policies.refusal import PolicyRefused, suggestion
from service.policies.signatures import SigningKey, key_text, policy_statement, signers_statement
from service.policies.signers import NEEDED, Signer, SignerList
from service.policies.stored import stored_policy


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature brought about: who counts for the version now, of how many that are needed."""

    version: Authored
    approvers: tuple[str, ...]


async def publish_signers(
    tx: Tx, *, signers: SignerList, document: bytes, keys: Sequence[SigningKey], published_by: str
) -> SignerList | None:
    """Let a list of signers count from now on, and return the one it replaces, None for the first.

    PolicyRefused unless two people of the list in force sign with `keys`; the first list is signed by two of its own.
    """
    head = await _control_lane(tx)
    judges = await read_judges(tx)
    before = judges.in_force
    if signers.sha256 in {one.sha256 for one in judges.lists}:
        raise PolicyRefused("this list was published before; a list counts once, so give it another `signers:` name")
    if sum(one.may_sign(head.last_at) and one.valid_until is None for one in signers.signers) < NEEDED:
        raise PolicyRefused(
            f"fewer than {NEEDED} people of this list may sign now and without an end, so one day nobody could "
            "replace it"
        )
    replaces = None if before is None else before.sha256
    signatures = []
    for key in keys:
        signer = _holder(before or signers, key, head.last_at)
        statement = signers_statement(sha256=signers.sha256, replaces=replaces, signer=signer.name)
        signatures.append(
            {"name": signer.name, "public_key": key_text(key.public), "signature": key.sign(statement).hex()}
        )
    if len({one["name"] for one in signatures}) < NEEDED:
        whose = "of this list" if before is None else "of the list in force"
        raise NotSigned(f"a list of signers needs the keys of {NEEDED} people {whose}; give --key for each")
    body: dict[str, object] = {
        "signers_sha256": signers.sha256.hex(),
        "document_sha256": digest(document).hex(),
        "title": signers.title,
        "replaces": None if replaces is None else replaces.hex(),
        "signatures": signatures,
        "published_by": published_by,
    }
    lane, seq = await _write(tx, head, "signers_published", body)
    row = SignerListRow(
        sha256=signers.sha256,
        document=document,
        resolved=signers.resolved,
        replaces=replaces,
        signatures=canonical({"signers": signatures}),
        published_by=published_by,
        published_at=head.last_at,
        lane=lane,
        seq=seq,
    )
    await store_signer_list(tx, row)
    await advance_lanes(tx, [head])
    return before


async def sign(tx: Tx, *, sha256: bytes, name: str, key: SigningKey) -> Signed:
    """Store a person's approval of a version. PolicyRefused when they may not give it, or LookupError."""
    head = await _control_lane(tx)
    judges = await read_judges(tx)
    judge = judges.in_force
    if judge is None:
        raise PolicyRefused("nobody may sign yet: there is no list of signers; see: exportgate policy signers --help")
    policy = await stored_policy(tx, sha256)
    of = await authored(tx, sha256)
    _refuse_stranger(judge, name, key, head.last_at)
    given = await list_signatures(tx, sha256)
    if name == of.published_by:
        raise PolicyRefused(f"{name} has published {of.version}, and an author does not approve; ask somebody else")
    if any((one.signer, one.public_key) == (name, key.public) for one in given):
        raise PolicyRefused(f"{name} has signed {of.version} already")
    statement = policy_statement(sha256=sha256, name=policy.name, version=policy.version, signer=name)
    signature = key.sign(statement)
    body: dict[str, object] = {
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "signer": name,
        "public_key": key_text(key.public),
        "signature": signature.hex(),
        "signers_sha256": judge.sha256.hex(),
    }
    lane, seq = await _write(tx, head, "policy_signed", body)
    row = SignatureRow(
        policy_sha256=sha256,
        signer=name,
        public_key=key.public,
        signature=signature,
        signed_at=head.last_at,
        lane=lane,
        seq=seq,
    )
    await store_signature(tx, row)
    await advance_lanes(tx, [head])
    return Signed(of, tuple(judges.approvers(of, [*given, row], head.last_at)))


def _refuse_stranger(judge: SignerList, name: str, key: SigningKey, at: datetime) -> None:
    listed = next((one for one in judge.signers if one.name == name), None)
    if listed is None:
        known = [one.name for one in judge.signers]
        raise PolicyRefused(f"{name} is not on the list of signers{suggestion(name, known)}")
    if listed.public_key != key.public:
        raise PolicyRefused(f"the key is not the one that is listed for {name}, {key_text(listed.public_key)}")
    if not listed.may_sign(at):
        raise PolicyRefused(f"{name} may not sign now: the list of signers says from when until when")


def _holder(judge: SignerList, key: SigningKey, at: datetime) -> Signer:
    for one in judge.signers:
        if one.public_key == key.public and one.may_sign(at):
            return one
    raise PolicyRefused(f"nobody on the list may sign now with the key {key_text(key.public)}")


async def _control_lane(tx: Tx) -> Head:
    """The held head of the control lane, moved on to now."""
    control = (await read_installation(tx)).control_lane
    head = (await lock_lanes(tx, [control]))[control]
    head.last_at = (await read_pin(tx, head.last_at)).now
    return head


async def _write(tx: Tx, head: Head, kind: str, body: dict[str, object]) -> tuple[int, int]:
    scribe = Scribe({head.lane: head})
    place = scribe.write(head.lane, kind, {**body, "account_id": None, "at": instant(head.last_at)})
    await append_journal(tx, scribe.rows)
    return place
