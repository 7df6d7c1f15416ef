"""The inbox: ids of accepted events. An id is accepted once, whatever topic, partition or restart brings it again."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text

from service.ledger.engine import Tx

EventKey = tuple[str, str]
"""(source, id) of a CloudEvent: unique by CloudEvents 1.0, section 3.1.1."""


def cause_id(source: str, event_id: str) -> str:
    """SQL: an event as the cause of a decision, from two expressions. service/deciding.py writes it, in `cause_of`."""
    return f"replace(replace({source}, '%', '%25'), ' ', '%20') || ' ' || {event_id}"


async def accept(tx: Tx, hashes: Mapping[EventKey, bytes]) -> tuple[set[EventKey], dict[EventKey, bytes]]:
    """Insert the ids that are new; return them, and for the others the hash under which they were accepted before.

    Must run before lanes are taken: a batch that waits here while holding lanes would deadlock with one that holds the
    id and waits for the lanes. Ids go in sorted, for the same reason.
    """
    keys = sorted(hashes)
    accepted = {(row.source, row.event_id) for row in (await tx.execute(_ACCEPT, _arrays(keys, hashes))).all()}
    if len(accepted) == len(keys):
        return accepted, {}
    others = [key for key in keys if key not in accepted]
    return accepted, await accepted_hashes(tx, others)


async def accepted_hashes(tx: Tx, keys: Sequence[EventKey]) -> dict[EventKey, bytes]:
    """The sha256 of the raw record under which each of these ids was accepted; ids never seen are left out."""
    parameters = {"sources": [key[0] for key in keys], "ids": [key[1] for key in keys]}
    rows = (await tx.execute(_KNOWN, parameters)).all()
    return {(row.source, row.event_id): row.raw_sha256 for row in rows}


def _arrays(keys: Sequence[EventKey], hashes: Mapping[EventKey, bytes]) -> dict[str, object]:
    return {
        "sources": [key[0] for key in keys],
        "ids": [key[1] for key in keys],
        "hashes": [hashes[key] for key in keys],
    }


_ACCEPT = text(
    """
    INSERT INTO ledger.inbox (source, event_id, raw_sha256)
    SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:hashes AS bytea[]))
    ON CONFLICT DO NOTHING RETURNING source, event_id
    """
)
_KNOWN = text(
    """
    SELECT source, event_id, raw_sha256 FROM ledger.inbox
    WHERE (source, event_id) IN (SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])))
    """
)
