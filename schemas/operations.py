"""What we say about our own work: quarantine, notices, policies in force, finished re-decisions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.decisions import ListVersion, NoteEntry, Origin, PolicyVersion
from schemas.values import Count, Identifier, Moment, Name, Output, Sha256, Text, Word


class QuarantinedData(NoteEntry):
    """license.quarantined.v1: a record we could not decide; its account, if legible, is held."""

    kind: Literal["quarantined"] = Field(description="Kind of journal entry.")
    quarantine_id: Identifier = Field(description="Name it in `exportgate quarantine redrive` or `dismiss`.")
    reason: Word = Field(description="Stable code, such as `NOT_JSON`, `INVALID_DATA`, `KEY_MISMATCH`.")
    detail: Text | None = Field(
        default=None, description="Where and what kind of fault; never values. null: the code says it."
    )
    source: Identifier | None = Field(default=None, description="The event's source; null: illegible.")
    event_id: Identifier | None = Field(default=None, description="The event's id; null: illegible.")
    origin: Origin = Field(description="Where the record lies.")
    raw_sha256: Sha256 = Field(description="Digest of the record's value (of no bytes for a tombstone).")


class NoticeData(Output):
    """license.notice.v1: something a person should know."""

    notice_id: Identifier = Field(description="Id of the notice.")
    notice: Literal["review_refused", "quota", "countersignature_due", "alarm"] = Field(description="What kind.")
    account_id: Identifier | None = Field(default=None, description="null: about no account.")
    about: Identifier | None = Field(
        default=None,
        description="Id of the review, authorization or activation meant; null: of nothing with an id.",
    )
    code: Word = Field(description="Stable code of the reason, for programs.")
    message: Text = Field(description="For people: what happened and what to do.")
    raised_at: Moment = Field(description="By the database's clock.")


class PolicyActivatedData(NoteEntry):
    """policy.activated.v1: from now on this version decides."""

    kind: Literal["policy_activated"] = Field(description="Kind of journal entry.")
    activation_id: Identifier = Field(description="Id of the activation.")
    policy: PolicyVersion = Field(description="The version that came into force.")
    previous: PolicyVersion | None = Field(default=None, description="The version it replaces; null: the first.")
    in_force_from: Moment = Field(description="From when it decides, by the database's clock.")
    activated_by: Name = Field(description="Id of the officer.")
    reason: Text | None = Field(default=None, description="Ground given; null: none given.")
    emergency: bool = Field(description="True: activated with one signature; a countersignature is due.")
    rollback: bool = Field(default=False, description="True: it goes back to a version that was in force before.")
    signed_by: list[Name] = Field(
        default=[], description="Signers whose signatures it rests on; [] while nobody's signature is demanded."
    )
    signers_sha256: Sha256 | None = Field(
        default=None, description="Digest of the list of signers that judged it; null: there was none."
    )


class PolicyCancelledData(NoteEntry):
    """policy.cancelled.v1: a planned activation was taken back before it began; it never decides."""

    kind: Literal["policy_cancelled"] = Field(description="Kind of journal entry.")
    cancellation_id: Identifier = Field(description="Id of the cancellation.")
    activation_id: Identifier = Field(description="Id of the activation that was taken back.")
    policy: PolicyVersion = Field(description="The version that was to come into force.")
    in_force_from: Moment = Field(description="From when it would have decided.")
    cancelled_by: Name = Field(description="Id of the officer.")
    reason: Text | None = Field(default=None, description="Ground given; null: none given.")


class ReevaluationFinishedData(Output):
    """reevaluation.finished.v1: all standing decisions were decided again, or the run was superseded."""

    run_id: Identifier = Field(description="Id of the run.")
    cause: Literal["policy", "list", "authorization", "expiry", "account"] = Field(description="What changed.")
    policy: PolicyVersion = Field(description="The version decided under.")
    lists: list[ListVersion] = Field(description="List versions used.")
    result: Literal["completed", "superseded"] = Field(description="Superseded: a later run took over.")
    decided: Count = Field(description="Subjects decided again.")
    changed: Count = Field(description="Of those, subjects whose outcome, access or items changed.")
    approved: Count = Field(description="Subjects approved after the run.")
    held: Count = Field(description="Subjects held after the run.")
    denied: Count = Field(description="Subjects denied after the run.")
    started_at: Moment = Field(description="By the database's clock.")
    finished_at: Moment = Field(description="By the database's clock.")
