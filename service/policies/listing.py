"""Lists of signers replace one another: two people of the list in force sign for the next one, each where they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from service.audit.canonical import canonical, digest, instant
from service.audit.control import hold_control_lane, write_control_entry
from service.ledger.engine import Tx
from service.ledger.policies import read_pin
from service.ledger.signers import SignerListRow, store_signer_list
from service.policies.approval import Approval, Judges, NotSigned, approvals, read_judges
from service.policies.refusal import PolicyRefused
from service.policies.signatures import SigningKey, is_signed, key_text, read_key, signers_statement
from service.policies.signers import NEEDED, Signer, SignerList


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSignature:
    """What one person has signed: that the list of this sha256 may replace the list of that one, None: be the first."""

    signers_sha256: bytes
    replaces: bytes | None
    name: str
    public_key: bytes
    signature: bytes

    def as_json(self) -> dict[str, object]:
        """As it is handed from one person to another. It holds no secret."""
        return {
            "signers_sha256": self.signers_sha256.hex(),
            "replaces": None if self.replaces is None else self.replaces.hex(),
            **self.as_stored(),
        }

    def as_stored(self) -> dict[str, str]:
        """As it is kept beside the list."""
        return {"name": self.name, "public_key": key_text(self.public_key), "signature": self.signature.hex()}


def read_list_signature(text: bytes, name: str) -> ListSignature:
    """The signature in a file. PolicyRefused when it is none."""
    try:
        tree = orjson.loads(text)
        return ListSignature(
            signers_sha256=bytes.fromhex(tree["signers_sha256"]),
            replaces=None if tree["replaces"] is None else bytes.fromhex(tree["replaces"]),
            name=str(tree["name"]),
            public_key=read_key(str(tree["public_key"])),
            signature=bytes.fromhex(tree["signature"]),
        )
    except (ValueError, TypeError, KeyError):
        raise PolicyRefused(
            f"{name}: expected what `exportgate policy signers sign FILE --key KEYFILE` prints"
        ) from None


def list_changes(before: SignerList | None, after: SignerList) -> list[str]:
    """A line for each person whom a list adds, removes or changes against another one; None: it is the first."""
    old = {} if before is None else {one.name: one for one in before.signers}
    new = {one.name: one for one in after.signers}
    lines = [f"removes {name}" for name in old if name not in new]
    for name, signer in new.items():
        if name not in old:
            lines.append(f"adds {name}, {key_text(signer.public_key)}, {_dates(signer)}")
            continue
        if signer.public_key != old[name].public_key:
            lines.append(f"changes the key of {name} to {key_text(signer.public_key)}")
        if _dates(signer) != _dates(old[name]):
            lines.append(f"changes the dates of {name}: {_dates(signer)}, was {_dates(old[name])}")
    return lines


def _dates(signer: Signer) -> str:
    until = "without an end" if signer.valid_until is None else f"until {instant(signer.valid_until)}"
    return f"from {instant(signer.valid_from)} {until}"


async def less_approved(tx: Tx, before: Judges, now: Judges) -> Sequence[Approval]:
    """The versions that enough people had signed for by the lists before, and too few have by the lists now."""
    at = (await read_pin(tx, None)).now
    enough = {one.of.sha256 for one in await approvals(tx, before, at) if len(one.names) >= NEEDED}
    return [one for one in await approvals(tx, now, at) if len(one.names) < NEEDED and one.of.sha256 in enough]


async def sign_list(tx: Tx, *, signers: SignerList, key: SigningKey) -> ListSignature:
    """Sign for a list that is to replace the one in force; nothing is written. PolicyRefused when the key may not."""
    before = (await read_judges(tx)).in_force
    now = (await read_pin(tx, None)).now
    holder = next(
        (one for one in (before or signers).signers if one.public_key == key.public and one.may_sign(now)), None
    )
    if holder is None:
        known = ", ".join(one.name for one in (before or signers).signers)
        raise PolicyRefused(f"nobody on the list may sign now with the key {key_text(key.public)}; on it are: {known}")
    replaces = None if before is None else before.sha256
    statement = signers_statement(sha256=signers.sha256, replaces=replaces, signer=holder.name)
    return ListSignature(
        signers_sha256=signers.sha256,
        replaces=replaces,
        name=holder.name,
        public_key=key.public,
        signature=key.sign(statement),
    )


async def publish_signers(
    tx: Tx, *, signers: SignerList, document: bytes, signatures: Sequence[ListSignature], published_by: str
) -> SignerList | None:
    """Let a list of signers count from now on, and return the one it replaces, None for the first.

    PolicyRefused unless two people of the list in force have signed; the first list is signed by two of its own.
    """
    head = await hold_control_lane(tx)
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
    for one in signatures:
        if (one.signers_sha256, one.replaces) != (signers.sha256, replaces):
            raise PolicyRefused(f"{one.name} has signed for another list, or to replace another; sign this one again")
        signer = (before or signers).find(one.name, one.public_key)
        statement = signers_statement(sha256=signers.sha256, replaces=replaces, signer=one.name)
        if signer is None or not signer.may_sign(head.last_at):
            raise PolicyRefused(f"{one.name} may not sign now with the key {key_text(one.public_key)}")
        if not is_signed(statement, one.signature, one.public_key):
            raise PolicyRefused(f"the signature of {one.name} is none of this list")
    if len({one.name for one in signatures}) < len(signatures):
        raise PolicyRefused("somebody's signature is given twice; give each person's once")
    if len(signatures) < NEEDED:
        whose = "of this list" if before is None else "of the list in force"
        came = ", ".join(one.name for one in signatures) or "nobody"
        raise NotSigned(
            f"a list of signers needs the keys of {NEEDED} people {whose}, and {len(signatures)} came ({came}); give "
            "--key or --signature for each"
        )
    stored = [one.as_stored() for one in signatures]
    body: dict[str, object] = {
        "signers_sha256": signers.sha256.hex(),
        "document_sha256": digest(document).hex(),
        "title": signers.title,
        "replaces": None if replaces is None else replaces.hex(),
        "signatures": stored,
        "published_by": published_by,
    }
    lane, seq = await write_control_entry(tx, head, "signers_published", body)
    row = SignerListRow(
        sha256=signers.sha256,
        document=document,
        resolved=signers.resolved,
        replaces=replaces,
        signatures=canonical({"signers": stored}),
        published_by=published_by,
        published_at=head.last_at,
        lane=lane,
        seq=seq,
    )
    await store_signer_list(tx, row)
    return before
