"""People with keys, and lists of them, for tests about signatures."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from service.policies import LoadedPolicy
from service.policies.lifecycle import Activated, activate, publish
from service.policies.listing import publish_signers, sign_list
from service.policies.signatures import SigningKey, key_text
from service.policies.signers import SignerList, read_signer_list
from service.policies.signing import Signed, sign
from tests.ledger import Ledger
from tests.policies import small_policy

KEYS: Mapping[str, SigningKey] = {name: SigningKey.new() for name in ("ann", "bob", "cleo", "dan")}
"""The keys of this run. Ann publishes; the others approve."""
ALWAYS = '"2026-01-01T00:00:00Z"'


def list_document(
    title: str = "first",
    people: Sequence[str] = ("ann", "bob", "cleo"),
    *,
    keys: Mapping[str, SigningKey] = KEYS,
    until: Mapping[str, str] | None = None,
    since: Mapping[str, str] | None = None,
) -> bytes:
    """A list of signers as somebody writes it."""
    lines = [f'signers: "{title}"', "people:"]
    for name in people:
        lines += [
            f"  - name: {name}",
            f"    public_key: {key_text(keys[name].public)}",
            f"    valid_from: {(since or {}).get(name, ALWAYS)}",
            f"    valid_until: {(until or {}).get(name, 'null')}",
        ]
    return "\n".join(lines).encode() + b"\n"


async def demand_signatures(
    ledger: Ledger, document: bytes | None = None, signed_by: Sequence[str] = ("ann", "bob")
) -> SignerList | None:
    """Publish a list of signers, and return the one it replaces."""
    document = document or list_document()
    async with ledger.engine("policy_officer").begin() as tx:
        signers = read_signer_list(document, "signers.yaml")
        given = [await sign_list(tx, signers=signers, key=KEYS[name]) for name in signed_by]
        return await publish_signers(tx, signers=signers, document=document, signatures=given, published_by="ann")


async def published(ledger: Ledger, loaded: LoadedPolicy | None = None, by: str = "ann") -> bytes:
    """Publish a version, and return its sha256."""
    loaded = loaded or small_policy("2", held="fable-5")
    async with ledger.engine("policy_officer").begin() as tx:
        await publish(tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by=by)
    return bytes.fromhex(loaded.policy.sha256)


async def sign_as(ledger: Ledger, sha256: bytes, *names: str) -> Signed:
    """Have these people sign; what the last signature brought about."""
    signed = None
    for name in names:
        async with ledger.engine("policy_officer").begin() as tx:
            signed = await sign(tx, sha256=sha256, name=name, key=KEYS[name])
    assert signed is not None
    return signed


async def put_in_force(
    ledger: Ledger, sha256: bytes, *, at: datetime | None = None, emergency: bool = False, rollback: bool = False
) -> Activated:
    """Activate, now unless a time is given."""
    async with ledger.engine("policy_officer").begin() as tx:
        return await activate(
            tx, sha256=sha256, at=at, activated_by="dan", reason="a test", emergency=emergency, rollback=rollback
        )
