"""What a person does after a restore that lost decisions: those made again must count as newer than those lost."""

from dataclasses import dataclass

from service.audit.control import hold_control_lane, write_control_entry
from service.ledger.engine import Tx
from service.ledger.epoch import HIGHEST, store_epoch
from service.ledger.lanes import lock_lanes, read_installation
from service.ledger.policies import read_pin
from service.resolving import Person


class CannotRaise(ValueError):  # noqa: N818 -- the message tells the person why, and what to do
    """The ledger epoch cannot be raised to that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """From which ledger epoch to which, and where the journal says so."""

    from_epoch: int
    to_epoch: int
    lane: int
    seq: int


async def raise_epoch(tx: Tx, person: Person, to_epoch: int | None) -> Raised:
    """Raise the ledger epoch, by one unless told to which; journalled in the control lane. CannotRaise to a lower one.

    An earlier raise may have been lost with the restore: then only a person who looks at the topics knows to which.
    Every lane is held, so that in none of them an entry of the old epoch follows one of the new.
    """
    await lock_lanes(tx, range((await read_installation(tx)).control_lane + 1))
    head = await hold_control_lane(tx)
    # After the lanes are held: two who raise at once must not both begin with the same epoch.
    before = (await read_pin(tx, None)).epoch
    after = before + 1 if to_epoch is None else to_epoch
    if after <= before:
        raise CannotRaise(f"--to: expected an epoch above {before}, which is the one now, got {after}")
    if after > HIGHEST:
        raise CannotRaise(f"the epoch is {before}, and there is none above {HIGHEST}")
    content = {"from_epoch": before, "to_epoch": after, "by": person.name, "reason": person.reason}
    lane, seq = await write_control_entry(tx, head, "epoch_raised", content)
    await store_epoch(tx, after)
    return Raised(from_epoch=before, to_epoch=after, lane=lane, seq=seq)
