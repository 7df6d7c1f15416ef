"""What the two embedded servers share: a free port, a leash, a wait for the first answer, no trace left."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.embedded import leash
from service.failures import ForeseenError

START_SECONDS = 120.0
_ATTEMPTS = 5
_LOG_TAIL_BYTES = 2000
_PORT_TAKEN = ("address already in use", "addrinuse", "address in use")


class EmbeddedServerError(ForeseenError):
    """An embedded server cannot run here. The message is one line for a person."""


class _PortTakenError(EmbeddedServerError):
    """Somebody took the port between our choice and the server's bind: choose another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user of this machine that a server runs as, and that owns its files."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a server in one directory on one port, and how to tell that it answers."""

    commands: list[list[str]]
    """Run in order, the last one is the server."""
    answers: Callable[[], Awaitable[bool]]
    stop_signal: signal.Signals
    account: Account | None
    """None: the user who runs us."""


def unprivileged_account() -> Account | None:
    """The account `nobody` when we are root, else None.

    PostgreSQL refuses to run as root. `nobody` exists everywhere, so none has to be added to the machine.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        message = "PostgreSQL does not run as root and this machine has no user 'nobody': run as another user"
        raise EmbeddedServerError(message) from None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


@asynccontextmanager
async def running_server(
    name: str, prepare: Callable[[Path, int], Launch], *, within: Path | None = None
) -> AsyncIterator[int]:
    """The loopback port on which the server answers, for as long as the block runs.

    `prepare` gets an empty directory, which is removed with the server, and a port that was free just now. The
    directory is made in `within`, None: where temporary files go.
    When the port was taken meanwhile, everything is tried again with another. Raises EmbeddedServerError.
    """
    process, port = await _start(name, prepare, within)
    try:
        yield port
    finally:
        await _stop(process)


async def _start(
    name: str, prepare: Callable[[Path, int], Launch], within: Path | None
) -> tuple[asyncio.subprocess.Process, int]:
    for attempt in range(1, _ATTEMPTS + 1):
        port = _free_port()
        try:
            return await _start_on(name, port, prepare, within), port
        except _PortTakenError:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError


async def _start_on(
    name: str, port: int, prepare: Callable[[Path, int], Launch], within: Path | None
) -> asyncio.subprocess.Process:
    directory = Path(tempfile.mkdtemp(prefix=f"exportgate-{name}-", dir=within))
    try:
        launch = await asyncio.to_thread(prepare, directory, port)
        log = os.open(directory / "server.log", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    try:
        process = await _leashed(launch, directory, log)
        try:
            await _first_answer(name, process, launch.answers, log)
        except BaseException:
            await _stop(process)
            raise
    finally:
        os.close(log)
    return process


async def _leashed(launch: Launch, directory: Path, log: int) -> asyncio.subprocess.Process:
    specification = {
        "commands": launch.commands,
        "directory": str(directory),
        "stop_signal": int(launch.stop_signal),
        "uid": launch.account.uid if launch.account else None,
        "gid": launch.account.gid if launch.account else None,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", leash.__file__, json.dumps(specification)),
        stdin=asyncio.subprocess.PIPE,
        stdout=log,
        stderr=log,
        # Settings of this shell (PGDATA, STORAGE_ENGINE, ...) must not reach the servers.
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "NO_COLOR": "1"},
        # Ctrl-C goes to the whole session of the terminal; the servers must outlive our own orderly stop.
        start_new_session=True,
    )


async def _first_answer(
    name: str, process: asyncio.subprocess.Process, answers: Callable[[], Awaitable[bool]], log: int
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    while loop.time() < deadline:
        if process.returncode is not None:
            tail = _tail(log)
            kind = _PortTakenError if any(s in tail.lower() for s in _PORT_TAKEN) else EmbeddedServerError
            message = f"the embedded {name} ended with code {process.returncode} before it answered: {tail}"
            raise kind(message)
        if await answers():
            return
        await asyncio.sleep(0.02)
    message = f"the embedded {name} did not answer within {START_SECONDS:.0f} s, its log ends with: {_tail(log)}"
    raise EmbeddedServerError(message)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log: int) -> str:
    """The end of the log as one line."""
    start = max(0, os.fstat(log).st_size - _LOG_TAIL_BYTES)
    text = os.pread(log, _LOG_TAIL_BYTES, start).decode(errors="replace")
    return " | ".join(line.strip() for line in text.splitlines() if line.strip()) or "(an empty log)"
