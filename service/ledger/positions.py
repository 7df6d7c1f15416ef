"""How far each partition is done. The row lock taken here is the fence: a zombie waits, then sees a newer offset."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text

from service.ledger.engine import Tx
from service.ledger.tables import stream_position

TopicPartition = tuple[str, int]


HALTS = ("RECORDS_LOST", "TOPIC_CHANGED")
"""Why a partition may be halted: `halt_reason` begins with one of these codes and a colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The next offset of a partition to be decided; `halted_at` is set while a person has to look first."""

    cluster: str
    topic: str
    partition: int
    next_offset: int
    halted_at: datetime | None
    halt_reason: str | None


async def claim(tx: Tx, cluster: str, beginnings: Mapping[TopicPartition, int]) -> dict[TopicPartition, Position]:
    """Lock the positions of these partitions, sorted.

    One seen for the first time starts at its log's beginning offset.
    """
    wanted = sorted(beginnings)
    rows = (await tx.execute(_CLAIM, _arrays(cluster, wanted))).all()
    if len(rows) < len(wanted):
        first_seen = set(wanted) - {(row.topic, row.partition) for row in rows}
        await enter(tx, cluster, {partition: beginnings[partition] for partition in first_seen})
        rows = (await tx.execute(_CLAIM, _arrays(cluster, wanted))).all()
    return {(row.topic, row.partition): Position(**row._mapping) for row in rows}  # noqa: SLF001 -- SQLAlchemy's public name


async def enter(tx: Tx, cluster: str, beginnings: Mapping[TopicPartition, int]) -> None:
    """Make positions, at these offsets, for those of the partitions that have none."""
    first_seen = sorted(beginnings)
    offsets = [beginnings[partition] for partition in first_seen]
    await tx.execute(_FIRST_SIGHT, {**_arrays(cluster, first_seen), "offsets": offsets})


def moved_positions(cluster: str, next_offsets: Mapping[TopicPartition, int]) -> dict[str, object]:
    """The parameters of `ADVANCE_POSITIONS`."""
    wanted = sorted(next_offsets)
    return {**_arrays(cluster, wanted), "offsets": [next_offsets[one] for one in wanted]}


def halt_code(reason: str) -> str:
    """The code with which the reason of a halt begins."""
    return reason.partition(":")[0]


async def halt(tx: Tx, cluster: str, partition: TopicPartition, reason: str) -> None:
    """Stop a partition until a person lifts the halt. Survives restarts and rebalances."""
    await tx.execute(_HALT, {"cluster": cluster, "topic": partition[0], "partition": partition[1], "reason": reason})


async def lock_position(tx: Tx, cluster: str, partition: TopicPartition) -> Position | None:
    """Lock the position of one partition; None when it has none. Positions are locked before lanes, as batches do."""
    columns = stream_position.c
    named = (columns.cluster == cluster, columns.topic == partition[0], columns.partition == partition[1])
    row = (await tx.execute(select(stream_position).where(*named).with_for_update())).first()
    return None if row is None else Position(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's public name


async def lift(tx: Tx, cluster: str, partition: TopicPartition, next_offset: int) -> None:
    """Let a halted partition go on from an offset. Its row must be held."""
    parameters = {"cluster": cluster, "topic": partition[0], "partition": partition[1], "next_offset": next_offset}
    await tx.execute(_LIFT, parameters)


async def list_positions(tx: Tx) -> Sequence[Position]:
    """All positions of all clusters, sorted."""
    columns = stream_position.c
    statement = select(stream_position).order_by(columns.cluster, columns.topic, columns.partition)
    rows = (await tx.execute(statement)).all()
    return [Position(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name


def _arrays(cluster: str, partitions: Iterable[TopicPartition]) -> dict[str, object]:
    both = list(partitions)
    return {
        "cluster": cluster,
        "topics": [topic for topic, _ in both],
        "partitions": [partition for _, partition in both],
    }


_PARTITIONS = "unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]))"
_CLAIM = text(
    f"""
    SELECT cluster, topic, partition, next_offset, halted_at, halt_reason FROM ledger.stream_position
    WHERE cluster = :cluster AND (topic, partition) IN (SELECT * FROM {_PARTITIONS})
    ORDER BY topic, partition FOR UPDATE
    """  # noqa: S608 -- a constant of ours
)
_FIRST_SIGHT = text(
    """
    INSERT INTO ledger.stream_position (cluster, topic, partition, next_offset)
    SELECT :cluster, seen.* FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]),
                                        CAST(:offsets AS bigint[])) AS seen
    ON CONFLICT DO NOTHING
    """
)
ADVANCE_POSITIONS = """
    UPDATE ledger.stream_position AS position SET next_offset = done.next_offset
    FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:offsets AS bigint[]))
         AS done (topic, partition, next_offset)
    WHERE position.cluster = :cluster AND position.topic = done.topic AND position.partition = done.partition
"""
"""Moves claimed positions on."""
_HALT = text(
    """
    UPDATE ledger.stream_position SET halted_at = clock_timestamp(), halt_reason = :reason
    WHERE cluster = :cluster AND topic = :topic AND partition = :partition AND halted_at IS NULL
    """
)
_LIFT = text(
    """
    UPDATE ledger.stream_position SET next_offset = :next_offset, halted_at = NULL, halt_reason = NULL
    WHERE cluster = :cluster AND topic = :topic AND partition = :partition
    """
)
