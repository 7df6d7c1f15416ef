"""How commands reach the database: as the least role that will do, and with one line for people when that fails."""

import asyncio
import getpass
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from asyncpg.exceptions import InterfaceError as DriverInterfaceError
from asyncpg.exceptions import PostgresError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service import settings
from service.cli.output import Failed, Misuse
from service.ledger.engine import Tx, open_engine
from service.ledger.policies import read_pin

SETTING = "EXPORTGATE_DATABASE_URL"
_EXPECTED = "postgresql://user:password@host:5432/exportgate"
APPLICATION = "exportgate command"
T = TypeVar("T")
_NOT_ALLOWED = "42501"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)


@asynccontextmanager
async def ledger(role: str) -> AsyncIterator[Tx]:
    """A transaction on the configured database as `role`, committed when the block ends well."""
    async with engine(role) as opened, opened.begin() as tx:
        yield tx


async def now() -> datetime:
    """The database's clock: the one by which everything is decided."""
    async with ledger("auditor") as tx:
        return (await read_pin(tx, None)).now


@asynccontextmanager
async def engine(role: str, *, url: URL | None = None, patient: bool = False) -> AsyncIterator[AsyncEngine]:
    """Connections as `role` to the database at `url`, None meaning the configured one.

    `patient` ones wait for ever: for work over all of history.
    """
    text = (url or database_url()).render_as_string(hide_password=False)
    limits = {"statement_timeout_seconds": 0.0, "idle_timeout_seconds": 0.0} if patient else {}
    opened = open_engine(text, role=role, application=APPLICATION, pool_size=1, **limits)
    async with _closing(opened, role):
        yield opened


@asynccontextmanager
async def login_engine(url: URL) -> AsyncIterator[AsyncEngine]:
    """Connections as the login user itself, who makes the roles that everybody else acts as."""
    opened = create_async_engine(url, isolation_level="READ COMMITTED", connect_args={"timeout": 10})
    async with _closing(opened, None):
        yield opened


@asynccontextmanager
async def _closing(opened: AsyncEngine, role: str | None) -> AsyncIterator[None]:
    try:
        with _in_words(opened.url, role):
            yield
    finally:
        await opened.dispose()


def database_url() -> URL:
    """The configured database. Misuse when it is not set, or is no URL of the driver we use."""
    text = settings.database_url()
    if not text:
        raise Misuse(f"{SETTING} is not set: expected {_EXPECTED}")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise Misuse(f"{SETTING}: expected {_EXPECTED}") from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise Misuse(f"{SETTING}: expected {_EXPECTED}, got {url.drivername}://...")
    return url.set(drivername="postgresql+asyncpg")


def place(url: URL) -> str:
    """Where a database is, `host:port/name`; never with the password."""
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


@contextmanager
def _in_words(url: URL, role: str | None) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, PostgresError, DriverInterfaceError, ConnectionError, TimeoutError, OSError) as error:
        message = _explain(error, url, role)
        if message is None:
            raise
        raise Failed(message) from error


def _explain(error: BaseException, url: URL, role: str | None) -> str | None:
    """What to tell a person; None for an error nobody foresaw, which is a bug of ours and deserves its traceback."""
    state = sqlstate(error)
    where = f"the database at {place(url)}"
    if state is None:
        away = any(isinstance(one, OSError | TimeoutError) for one in _chain(error))
        return f"{where} does not answer; start it, or set {SETTING}" if away else None
    told = _STATES.get(state) or _STATES.get(state[:2])
    if role is None and state == _NOT_ALLOWED:
        return (
            f"{where} does not let this user make roles; use a superuser, or one with CREATEROLE who owns the database"
        )
    return None if told is None else told(where, _Acting(f"exportgate_{role}", _login(url)))


@dataclass(frozen=True, slots=True)
class _Acting:
    """The role that a command acts as, and the login that may not."""

    role: str
    login: str


def _login(url: URL) -> str:
    """The login that was used, as SQL writes it: the driver asks the environment where the URL names none."""
    name = url.username or os.environ.get("PGUSER") or getpass.getuser()
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code for what went wrong, wherever in the chain of causes it stands; None when it said nothing."""
    return next((state for one in _chain(error) if isinstance(state := getattr(one, "sqlstate", None), str)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        original = getattr(one, "orig", None)
        one = original if isinstance(original, BaseException) else one.__cause__


def _not_set_up(where: str, _acting: _Acting) -> str:
    return f"{where} is not set up for exportgate; run: exportgate db init"


_STATES: dict[str, Callable[[str, _Acting], str]] = {
    "28": lambda where, _: f"{where} refuses the user or password of {SETTING}; correct it",
    "3D000": lambda where, _: f"{where} does not exist; create it (CREATE DATABASE), or set {SETTING}",
    "3F000": _not_set_up,
    "42P01": _not_set_up,
    "22023": _not_set_up,
    "42703": lambda where, _: f"{where} is of another version of exportgate; run: exportgate db upgrade",
    "42501": lambda where, acting: (
        f"{where} does not let {acting.login} act as {acting.role}; have it granted: "
        f"GRANT {acting.role} TO {acting.login}"
    ),
    "55P03": lambda where, _: f"{where} is busy: another transaction holds what this needs; try again",
    "57014": lambda where, _: f"{where} took too long to answer and was stopped; try again",
    "53": lambda where, _: f"{where} has no room for another connection or more data; try again later",
    "57": lambda where, _: f"{where} is starting or shutting down; try again",
    "08": lambda where, _: f"{where} broke the connection; try again, or set {SETTING}",
}
"""What PostgreSQL's codes, or their first two letters, mean to the person who typed the command."""
