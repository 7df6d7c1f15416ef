"""The processes that are measured: the service, and what it is measured beside."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench.stage import Place
from tests.brokers import Broker
from tests.stream import get

_READY_SECONDS = 180.0
_LOOK_SECONDS = 0.05
_STOP_SECONDS = 60.0
_EMBEDDED_WAIT_MS = 20
_KAFKA_WAIT_MS = 100
_PROFILED = """
import asyncio, cProfile, sys
from service.app import read_settings, serve
profiler = cProfile.Profile()
profiler.enable()
try:
    asyncio.run(serve(read_settings(), create_topics=False))
finally:
    profiler.disable()
    profiler.dump_stats(sys.argv[1])
"""


class BenchError(RuntimeError):
    """A run cannot be measured. The message says what did not happen, and what the workers logged last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to start one worker. `http_port` is where it answers, None for those that do not."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    http_port: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds and resident bytes of all workers of a run."""

    cpu_seconds: float
    rss: int


@dataclass(frozen=True, slots=True)
class Workers:
    """The running workers of one run."""

    commands: Sequence[Command]
    processes: Sequence[psutil.Process]
    log: Path

    def usage(self) -> Usage:
        """What they have used so far. BenchError when one of them has ended."""
        try:
            times = [process.cpu_times() for process in self.processes]
            rss = sum(process.memory_info().rss for process in self.processes)
        except psutil.Error as error:
            raise BenchError(f"a worker ended; {self.last_words()}") from error
        return Usage(sum(one.user + one.system for one in times), rss)

    async def all_ready(self) -> None:
        """Wait until each answers that it is ready."""
        for command in self.commands:
            await self._ask(command, "/ready")

    async def all_share(self) -> None:
        """Wait until they have the same number of partitions each."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            found = [_assigned(await self._ask(command, "/metrics")) for command in self.commands]
            if found[0] and len(set(found)) == 1:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise BenchError(f"the workers do not come to share the partitions; {self.last_words()}")

    def last_words(self) -> str:
        """What they logged last."""
        return f"the end of {self.log}:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    async def _ask(self, command: Command, path: str) -> str:
        """The body of the first answer that is 200."""
        assert command.http_port is not None, "this worker answers no questions"
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            self.usage()
            with suppress(OSError, IndexError):
                status, text = await get(command.http_port, path)
                if status == 200:
                    return text
            await asyncio.sleep(_LOOK_SECONDS)
        raise BenchError(f"a worker does not get ready; {self.last_words()}")


def service(place: Place, broker: Broker, *, profile: Path | None = None, patient: bool = False) -> Command:
    """The service, with its defaults wherever the broker allows.

    `profile` is where its profile goes. A `patient` one waits for locks as long as it takes.
    """
    port = _free_port()
    environment = {
        "DATABASE_URL": place.url,
        "KAFKA_BOOTSTRAP": broker.bootstrap,
        "KAFKA_TOPIC_PREFIX": place.prefix,
        "KAFKA_IDEMPOTENT_PRODUCER": str(broker.idempotent).lower(),
        "KAFKA_SESSION_TIMEOUT_MS": str(broker.session_timeout_ms),
        "HTTP_PORT": str(port),
    }
    if broker.kind == "embedded":
        # It answers a waiting fetch only when half of this time is over.
        environment["FETCH_MAX_WAIT_MS"] = str(_EMBEDDED_WAIT_MS)
    if patient:
        environment |= {"LOCK_TIMEOUT_SECONDS": "0", "STATEMENT_TIMEOUT_SECONDS": "0"}
    program = ("-m", "service", "serve") if profile is None else ("-c", _PROFILED, str(profile))
    return Command(
        arguments=(sys.executable, *program),
        environment={f"EXPORTGATE_{name}": value for name, value in environment.items()},
        http_port=port,
    )


def raw_loop(place: Place, broker: Broker, sample: Path) -> Command:
    """The raw loop, which writes and publishes what `sample` holds."""
    return _script("raw_loop", place, broker, str(sample))


def per_message(place: Place, broker: Broker) -> Command:
    """The plain FastStream handler."""
    return _script("per_message", place, broker)


def _script(name: str, place: Place, broker: Broker, *more: str) -> Command:
    given = {
        "bootstrap": broker.bootstrap,
        "prefix": place.prefix,
        "database": place.url,
        "idempotent": broker.idempotent,
        "session_timeout_ms": broker.session_timeout_ms,
        "fetch_max_wait_ms": _EMBEDDED_WAIT_MS if broker.kind == "embedded" else _KAFKA_WAIT_MS,
    }
    return Command(arguments=(sys.executable, "-m", f"tests.bench.{name}", json.dumps(given), *more))


@asynccontextmanager
async def running_workers(
    *commands: Command, log: Path, stop: signal.Signals = signal.SIGKILL
) -> AsyncIterator[Workers]:
    """These workers, each started once those before it are ready, and ended by `stop` with the block."""
    processes: list[asyncio.subprocess.Process] = []
    with log.open("ab") as output:
        try:
            for number, command in enumerate(commands):
                await _workers(commands[:number], processes, log).all_ready()
                processes.append(
                    await asyncio.create_subprocess_exec(
                        *command.arguments, env={**os.environ, **command.environment}, stdout=output, stderr=output
                    )
                )
            yield _workers(commands, processes, log)
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    process.send_signal(stop)
            for process in processes:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()


def _workers(commands: Sequence[Command], processes: Sequence[asyncio.subprocess.Process], log: Path) -> Workers:
    return Workers(commands, [psutil.Process(process.pid) for process in processes], log)


def _assigned(metrics: str) -> float:
    lines = (line.split() for line in metrics.splitlines())
    return next(float(line[1]) for line in lines if line[0] == "exportgate_assigned_partitions")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
