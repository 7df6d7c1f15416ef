"""What comes back on a decision: a person's review of it, and a gateway's report that it was carried out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.values import MAX_INTEGER, Identifier, Input, Moment, Name, Text, Word


class ReviewSignature(Input):
    """A reviewer's signature, where the policy asks for one."""

    algorithm: Literal["ed25519"] = Field(description="Signature scheme (RFC 8032).")
    key_id: Identifier = Field(description="Which registered key of the reviewer.")
    value: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")] = Field(
        description="The 64 bytes of the signature in base64."
    )


class LicenseReviewed(Input):
    """license.reviewed.v1: what a person decided about a held decision or one of its findings."""

    review_id: Identifier = Field(description="Id of this review, unique within the account.")
    account_id: Identifier = Field(description="The account the decision is about; also the record key.")
    decision_id: Identifier = Field(description="The decision reviewed.")
    rule: Word | None = Field(default=None, description="The finding reviewed, by its rule; null: the whole decision.")
    verdict: Literal["release", "deny", "escalate", "request_information"] = Field(
        description="`release` corrects a fact or clears a possible match; it never stands in for a license."
    )
    reviewer: Name = Field(description="Id of the reviewer.")
    reason_code: Word = Field(description="Ground of the verdict.")
    comment: Text | None = Field(default=None, description="For other reviewers and auditors; null: none.")
    signature: ReviewSignature | None = Field(default=None, description="null: unsigned.")
    reviewed_at: Moment = Field(description="When the reviewer decided.")


class AccessEnforced(Input):
    """access.enforced.v1: a gateway reports that it has carried a decision out, and when."""

    account_id: Identifier = Field(description="Also the record key.")
    subject_kind: Literal["account", "user", "contract"] = Field(description="What kind of subject.")
    subject_id: Identifier = Field(description="Which account, user or contract.")
    decision_id: Identifier = Field(description="The decision carried out.")
    revision: int = Field(ge=1, le=MAX_INTEGER, description="Its revision.")
    access: Literal["full", "partial", "none"] = Field(description="The access that now holds.")
    gateway: Name = Field(description="Which gateway.")
    enforced_at: Moment = Field(description="From when it held.")
