"""The honest count: what became of every record that the broker acknowledged, asked of the auditor's views."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from service.ledger.engine import Tx
from service.stream.outgoing import status_key

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""

_FATES = {
    "decision": "decided",
    "ended": "decided",
    "duplicate": "duplicates",
    "stale": "stale",
    "quarantined": "quarantined",
    "reviewed": "recorded",
    "enforced": "recorded",
}
_CONFLICTS = ("CONFLICTING_DUPLICATE", "CONFLICTING_VERSION", "CONFLICTING_OLDER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one run. `lost` were acknowledged and have no fate; `decided_twice` are event ids."""

    events: int
    decided: int
    duplicates: int
    conflicts: int
    stale: int
    quarantined: int
    lost: int
    decided_twice: int
    decisions: int
    approve: int
    hold: int
    deny: int
    policy_versions: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the ledger says was to be published: the leaf of each entry by its place, how each subject ends by its key.

    `standing` holds the decision that stands, None for a subject that has ended.
    """

    leaves: Mapping[tuple[int, int], str]
    standing: Mapping[str, UUID | None]


async def tally(tx: Tx, sent: Iterable[Place]) -> Tally:
    """Count what became of `sent`, the places where the broker put what it acknowledged."""
    places = set(sent)
    fates = await _fates(tx)
    count = {fate: sum(fates.get(place) == fate for place in places) for fate in {*_FATES.values(), "conflicts"}}
    outcomes = {str(row.outcome): int(row.decisions) for row in (await tx.execute(_OUTCOMES)).all()}
    return Tally(
        events=len(places),
        decided=count["decided"],
        duplicates=count["duplicates"],
        conflicts=count["conflicts"],
        stale=count["stale"],
        quarantined=count["quarantined"],
        lost=sum(place not in fates for place in places),
        decided_twice=int((await tx.execute(_DECIDED_TWICE)).scalar_one()),
        decisions=sum(outcomes.values()),
        approve=outcomes.get("approve", 0),
        hold=outcomes.get("hold", 0),
        deny=outcomes.get("deny", 0),
        policy_versions=list((await tx.execute(_VERSIONS)).scalars()),
    )


async def written(tx: Tx) -> Written:
    """What the decisions topic and the status topic must say, taken from the journal."""
    leaves: dict[tuple[int, int], str] = {}
    standing: dict[str, UUID | None] = {}
    for row in (await tx.execute(_PUBLISHED)).all():
        leaves[row.lane, row.seq] = row.leaf
        key = status_key(row.account_id, row.subject_kind, row.subject_id)
        standing[key] = UUID(row.decision_id) if row.kind == "decision" else None
    return Written(leaves=leaves, standing=standing)


async def done(tx: Tx) -> int:
    """How many records have been dealt with, all partitions beginning at 0."""
    return int((await tx.execute(_DONE)).scalar_one())


async def _fates(tx: Tx) -> dict[Place, str]:
    fates: dict[Place, str] = {}
    for row in (await tx.execute(_FATES_OF)).all():
        fate = "conflicts" if row.reason in _CONFLICTS else _FATES[row.kind]
        fates[row.topic, row.partition, row.record_offset] = fate
    return fates


_FATES_OF = text(
    """
    SELECT DISTINCT body -> 'origin' ->> 'topic' AS topic,
           CAST(body -> 'origin' ->> 'partition' AS integer) AS partition,
           CAST(body -> 'origin' ->> 'offset' AS bigint) AS record_offset, kind, body ->> 'reason' AS reason
    FROM audit.timeline WHERE jsonb_typeof(body -> 'origin') = 'object'
    """
)
_OUTCOMES = text("SELECT outcome, count(*) AS decisions FROM audit.decisions GROUP BY outcome")
_VERSIONS = text(
    "SELECT policy_version FROM audit.policy_in_force WHERE in_force_from <= clock_timestamp() ORDER BY in_force_from"
)
# An id is decided twice when it moved one subject twice, or when two records of it were decided.
_DECIDED_TWICE = text(
    """
    SELECT count(*) FROM (
        SELECT body -> 'cause' ->> 'id' AS id FROM audit.timeline
        WHERE kind IN ('decision', 'ended') AND body -> 'cause' ->> 'kind' = 'event'
        GROUP BY body -> 'cause' ->> 'id'
        HAVING count(DISTINCT body -> 'origin') > 1
            OR count(*) > count(DISTINCT (body ->> 'account_id', body ->> 'subject_kind', body ->> 'subject_id'))
    ) AS twice
    """
)
_PUBLISHED = text(
    """
    SELECT lane, seq, kind, leaf, account_id, body ->> 'subject_kind' AS subject_kind,
           body ->> 'subject_id' AS subject_id, body ->> 'decision_id' AS decision_id
    FROM audit.timeline WHERE kind IN ('decision', 'ended')
    ORDER BY CAST(body ->> 'epoch' AS integer), CAST(body ->> 'revision' AS bigint)
    """
)
_DONE = text("SELECT coalesce(sum(next_offset), 0) FROM audit.positions")
