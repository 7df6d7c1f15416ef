"""A published version out of the ledger, with the bytes compared: what somebody slipped in is nobody's law."""

from service.decide.policy import Policy
from service.ledger.engine import Tx
from service.ledger.policies import resolved_policy
from service.policies.load import load_resolved
from service.policies.refusal import PolicyRefused


async def stored_bytes(tx: Tx, sha256: bytes) -> bytes:
    """The resolved form of a published version. PolicyRefused when it is stored with other bytes, or LookupError."""
    try:
        return await resolved_policy(tx, sha256)
    except ValueError as error:
        raise PolicyRefused(str(error)) from None


async def stored_policy(tx: Tx, sha256: bytes) -> Policy:
    """A published version. PolicyRefused when it is stored with other bytes or cannot be read, or LookupError."""
    return load_resolved(await stored_bytes(tx, sha256))
