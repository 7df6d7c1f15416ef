"""What tests stand on: one real PostgreSQL a session, and a fresh copy of a migrated database for each test."""

import asyncio
import sys
from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from service.cli import run
from service.cli.database import make_database
from service.embedded.postgres import Server, running_postgres
from tests.brokers import Broker, running
from tests.commands import Answer, Cli
from tests.kafka import KafkaMissing
from tests.ledger import Ledger
from tests.stream import Stream, fresh_stream

_NUMBERS = count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--broker=kafka` run the tests of the stream on Apache Kafka."""
    parser.addoption("--broker", choices=("embedded", "kafka"), default="embedded", help="the broker of the session")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of tests that one of the brokers cannot carry."""
    config.addinivalue_line("markers", "only_on(broker, reason): runs on this broker; on the other one it is skipped")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason given, what the chosen broker cannot carry."""
    chosen = config.getoption("--broker")
    for item in items:
        mark = item.get_closest_marker("only_on")
        if mark is not None and mark.args[0] != chosen:
            item.add_marker(pytest.mark.skip(reason=f"only on {mark.args[0]}: {mark.kwargs['reason']}"))


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Server]:
    """A PostgreSQL of this session. It may lose data in a power cut, which no test makes."""
    async with running_postgres(fsync=False) as server:
        yield server


@pytest.fixture(scope="session")
async def migrated(postgres: Server) -> str:
    """The name of a database with roles, tables and lanes, to be copied."""
    await postgres.create_database("migrated")
    await make_database(make_url(postgres.url("migrated")), lanes=16)
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


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, empty_ledger: Ledger) -> Cli:
    """Runs a command against the ledger of the test, in a thread, since each command has an event loop of its own."""
    monkeypatch.setenv("EXPORTGATE_DATABASE_URL", empty_ledger.superuser_url)
    monkeypatch.setenv("EXPORTGATE_ENVIRONMENT", "production")
    monkeypatch.setenv("COLUMNS", "100")

    async def call(*arguments: str) -> Answer:
        capfdbinary.readouterr()
        code = await asyncio.to_thread(run, arguments)
        sys.stdout.flush()
        written = capfdbinary.readouterr()
        return Answer(code, written.out.decode(), written.err.decode())

    return call


@pytest.fixture(scope="session")
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """The broker of this session, without topics. It keeps them, so tests need a prefix of their own."""
    try:
        async with running(request.config.getoption("--broker")) as one:
            yield one
    except KafkaMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
async def stream(broker: Broker) -> Stream:
    """Topics of this test alone."""
    return await fresh_stream(broker, f"t{next(_NUMBERS)}-{uuid4().hex[:6]}-")
