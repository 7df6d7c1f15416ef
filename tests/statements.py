"""What may be made of a damaged event, told without our own reader: Python's json, the published schemas, and a table.

The law of every decision on a mutated event: (1) its bytes are one JSON object that Python's reader takes too, without
a name twice, and that fits the published schema of its type; (2) a fact differs from that of the event that was meant
only where a field it comes from has another value; (3) where a fact is the plain value of a field, it is the value that
the field now has, or, where it has none, what was told before; or it is not known. So damage can withdraw what is told
and never change it; only a document that says something else, explicitly and in valid form, is decided as something
else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from schemas.catalog import INPUT_EVENTS

Json = dict[str, Any]
_SCHEMAS = Path(__file__).parents[1] / "schemas" / "json"
_READABLE = "customer.unreadable_places"
_OWNERSHIP = ("ownership.state", "ownership.layers", "ownership.ends_known")

STATED: dict[str, dict[str, str]] = {
    "account": {
        **{
            name: f"customer.{name}"
            for name in (
                *("registered_in", "organized_in", "headquartered_in", "principal_place_in", "ultimate_parent_in"),
                *("billing_in", "payment_in", "declared_in"),
                *("type", "government_function", "users_population", "owners_disclosed"),
            )
        },
        "channel": "account.channel",
        "payment_terms_days": "account.payment_terms_days",
    },
    "user": {
        "us_status": "person.us_status",
        "located_in": "person.located_in",
        "employer_relation": "person.employer_relation",
    },
    "contract": {"value": "contract.value_usd"},
}
"""Subject -> field of the event -> the fact that is its plain value."""

DERIVED: dict[str, dict[str, tuple[str, ...]]] = {
    "account": {
        "legal_name": ("customer.name_given",),
        "end_uses": ("customer.end_uses",),
        "location_evidence": ("location.evidence",),
        "parties": ("parties", *_OWNERSHIP),
        "ownership": _OWNERSHIP,
        "red_flags": ("account.red_flags",),
        "relation_to_parent": ("customer.wholly_owned_by_parent", "customer.branch_of_in"),
        "ultimate_parent_in": ("customer.branch_of_in",),
        **dict.fromkeys(("flag_id", "category", "severity", "withdraws", "raised_at"), ("account.flags",)),
    },
    "user": {
        "citizenships": ("person.citizenships", "person.deemed_export_country"),
        "permanent_residencies": ("person.deemed_export_country",),
    },
    "contract": {
        "currency": ("contract.value_usd",),
        "deliver_to": ("contract.deliver_to",),
        "end_use_statement": ("contract.deliver_to", "contract.end_uses"),
        "end_uses": ("contract.end_uses",),
        "end_users": ("parties",),
        "intermediaries": ("parties",),
    },
}
"""Subject -> field of the event -> other facts that are made of it."""

_EVERYWHERE = ("items", "assurance")
_MAY_BE_NO_PLACE = {"location_evidence", "parties", "citizenships", "permanent_residencies", "deliver_to"} | {
    *("end_use_statement", "end_users", "intermediaries", "located_in", "items", "end_uses"),
    *(name for name in STATED["account"] if name.endswith("_in")),
}


def read_plainly(value: bytes | None) -> Json | None:
    """The object in these bytes as Python reads it; None where there is none, or where readers may disagree."""
    try:
        document = json.loads(
            (value or b"").decode(), object_pairs_hook=_distinct, parse_constant=_refused, parse_float=_finite
        )
        json.dumps(document, ensure_ascii=False).encode()  # Raises for half of a surrogate pair.
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def fits_its_schema(document: Json) -> bool:
    """Whether the published schema of its type takes this event."""
    return document.get("type") in INPUT_EVENTS and _validator(document["type"]).is_valid(document)


def subject_kind(event_type: str) -> str:
    """Whether an event of this type is of an account, a user or a contract."""
    return event_type.partition(".")[0]


def faults(
    meant: Json, said: Json, untouched: Mapping[str, Any], decided: Mapping[str, Any], told_before: Json
) -> list[str]:
    """How the facts of a decision break the law: `meant` would have given `untouched`, `said` gave `decided`.

    `told_before` is the data of the event before it about the same subject, {} when there was none.
    """
    kind = subject_kind(meant["type"])
    before, after = meant["data"], said["data"]
    changed = {name for name in {*before, *after} if _text(before, name) != _text(after, name)}
    may_differ = {fact for name in changed for fact in _facts_of(kind, name)}
    if meant["time"] != said["time"]:
        may_differ |= {"account.from_future", "person.deemed_export_country", _READABLE}
    in_future = said["time"].startswith("2099")
    found = [
        f"{fact} changed, though no field of it did"
        for fact in sorted({*untouched, *decided} - may_differ)
        if untouched.get(fact) != decided.get(fact)
    ]
    for name in sorted(changed & set(STATED.get(kind, {}))):
        fact = decided.get(STATED[kind][name])
        stands = after.get(name) if after.get(name) is not None else told_before.get(name)
        if fact is not None and fact != _as_fact(stands):
            found.append(f"{STATED[kind][name]} is not what /data/{name} says")
        if fact is None and after.get(name) is not None and name not in ("value", *decided[_READABLE]):
            found.append(f"/data/{name} was not understood, and nothing says so")
    if in_future is not decided["account.from_future"]:
        found.append("account.from_future is not what the time says")
    if meant["type"] == "account.flagged.v1" and decided["account.flags"] != _flags_said(after):
        found.append("account.flags is not what the report says")
    return found


def _facts_of(kind: str, name: str) -> set[str]:
    stated = STATED.get(kind, {}).get(name)
    return {
        *([stated] if stated else []),
        *DERIVED.get(kind, {}).get(name, ()),
        *([name] if name in _EVERYWHERE else []),
        *([_READABLE] if name in _MAY_BE_NO_PLACE else []),
        "assurance",  # It is of what the event states.
    }


def _flags_said(data: Json) -> list[Json]:
    if data.get("withdraws") is not None:
        return []
    at = f"{datetime.fromisoformat(data['raised_at']).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    told = {"flag.category": data["category"], "flag.id": data["flag_id"], "flag.severity": data["severity"]}
    return [told | {"flag.raised_at": at}]


def _as_fact(value: Any) -> Any:
    return {"HK": "CN-HK"}.get(value, value) if isinstance(value, str) else value


def _text(data: Json, name: str) -> str:
    """As text, since to Python 1, 1.0 and True are the same."""
    return json.dumps(data[name], sort_keys=True) if name in data else ""


@cache
def _validator(event_type: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((_SCHEMAS / f"{event_type}.schema.json").read_text()))


def _distinct(pairs: list[tuple[str, Any]]) -> Json:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


def _refused(_: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError
    return number
