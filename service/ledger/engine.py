"""Connections: one dialect, one isolation level, timeouts, and the role that the work may use."""

from collections.abc import Sequence
from typing import Any

from asyncpg.exceptions import InterfaceError as DriverInterfaceError
from asyncpg.exceptions import PostgresError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

DATABASE_ERRORS = (SQLAlchemyError, PostgresError, DriverInterfaceError, OSError, TimeoutError)
"""What the database, its driver or the way there can raise."""

Tx = AsyncConnection
"""An open transaction. Whoever opened it commits it, once."""

ROLES = ("owner", "service", "policy_officer", "reviewer", "auditor", "eraser")


def role_name(role: str) -> str:
    """The PostgreSQL role that stands for one of `ROLES`."""
    return f"exportgate_{role}"


def open_engine(
    url: str,
    *,
    role: str,
    application: str,
    lock_timeout_seconds: float = 10,
    statement_timeout_seconds: float = 30,
    idle_timeout_seconds: float = 30,
    pool_size: int = 5,
) -> AsyncEngine:
    """An engine whose connections act as `role` under READ COMMITTED.

    A batch reads the pin in its own statement after it holds its lanes; that is only right under READ COMMITTED. A
    timeout of 0 means none.
    """
    settings = {
        "application_name": application,
        "role": role_name(role),
        "lock_timeout": f"{int(lock_timeout_seconds * 1000)}ms",
        "statement_timeout": f"{int(statement_timeout_seconds * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{int(idle_timeout_seconds * 1000)}ms",
        # A worker that is stopped while the server sends it rows is not idle; nothing else ends such a session.
        "tcp_user_timeout": f"{int(idle_timeout_seconds * 1000)}ms",
    }
    return create_async_engine(
        url,
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # Otherwise the text of an error would hold raw records, and so names.
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=False,
        connect_args={"server_settings": settings, "timeout": 10},
    )


async def copy_rows(tx: Tx, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY rows into a table inside `tx`: the cheapest insert there is where no conflict can occur."""
    if not rows:
        return
    raw = await tx.get_raw_connection()
    driver = raw.driver_connection
    if driver is None:
        message = "the transaction has no driver connection"
        raise RuntimeError(message)
    await driver.copy_records_to_table(table, schema_name="ledger", columns=list(columns), records=rows)


STATEMENT_TIMEOUT = "57014"
"""SQLSTATE: the statement took longer than `statement_timeout`, or a person cancelled it."""


def sqlstate(error: Exception) -> str | None:
    """PostgreSQL's code for what went wrong; None when it said nothing."""
    for one in (error, getattr(error, "orig", None), getattr(getattr(error, "orig", None), "__cause__", None)):
        state = getattr(one, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


def one_line(error: BaseException) -> str:
    """An error as one line of a log. Errors of the database hide the values they were about."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def is_temporary(error: Exception) -> bool:
    """Whether the same work may succeed later: the database is away, full, busy, shutting down, or broke a deadlock.

    A value that the database or its driver refuses is not temporary: it would be refused for ever.
    """
    if isinstance(error, PoolTimeoutError):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        state = getattr(error.orig, "sqlstate", None)
        cause = error.orig.__cause__ if error.orig is not None else None
        return _is_temporary_state(state) if state else isinstance(cause, Exception) and is_temporary(cause)
    if isinstance(error, PostgresError):
        return _is_temporary_state(error.sqlstate)
    if isinstance(error, DriverInterfaceError):
        return not isinstance(error, ValueError)
    return isinstance(error, OSError | TimeoutError)


def _is_temporary_state(state: object) -> bool:
    return isinstance(state, str) and (state[:2] in _TEMPORARY_CLASSES or state in _TEMPORARY_STATES)


_TEMPORARY_CLASSES = frozenset({"08", "40", "53", "57", "58"})
"""SQLSTATE classes: connection, transaction rollback, resources, operator intervention, system error."""
_TEMPORARY_STATES = frozenset({"25006", "25P03", "55P03"})
"""Read-only (a failover), idle timeout, lock timeout."""
