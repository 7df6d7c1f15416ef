"""Apache Kafka for tests and for people (`make kafka`): its jars come by Maven, its broker lives as long as we do."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from socket import socket
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from service.embedded.server import EmbeddedServerError, Launch, running_server

ROOT = Path(__file__).parents[1]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
BUILD = ROOT / "build" / "kafka"
_LEAST_JAVA = 17
_FETCH_SECONDS = 300
_LOOK_SECONDS = 1.0
_QUICK_TO_MISS = "broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=300\n"
"""A killed broker may not come back before its own controller has missed it, by default after nine seconds."""


class KafkaMissing(Exception):  # noqa: N818 -- it tells the caller what to do: skip, and say what is missing
    """This machine cannot run Apache Kafka. The message is one line that names what is missing."""


@dataclass(frozen=True, kw_only=True)
class Kafka:
    """A running Apache Kafka: one broker that is its own controller, made for tests, with nothing kept."""

    bootstrap: str
    cluster_id: str

    async def answers(self) -> bool:
        """Whether it answers now and may hold topics."""
        host, _, port = self.bootstrap.partition(":")
        return await _answers(host, int(port), self.cluster_id)


@asynccontextmanager
async def running_kafka(hold: Callable[[Path, Launch], Launch] | None = None) -> AsyncIterator[Kafka]:
    """A broker without topics on free loopback ports, gone with its log when the block, or this process, ends.

    `hold` may change how it is launched in its directory, so that it can be killed and comes back with its log.

    KafkaMissing without Java or Maven, EmbeddedServerError when it does not come up.
    """
    java = await asyncio.to_thread(_java)
    jars = await asyncio.to_thread(_jars)
    # 22 characters of base64: what Kafka expects, and fresh, so that no position of an earlier life is taken up.
    cluster_id = uuid4().hex[:22]

    def prepare(directory: Path, port: int) -> Launch:
        settings = directory / "server.properties"
        settings.write_text(_properties(directory, port, _free_port()) + ("" if hold is None else _QUICK_TO_MISS))
        run = [java, "-Xmx512m", "-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
        run += ["-cp", f"{jars}/*"]

        launch = Launch(
            commands=[
                [*run, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(settings)],
                [*run, "kafka.Kafka", str(settings)],
            ],
            answers=Kafka(bootstrap=f"127.0.0.1:{port}", cluster_id=cluster_id).answers,
            # Its log goes with it: there is nothing that a gentle stop would save.
            stop_signal=signal.SIGKILL,
            account=None,
        )
        return launch if hold is None else hold(directory, launch)

    async with running_server("kafka", prepare) as port:
        yield Kafka(bootstrap=f"127.0.0.1:{port}", cluster_id=cluster_id)


def _properties(directory: Path, port: int, controller_port: int) -> str:
    """One node that is broker and controller, quick to elect, to rebalance, to compact and to delete."""
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": directory / "data",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        # A killed worker of a test is missed after its session timeout, and tests do not wait for six seconds.
        "group.min.session.timeout.ms": 1_000,
        "log.cleaner.backoff.ms": 200,
        "log.initial.task.delay.ms": 500,
        "log.retention.check.interval.ms": 500,
        "file.delete.delay.ms": 1_000,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


async def _answers(host: str, port: int, cluster_id: str) -> bool:
    """Whether the broker of this cluster answers and may hold topics."""
    if not await _listens(host, port):
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=f"{host}:{port}", request_timeout_ms=2_000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
    return bool(cluster["cluster_id"] == cluster_id and cluster["brokers"])


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def _java() -> str:
    """The java program. KafkaMissing when there is none, or only an older one than Kafka needs."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise KafkaMissing(f"Java is missing: no `java` on the PATH; Apache Kafka needs Java {_LEAST_JAVA} or newer")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', said.stderr + said.stdout)
    if version is None or int(version[1]) < _LEAST_JAVA:
        found = (said.stderr + said.stdout).partition("\n")[0]
        raise KafkaMissing(f"Java is too old: Apache Kafka needs Java {_LEAST_JAVA} or newer, {java} is {found}")
    return java


def _jars() -> Path:
    """The directory of Kafka's jars, fetched at the first use and again when the pom changes.

    KafkaMissing without Maven; EmbeddedServerError when Maven does not get them.
    """
    jars = BUILD / sha256(POM.read_bytes()).hexdigest()[:12]
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissing("Maven is missing: no `mvn` on the PATH; it fetches the jars of Apache Kafka")
    BUILD.mkdir(parents=True, exist_ok=True)
    # Fetched beside, then renamed: a fetch that was broken off leaves nothing that looks whole.
    fetched = Path(tempfile.mkdtemp(prefix="fetching-", dir=BUILD))
    try:
        _fetch(maven, fetched)
        fetched.chmod(0o755)
        if not jars.is_dir():
            fetched.rename(jars)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    return jars


def _fetch(maven: str, directory: Path) -> None:
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={directory}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise EmbeddedServerError(f"Maven did not fetch Apache Kafka within {_FETCH_SECONDS} s; try again") from None
    if done.returncode:
        said = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stderr.partition("\n")[0])
        raise EmbeddedServerError(f"Maven could not fetch Apache Kafka: {said}")


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _serve() -> None:
    """Run one broker for a person until it ends or we are told to."""
    loop, ours = asyncio.get_running_loop(), asyncio.current_task()
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(one, ours.cancel if ours else loop.stop)
    _say("starting Apache Kafka (the first time its jars are fetched by Maven)")
    async with running_kafka() as kafka:
        _say(f"Apache Kafka listens, cluster {kafka.cluster_id}; Ctrl-C ends it and removes its log")
        sys.stdout.write(f"{kafka.bootstrap}\n")
        sys.stdout.flush()
        host, _, port = kafka.bootstrap.partition(":")
        while await _listens(host, int(port)):  # noqa: ASYNC110 -- nobody tells us
            await asyncio.sleep(_LOOK_SECONDS)
    raise EmbeddedServerError("Apache Kafka has ended by itself")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """`make kafka`: 0 when it was ended, 1 with one line when it could not run."""
    try:
        asyncio.run(_serve())
    except asyncio.CancelledError:
        return 0
    except (KafkaMissing, EmbeddedServerError) as error:
        _say(str(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
