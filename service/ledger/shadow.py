"""Shadows: a candidate, how far it has followed each lane behind the decisions, and what it gave for them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, func, insert, select, text, update

from service.ledger.engine import Tx, copy_rows
from service.ledger.population import Decided
from service.ledger.tables import shadow, shadow_count, shadow_result

ERASED, UNREADABLE, ERROR = "erased", "unreadable", "error"
"""Why a candidate gave no outcome, as it is counted: facts that are gone or that nobody can read, or a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A candidate in shadow. `lane` and `seq` are the entry of its start; `stopped_at` is None while it runs."""

    shadow_id: UUID
    policy_sha256: bytes
    name: str
    version: str
    started_by: str
    start_reason: str
    started_at: datetime
    lane: int
    seq: int
    stopped_by: str | None = None
    stop_reason: str | None = None
    stopped_at: datetime | None = None
    stop_seq: int | None = None


class Behind(NamedTuple):
    """A lane that is held: the last entry looked at, and the last one written."""

    lane: int
    seq: int
    last_seq: int


class Unjudged(NamedTuple):
    """A decision that the candidate has not seen, at its place. `has_result`: somebody else wrote one for it."""

    lane: int
    seq: int
    has_result: bool
    decided: Decided


class ShadowResult(NamedTuple):
    """What the candidate gave for a decision: an outcome and access, or why it gave none.

    `failure` is ERASED, UNREADABLE, or the class of an error with its traceback as a digest. `rules` were hit, unknown
    or waived.
    """

    lane: int
    seq: int
    decision_id: UUID
    outcome: str | None
    access: str | None
    rules: tuple[str, ...]
    failure: str | None


class Compared(NamedTuple):
    """A result beside the decision, whose `access` was granted. The facts are None when they were erased."""

    result: ShadowResult
    decided: Decided
    access: str


async def store_shadow(tx: Tx, started: Shadow, resolved: bytes) -> None:
    """Store a shadow and begin each lane of accounts at its end. A second one that runs violates a unique index."""
    values = {name: getattr(started, name) for name in Shadow.__dataclass_fields__}
    await tx.execute(insert(shadow).values({**values, "resolved": resolved}))
    await tx.execute(_BEGIN, {"shadow_id": started.shadow_id})


async def hold_shadow(tx: Tx, shadow_id: UUID) -> None:
    """Hold all lanes of a shadow: waits for what is being evaluated, and no follower begins anew meanwhile."""
    await tx.execute(_HOLD_ALL, {"shadow_id": shadow_id})


async def end_shadow(tx: Tx, shadow_id: UUID, *, by: str, reason: str, at: datetime, seq: int) -> None:
    """Note that a shadow has stopped. It must be held; nothing is added after this commits."""
    values = {"stopped_by": by, "stop_reason": reason, "stopped_at": at, "stop_seq": seq}
    await tx.execute(update(shadow).where(shadow.c.shadow_id == shadow_id).values(values))


async def running_shadow(tx: Tx) -> Shadow | None:
    """The shadow that runs."""
    row = (await tx.execute(select(*_COLUMNS).where(shadow.c.stopped_at.is_(None)))).first()
    return None if row is None else _shadow(row)


async def list_shadows(tx: Tx) -> Sequence[Shadow]:
    """All shadows, the latest first."""
    return [_shadow(row) for row in (await tx.execute(select(*_COLUMNS).order_by(shadow.c.started_at.desc()))).all()]


async def shadow_document(tx: Tx, shadow_id: UUID) -> bytes:
    """The resolved form of a shadow's candidate; the database holds it to its sha256."""
    return bytes((await tx.execute(select(shadow.c.resolved).where(shadow.c.shadow_id == shadow_id))).scalar_one())


async def hold_lanes_behind(tx: Tx, shadow_id: UUID, most: int) -> Sequence[Behind]:
    """Lock up to `most` lanes with unseen entries that no other follower holds, those furthest behind first."""
    rows = (await tx.execute(_HOLD, {"shadow_id": shadow_id, "most": most})).all()
    return [Behind(row.lane, row.seq, row.last_seq) for row in rows]


async def is_running(tx: Tx, shadow_id: UUID) -> bool:
    """Whether a shadow runs still. Asked after lanes are held, it stays true until they are let go."""
    found = select(func.count()).where(shadow.c.shadow_id == shadow_id, shadow.c.stopped_at.is_(None))
    return bool((await tx.execute(found)).scalar_one())


async def unjudged_decisions(tx: Tx, shadow_id: UUID, held: Sequence[Behind], most: int) -> Sequence[Unjudged]:
    """Up to `most` decisions of each held lane behind its position, in order."""
    parameters = {
        "shadow_id": shadow_id,
        "lanes": [one.lane for one in held],
        "seqs": [one.seq for one in held],
        "lasts": [one.last_seq for one in held],
        "most": most,
    }
    rows = (await tx.execute(_UNJUDGED, parameters)).all()
    return [Unjudged(row[0], row[1], row[2], Decided(*row[3:])) for row in rows]


async def keep_results(
    tx: Tx,
    shadow_id: UUID,
    results: Sequence[ShadowResult],
    counts: Mapping[tuple[int, str, str], int],
    reached: Mapping[int, int],
) -> None:
    """Add results and their counts, by (lane, before, after), and move the positions of held lanes, by lane."""
    columns = ("shadow_id", *ShadowResult._fields)
    await copy_rows(tx, "shadow_result", columns, [(shadow_id, *one) for one in results])
    if counts:
        keys = sorted(counts)
        parameters = {
            "shadow_id": shadow_id,
            "lanes": [lane for lane, _, _ in keys],
            "befores": [before for _, before, _ in keys],
            "afters": [after for _, _, after in keys],
            "counts": [counts[key] for key in keys],
        }
        await tx.execute(_COUNT, parameters)
    lanes = sorted(reached)
    await tx.execute(_MOVE, {"shadow_id": shadow_id, "lanes": lanes, "seqs": [reached[lane] for lane in lanes]})


