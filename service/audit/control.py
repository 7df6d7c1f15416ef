"""The control lane, on which stands what belongs to no account: held, moved on to now, and written to."""

from collections.abc import Mapping

from service.audit.canonical import instant
from service.audit.journal import Scribe
from service.ledger.engine import Tx
from service.ledger.history import append_journal
from service.ledger.lanes import Head, advance_lanes, lock_lanes, read_installation
from service.ledger.policies import read_pin


async def hold_control_lane(tx: Tx) -> Head:
    """The held head of the control lane, moved on to now."""
    control = (await read_installation(tx)).control_lane
    head = (await lock_lanes(tx, [control]))[control]
    head.last_at = (await read_pin(tx, head.last_at)).now
    return head


async def write_control_entry(tx: Tx, head: Head, kind: str, body: Mapping[str, object]) -> tuple[int, int]:
    """Write an entry of the instant of the held control lane, move the lane on, and return the entry's place."""
    scribe = Scribe({head.lane: head})
    place = scribe.write(head.lane, kind, {**body, "account_id": None, "at": instant(head.last_at)})
    await append_journal(tx, scribe.rows)
    await advance_lanes(tx, [head])
    return place
