"""What a person does with a halted partition: look, and let it go on by name and with a reason."""

import re
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
    """A halt that was lifted: why it had been, from which offset to which, and where the journal says so.

    `lost` offsets lie before the beginning of the log that the halt names; `given_up` ones from there on, where records
    may lie that nobody will decide.
    """

    cluster: str
    topic: str
    partition: int
    halt_reason: str
    from_offset: int
    to_offset: int
    lost: int
    given_up: int
    lane: int
    seq: int


async def lift_halt(
    tx: Tx, *, cluster: str, topic: str, partition: int, person: Person, to_offset: int | None, give_up: bool = False
) -> Lifted:
    """Lift the halt of a partition, which goes on at `to_offset`; journalled in the control lane.

    RECORDS_LOST needs the offset at which the log begins now, and gives up what lay before it. A topic that was made
    anew is read from 0 when `to_offset` is None: events accepted before are recognised in the inbox, so that nothing is
    decided twice, and whatever is new or differs is not passed over. CannotLift when the partition is not halted, when
    the offset is missing or leads back, and, unless `give_up`, when it lies behind the beginning that the halt names:
    records that are there would be passed over.
    """
    position = await lock_position(tx, cluster, (topic, partition))
    if position is None or position.halted_at is None:
        raise CannotLift(f"partition {partition} of {topic} is not halted; see `exportgate positions list`")
    target = _target(position, to_offset)
    begins = _beginning(position)
    if target > begins and not give_up:
        raise CannotLift(_gives_up(position, begins, target))
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
        lost=max(0, begins - position.next_offset) if _is_lost(position) else 0,
        given_up=max(0, target - begins),
        lane=lane,
        seq=seq,
    )


_BEGINS = re.compile(r"the log begins at (\d+)")


def _is_lost(position: Position) -> bool:
    return str(position.halt_reason).startswith("RECORDS_LOST")


def _beginning(position: Position) -> int:
    """Where the log begins, as the halt says; without a word of it, nothing is known to be gone."""
    if not _is_lost(position):
        return 0
    named = _BEGINS.search(str(position.halt_reason))
    return position.next_offset if named is None else int(named[1])


def _gives_up(position: Position, begins: int, target: int) -> str:
    count = target - begins
    offsets = "1 offset" if count == 1 else f"{count:,} offsets"
    return (
        f"--to {target} passes over {offsets} from {begins} on, where records may lie that nobody would decide; "
        f"go on at {begins} (where the log has moved since, the partition halts anew and names its beginning), or add "
        f"--give-up to lose them. {position.halt_reason}"
    )


def _target(position: Position, to_offset: int | None) -> int:
    if not _is_lost(position):
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
