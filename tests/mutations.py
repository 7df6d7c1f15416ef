"""Valid events, and what may befall them on their way to us: the mutations of the fuzz tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from schemas.topics import topic_of
from tests import events
from tests.events import big_account, event
from tests.mishaps import IN_DOCUMENT, RAW, TWICE, pick

Json = dict[str, Any]

BASES: dict[str, tuple[str, Callable[[], Json]]] = {
    **{kind: (kind, build) for kind, build in events.DATA_OF.items()},
    "a large account": ("account.updated.v1", big_account),
}
"""Name -> (event type, builder of its data): the events that are mutated."""

_DRAWN = sorted([*BASES, *("account.signed_up.v1", "account.updated.v1", "a large account")])


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mishap. `where` and `what` choose the place and the value among those there are, so that any number fits."""

    name: str
    where: int
    what: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A base and what befalls it, in this order."""

    base: str
    mutations: tuple[Mutation, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it was meant, and what arrives of it. `harmless`: it says the same, in other writing."""

    plan: Plan
    meant: Json
    key: bytes | None
    value: bytes | None
    topic: str
    harmless: bool

    @property
    def account_id(self) -> str:
        """The account it was meant for."""
        return str(self.meant["data"]["account_id"])


def plans() -> st.SearchStrategy[Plan]:
    """A base with one or two mutations."""
    number = st.integers(0, 2**16)
    mutation = st.builds(Mutation, st.sampled_from(NAMES), number, number)
    several = st.tuples(mutation) | st.tuples(mutation) | st.tuples(mutation, mutation)
    return st.builds(Plan, st.sampled_from(_DRAWN), several)


def meant(base: str, account_id: str) -> Json:
    """The untouched event of a base, for this account; its id follows from the account's."""
    event_type, build = BASES[base]
    data = build() | {"account_id": account_id}
    if event_type == "account.updated.v1":
        data["version"] = 2
    return event(event_type, data, id=f"evt-{account_id}")


def mutate(plan: Plan, account_id: str) -> Sent:
    """What arrives when the mutations of a plan befall the event of its base."""
    said = meant(plan.base, account_id)
    document: Json = json.loads(json.dumps(said))
    chosen = {name: [one for one in plan.mutations if one.name in table] for name, table in _TABLES.items()}
    for one in chosen["document"]:
        IN_DOCUMENT[one.name](document, one.where, one.what)
    value: bytes | None = _written(document, [_WRITINGS[one.name] for one in chosen["writing"]])
    for two in chosen["bytes"]:
        value = _IN_BYTES[two.name](value or b"", two.where, two.what)
    key: bytes | None = account_id.encode()
    for three in chosen["key"]:
        key = _KEYS[three.name](account_id.encode(), three.what)
    topic = topic_of(said["type"])
    assert topic is not None
    harmless = all(one.name in _HARMLESS for one in plan.mutations)
    return Sent(plan, said, key, value, topic.name, harmless)


# ------------------------------------------------------------------------------------- writing, with what JSON forbids

_RAW = re.compile(rf'"{RAW}([^"]*)"'.encode())


def _written(document: Json, writings: Sequence[Callable[[Json], str]]) -> bytes:
    text = (writings or [_plain])[-1](document)
    raw = text.encode("utf-8", "surrogatepass")
    return _RAW.sub(rb"\1", raw.replace(f'"{TWICE}'.encode(), b'"'))


def _plain(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _backwards(value: Any) -> Any:
    """The same object with its names in the other order; lists keep theirs, which means something."""
    return {name: _backwards(value[name]) for name in reversed(value)} if isinstance(value, dict) else value


_WRITINGS: dict[str, Callable[[Json], str]] = {
    "indented": lambda document: json.dumps(document, ensure_ascii=False, indent=2),
    "escaped": json.dumps,
    "backwards": lambda document: _plain(_backwards(document)),
    "line breaks": lambda document: f"\r\n\t {_plain(document)} \n",
}


# --------------------------------------------------------------------------------------------------------- in the bytes

_TOKENS = (
    *(b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\n", b"\\", b'"', b"'"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b",,",
        b"null",
        b"\\u0000",
        b"\\ud800",
        b"\\u003a",
        b"/**/",
        b"0",
        b"-",
        b"1e9",
    ),
)


def _flip(raw: bytes, where: int, what: int) -> bytes:
    at = where % max(len(raw), 1)
    return raw[:at] + bytes(byte ^ 1 << what % 8 for byte in raw[at : at + 1]) + raw[at + 1 :]


def _cut(raw: bytes, where: int, what: int) -> bytes:
    at = where % max(len(raw), 1)
    return raw[:at] + raw[at + 1 + what % 20 :]


def _insert(raw: bytes, where: int, what: int) -> bytes:
    at = where % (len(raw) + 1)
    return raw[:at] + bytes(pick(_TOKENS, what)) + raw[at:]


def _repeat(raw: bytes, where: int, what: int) -> bytes:
    at = where % max(len(raw), 1)
    return raw[: at + 1 + what % 30] + raw[at:]


def _truncate(raw: bytes, where: int, _: int) -> bytes:
    return raw[: where % max(len(raw), 1)]


_ENCODINGS: tuple[Callable[[bytes], bytes | None], ...] = (
    lambda raw: raw.decode(errors="replace").encode("utf-16"),
    lambda raw: raw.decode(errors="replace").encode("utf-32-le"),
    lambda raw: b"\xef\xbb\xbf" + raw,
    lambda raw: raw + raw,
    lambda raw: raw + b"x",
    lambda raw: b"[" + raw + b"]",
    lambda raw: json.dumps(raw.decode(errors="replace")).encode(),
    lambda raw: raw.replace(b'"', b"'"),
    lambda _: b"",
    lambda _: b"null",
    lambda _: None,
)

_IN_BYTES: dict[str, Callable[[bytes, int, int], bytes | None]] = {
    "a bit flipped": _flip,
    "bytes cut": _cut,
    "bytes inserted": _insert,
    "bytes repeated": _repeat,
    "truncated": _truncate,
    "encoded otherwise": lambda raw, _, what: pick(_ENCODINGS, what)(raw),
}

_KEYS: dict[str, Callable[[bytes, int], bytes | None]] = {
    "no key": lambda _key, _what: None,
    "another key": lambda key, what: bytes(
        pick((b"", b"\xff\xfe", key + b" ", key.upper(), key + b"\x00", b"rival", b"\xef\xbb\xbf" + key), what)
    ),
}

_TABLES: dict[str, Mapping[str, object]] = {
    "document": IN_DOCUMENT,
    "writing": _WRITINGS,
    "bytes": _IN_BYTES,
    "key": _KEYS,
}
# What touches the data is drawn more often than what spoils the whole.
NAMES = sorted([*(name for table in _TABLES.values() for name in table), *[*IN_DOCUMENT] * 2])
_HARMLESS = {*_WRITINGS, "an unknown field", "an attribute", "no key"}
