"""One example of every event: published with the schemas, and what tests build on."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

ACCOUNT: Json = {
    "account_id": "acct-1",
    "version": 1,
    "legal_name": "Thames Bank plc",
    "type": "organization",
    "registered_in": "GB",
    "organized_in": "GB",
    "headquartered_in": "GB",
    "billing_in": "GB",
    "location_evidence": [{"place": "GB", "source": "gateway", "share": "100", "days_seen": 30, "kind": "business"}],
    "items": [{"model": "fable-5", "delivery": "api"}],
}

USER: Json = {
    "user_id": "user-1",
    "account_id": "acct-1",
    "version": 1,
    "name": "Jane Smith",
    "citizenships": [{"country": "GB", "since": "1980-01-01"}],
    "permanent_residencies": [],
    "us_status": "none",
    "located_in": "GB",
    "employer_relation": "employee",
}

CONTRACT: Json = {
    "contract_id": "contract-1",
    "account_id": "acct-1",
    "version": 1,
    "value": "49000.00",
    "currency": "GBP",
    "starts_on": "2026-06-01",
    "ends_on": "2027-05-31",
    "deliver_to": ["GB"],
}

FLAG: Json = {
    "account_id": "acct-1",
    "flag_id": "flag-1",
    "category": "military_use",
    "severity": "high",
    "reporter": "usage-monitor",
    "evidence_reference": "case-77",
    "raised_at": "2026-06-01T11:00:00Z",
}

CLOSED: Json = {"account_id": "acct-1", "version": 2, "reason": "customer_request"}

LEFT: Json = {"user_id": "user-1", "account_id": "acct-1", "version": 2}

TERMINATED: Json = {"contract_id": "contract-1", "account_id": "acct-1", "version": 2}

REVIEW: Json = {
    "review_id": "review-1",
    "account_id": "acct-1",
    "decision_id": "8f14e45f-ceea-567a-9a36-dedd4bea2543",
    "rule": "location_conflict",
    "verdict": "release",
    "reviewer": "officer-7",
    "reason_code": "documents_seen",
    "comment": "Lease and utility bill for the London office.",
    "reviewed_at": "2026-06-02T09:00:00Z",
}

ENFORCED: Json = {
    "account_id": "acct-1",
    "subject_kind": "account",
    "subject_id": "acct-1",
    "decision_id": "8f14e45f-ceea-567a-9a36-dedd4bea2543",
    "revision": 1,
    "access": "full",
    "gateway": "gw-eu-1",
    "enforced_at": "2026-06-01T12:00:05Z",
}

_POLICY: Json = {"name": "frontier-model-access", "version": "2026-02-01", "sha256": "5f" * 32}
_ORIGIN: Json = {"topic": "accounts.v1", "partition": 3, "offset": 1041}
_SUBJECT: Json = {
    "format": 1,
    "lane": 3,
    "seq": 812,
    "decision_id": "8f14e45f-ceea-567a-9a36-dedd4bea2543",
    "account_id": "acct-1",
    "subject_kind": "account",
    "subject_id": "acct-1",
    "epoch": 1,
    "revision": 1,
    "cause": {"kind": "event", "id": "/crm evt-1"},
    "engine": "1.0.0",
    "decided_at": "2026-06-01T12:00:01.000001Z",
    "supersedes": None,
    "origin": _ORIGIN,
    "raw_sha256": "0a" * 32,
}
APPROVED: Json = _SUBJECT | {
    "kind": "decision",
    "outcome": "approve",
    "access": "full",
    "items": [{"model": "fable-5", "delivery": "api", "outcome": "approve", "reasons": []}],
    "reasons": [],
    "conditions": [{"kind": "geo_block", "places": ["CU"]}],
    "authority": {"kind": "no_license_required", "number": None},
    "hold_kinds": [],
    "next_actor": None,
    "policy": _POLICY,
    "lists": [{"source": "ofac-sdn", "version": "2026-05-30", "sha256": "c3" * 32}],
    "valid_until": "2026-11-28T12:00:01Z",
    "facts_sha256": "7e" * 32,
}
HELD: Json = APPROVED | {
    "outcome": "hold",
    "access": "none",
    "items": [{"model": "fable-5", "delivery": "api", "outcome": "hold", "reasons": ["foreign_person_named_models"]}],
    "reasons": [
        {
            "rule": "foreign_person_named_models",
            "title": "License required for any foreign person",
            "citation": "Commerce letter of 2026-06-12",
            "result": "hit",
            "outcome": "hold",
            "hold_kind": "license_required",
            "missing": [],
            "message": "Organized in GB, so a foreign person.",
            "customer_message": "This model needs an export license for your organization.",
            "clears": ["A BIS license naming the model"],
            "items": ["fable-5/api"],
        }
    ],
    "conditions": [],
    "authority": None,
    "hold_kinds": ["license_required"],
    "next_actor": "licensing_officer",
    "valid_until": None,
}
DENIED: Json = HELD | {
    "outcome": "deny",
    "items": [{"model": "fable-5", "delivery": "api", "outcome": "deny", "reasons": ["embargoed_destination"]}],
    "reasons": [
        {
            "rule": "embargoed_destination",
            "title": "Embargoed destination",
            "citation": "15 CFR 746.7",
            "result": "hit",
            "outcome": "deny",
            "hold_kind": None,
            "missing": [],
            "message": "Headquartered in IR.",
            "customer_message": None,
            "clears": ["A specific OFAC license for this party and service"],
            "items": [],
        }
    ],
    "hold_kinds": [],
    "next_actor": None,
}
ENDED: Json = _SUBJECT | {
    "kind": "ended",
    "access": "none",
    "revision": 2,
    "supersedes": "8f14e45f-ceea-567a-9a36-dedd4bea2543",
    "decision_id": "45c48cce-2e2d-5fbd-9a0b-8c0e1c2f6a11",
}
STATUS: Json = {
    name: APPROVED[name]
    for name in (
        "account_id",
        "subject_kind",
        "subject_id",
        "decision_id",
        "epoch",
        "revision",
        "outcome",
        "access",
        "items",
        "conditions",
        "policy",
        "decided_at",
        "valid_until",
    )
}
QUARANTINED: Json = {
    "format": 1,
    "kind": "quarantined",
    "lane": 3,
    "seq": 813,
    "quarantine_id": "c9f0f895-fb98-5b91-99f5-1fd0297e236d",
    "reason": "INVALID_DATA",
    "detail": "/data/version: expected a whole number, got text",
    "account_id": "acct-1",
    "source": "/crm",
    "event_id": "evt-2",
    "origin": _ORIGIN | {"offset": 1042},
    "raw_sha256": "1b" * 32,
    "at": "2026-06-01T12:00:02Z",
}
NOTICE: Json = {
    "notice_id": "notice-1",
    "notice": "review_refused",
    "account_id": "acct-1",
    "about": "review-1",
    "code": "decision_superseded",
    "message": "The review names a decision that no longer stands; review the current one.",
    "raised_at": "2026-06-02T09:00:01Z",
}
ACTIVATED: Json = {
    "format": 1,
    "kind": "policy_activated",
    "account_id": None,
    "at": "2026-06-12T22:04:00Z",
    "lane": 16,
    "seq": 4,
    "activation_id": "activation-4",
    "policy": _POLICY | {"version": "2026-06-12", "sha256": "6a" * 32},
    "previous": _POLICY,
    "in_force_from": "2026-06-12T22:04:00Z",
    "activated_by": "officer-7",
    "reason": "Commerce letter received 21:21 UTC.",
    "emergency": True,
    "rollback": False,
    "signed_by": ["officer-3"],
    "signers_sha256": "5d" * 32,
}
CANCELLED: Json = {
    "format": 1,
    "kind": "policy_cancelled",
    "account_id": None,
    "at": "2026-06-12T22:30:00Z",
    "lane": 16,
    "seq": 5,
    "cancellation_id": "cancellation-5",
    "activation_id": "activation-5",
    "policy": _POLICY,
    "in_force_from": "2026-07-01T00:00:00Z",
    "cancelled_by": "officer-7",
    "reason": "The date was moved.",
}
REEVALUATED: Json = {
    "run_id": "run-4",
    "cause": "policy",
    "policy": _POLICY | {"version": "2026-06-12", "sha256": "6a" * 32},
    "lists": [],
    "result": "completed",
    "decided": 12000,
    "changed": 8100,
    "approved": 3700,
    "held": 8200,
    "denied": 100,
    "started_at": "2026-06-12T22:04:00Z",
    "finished_at": "2026-06-12T22:05:10Z",
}

DATA: dict[str, Json] = {
    "account.signed_up.v1": ACCOUNT,
    "account.updated.v1": ACCOUNT | {"version": 2},
    "account.flagged.v1": FLAG,
    "account.closed.v1": CLOSED,
    "user.joined.v1": USER,
    "user.updated.v1": USER | {"version": 2},
    "user.left.v1": LEFT,
    "contract.signed.v1": CONTRACT,
    "contract.amended.v1": CONTRACT | {"version": 2},
    "contract.renewed.v1": CONTRACT | {"version": 3, "ends_on": "2028-05-31"},
    "contract.terminated.v1": TERMINATED,
    "license.reviewed.v1": REVIEW,
    "access.enforced.v1": ENFORCED,
    "license.approved.v1": APPROVED,
    "license.held.v1": HELD,
    "license.denied.v1": DENIED,
    "license.ended.v1": ENDED,
    "license.status.v1": STATUS,
    "license.quarantined.v1": QUARANTINED,
    "license.notice.v1": NOTICE,
    "policy.activated.v1": ACTIVATED,
    "policy.cancelled.v1": CANCELLED,
    "reevaluation.finished.v1": REEVALUATED,
}
"""Event type -> an example of its data."""


def around(event_type: str, data: Json) -> Json:
    """A CloudEvent around `data`."""
    return {
        "specversion": "1.0",
        "id": "evt-1",
        "source": "/crm",
        "type": event_type,
        "time": "2026-06-01T12:00:00Z",
        "data": data,
    }


def example(event_type: str) -> Json:
    """A whole event of this type; KeyError when there is no such type."""
    return around(event_type, DATA[event_type])
