"""The topics of a test: sending events, reading what was published, and running the service on them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from service.app import Running, run_service
from service.ledger.positions import list_positions
from service.reading import Record
from service.settings import Settings, read_settings
from service.stream.connection import Connection
from service.stream.read_topic import read_topic
from service.stream.topics import verify_topics
from tests.brokers import Broker
from tests.events import record
from tests.ledger import Ledger

DEADLINE_SECONDS = 120.0
_LOG_BYTES = 64 * 1024 * 1024
"""A process whose log is read at its end only: what is unread must not make it wait."""
_PROGRAM = """
import asyncio
from service.app import read_settings, serve
asyncio.run(serve(read_settings(), create_topics=False, on_ready=lambda running: print("ready", flush=True)))
"""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Topics of one test on the session's broker."""

    broker: Broker
    connection: Connection
    cluster_id: str

    @property
    def cluster(self) -> str:
        """The name under which the ledger keeps positions."""
        return self.connection.cluster_name(self.cluster_id)

    def settings(self, ledger: Ledger, **overrides: object) -> Settings:
        """Settings of a service on these topics and that ledger."""
        ours: dict[str, object] = {
            "database_url": ledger.superuser_url,
            "kafka_bootstrap": self.connection.bootstrap,
            "kafka_topic_prefix": self.connection.topic_prefix,
            "kafka_idempotent_producer": self.broker.idempotent,
            "fetch_max_wait_ms": 20,
            "shadow_niceness": 1,  # At 19 it would hardly run beside other tests.
            "kafka_session_timeout_ms": self.broker.session_timeout_ms,
            "watchdog_seconds": 600,  # A frozen worker of a busy machine would count its own sleep.
            "http_port": 0,
            "environment": "production",
        }
        return read_settings(**(ours | overrides))

    async def send(self, *events: dict[str, Any] | Record) -> list[tuple[str, int, int]]:
        """Send events to the topics of their types; where each lies: (topic of the contract, partition, offset)."""
        records = [one if isinstance(one, Record) else record(one) for one in events]
        async with AIOKafkaProducer(
            bootstrap_servers=self.connection.bootstrap, acks="all", enable_idempotence=self.broker.idempotent
        ) as producer:
            futures = [
                await producer.send(self.connection.topic(one.topic), value=one.value, key=one.key) for one in records
            ]
            sent = await asyncio.gather(*futures)
        return [(one.topic, where.partition, where.offset) for one, where in zip(records, sent, strict=True)]

    async def read(self, topic: str) -> list[Record]:
        """All that lies on a topic of the contract."""
        return await read_topic(self.connection, topic, within_seconds=DEADLINE_SECONDS)

    async def events(self, topic: str) -> list[dict[str, Any]]:
        """The events on a topic; tombstones are left out."""
        return [json.loads(one.value) for one in await self.read(topic) if one.value is not None]

    async def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set the group's offsets in Kafka, as a person with a tool may."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.connection.bootstrap, group_id=group, enable_auto_commit=False
        )
        await consumer.start()
        ours = {TopicPartition(self.connection.topic(topic), number): at for (topic, number), at in offsets.items()}
        consumer.assign(list(ours))
        await consumer.commit(ours)
        await consumer.stop()

    async def done(self, ledger: Ledger, sent: Sequence[tuple[str, int, int]]) -> bool:
        """Whether the ledger has passed all these records."""
        async with ledger.engine("auditor").connect() as tx:
            positions = {
                (one.topic, one.partition): one.next_offset
                for one in await list_positions(tx)
                if one.cluster == self.cluster
            }
        return all(positions.get((topic, partition), 0) > offset for topic, partition, offset in sent)


async def fresh_stream(broker: Broker, prefix: str) -> Stream:
    """Topics of this prefix, made as the contract has them."""
    connection = Connection(bootstrap=broker.bootstrap, client_id="test", topic_prefix=prefix)
    cluster = await verify_topics(connection, create=True, replication_factor=1, within_seconds=DEADLINE_SECONDS)
    return Stream(broker=broker, connection=connection, cluster_id=cluster.id)


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[tuple[Running, "asyncio.Task[None]"]]:
    """A service in this process, ready; stopped in order when the block ends."""
    stop = asyncio.Event()
    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_service(settings, create_topics=False, stop=stop, on_ready=ready.set_result))
    try:
        awaited: set[asyncio.Future[Any]] = {task, ready}
        await asyncio.wait(awaited, timeout=DEADLINE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield await asyncio.wait_for(ready, 0.1), task
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=DEADLINE_SECONDS)
        task.cancel()
    await task


async def launch_process(
    settings: Settings, *, fault: str = "", log: int = subprocess.PIPE
) -> asyncio.subprocess.Process:
    """A service as a process of its own, just started; `fault` is what is armed in it, `log` where its log goes."""
    secret = {"database_url": settings.database_url.get_secret_value()}
    plain = {
        name: value for name, value in settings.model_dump(mode="json").items() if name in settings.model_fields_set
    }
    environment = {f"EXPORTGATE_{name}".upper(): str(value) for name, value in (plain | secret).items()}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM),
        stdout=subprocess.PIPE,
        stderr=log,
        limit=_LOG_BYTES,
        env=os.environ | environment | {"EXPORTGATE_FAULT": fault},
    )


async def start_process(settings: Settings) -> asyncio.subprocess.Process:
    """A service as a process of its own, ready."""
    process = await launch_process(settings)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_SECONDS)
    if line != b"ready\n":
        _, errors = await process.communicate()
        raise AssertionError(errors.decode())
    return process


async def end(process: asyncio.subprocess.Process, how: signal.Signals) -> tuple[int, str]:
    """Send a signal and return the exit code and what was logged."""
    process.send_signal(how)
    _, errors = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    assert process.returncode is not None
    return process.returncode, errors.decode()


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds; a failure says which one did not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_SECONDS
    while not await holds():
        assert loop.time() < deadline, f"did not come true: {what}"
        await asyncio.sleep(0.05)


async def eventually_shows(port: int, *lines: str) -> str:
    """Wait until the metrics hold all these lines, and return them. A worker counts after others see its commit."""
    metrics = ""

    async def holds() -> bool:
        nonlocal metrics
        _, metrics = await get(port, "/metrics")
        return all(line in metrics for line in lines)

    await eventually(holds, f"the metrics show {', '.join(lines)}")
    return metrics


async def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET on this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body
