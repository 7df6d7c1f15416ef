"""Builders of events: valid by default, so that a test names only what it is about."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from schemas import examples
from schemas.topics import topic_of
from service.reading import Record

Json = dict[str, Any]


def event(event_type: str, data: Json, **attributes: object) -> Json:
    """A CloudEvent around `data`. Its id is that of its type, unless a test gives another: "evt-1" for a signup."""
    given = {} if event_type == "account.signed_up.v1" else {"id": f"evt-{event_type}"}
    return examples.around(event_type, data) | given | attributes


def account(**fields: object) -> Json:
    """A plain London bank."""
    return deepcopy(examples.ACCOUNT) | fields


def user(**fields: object) -> Json:
    """A British employee of the bank."""
    return deepcopy(examples.USER) | fields


def contract(**fields: object) -> Json:
    """A contract of the bank."""
    return deepcopy(examples.CONTRACT) | fields


def flag(**fields: object) -> Json:
    """A report of military use."""
    return deepcopy(examples.FLAG) | fields


def closed(**fields: object) -> Json:
    """The account is closed."""
    return deepcopy(examples.CLOSED) | fields


def left(**fields: object) -> Json:
    """The user is gone."""
    return deepcopy(examples.LEFT) | fields


def terminated(**fields: object) -> Json:
    """The contract is over."""
    return deepcopy(examples.TERMINATED) | fields


def review(**fields: object) -> Json:
    """A reviewer releases a decision."""
    return deepcopy(examples.REVIEW) | fields


def enforced(**fields: object) -> Json:
    """A gateway has carried a decision out."""
    return deepcopy(examples.ENFORCED) | fields


DATA_OF = {
    "account.signed_up.v1": account,
    "account.updated.v1": account,
    "account.flagged.v1": flag,
    "account.closed.v1": closed,
    "user.joined.v1": user,
    "user.updated.v1": user,
    "user.left.v1": left,
    "contract.signed.v1": contract,
    "contract.amended.v1": contract,
    "contract.renewed.v1": contract,
    "contract.terminated.v1": terminated,
    "license.reviewed.v1": review,
    "access.enforced.v1": enforced,
}
"""Input event type -> builder of its data."""


def signed_up(**fields: object) -> Json:
    """account.signed_up.v1 of the bank."""
    return event("account.signed_up.v1", account(**fields))


def big_account() -> Json:
    """Data of an account whose event has about 2 KB: the size all measurements are made with."""
    party: Json = {
        "name": "Maria Anna Müller-Lüdenscheidt",
        "kind": "individual",
        "countries": ["DE"],
        "birth_date": "1970-05-17",
        "identifiers": [{"kind": "passport", "value": "C01X00T47"}],
        "address_kind": "residential",
    }
    return account(
        trading_names=["Thames Bank", "TB Markets"],
        type="organization",
        ultimate_parent_in="GB",
        relation_to_parent="none",
        payment_in="GB",
        declared_in="GB",
        location_evidence=[
            {"place": place, "source": "gateway", "share": share, "days_seen": 30, "kind": "business"}
            for place, share in (("GB", "92.5"), ("DE", "5.25"), ("FR", "2.25"))
        ],
        parties=[
            party | {"role": "director"},
            party | {"role": "beneficial_owner", "aliases": ["Mia Müller"]},
            party | {"role": "end_user"},
        ],
        ownership=[
            {"owner": "Severn Holdings plc", "owned": "acct-1", "percent": "74.99", "kind": "equity"},
            {
                "owner": "Maria Anna Müller",
                "owned": "Severn Holdings plc",
                "percent": "12.5",
                "kind": "equity",
            },
        ],
        owners_disclosed=True,
        end_uses=["customer_service", "fraud_detection"],
        channel="direct",
        users_population="mixed",
        payment_terms_days=30,
        linked_accounts=[],
        red_flags=[
            {
                "edition": "2024-10",
                "number": 7,
                "raised_by": "officer-3",
                "raised_at": "2026-05-01T08:00:00Z",
                "resolution": {"by": "officer-7", "at": "2026-05-02T08:00:00Z", "how": "Lease seen."},
            }
        ],
        assurance={"legal_name": "verified", "headquartered_in": "documented"},
    )


def to_bytes(the_event: Json) -> bytes:
    """The event as a producer writes it."""
    return json.dumps(the_event, ensure_ascii=False, separators=(",", ":")).encode()


def record(value: Json | bytes | None, **fields: object) -> Record:
    """The record that holds this event, on its type's topic, keyed by its account where it has one."""
    the_event = value if isinstance(value, dict) else {}
    data = the_event.get("data")
    topic = topic_of(str(the_event.get("type")))
    account_id = data.get("account_id") if isinstance(data, dict) else None
    settings: Json = {
        "topic": topic.name if topic else "accounts.v1",
        "partition": 0,
        "offset": 0,
        "key": account_id.encode() if isinstance(account_id, str) else None,
        "value": to_bytes(value) if isinstance(value, dict) else value,
        "timestamp_ms": 1_780_000_000_000,
    }
    return Record(**(settings | fields))
