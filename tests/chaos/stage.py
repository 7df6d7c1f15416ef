"""What the faults befall: a database and a broker that come back when they are killed, and workers that do too."""

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import make_url

from service.cli.database import make_database
from service.embedded.postgres import Server
from service.settings import Settings
from tests.brokers import Broker, running
from tests.kafka import KafkaMissing, running_kafka
from tests.ledger import Ledger
from tests.proxy import Proxy, running_proxy
from tests.servers import Lifeline, restartable_postgres
from tests.stream import Stream, fresh_stream, launch_process

WORKERS = 2
_LANES = 16
_PAUSE_SECONDS = 0.1
_END_SECONDS = 40.0


@dataclass
class Worker:
    """One of the workers: a process that is started again, unarmed, whenever it has ended."""

    number: int
    settings: Settings
    proxy: Proxy
    log: Path
    process: asyncio.subprocess.Process | None = None
    ends: list[int] = field(default_factory=list)
    """The exit codes of its lives."""
    _arm: str = ""

    async def run(self) -> None:
        """Keep it alive until cancelled."""
        while True:
            with self.log.open("ab") as log:
                self.process = await launch_process(self.settings, fault=self._arm, log=log.fileno())
            self._arm = ""
            _, _ = await self.process.communicate()
            self.ends.append(self.process.returncode or 0)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def restart(self, fault: str) -> None:
        """Kill it, so that its next life has this fault armed; when this returns that life has begun."""
        self._arm = fault
        before = self.process
        self.send(signal.SIGKILL)
        while self.process is before or self._arm:  # noqa: ASYNC110 -- nobody tells us
            await asyncio.sleep(_PAUSE_SECONDS)

    def send(self, how: signal.Signals) -> None:
        """Send a signal to this life, if it has not ended just now."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(how)

    def is_stopped(self) -> bool:
        """Whether it is frozen."""
        with suppress(psutil.NoSuchProcess):
            return self.process is not None and psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED
        return False

    def confessions(self) -> list[str]:
        """What it has logged of bugs of its own: whatever is away, none of that may be taken for a bug."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("{")]
        said = [json.loads(line) for line in lines if '"critical"' in line or '"bug"' in line]
        return [f"worker {self.number}: {one}" for one in said]

    async def end(self) -> None:
        """End this life in order, and for ever."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        if self.process is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _END_SECONDS)
            self.send(signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All of it, running. `broker_line` is None when the broker keeps no log, for the reason `without_kafka`."""

    stream: Stream
    ledger: Ledger
    server: Server
    workers: list[Worker]
    database_line: Lifeline
    broker_line: Lifeline | None
    without_kafka: str | None
    logs: Path


@asynccontextmanager
async def standing() -> AsyncIterator[Stage]:
    """Servers and workers, everything ended with the block; the workers' logs stay in `logs`."""
    database_line, broker_line = Lifeline(), Lifeline()
    logs = Path(tempfile.mkdtemp(prefix="exportgate-chaos-"))
    async with AsyncExitStack() as stack:
        without_kafka = None
        try:
            kafka = await stack.enter_async_context(running_kafka(broker_line.hold))
            broker = Broker(
                kind="kafka",
                bootstrap=kafka.bootstrap,
                cluster_id=kafka.cluster_id,
                idempotent=True,
                session_timeout_ms=2_000,
            )
        except KafkaMissing as missing:
            without_kafka = str(missing)
            broker = await stack.enter_async_context(running("embedded"))
        server = await stack.enter_async_context(restartable_postgres(database_line))
        await server.create_database("exportgate")
        await make_database(make_url(server.url()), lanes=_LANES)
        ledger = Ledger(server.url())
        stack.push_async_callback(ledger.close)
        await ledger.use()
        stream = await fresh_stream(broker, f"chaos-{os.getpid()}-")
        workers = []
        for number in range(1, WORKERS + 1):
            proxy = await stack.enter_async_context(running_proxy(server.url()))
            settings = stream.settings(
                ledger,
                database_url=proxy.url(server.url()),
                batch_max_records=50,
                lock_timeout_seconds=2,
                idle_timeout_seconds=3,
                statement_timeout_seconds=10,
                blocker_limit_seconds=4,
                graceful_timeout_seconds=10,
            )
            workers.append(Worker(number, settings, proxy, logs / f"worker-{number}.log"))
        yield Stage(
            stream=stream,
            ledger=ledger,
            server=server,
            workers=workers,
            database_line=database_line,
            broker_line=None if without_kafka else broker_line,
            without_kafka=without_kafka,
            logs=logs,
        )
