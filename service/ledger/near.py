"""What lies near a mistyped name: its neighbours by index, a few each way, however large the ledger is."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text

from service.ledger.engine import Tx
from service.ledger.inbox import cause_id
from service.ledger.tables import decision


async def near_accounts(tx: Tx, names: Sequence[str], most: int) -> list[str]:
    """Accounts of which something was decided: of each name up to `most` before it in the order of ids, and behind."""
    return list((await tx.execute(_ACCOUNTS, {"names": list(names), "most": most})).scalars())


async def near_events(tx: Tx, name: str, most: int) -> dict[str, UUID]:
    """Events by id, each with a decision that it has led to: of the first `most` sources, up to `most` ids each way."""
    rows = (await tx.execute(_EVENTS, {"name": name, "most": most})).all()
    return {row.event_id: row.decision_id for row in rows}


async def decisions_between(tx: Tx, lowest: UUID, highest: UUID, most: int) -> list[UUID]:
    """Up to `most` ids of decisions, the bounds included."""
    ids = decision.c.decision_id
    return list((await tx.execute(select(ids).where(ids.between(lowest, highest)).order_by(ids).limit(most))).scalars())


# Each step of a recursion is one look into the index: an account with a million decisions costs no more than another.
_ACCOUNTS = text(
    """
    WITH RECURSIVE given AS (SELECT unnest(CAST(:names AS text[])) AS name), behind (account_id, number) AS (
        SELECT (SELECT account_id FROM ledger.decision WHERE account_id >= name ORDER BY account_id LIMIT 1), 1
        FROM given
        UNION ALL
        SELECT (SELECT account_id FROM ledger.decision d WHERE d.account_id > behind.account_id
                ORDER BY account_id LIMIT 1), number + 1
        FROM behind WHERE number < :most AND account_id IS NOT NULL
    ), before (account_id, number) AS (
        SELECT (SELECT account_id FROM ledger.decision WHERE account_id < name ORDER BY account_id DESC LIMIT 1), 1
        FROM given
        UNION ALL
        SELECT (SELECT account_id FROM ledger.decision d WHERE d.account_id < before.account_id
                ORDER BY account_id DESC LIMIT 1), number + 1
        FROM before WHERE number < :most AND account_id IS NOT NULL
    )
    SELECT account_id FROM (SELECT account_id FROM behind UNION SELECT account_id FROM before) AS found
    WHERE account_id IS NOT NULL ORDER BY account_id
    """
)
_EVENTS = text(
    f"""
    WITH RECURSIVE origin (source, number) AS (
        SELECT (SELECT source FROM ledger.inbox ORDER BY source LIMIT 1), 1
        UNION ALL
        SELECT (SELECT source FROM ledger.inbox i WHERE i.source > origin.source ORDER BY source LIMIT 1), number + 1
        FROM origin WHERE number < :most AND source IS NOT NULL
    )
    SELECT found.event_id, caused.decision_id FROM origin CROSS JOIN LATERAL (
        (SELECT event_id FROM ledger.inbox i WHERE i.source = origin.source AND event_id >= :name
         ORDER BY event_id LIMIT :most)
        UNION ALL
        (SELECT event_id FROM ledger.inbox i WHERE i.source = origin.source AND event_id < :name
         ORDER BY event_id DESC LIMIT :most)
    ) AS found CROSS JOIN LATERAL (
        SELECT decision_id FROM ledger.decision d
        WHERE d.cause_id = {cause_id("origin.source", "found.event_id")} LIMIT 1
    ) AS caused
    """  # noqa: S608 -- constants of ours
)
