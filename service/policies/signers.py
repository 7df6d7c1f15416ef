"""A list of signers: who may sign policy versions, with which key, from when until when. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from service.audit.canonical import canonical, digest, instant
from service.policies.document import Document, read_document
from service.policies.model import read_instant
from service.policies.refusal import PolicyRefused
from service.policies.signatures import key_text, read_key

NEEDED = 2
"""People who must sign for a version, or for the next list."""
_FORMAT = 1
_LIST_FIELDS = {"signers", "people"}
_PERSON_FIELDS = {"name", "public_key", "valid_from", "valid_until"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One person. `valid_until` is the first instant at which the key counts no more; None: until a later list."""

    name: str
    public_key: bytes
    valid_from: datetime
    valid_until: datetime | None

    def may_sign(self, at: datetime) -> bool:
        """Whether the key counts at this instant."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerList:
    """A list by its sha256, of its resolved form. `title` is how its author calls it."""

    title: str
    signers: tuple[Signer, ...]
    resolved: bytes

    @property
    def sha256(self) -> bytes:
        """By which it is kept."""
        return digest(self.resolved)

    def find(self, name: str, public_key: bytes) -> Signer | None:
        """The person of this name with this key; None when the list has none."""
        return next((one for one in self.signers if (one.name, one.public_key) == (name, public_key)), None)


def read_signer_list(text: bytes, name: str) -> SignerList:
    """The list in a YAML document. PolicyRefused, with file and line, for anything malformed or said twice."""
    document = read_document(text, name)
    tree = document.tree
    _only(document, (), tree, _LIST_FIELDS)
    title, people = tree.get("signers"), tree.get("people")
    if not isinstance(title, str) or not title.strip():
        raise PolicyRefused(f'{name}:1: expected `signers: "NAME OF THIS LIST"`, such as signers: "2026-06"')
    if not isinstance(people, list) or len(people) < NEEDED:
        raise PolicyRefused(
            f"{document.where(('people',))}: expected at least {NEEDED} people, since so many must sign"
        )
    signers = tuple(_signer(document, number) for number in range(len(people)))
    for number, one in enumerate(signers):
        for other in signers[:number]:
            if one.name == other.name or one.public_key == other.public_key:
                what = "name" if one.name == other.name else "key"
                raise PolicyRefused(f"{document.where(('people', number))}: {one.name} has the {what} of {other.name}")
    return SignerList(title=title, signers=signers, resolved=_resolved(title, signers))


def stored_signer_list(resolved: bytes) -> SignerList:
    """The list of a stored resolved form. ValueError, LookupError or TypeError when it is none."""
    tree = orjson.loads(resolved)
    if tree["format"] != _FORMAT:
        raise ValueError(f"lists of signers of format {tree['format']} are not known")
    signers = tuple(
        Signer(
            name=one["name"],
            public_key=read_key(one["public_key"]),
            valid_from=read_instant(one["valid_from"]),
            valid_until=None if one["valid_until"] is None else read_instant(one["valid_until"]),
        )
        for one in tree["signers"]
    )
    return SignerList(title=tree["title"], signers=signers, resolved=resolved)


def _resolved(title: str, signers: Sequence[Signer]) -> bytes:
    people = [
        {
            "name": one.name,
            "public_key": key_text(one.public_key),
            "valid_from": instant(one.valid_from),
            "valid_until": None if one.valid_until is None else instant(one.valid_until),
        }
        for one in signers
    ]
    return canonical({"format": _FORMAT, "kind": "signers", "title": title, "signers": people})


def _signer(document: Document, number: int) -> Signer:
    path = ("people", number)
    people = document.tree["people"]
    person = people[number] if isinstance(people, list) else None
    if not isinstance(person, dict):
        raise PolicyRefused(f"{document.where(path)}: expected a person with name, public_key and valid_from")
    _only(document, path, person, _PERSON_FIELDS)
    name = person.get("name")
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise PolicyRefused(f"{document.where(path)}: expected `name: NAME`, as it is given to --by")
    start = _instant(document, (*path, "valid_from"), person.get("valid_from"))
    end = person.get("valid_until")
    until = None if end is None else _instant(document, (*path, "valid_until"), end)
    if until is not None and until <= start:
        raise PolicyRefused(
            f"{document.where((*path, 'valid_until'))}: {name} could never sign: it ends before it begins"
        )
    try:
        key = read_key(str(person.get("public_key")))
    except ValueError as error:
        raise PolicyRefused(f"{document.where((*path, 'public_key'))}: {error}") from None
    return Signer(name=name, public_key=key, valid_from=start, valid_until=until)


def _only(document: Document, path: tuple[str | int, ...], given: Mapping[str, object], known: set[str]) -> None:
    for field in given:
        if field not in known:
            raise PolicyRefused(f"{document.where((*path, field))}: unknown field '{field}'; known: {sorted(known)}")


def _instant(document: Document, path: tuple[str | int, ...], value: object) -> datetime:
    try:
        return read_instant(str(value))
    except ValueError as error:
        raise PolicyRefused(f"{document.where(path)}: {error}") from None
