"""Copies: whether a record with the id of an accepted event, but other bytes, tells that event again, written anew."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.ledger.engine import Tx
from service.ledger.history import read_evidence
from service.reading import Event, read


async def written_anew(tx: Tx, events: Sequence[tuple[Event, bytes]], at_hand: Mapping[bytes, bytes]) -> set[bytes]:
    """The sha256 of those records that say what the record by which their id was accepted says, in other bytes.

    Each event comes with the sha256 of that first record; `at_hand` are first records that are not kept yet. Where the
    first record is erased nobody can tell, and the event is left out.
    """
    wanted = {first for _, first in events if first not in at_hand}
    kept = {**at_hand, **(await read_evidence(tx, sorted(wanted)) if wanted else {})}
    return {event.raw_sha256 for event, first in events if first in kept and _is_same(event, first, kept[first])}


def _is_same(event: Event, first_sha256: bytes, content: bytes) -> bool:
    first = read(replace(event.record, key=None, value=content), environment=None)
    return (
        isinstance(first, Event)
        and first.raw_sha256 == first_sha256
        and (first.source, first.id, first.type, first.time) == (event.source, event.id, event.type, event.time)
        and first.content_sha256 == event.content_sha256
    )
