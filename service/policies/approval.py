"""Whether people who may have signed for what is in force: the signatures themselves, which PostgreSQL cannot read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from service.ledger.engine import Tx
from service.ledger.policies import Activation, list_activations
from service.ledger.signers import (
    Authored,
    SignatureRow,
    SignerListRow,
    authored,
    list_signatures,
    list_signer_lists,
)
from service.policies.refusal import PolicyRefused
from service.policies.signatures import is_signed, policy_statement, signers_statement
from service.policies.signers import NEEDED, SignerList, stored_signer_list

NEEDED_IN_AN_EMERGENCY = 1
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""What reading stored bytes may raise that somebody has tampered with."""


class NotSigned(PolicyRefused):
    """The signatures that are needed are not there, or are not what they claim to be."""


@dataclass(frozen=True, slots=True)
class Judges:
    """The lists of signers up to some moment, oldest first, each signed for by the one before it."""

    lists: tuple[SignerList, ...] = ()

    @property
    def in_force(self) -> SignerList | None:
        """The list that counts; None when nobody's signature is demanded."""
        return self.lists[-1] if self.lists else None

    def approvers(self, of: Authored, signatures: Iterable[SignatureRow], at: datetime) -> list[str]:
        """The people whose signatures count for a version at this instant: never its author, nor a key of theirs."""
        return [row.signer for row in signatures if self.fault(of, row, at) is None]

    def fault(self, of: Authored, row: SignatureRow, at: datetime) -> str | None:
        """Why a signature does not count for a version at this instant; None when it counts."""
        judge = self.in_force
        if judge is None:
            return "no list of signers counts"
        listed = next((one for one in judge.signers if one.name == row.signer), None)
        if listed is None:
            return "no longer a signer"
        if listed.public_key != row.public_key:
            return "signed with a key that is no longer listed"
        if not listed.may_sign(at):
            return "may not sign now"
        authors = {one.public_key for each in self.lists for one in each.signers if one.name == of.published_by}
        if row.signer == of.published_by or row.public_key in authors:
            return "the author"
        return None if is_true(of, row) else "the signature is not true"

    def approval(self, of: Authored, signatures: Sequence[SignatureRow], at: datetime) -> "Approval":
        """Who has signed for a version: those who count at this instant, and those who do not."""
        names = self.approvers(of, signatures, at)
        faults = [(row.signer, self.fault(of, row, at)) for row in signatures]
        others = tuple((name, why) for name, why in faults if why is not None and name not in names)
        return Approval(of=of, names=tuple(names), others=others)


@dataclass(frozen=True, slots=True)
class Approval:
    """The names of those whose signatures count for a version; `others` have signed but do not count, and why."""

    of: Authored
    names: tuple[str, ...]
    others: tuple[tuple[str, str], ...]

    def told(self) -> str:
        """`bob (cleo: no longer a signer)`; a dash for nobody."""
        others = "; ".join(f"{name}: {why}" for name, why in self.others)
        return f"{', '.join(self.names) or '-'}{f' ({others})' if others else ''}"


async def approvals(tx: Tx, judges: Judges, at: datetime) -> Sequence[Approval]:
    """How every version that anybody has signed stands at an instant, in the order of the first signatures."""
    signed: dict[bytes, list[SignatureRow]] = {}
    for row in await list_signatures(tx):
        signed.setdefault(row.policy_sha256, []).append(row)
    return [judges.approval(await authored(tx, sha256), rows, at) for sha256, rows in signed.items()]


def is_true(of: Authored, row: SignatureRow) -> bool:
    """Whether a stored signature is of this version, by the holder of its key."""
    statement = policy_statement(sha256=of.sha256, name=of.name, version=of.version, signer=row.signer)
    return is_signed(statement, row.signature, row.public_key)


async def read_judges(tx: Tx, *, before_seq: int | None = None) -> Judges:
    """The lists published before a place in the control lane, None meaning all. NotSigned when one is not signed."""
    rows = await list_signer_lists(tx)
    return _judges([row for row in rows if before_seq is None or row.seq < before_seq])


def _judges(rows: Sequence[SignerListRow]) -> Judges:
    lists: list[SignerList] = []
    for row in rows:
        try:
            fault = _fault_of_list(row, lists[-1] if lists else None)
            lists.append(stored_signer_list(row.resolved))
        except _UNREADABLE:
            fault = "it cannot be read"
        if fault is not None:
            raise NotSigned(f"the list of signers {row.sha256.hex()} does not count: {fault}")
    return Judges(tuple(lists))


