"""Signing: people of the list of signers approve of a policy version."""

from dataclasses import dataclass
from datetime import datetime

from service.audit.control import hold_control_lane, write_control_entry
from service.ledger.engine import Tx
from service.ledger.signers import Authored, SignatureRow, authored, list_signatures, store_signature
from service.policies.approval import read_judges
from service.policies.refusal import PolicyRefused, suggestion
from service.policies.signatures import SigningKey, key_text, policy_statement
from service.policies.signers import SignerList
from service.policies.stored import stored_policy


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature brought about: who counts for the version now, of how many that are needed."""

    version: Authored
    approvers: tuple[str, ...]


async def sign(tx: Tx, *, sha256: bytes, name: str, key: SigningKey) -> Signed:
    """Store a person's approval of a version. PolicyRefused when they may not give it, or LookupError."""
    head = await hold_control_lane(tx)
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
    lane, seq = await write_control_entry(tx, head, "policy_signed", body)
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
    return Signed(of, tuple(judges.approvers(of, [*given, row], head.last_at)))


def _refuse_stranger(judge: SignerList, name: str, key: SigningKey, at: datetime) -> None:
    listed = next((one for one in judge.signers if one.name == name), None)
    if listed is None:
        known = [one.name for one in judge.signers]
        raise PolicyRefused(
            f"{name} is not on the list of signers{suggestion(name, known)}; on it are: {', '.join(known)}"
        )
    if listed.public_key != key.public:
        raise PolicyRefused(f"the key is not the one that is listed for {name}, {key_text(listed.public_key)}")
    if not listed.may_sign(at):
        raise PolicyRefused(f"{name} may not sign now: the list of signers says from when until when")
