"""Ed25519 (RFC 8032) keys as files, and what exactly is signed under a policy version or a list of signers. Pure."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from service.audit.canonical import canonical
from service.policies.refusal import PolicyRefused

_FORMAT = 1
_DOMAIN = b"exportgate signature v1\x00"
"""Stands before what is signed, so that a signature made for anything else says nothing here, and the other way."""
_PREFIX = "ed25519:"
_KEY_BYTES = 32
_OTHERS = 0o077
_MAX_KEY_FILE = 16 * 1024
_FIELD = 2**255 - 19
_ORDER_EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = {0, 1, _FIELD - 1, _ORDER_EIGHT, _FIELD - _ORDER_EIGHT}
"""The y of the points whose order divides the cofactor: a signature by such a key says nothing of who made it."""


def policy_statement(*, sha256: bytes, name: str, version: str, signer: str) -> bytes:
    """What `signer` signs to approve of a policy version."""
    return _statement({"kind": "policy", "sha256": sha256.hex(), "name": name, "version": version, "signer": signer})


def signers_statement(*, sha256: bytes, replaces: bytes | None, signer: str) -> bytes:
    """What `signer` signs to let a list of signers replace the one before, None for the first list."""
    before = None if replaces is None else replaces.hex()
    return _statement({"kind": "signers", "sha256": sha256.hex(), "replaces": before, "signer": signer})


def _statement(content: dict[str, object]) -> bytes:
    return _DOMAIN + canonical({**content, "format": _FORMAT})


def is_signed(statement: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the signature is of this statement, by the holder of this key. False for a key that is none, too."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_text(public_key: bytes) -> str:
    """A public key as people write it: `ed25519:` and 64 hexadecimal digits."""
    return _PREFIX + public_key.hex()


def read_key(text: str) -> bytes:
    """The public key in `text`; ValueError when it is none."""
    digits = text.removeprefix(_PREFIX)
    if not text.startswith(_PREFIX) or len(digits) != 2 * _KEY_BYTES or set(digits) - set("0123456789abcdef"):
        raise ValueError("expected a public key such as ed25519:4f0e...9a, as `exportgate policy keygen` prints it")
    key = bytes.fromhex(digits)
    Ed25519PublicKey.from_public_bytes(key)
    if _is_of_small_order(key):
        raise ValueError("anybody can sign for this key, since its point has a small order; make one: policy keygen")
    return key


def _is_of_small_order(key: bytes) -> bool:
    """The eight points of order 1, 2, 4 and 8, in every encoding: with either sign, and not reduced (RFC 8032, 5.1)."""
    y = int.from_bytes(key, "little") & ((1 << 255) - 1)
    return y % _FIELD in _SMALL_ORDER


class PassphraseNeeded(PolicyRefused):
    """The key file is encrypted, and no passphrase was given."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A person's private key. It shows itself nowhere."""

    _private: Ed25519PrivateKey

    @classmethod
    def new(cls) -> Self:
        """A key that nobody has had before."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, statement: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._private.sign(statement)

    def write(self, path: Path, passphrase: str | None) -> None:
        """Write it as PEM (PKCS #8) for its owner's eyes; None means not encrypted. OSError when there is a file."""
        how = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
        content = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())

    def __repr__(self) -> str:
        return f"<signing key {key_text(self.public)}>"


def read_signing_key(path: Path, passphrase: str | None) -> SigningKey:
    """The key in a file. PolicyRefused when it is none or others may read it, PassphraseNeeded, or OSError.

    No message holds anything of what the file holds.
    """
    with path.open("rb") as opened:
        if os.fstat(opened.fileno()).st_mode & _OTHERS:
            raise PolicyRefused(f"{path} may be read or changed by others; take that away: chmod 600 {path}")
        content = opened.read(_MAX_KEY_FILE)
    try:
        key = load_pem_private_key(content, None if passphrase is None else passphrase.encode())
    except TypeError:
        if passphrase is None:
            raise PassphraseNeeded(f"{path} is encrypted; its passphrase is needed") from None
        return read_signing_key(path, None)
    except (ValueError, UnsupportedAlgorithm):
        raise PolicyRefused(f"{path} holds no private key in PEM, or its passphrase is another") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PolicyRefused(f"{path} holds no Ed25519 key; make one: exportgate policy keygen")
    return SigningKey(key)
