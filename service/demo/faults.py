"""Records that cannot be read. Each has a customer of its own, who is held for it unless key and payload disagree."""

from collections.abc import Iterator
from dataclasses import replace

from service.demo.crowd import Town, account
from service.demo.message import Clerk, Message

_TOWN = Town("IE", "Cork", "Ltd")


def faults(clerk: Clerk) -> Iterator[Message]:
    """A signup of each customer, and later the record that breaks."""
    for number, (name, refused_as) in enumerate(FAULTS.items()):
        picture = account(_TOWN, f"broken-{name}", f"Broken {name} Ltd")
        yield clerk.event(0.50 + number / 1000, "account.signed_up.v1", picture)
        moment = 0.95 + number / 1000
        whole = clerk.event(moment, "account.updated.v1", picture | {"version": 2})
        yield replace(_broken(name, whole), refused_as=refused_as)


FAULTS = {
    "truncated": "NOT_JSON",
    "not-utf8": "NOT_UTF8",
    "raw-nul": "NOT_JSON",
    "escaped-nul": "INVALID_DATA",
    "other-key": "KEY_MISMATCH",
    "unknown-type": "UNKNOWN_TYPE",
    "newer-schema": "UNKNOWN_SCHEMA",
    "text-for-number": "INVALID_DATA",
    "empty": "EMPTY",
}
"""What is broken -> the reason code of the quarantine."""


def _broken(name: str, whole: Message) -> Message:
    value = whole.value
    match name:
        case "truncated":
            value = value[: len(value) * 2 // 3]
        case "not-utf8":
            value = value.replace(b"Broken ", b"Br\xf6ken ")
        case "raw-nul":
            value = value.replace(b"Broken ", b"Broken\x00")
        case "escaped-nul":
            value = value.replace(b"Broken ", b"Broken\\u0000")
        case "other-key":
            return replace(whole, key=b"somebody-else")
        case "unknown-type":
            value = value.replace(b"account.updated.v1", b"account.vanished.v1")
        case "newer-schema":
            value = value.replace(b"account.updated.v1", b"account.updated.v7")
        case "text-for-number":
            value = value.replace(b'"version":2', b'"version":"two"')
        case "empty":
            value = b""
        case _:
            raise ValueError(name)
    return replace(whole, value=value)
