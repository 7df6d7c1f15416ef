"""Bodies of journal entries: what happened, in words that carry no personal data. They are published as they stand."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from service.audit.canonical import digest, identity, instant
from service.decide.decision import OUTCOME_WORDS, ItemVerdict, Reason, Result, Verdict
from service.decide.evaluate import ENGINE
from service.decide.policy import Policy

Body = dict[str, object]
_UNLISTED_DIGITS = 16


class Origin(NamedTuple):
    """Where the record lay in Kafka."""

    topic: str
    partition: int
    offset: int

    def body(self) -> Body:
        """As it stands in a body."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


class Cause(NamedTuple):
    """What made us decide: an event (`<source> <id>`), a quarantined record, a policy, a review."""

    kind: str
    id: str


class Header(NamedTuple):
    """What a decision's body says besides the verdict. `origin` and `raw_sha256` are None when no record caused it."""

    decision_id: UUID
    account_id: str
    subject_id: str
    epoch: int
    revision: int
    cause: Cause
    origin: Origin | None
    raw_sha256: bytes | None
    supersedes: UUID | None
    decided_at: datetime


def header_of(
    *,
    account_id: str,
    subject_id: str,
    epoch: int,
    revision: int,
    cause: Cause,
    origin: Origin | None,
    raw_sha256: bytes | None,
    supersedes: UUID | None,
    decided_at: datetime,
) -> Header:
    """A header with its id.

    The same cause and subject give the same one, so that publishing twice can be seen through.
    """
    return Header(
        decision_id=identity("decision", epoch, cause.kind, cause.id, account_id, subject_id),
        account_id=account_id,
        subject_id=subject_id,
        epoch=epoch,
        revision=revision,
        cause=cause,
        origin=origin,
        raw_sha256=raw_sha256,
        supersedes=supersedes,
        decided_at=decided_at,
    )


def split_subject(account_id: str, subject_id: str) -> tuple[str, str]:
    """(kind, id) as published: `user:u1` is user u1, `account` is the account itself."""
    kind, _, own = subject_id.partition(":")
    return kind, own or account_id


def decision_body(header: Header, verdict: Verdict, policy: Policy, facts_sha256: bytes) -> Body:
    """The body of a decision, entirely given by its header, its verdict and the policy's words."""
    return {
        **_subject_body(header),
        "outcome": OUTCOME_WORDS[verdict.outcome],
        "access": verdict.access.value,
        "items": [_item(item, policy) for item in verdict.items],
        "reasons": [_reason(reason, verdict, policy) for reason in verdict.reasons],
        "conditions": [{"kind": limit.kind, "places": limit.places} for limit in verdict.limits],
        "authority": None
        if verdict.authority is None
        else {"kind": verdict.authority.kind, "number": verdict.authority.number},
        "hold_kinds": verdict.hold_kinds,
        "next_actor": verdict.next_actor,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "lists": [],
        "valid_until": None if verdict.valid_until is None else instant(verdict.valid_until),
        "facts_sha256": facts_sha256.hex(),
    }


def ended_body(header: Header) -> Body:
    """The body of an end: the subject is no more, and no approval of it stands."""
    return {**_subject_body(header), "access": "none"}


def _subject_body(header: Header) -> Body:
    kind, own_id = split_subject(header.account_id, header.subject_id)
    return {
        "decision_id": str(header.decision_id),
        "account_id": header.account_id,
        "subject_kind": kind,
        "subject_id": own_id,
        "epoch": header.epoch,
        "revision": header.revision,
        "cause": {"kind": header.cause.kind, "id": header.cause.id},
        "engine": ENGINE,
        "decided_at": instant(header.decided_at),
        "supersedes": None if header.supersedes is None else str(header.supersedes),
        "origin": None if header.origin is None else header.origin.body(),
        "raw_sha256": None if header.raw_sha256 is None else header.raw_sha256.hex(),
    }


def read_header(body: Mapping[str, Any]) -> Header:
    """The header that a stored body gives, to make the body again from; its id is made again too."""
    kind, own_id = body["subject_kind"], body["subject_id"]
    origin = body["origin"]
    return header_of(
        account_id=body["account_id"],
        subject_id=kind if kind == "account" else f"{kind}:{own_id}",
        epoch=body["epoch"],
        revision=body["revision"],
        cause=Cause(body["cause"]["kind"], body["cause"]["id"]),
        origin=None if origin is None else Origin(origin["topic"], origin["partition"], origin["offset"]),
        raw_sha256=None if body["raw_sha256"] is None else bytes.fromhex(body["raw_sha256"]),
        supersedes=None if body["supersedes"] is None else UUID(body["supersedes"]),
        decided_at=datetime.fromisoformat(body["decided_at"]),
    )


def _item(item: ItemVerdict, policy: Policy) -> Body:
    return {
        "model": published_model(item.model, policy),
        "delivery": item.delivery,
        "outcome": OUTCOME_WORDS[item.outcome],
        "reasons": item.rules,
    }


def _reason(reason: Reason, verdict: Verdict, policy: Policy) -> Body:
    rule = policy.rule(reason.rule)
    named = [(published_model(item.model, policy), item.delivery) for item in (verdict.items[i] for i in reason.items)]
    return {
        "rule": rule.name,
        "title": rule.title,
        "citation": rule.law,
        "result": reason.result.value,
        "outcome": OUTCOME_WORDS[reason.outcome],
        "hold_kind": reason.hold_kind,
        # What a rule says of those it hits would state as a fact what is not known.
        "message": rule.message or None if reason.result is not Result.UNKNOWN else None,
        "customer_message": rule.customer_message or None if reason.result is not Result.UNKNOWN else None,
        "missing": reason.missing,
        "clears": rule.clears,
        "items": [f"{name}/{delivery}" for name, delivery in named],
    }


def published_model(model: str, policy: Policy) -> str:
    """A model that was asked for, as published: what the catalogue does not know may be somebody's name."""
    if model in policy.catalogue:
        return model
    return f"unlisted:{digest(model.encode()).hex()[:_UNLISTED_DIGITS]}"
