"""Which event type travels on which topic, and keyed how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PARTITIONS = 16  # Equal on all account-keyed topics, so that one account's events meet in one lane's worker.


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic of the contract. `key` says in words what the record key is."""

    direction: Literal["in", "out"]
    name: str
    types: tuple[str, ...]
    key: str
    about: str
    compacted: bool = False
    partitions: int = PARTITIONS


ACCOUNTS = Topic(
    direction="in",
    name="accounts.v1",
    types=(
        "account.signed_up.v1",
        "account.updated.v1",
        "account.flagged.v1",
        "account.closed.v1",
        "user.joined.v1",
        "user.updated.v1",
        "user.left.v1",
    ),
    key="account id",
    about="Accounts and their users, each event carrying the whole current picture of its subject.",
)
CONTRACTS = Topic(
    direction="in",
    name="contracts.v1",
    types=("contract.signed.v1", "contract.amended.v1", "contract.renewed.v1", "contract.terminated.v1"),
    key="account id",
    about="Contracts of accounts, each event carrying the whole current picture of the contract.",
)
REVIEWS = Topic(
    direction="in",
    name="license-reviews.v1",
    types=("license.reviewed.v1",),
    key="account id",
    about="What people decide about decisions that are held.",
)
ENFORCEMENTS = Topic(
    direction="in",
    name="license-enforcements.v1",
    types=("access.enforced.v1",),
    key="account id",
    about="Gateways report that they have carried a decision out, and when.",
)
DECISIONS = Topic(
    direction="out",
    name="license-decisions.v1",
    types=("license.approved.v1", "license.held.v1", "license.denied.v1", "license.ended.v1"),
    key="account id",
    about="Every decision in order. Deduplicate on id, keep the highest revision, grant only what `items` approves.",
)
STATUS = Topic(
    direction="out",
    name="license-status.v1",
    types=("license.status.v1",),
    key="account id/subject kind/subject id, with % and / in the ids written as %25 and %2F",
    about="The latest decision of each subject; a tombstone when the subject has ended.",
    compacted=True,
)
QUARANTINE = Topic(
    direction="out",
    name="license-quarantine.v1",
    types=("license.quarantined.v1",),
    key="account id, or none where nobody is held for the record",
    about="Records that could not be decided: where and why, never their bytes.",
)
NOTICES = Topic(
    direction="out",
    name="license-notices.v1",
    types=("license.notice.v1",),
    key="account id, or none where the notice is about no account",
    about="Refused reviews, quota notices, countersignatures due and alarms.",
)
POLICIES = Topic(
    direction="out",
    name="export-policy.v1",
    types=("policy.activated.v1", "policy.cancelled.v1", "reevaluation.finished.v1"),
    key="policy name",
    about="Policy versions that came or were to come into force, and the re-decisions they caused.",
    partitions=1,
)

TOPICS: tuple[Topic, ...] = (
    ACCOUNTS,
    CONTRACTS,
    REVIEWS,
    ENFORCEMENTS,
    DECISIONS,
    STATUS,
    QUARANTINE,
    NOTICES,
    POLICIES,
)
INPUT_TOPICS: tuple[Topic, ...] = tuple(topic for topic in TOPICS if topic.direction == "in")
OUTPUT_TOPICS: tuple[Topic, ...] = tuple(topic for topic in TOPICS if topic.direction == "out")

_TOPIC_OF: dict[str, Topic] = {type_: topic for topic in TOPICS for type_ in topic.types}


def topic_of(event_type: str) -> Topic | None:
    """The one topic on which this event type travels; None when we know no such type."""
    return _TOPIC_OF.get(event_type)