def _fault_of_list(row: SignerListRow, before: SignerList | None) -> str | None:
    own = stored_signer_list(row.resolved)
    if own.sha256 != row.sha256:
        return "it is stored with other bytes"
    if row.replaces != (None if before is None else before.sha256):
        return "it does not replace the list before it"
    judge = own if before is None else before
    signed = set()
    for one in orjson.loads(row.signatures)["signers"]:
        key = bytes.fromhex(one["public_key"].partition(":")[2])
        signer = judge.find(one["name"], key)
        statement = signers_statement(sha256=row.sha256, replaces=row.replaces, signer=one["name"])
        if signer is not None and signer.may_sign(row.published_at):
            if not is_signed(statement, bytes.fromhex(one["signature"]), key):
                return f"the signature of {signer.name} is not true"
            signed.add(signer.name)
    return None if len(signed) >= NEEDED else f"{len(signed)} of {NEEDED} signatures are true"


async def check_activation(tx: Tx, effective_at: datetime) -> None:
    """Check the signatures under what came into force at an instant, by the list that counted then.

    NotSigned when too few of them are true: the database has counted them, but cannot verify them.
    """
    activation = next((one for one in await list_activations(tx) if one.effective_at == effective_at), None)
    if activation is None:
        raise NotSigned("its activation is gone")
    _check(
        activation,
        await read_judges(tx, before_seq=activation.seq),
        await authored(tx, activation.policy_sha256),
        await list_signatures(tx, activation.policy_sha256),
    )


def _check(activation: Activation, judges: Judges, of: Authored, signatures: Sequence[SignatureRow]) -> None:
    judge = judges.in_force
    if activation.signers_sha256 != (None if judge is None else judge.sha256):
        raise NotSigned("it was not judged by the list of signers then in force")
    if judge is None:
        return
    given = [row for row in signatures if row.seq < activation.seq]
    names, needed = judges.approvers(of, given, activation.recorded_at), needed_for(emergency=activation.emergency)
    if len(names) < needed:
        raise NotSigned(f"{len(names)} of {needed} signatures are true")


def needed_for(*, emergency: bool) -> int:
    """How many people must have signed before an activation."""
    return NEEDED_IN_AN_EMERGENCY if emergency else NEEDED


async def signature_faults(tx: Tx) -> list[tuple[str, str]]:
    """(what, why it is not signed as it must be) for every list, signature and activation of the whole history."""
    lists, signatures = await list_signer_lists(tx), await list_signatures(tx)
    activations = await list_activations(tx, with_cancelled=True)
    versions: dict[bytes, Authored] = {}
    for sha256 in {one.policy_sha256 for one in activations} | {one.policy_sha256 for one in signatures}:
        try:
            versions[sha256] = await authored(tx, sha256)
        except LookupError:
            continue  # That its document is gone is found where documents are compared.
    return [*_list_faults(lists), *_row_faults(lists, signatures, versions),
            *_activation_faults(lists, signatures, activations, versions)]  # fmt: skip


def _list_faults(lists: Sequence[SignerListRow]) -> Iterator[tuple[str, str]]:
    try:
        _judges(lists)
    except NotSigned as fault:
        yield "signers", str(fault)


def _row_faults(
    lists: Sequence[SignerListRow], signatures: Sequence[SignatureRow], versions: dict[bytes, Authored]
) -> Iterator[tuple[str, str]]:
    for row in signatures:
        of, where = versions.get(row.policy_sha256), f"signature of {row.signer} under {row.policy_sha256.hex()}"
        if of is not None and not is_true(of, row):
            yield where, "it is not true"
        elif of is not None and _approvers(lists, row.seq, of, [row], row.signed_at) == []:
            yield where, "who gave it might not sign then"


def _activation_faults(
    lists: Sequence[SignerListRow],
    signatures: Sequence[SignatureRow],
    activations: Sequence[Activation],
    versions: dict[bytes, Authored],
) -> Iterator[tuple[str, str]]:
    for one in activations:
        of = versions.get(one.policy_sha256)
        if of is None:
            continue
        given = [row for row in signatures if row.policy_sha256 == one.policy_sha256]
        try:
            _check(one, _judges([row for row in lists if row.seq < one.seq]), of, given)
        except NotSigned as fault:
            yield f"activation {one.effective_at}", str(fault)


def _approvers(
    lists: Sequence[SignerListRow], seq: int, of: Authored, rows: Sequence[SignatureRow], at: datetime
) -> list[str] | None:
    """As they counted at a place; None where the lists themselves do not count, which is said elsewhere."""
    try:
        return _judges([row for row in lists if row.seq < seq]).approvers(of, rows, at)
    except NotSigned:
        return None
