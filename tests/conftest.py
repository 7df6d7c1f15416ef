"""What tests stand on: one real PostgreSQL a session, and a fresh copy of a migrated database for each test."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

import hypothesis
import pytest
from hypothesis import HealthCheck
from sqlalchemy import make_url

from service.cli import run
from service.cli.database import make_database
from service.embedded.postgres import Server, running_postgres
from tests.brokers import Broker, running
from tests.commands import Answer, Cli
from tests.kafka import KafkaMissing
from tests.ledger import Ledger
from tests.servers import memory_disk
from tests.stream import Stream, fresh_stream

_NUMBERS = count()

# A busy machine may stand still in the middle of an example, which says nothing about what is tested.
# The same examples each time, so that a change is judged by what it changes; `--hypothesis-seed=N` draws others.
hypothesis.settings.register_profile(
    "patient", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--broker=kafka` run the tests of the stream on Apache Kafka."""
    parser.addoption("--broker", choices=("embedded", "kafka"), default="embedded", help="the broker of the session")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of tests that one of the brokers cannot carry, and let Ctrl-C reach what tests start.

    A shell that runs us in the background has SIGINT ignored, which every process below would inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
    async with running_postgres(fsync=False, within=memory_disk()) as server:
        yield server


@pytest.fixture(scope="session")
async def migrated(postgres: Server) -> str:
    """The name of a database with roles, tables and lanes, to be copied."""
    await postgres.create_database("migrated")
    await make_database(make_url(postgres.url("migrated")), lanes=16)
    return "migrated"


@pytest.fixture(scope="session")
async def in_force(postgres: Server, migrated: str) -> str:
    """The name of a database in which the small policy is in force, to be copied."""
    await postgres.create_database("in_force", template=migrated, strategy="file_copy")
    ledger = Ledger(postgres.url("in_force"))
    await ledger.use()
    await ledger.close()
    return "in_force"


@pytest.fixture
async def empty_ledger(
    request: pytest.FixtureRequest, postgres: Server, migrated: str, in_force: str
) -> AsyncIterator[Ledger]:
    """A ledger in which no policy is in force, unless the test asks for `ledger` too: then they are one."""
    name = f"ledger_{next(_NUMBERS)}"
    await postgres.create_database(
        name, template=in_force if "ledger" in request.fixturenames else migrated, strategy="file_copy"
    )
    ledger = Ledger(postgres.url(name))
    yield ledger
    await ledger.close()
    await postgres.drop_database(name)


@pytest.fixture
async def ledger(empty_ledger: Ledger) -> Ledger:
    """A ledger decided by the small policy."""
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
