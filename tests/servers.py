"""Servers that a test may kill -9: they come back on the same port with the data they had."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from service.embedded import postgres
from service.embedded.server import Account, Launch, running_server, unprivileged_account
from tests import revive

SMALL_DISK = "small"
"""The directory, beside the data, in which the small disk of `restartable_postgres` is mounted."""

_ROOM_BYTES = 2**30


@dataclass(slots=True)
class Lifeline:
    """Keeps a server alive. Give `hold` what it is launched by; then `kill` may be called again and again."""

    directory: Path | None = None

    def hold(self, directory: Path, launch: Launch, around: Sequence[str] = ()) -> Launch:
        """The launch of a server that comes back when it is killed, run by the program `around`, if any."""
        self.directory = directory
        account = ["-", "-"] if launch.account is None else [str(launch.account.uid), str(launch.account.gid)]
        held = [*around, sys.executable, "-I", "-S", revive.__file__]
        held += [str(directory / "pid"), str(int(launch.stop_signal)), *account]
        commands = [[*held, *command] for command in launch.commands]
        return replace(launch, commands=commands, account=None, stop_signal=signal.SIGTERM)

    def kill(self) -> None:
        """Kill -9 the server and all its processes, as the loss of a machine's power would."""
        assert self.directory is not None
        server = psutil.Process(int((self.directory / "pid").read_text()))
        # Stopped first, so that it starts no other child meanwhile.
        server.suspend()
        for process in (*server.children(recursive=True), server):
            process.kill()


def memory_disk() -> Path | None:
    """Where files lie in memory, with room for a server and its programs; None where this machine has no such place.

    A database is made for nearly every test, which a busy disk makes slow.
    """
    disk = Path("/dev/shm")  # noqa: S108 -- only new directories with names of their own are made in it
    if not (hasattr(os, "ST_NOEXEC") and os.access(disk, os.W_OK)):
        return None
    found = os.statvfs(disk)
    roomy = found.f_bavail * found.f_frsize >= _ROOM_BYTES
    return disk if roomy and not found.f_flag & os.ST_NOEXEC else None


def may_mount() -> bool:
    """Whether we may mount a small disk that nobody else sees."""
    unshare = shutil.which("unshare")
    return unshare is not None and not subprocess.run([unshare, "--mount", "true"], check=False).returncode


@asynccontextmanager
async def restartable_postgres(
    lifeline: Lifeline, *, small_disk_mb: int | None = None
) -> AsyncIterator[postgres.Server]:
    """A PostgreSQL with fsync on, which `lifeline` may kill.

    With `small_disk_mb` there is a disk of that size for a tablespace; `small_disk` says where.
    """
    password = secrets.token_hex(24)
    wheel, account = postgres._installation(), unprivileged_account()

    def prepare(directory: Path, port: int) -> Launch:
        installation = wheel if account is None else postgres._copy_for(account, wheel, directory)
        password_file, disk = directory / "password", directory / SMALL_DISK
        password_file.write_text(password)
        disk.mkdir()
        if account is not None:
            for path in (directory, password_file, disk):
                os.chown(path, account.uid, account.gid)
        launch = Launch(
            commands=[
                postgres._initdb(installation, directory / "data", password_file),
                postgres._postgres(installation, directory / "data", port, fsync=True),
            ],
            answers=postgres._server(port, password).answers,
            stop_signal=signal.SIGQUIT,
            account=account,
        )
        around = () if small_disk_mb is None else _with_disk(disk, small_disk_mb, account)
        return lifeline.hold(directory, launch, around)

    async with running_server("postgres", prepare) as port:
        yield postgres._server(port, password)


def _with_disk(disk: Path, size_mb: int, account: Account | None) -> list[str]:
    owner = "" if account is None else f",uid={account.uid},gid={account.gid}"
    mount = f'mount -t tmpfs -o size={size_mb}m{owner} small "{disk}" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


def small_disk(lifeline: Lifeline) -> str:
    """Where the small disk is, as the server sees it."""
    return str((lifeline.directory or Path()) / SMALL_DISK)
