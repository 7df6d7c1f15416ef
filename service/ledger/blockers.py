"""Sessions that block ours in silence: a worker that was stopped while it held locks, which no timeout ends."""

from dataclasses import dataclass

from sqlalchemy import text

from service.ledger.engine import Tx
from service.ledger.relay import COMPARISON_LOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session on which a session of ours waits. `seconds` since it last said something; None: not for us to see.

    `ended` is whether it was told to end now.
    """

    pid: int
    login: str
    application: str
    seconds: float | None
    ended: bool


async def end_blockers(tx: Tx, application: str, limit_seconds: float) -> list[Blocker]:
    """All that blocks sessions of this application in this database; those of its own are ended.

    They are ended when they belong to our login user, are in a transaction, and have said nothing for `limit_seconds`.
    One whose statement is at work is left alone, however long that lasts: it is not the client that is silent.
    What waits for a lock itself is never ended: somebody else holds it up. For the relay's rows and the comparison's
    lock nobody waits, others pass them by: who holds them in silence is ended too. PostgreSQL lets nobody end a session
    of another user; the role we act as owns no sessions, so this is done as the login user.
    """
    await tx.execute(text("SET LOCAL ROLE NONE"))
    parameters = {"application": application, "most": limit_seconds, "comparison": COMPARISON_LOCK}
    rows = (await tx.execute(_END, parameters)).all()
    return [Blocker(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name


_END = text(
    """
    WITH holder (pid, waited_for) AS (
        SELECT unnest(pg_blocking_pids(pid)), true FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = :application AND wait_event_type = 'Lock'
        UNION ALL
        SELECT pid, false FROM pg_locks
        WHERE granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND (relation = (SELECT pg_class.oid FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                           WHERE nspname = 'ledger' AND relname = 'relay_position')
               OR locktype = 'advisory' AND (classid, objid) = (0, :comparison))
    ), blocker AS MATERIALIZED (
        SELECT pid, usename AS login, application_name AS application, bool_or(waited_for) AS waited_for,
               CAST(extract(epoch FROM clock_timestamp() - state_change) AS double precision) AS seconds,
               datname = current_database() AND usename = session_user AND application_name = :application
                   AND xact_start IS NOT NULL AND (state <> 'active' OR wait_event_type = 'Client') AS ours
        FROM holder JOIN pg_stat_activity USING (pid)
        WHERE wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_backend_pid()
        GROUP BY pid, usename, application_name, state_change, datname, xact_start, state, wait_event_type
    ), answer AS MATERIALIZED (
        SELECT *, CASE WHEN ours AND seconds >= :most THEN pg_terminate_backend(pid) ELSE false END AS ended
        FROM blocker
    )
    SELECT pid, coalesce(login, '') AS login, application, seconds, ended FROM answer WHERE waited_for OR ended
    """
)
