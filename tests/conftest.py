"""What tests stand on: one real PostgreSQL a session, and a fresh copy of a migrated database for each test."""

from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from service.embedded.broker import Broker, running_broker
from service.embedded.postgres import Server, running_postgres
from service.ledger import schema
from service.ledger.engine import open_engine
from service.stream.connection import Connection
from service.stream.topics import verify_topics
from tests.ledger import Ledger
from tests.stream import Stream

_NUMBERS = count()


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Server]:
    """A PostgreSQL of this session. It may lose data in a power cut, which no test makes."""
    async with running_postgres(fsync=False) as server:
        yield server


@pytest.fixture(scope="session")
async def migrated(postgres: Server) -> str:
    """The name of a database with roles, tables and lanes, to be copied."""
    await postgres.create_database("migrated")
    superuser = create_async_engine(postgres.url("migrated"))
    async with superuser.begin() as tx:
        await schema.create_roles(tx)
    await superuser.dispose()
    owner = open_engine(postgres.url("migrated"), role="owner", application="migrate")
    await schema.upgrade(owner)
    async with owner.begin() as tx:
        await schema.install(tx, lanes=16)
    await owner.dispose()
    return "migrated"


@pytest.fixture
async def empty_ledger(postgres: Server, migrated: str) -> AsyncIterator[Ledger]:
    """A ledger in which no policy is in force."""
    name = f"ledger_{next(_NUMBERS)}"
    await postgres.create_database(name, template=migrated)
    ledger = Ledger(postgres.url(name))
    yield ledger
    await ledger.close()
    await postgres.drop_database(name)


@pytest.fixture
async def ledger(empty_ledger: Ledger) -> Ledger:
    """A ledger decided by the small policy."""
    await empty_ledger.use()
    return empty_ledger


@pytest.fixture(scope="session")
async def broker() -> AsyncIterator[Broker]:
    """A broker of this session, without topics. It keeps them, so tests need a prefix of their own."""
    async with running_broker() as running:
        yield running


@pytest.fixture
async def stream(broker: Broker) -> Stream:
    """Topics of this test alone."""
    connection = Connection(
        bootstrap=broker.bootstrap, client_id="test", topic_prefix=f"t{next(_NUMBERS)}-{uuid4().hex[:6]}-"
    )
    cluster = await verify_topics(connection, create=True, replication_factor=1)
    return Stream(connection=connection, cluster_id=cluster.id)
