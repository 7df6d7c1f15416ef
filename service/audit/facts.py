"""Facts as bytes and back: what evidence holds, so that a decision can be made again from it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from service.audit.canonical import canonical, instant
from service.decide.facts import Assurance, Authorization, Facts, Item, Value
from service.decide.values import reader_of
from service.decide.vocabulary import VOCABULARY
from service.normalise import OwnFacts

FORMAT = 1


def encode_facts(facts: Facts) -> bytes:
    """Canonical bytes of all facts a decision was made on."""
    return canonical(
        {
            "format": FORMAT,
            "values": facts.values,
            "items": [_item(item) for item in facts.items],
            "assurance": {name: level.name.lower() for name, level in facts.assurance.items()},
            "authorizations": [_authorization(one) for one in facts.authorizations],
        }
    )


def decode_facts(content: bytes) -> Facts:
    """The facts of `encode_facts`. ValueError when the bytes are of no format this engine knows."""
    raw = orjson.loads(content)
    if raw["format"] != FORMAT:
        raise ValueError(f"facts are of format {raw['format']}; this engine reads format {FORMAT}")
    return Facts(
        values=_values(raw["values"]),
        items=tuple(_read_item(item) for item in raw["items"]),
        assurance={name: Assurance[level.upper()] for name, level in raw["assurance"].items()},
        authorizations=tuple(_read_authorization(one) for one in raw["authorizations"]),
    )


def encode_own(own: OwnFacts) -> bytes:
    """Canonical bytes of a subject's own facts."""
    return encode_facts(Facts(values=own.values, items=own.items, assurance=own.assurance, authorizations=()))


def decode_own(content: bytes) -> OwnFacts:
    """The facts of `encode_own`."""
    facts = decode_facts(content)
    return OwnFacts(values=facts.values, items=facts.items, assurance=facts.assurance)


_READERS = {name: reader_of(spec) for name, spec in VOCABULARY.items()}


def _values(raw: Mapping[str, Any]) -> dict[str, Value]:
    return {name: _READERS[name](value) for name, value in raw.items()}


def _item(item: Item) -> dict[str, object]:
    return {"model": item.model, "delivery": item.delivery, "release": item.release, "volume": item.volume}


def _read_item(raw: Mapping[str, Any]) -> Item:
    volume = None if raw["volume"] is None else Decimal(raw["volume"])
    return Item(model=raw["model"], delivery=raw["delivery"], release=raw["release"], volume=volume)


def _authorization(one: Authorization) -> dict[str, object]:
    return {
        "kind": one.kind,
        "number": one.number,
        "models": one.models,
        "deliveries": one.deliveries,
        "destinations": one.destinations,
        "end_uses": one.end_uses,
        "valid_from": instant(one.valid_from),
        "valid_until": instant(one.valid_until),
        **_later_limits(one),
    }


def _later_limits(one: Authorization) -> dict[str, object]:
    """Limits younger than the first stored facts: left out where they limit nothing, so old bytes stay as they are."""
    limits = {
        "parties": one.parties,
        "quantity": one.quantity,
        "revoked_at": None if one.revoked_at is None else instant(one.revoked_at),
    }
    return {name: value for name, value in limits.items() if value is not None}


def _read_authorization(raw: Mapping[str, Any]) -> Authorization:
    limits = {
        name: None if raw[name] is None else tuple(raw[name])
        for name in ("models", "deliveries", "destinations", "end_uses")
    }
    return Authorization(
        kind=raw["kind"],
        number=raw["number"],
        valid_from=datetime.fromisoformat(raw["valid_from"]),
        valid_until=datetime.fromisoformat(raw["valid_until"]),
        parties=tuple(raw["parties"]) if "parties" in raw else None,
        quantity=Decimal(raw["quantity"]) if "quantity" in raw else None,
        revoked_at=datetime.fromisoformat(raw["revoked_at"]) if "revoked_at" in raw else None,
        **limits,
    )
