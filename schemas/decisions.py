"""What we say about a decision (license-decisions.v1, license-status.v1): no party names, no addresses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.values import NO_CONTROL_CHARACTERS, Count, Identifier, Moment, Name, Output, Places, Sha256, Text, Word

Outcome = Literal["approve", "hold", "deny"]
Access = Literal["full", "partial", "none"]
SubjectKind = Literal["account", "user", "contract"]
HoldKind = Literal[
    "fact_missing",
    "possible_match",
    "license_required",
    "red_flag",
    "contradiction",
    "unread_events",
    "unknown_account",
]
Delivery = Literal["api", "weights", "fine_tuning", "compute"]


class DecidedItem(Output):
    """The outcome for one model by one delivery."""

    model: Identifier = Field(description="Model id of the catalogue.")
    delivery: Delivery = Field(description="How it would reach the customer.")
    outcome: Outcome = Field(description="Grant it only when this is `approve`.")
    reasons: list[Word] = Field(description="Rules that made the outcome, as in `reasons`; [] when approved plainly.")


class Reason(Output):
    """One finding that bears on the outcome."""

    rule: Word = Field(description="The rule's name: the same word in policy, audit trail and metrics.")
    title: Text = Field(description="The rule's title in the policy document.")
    citation: Text = Field(description="The law it rests on, such as `15 CFR 746.2`.")
    result: Literal["hit", "unknown", "waived"] = Field(
        description="The rule applies; or a fact it needs is unknown; or an authorization lifted it."
    )
    outcome: Outcome = Field(description="What this finding alone amounts to.")
    hold_kind: HoldKind | None = Field(default=None, description="Why it holds; null: it does not hold.")
    message: Text | None = Field(default=None, description="For reviewers; null: the title says it.")
    customer_message: Text | None = Field(
        default=None, description="What the customer may be told; null: say nothing specific."
    )
    missing: list[Name] = Field(description="Facts whose absence made it unknown; [] unless `result` is unknown.")
    clears: list[Text] = Field(description="What would clear it; [] when nothing does.")
    items: list[Name] = Field(description="`model/delivery` it is about; [] means the whole subject.")


class GeoBlock(Output):
    """Access from these places must be blocked for the approval to hold."""

    kind: Literal["geo_block"] = Field(description="Which condition it is.")
    places: Places = Field(description="ISO 3166-1 countries or ISO 3166-2 regions.")


class Authority(Output):
    """What an approval rests on."""

    kind: Literal["not_subject", "no_license_required", "license", "exception", "general_license", "carve_out"] = Field(
        description="Ground of the approval (15 CFR 734, 736, 740, 750)."
    )
    number: Identifier | None = Field(default=None, description="License number or symbol; null: the ground has none.")


class Cause(Output):
    """What made us decide now."""

    kind: Literal["event", "policy", "list", "review", "expiry", "authorization", "quarantine"] = Field(
        description="What kind of thing."
    )
    id: Annotated[str, StringConstraints(min_length=1, max_length=520, pattern=NO_CONTROL_CHARACTERS)] = Field(
        description="Its id: of an event `source id`, else of the activation, review, run or license."
    )


class PolicyVersion(Output):
    """A policy document, exactly."""

    name: Name = Field(description="Policy line.")
    version: Word = Field(description="Version within the line.")
    sha256: Sha256 = Field(description="Digest of the resolved document; this, not the version, identifies it.")


class ListVersion(Output):
    """A sanctions or export-control list, exactly."""

    source: Word = Field(description="Which list, such as `ofac-sdn`.")
    version: Word = Field(description="The publisher's version or date.")
    sha256: Sha256 = Field(description="Digest of the snapshot.")


class Origin(Output):
    """Where a record lay in Kafka."""

    topic: Name = Field(description="Topic.")
    partition: int = Field(ge=0, le=2**31 - 1, description="Partition.")
    offset: Count = Field(description="Offset.")


class Entry(Output):
    """What every entry of the journal carries; `data` is its body, byte for byte, and hashed."""

    format: int = Field(ge=1, le=1000, description="Version of the body's format.")
    lane: int = Field(ge=0, le=65535, description="Lane of the journal.")
    seq: Count = Field(description="Position in the lane, without gaps.")


class NoteEntry(Entry):
    """What every entry that is about no decision carries."""

    account_id: Identifier | None = Field(default=None, description="The account it is about; null: about none.")
    at: Moment = Field(description="When it was written, by the database's clock.")


class SubjectEntry(Entry):
    """What every entry about a subject carries."""

    decision_id: Identifier = Field(description="A UUID; the same subject and cause give the same id.")
    account_id: Identifier = Field(description="The account; also the record key.")
    subject_kind: SubjectKind = Field(description="What was decided about.")
    subject_id: Identifier = Field(description="Account, user or contract id; unique within account and kind.")
    epoch: Count = Field(description="Ledger epoch; leads in revision order, raised after a recovery.")
    revision: int = Field(ge=1, le=2**53 - 1, description="Grows per subject; keep the highest (epoch, revision).")
    cause: Cause = Field(description="What made us decide.")
    engine: Word = Field(description="Version of exportgate.")
    decided_at: Moment = Field(description="By the database's clock, under the lane's lock.")
    supersedes: Identifier | None = Field(default=None, description="Decision this one replaces; null: the first.")
    origin: Origin | None = Field(default=None, description="Record that caused it; null: not caused by a record.")
    raw_sha256: Sha256 | None = Field(default=None, description="Digest of that record's value; null: no record.")


class DecisionData(SubjectEntry):
    """license.approved.v1, license.held.v1, license.denied.v1: one decision with everything it rests on."""

    kind: Literal["decision"] = Field(description="Kind of journal entry.")
    outcome: Outcome = Field(description="The worst of all items and of the subject; the event's type says the same.")
    access: Access = Field(description="What `items` amount to. What is held gets no access.")
    items: Annotated[list[DecidedItem], Field(max_length=2000)] = Field(
        description="Each item's own outcome; grant exactly what is approved here."
    )
    reasons: Annotated[list[Reason], Field(max_length=2000)] = Field(
        description="Findings that bear on the outcome; [] when nothing stood against it."
    )
    conditions: list[GeoBlock] = Field(description="What must be kept for the approval to hold; [] when nothing.")
    authority: Authority | None = Field(default=None, description="What the approval rests on; null: not approved.")
    hold_kinds: list[HoldKind] = Field(description="Distinct kinds among the reasons; [] when not held.")
    next_actor: Literal["customer", "reviewer", "licensing_officer"] | None = Field(
        default=None, description="Who can move it; null: nobody needs to."
    )
    policy: PolicyVersion = Field(description="The policy version in force.")
    lists: list[ListVersion] = Field(description="List versions used; [] when the policy demands none.")
    valid_until: Moment | None = Field(default=None, description="Decided again then; null: no end.")
    facts_sha256: Sha256 = Field(description="Digest of the facts decided on, kept as evidence.")


class EndedData(SubjectEntry):
    """license.ended.v1: the subject closed, left or was terminated; an approval of it no longer stands."""

    kind: Literal["ended"] = Field(description="Kind of journal entry.")
    access: Literal["none"] = Field(description="Always `none`.")


class StatusData(Output):
    """license.status.v1: where a subject stands now. The compacted topic keeps the last one per subject."""

    account_id: Identifier = Field(description="The account.")
    subject_kind: SubjectKind = Field(description="What was decided about.")
    subject_id: Identifier = Field(description="Account, user or contract id.")
    decision_id: Identifier = Field(description="The decision that stands.")
    epoch: Count = Field(description="Ledger epoch.")
    revision: int = Field(ge=1, le=2**53 - 1, description="Revision of that decision.")
    outcome: Outcome = Field(description="The worst of all.")
    access: Access = Field(description="What `items` amount to.")
    items: Annotated[list[DecidedItem], Field(max_length=2000)] = Field(description="Each item's own outcome.")
    conditions: list[GeoBlock] = Field(description="What must be kept for the approval to hold.")
    policy: PolicyVersion = Field(description="The policy version it was decided under.")
    decided_at: Moment = Field(description="When.")
    valid_until: Moment | None = Field(default=None, description="Decided again then; null: no end.")
