"""Canonical bytes: one form for one value, so that a hash means something years later.

JSON with sorted keys, no white space, UTF-8: RFC 8785 for values without floats whose keys are ASCII, which all of ours
are.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from uuid import NAMESPACE_DNS, UUID, uuid5

import orjson


def canonical(value: object) -> bytes:
    """The bytes of dicts, lists, strings, integers, booleans and decimals (as strings); TypeError for anything else."""
    return orjson.dumps(value, default=_as_text, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME)


def digest(content: bytes) -> bytes:
    """The sha256 by which content is kept."""
    return sha256(content).digest()


def identity(kind: str, *named: object) -> UUID:
    """An id that follows from what it names (UUIDv5, RFC 9562 section 5.5), so that a repetition gives the same one."""
    return uuid5(_NAMESPACES[kind], canonical(named).decode())


_ROOT = uuid5(NAMESPACE_DNS, "exportgate")
_NAMESPACES = {kind: uuid5(_ROOT, kind) for kind in ("decision", "quarantine", "activation", "cancellation", "shadow")}


@lru_cache(maxsize=1_000)
def instant(at: datetime) -> str:
    """An instant as it stands in bodies: RFC 3339, UTC, microseconds always."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _as_text(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return instant(value)
    raise TypeError(f"no canonical form for a {type(value).__name__}")
