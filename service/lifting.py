"""What a person does with a halted partition: look, and let it go on by name and with a reason."""

from dataclasses import dataclass

from service.audit.canonical import instant
from service.audit.journal import Scribe
from service.ledger.engine import Tx
from service.ledger.history import append_journal
from service.ledger.lanes import advance_lanes, lock_lanes, read_installation
from service.ledger.policies import read_pin
from service.ledger.positions import Position, lift, lock_position
from service.resolving import Person


class CannotLift(ValueError):  # noqa: N818 -- the message tells the person why, and what to do
    """The halt cannot be lifted that way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A halt that was lifted: why it had been, from which offset to which, and where the journal says so."""

    cluster: str
    topic: str
    partition: int
    halt_reason: str
    from_offset: int
    to_offset: int
    lane: int
    seq: int


async def lift_halt(
    tx: Tx, *, cluster: str, topic: str, partition: int, person: Person, to_offset: int | None
) -> Lifted:
    """Lift the halt of a partition, which goes on at `to_offset`; journalled in the control lane.

    RECORDS_LOST needs the offset at which the log begins now, and gives up what lay before it. A topic that was made
    anew is read from 0 when `to_offset` is None: events accepted before are recognised in the inbox, so that nothing is
    decided twice, and whatever is new or differs is not passed over. CannotLift when the partition is not halted, or
    the offset is missing or leads back.
    """
    position = await lock_position(tx, cluster, (topic, partition))
    if position is None or position.halted_at is None:
        raise CannotLift(f"partition {partition} of {topic} is not halted; see `exportgate positions list`")
    target = _target(position, to_offset)
    control_lane = (await read_installation(tx)).control_lane
    heads = await lock_lanes(tx, [control_lane])
    # In a statement of its own after the lane is held: its clock must not stand before the lane's last instant.
    pin = await read_pin(tx, heads[control_lane].last_at)
    heads[control_lane].last_at = pin.now
    scribe = Scribe(heads)
    content: dict[str, object] = {
        "account_id": None,
        "at": instant(pin.now),
        "cluster": cluster,
        "topic": topic,
        "partition": partition,
        "halted_at": instant(position.halted_at),
        "halt_reason": position.halt_reason,
        "from_offset": position.next_offset,
        "to_offset": target,
        "by": person.name,
        "reason": person.reason,
    }
    lane, seq = scribe.write(control_lane, "halt_lifted", content)
    await append_journal(tx, scribe.rows)
    await advance_lanes(tx, heads.values())
    await lift(tx, cluster, (topic, partition), target)
    return Lifted(
        cluster=cluster,
        topic=topic,
        partition=partition,
        halt_reason=str(position.halt_reason),
        from_offset=position.next_offset,
        to_offset=target,
        lane=lane,
        seq=seq,
    )


def _target(position: Position, to_offset: int | None) -> int:
    if not str(position.halt_reason).startswith("RECORDS_LOST"):
        return 0 if to_offset is None else to_offset
    if to_offset is None:
        raise CannotLift(
            f"expected --to OFFSET, where the log begins now; records before it are given up. {position.halt_reason}"
        )
    if to_offset <= position.next_offset:
        raise CannotLift(
            f"--to: expected an offset behind {position.next_offset}, where the log begins now, got {to_offset}. "
            f"{position.halt_reason}"
        )
    return to_offset