async def shadow_counts(tx: Tx, shadow_id: UUID) -> Counter[tuple[str, str]]:
    """How many decisions went from which outcome to which, or to ERASED, UNREADABLE or ERROR."""
    statement = (
        select(shadow_count.c.before, shadow_count.c.after, func.sum(shadow_count.c.count))
        .where(shadow_count.c.shadow_id == shadow_id)
        .group_by(shadow_count.c.before, shadow_count.c.after)
    )
    return Counter({(before, after): int(count) for before, after, count in (await tx.execute(statement)).all()})


async def shadow_lag(tx: Tx, shadow_id: UUID) -> int:
    """How many entries, in all lanes of accounts, were written and not looked at."""
    return int((await tx.execute(_LAG, {"shadow_id": shadow_id})).scalar_one())


async def count_results(tx: Tx, shadow_id: UUID) -> int:
    """How many decisions it was tried on."""
    statement = select(func.count()).where(shadow_result.c.shadow_id == shadow_id)
    return int((await tx.execute(statement)).scalar_one())


async def shadow_results(tx: Tx, shadow_id: UUID, after: Compared | None, limit: int) -> Sequence[Compared]:
    """Up to `limit` results behind `after`, in the order of lanes; None begins."""
    lane, seq = (-1, 0) if after is None else (after.result.lane, after.result.seq)
    parameters = {"shadow_id": shadow_id, "lane": lane, "seq": seq, "most": limit}
    return [_compared(row) for row in (await tx.execute(_RESULTS, parameters)).all()]


_COLUMNS = [shadow.c[name] for name in Shadow.__dataclass_fields__]
_FIELDS = len(ShadowResult._fields)


def _shadow(row: Row[Any]) -> Shadow:
    return Shadow(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's public name


def _compared(row: Row[Any]) -> Compared:
    result = ShadowResult(*row[:_FIELDS])._replace(rules=tuple(row.rules))
    return Compared(result, Decided(*row[_FIELDS:]), row[-1])


_BEGIN = text(
    """
    INSERT INTO ledger.shadow_position (shadow_id, lane, from_seq, seq)
    SELECT :shadow_id, lane, next_seq - 1, next_seq - 1
    FROM ledger.lane WHERE lane < (SELECT lanes FROM ledger.installation)
    """
)
_HOLD_ALL = text("SELECT ledger.hold_shadow(:shadow_id)")
_HOLD = text(
    """
    SELECT shadow_position.lane, shadow_position.seq, lane.next_seq - 1 AS last_seq
    FROM ledger.shadow_position JOIN ledger.lane USING (lane)
    WHERE shadow_id = :shadow_id AND shadow_position.seq < lane.next_seq - 1
    ORDER BY lane.next_seq - shadow_position.seq DESC, lane LIMIT :most FOR UPDATE OF shadow_position SKIP LOCKED
    """
)
_UNJUDGED = text(
    """
    SELECT d.lane, d.seq, EXISTS (SELECT FROM ledger.shadow_result AS r
               WHERE r.shadow_id = :shadow_id AND r.lane = d.lane AND r.seq = d.seq),
           d.decision_id, d.account_id, d.subject_id, d.outcome, d.decided_at, e.content, d.access
    FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[]), CAST(:lasts AS bigint[]))
        AS held (lane, seq, last_seq)
    CROSS JOIN LATERAL (
        SELECT * FROM ledger.decision
        WHERE decision.lane = held.lane AND decision.seq > held.seq AND decision.seq <= held.last_seq
        ORDER BY decision.seq LIMIT :most
    ) AS d LEFT JOIN ledger.evidence AS e ON e.sha256 = d.facts_sha256
    ORDER BY d.lane, d.seq
    """
)
_COUNT = text(
    """
    INSERT INTO ledger.shadow_count AS known (shadow_id, lane, before, after, count)
    SELECT :shadow_id, new.* FROM unnest(CAST(:lanes AS smallint[]), CAST(:befores AS text[]), CAST(:afters AS text[]),
        CAST(:counts AS bigint[])) AS new
    ON CONFLICT (shadow_id, lane, before, after) DO UPDATE SET count = known.count + excluded.count
    """
)
_MOVE = text(
    """
    UPDATE ledger.shadow_position SET seq = reached.seq
    FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[])) AS reached (lane, seq)
    WHERE shadow_position.shadow_id = :shadow_id AND shadow_position.lane = reached.lane
    """
)
_LAG = text(
    """
    SELECT coalesce(sum(lane.next_seq - 1 - shadow_position.seq), 0)
    FROM ledger.shadow_position JOIN ledger.lane USING (lane) WHERE shadow_id = :shadow_id
    """
)
_RESULTS = text(
    f"""
    SELECT {", ".join(f"r.{name}" for name in ShadowResult._fields)},
           d.decision_id, d.account_id, d.subject_id, d.outcome, d.decided_at, e.content, d.access
    FROM ledger.shadow_result AS r JOIN ledger.decision AS d ON d.decision_id = r.decision_id
    LEFT JOIN ledger.evidence AS e ON e.sha256 = d.facts_sha256
    WHERE r.shadow_id = :shadow_id AND (r.lane, r.seq) > (:lane, :seq) ORDER BY r.lane, r.seq LIMIT :most
    """  # noqa: S608 -- names of ours
)
