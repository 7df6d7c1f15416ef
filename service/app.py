"""The composition root: settings become engines, clients and tasks, and end in the right order."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from socket import socket

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.topics import INPUT_TOPICS
from service import faults
from service.brokers import kafka_connection
from service.failures import ForeseenError
from service.health import listen
from service.ledger.engine import DATABASE_ERRORS, open_engine
from service.ledger.lanes import Installation, read_installation
from service.pipeline import Pipeline
from service.policies import load_resolved
from service.settings import PREFIX, MisconfiguredError, Settings, read_settings
from service.shadow.keeper import ShadowKeeper
from service.stream.compare import Comparison
from service.stream.connection import StreamError
from service.stream.consume import Consumer
from service.stream.outgoing import Publisher
from service.stream.polling import Polling
from service.stream.relay import Relay, publishing
from service.stream.topics import Cluster, verify_topics
from service.stream.watch import Watch
from service.telemetry import Metrics, configure_logging
from service.unblocking import Unblocker
from service.worker import Worker, WorkerFailed

__all__ = [
    "MisconfiguredError",
    "Running",
    "ServiceFailed",
    "listening",
    "read_settings",
    "run_service",
    "serve",
]

log = structlog.get_logger(__name__)

_INTERRUPTED = 130
_CONNECTIONS = 9
"""As many as a worker uses at once: a batch, the relay, and what looks after them and answers /ready."""


class ServiceFailed(ForeseenError):  # noqa: N818 -- it tells the caller what to do: say it on one line, exit 1
    """The service cannot start, or had to stop. The message is one line for a person: what, where, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A service that is ready. `http_port` is the real one where any was asked for."""

    cluster_id: str
    http_host: str
    http_port: int


async def serve(settings: Settings, *, create_topics: bool, on_ready: Callable[[Running], None] | None = None) -> None:
    """Decide events until SIGTERM or SIGINT, then finish or roll back what is in flight; a second signal ends at once.

    `on_ready` is called once, as soon as everything is well. ServiceFailed when it cannot start or has to stop.
    """
    configure_logging(as_json=settings.log_json, level=settings.log_level)
    _arm_fault()
    stop = asyncio.Event()
    with _signals(stop):
        await run_service(settings, create_topics=create_topics, stop=stop, on_ready=on_ready)


async def run_service(
    settings: Settings,
    *,
    create_topics: bool,
    stop: asyncio.Event,
    on_ready: Callable[[Running], None] | None = None,
) -> None:
    """Decide events until `stop` is set: `serve` without signals and logging, for programs that run more than this."""
    connection = kafka_connection(settings)
    metrics = Metrics()
    async with _ledger(settings) as (engine, installation), _in_words():
        cluster = await verify_topics(
            connection, create=create_topics, replication_factor=settings.kafka_replication_factor
        )
        _warn_of_partitions(cluster, installation)
        with listening(settings) as sock:
            publisher = Publisher(source=settings.source, environment=settings.environment)
            sending = partial(
                publishing,
                connection,
                idempotent=settings.kafka_idempotent_producer,
                compression=settings.kafka_compression,
                patience_seconds=settings.graceful_timeout_seconds,
            )
            async with sending() as producer:
                relay = Relay(
                    engine=engine,
                    producer=producer,
                    connection=connection,
                    publisher=publisher,
                    metrics=metrics,
                    random=Random(),  # noqa: S311 -- spreads retries, hides nothing
                )
                comparison = Comparison(
                    engine=engine,
                    sending=sending,
                    connection=connection,
                    publisher=publisher,
                    metrics=metrics,
                    random=Random(),  # noqa: S311 -- as above
                    interval_seconds=settings.status_check_seconds,
                )
                consumer = Consumer(
                    pipeline=_pipeline(settings, engine, connection.cluster_name(cluster.id)),
                    connection=connection,
                    polling=_polling(settings),
                    metrics=metrics,
                    random=Random(),  # noqa: S311 -- as above
                    decided=relay.wake.set,
                    failed=asyncio.get_running_loop().create_future(),
                )
                worker = Worker(
                    consumer=consumer,
                    watch=Watch(consumer=consumer, stalled_seconds=settings.watchdog_seconds),
                    relay=relay,
                    comparison=comparison,
                    unblocker=Unblocker(
                        engine=engine,
                        application=settings.kafka_client_id,
                        limit_seconds=settings.blocker_limit_seconds,
                        metrics=metrics,
                    ),
                    shadow=ShadowKeeper(
                        engine=engine,
                        environment={f"{PREFIX}DATABASE_URL": settings.database_url.get_secret_value()},
                        niceness=settings.shadow_niceness,
                        metrics=metrics,
                    ),
                    engine=engine,
                    metrics=metrics,
                    graceful_seconds=settings.graceful_timeout_seconds,
                    stop=stop,
                )
                _rest_the_collector()
                running = Running(cluster_id=cluster.id, http_host=settings.http_host, http_port=sock.getsockname()[1])
                await worker.run(sock, on_ready=lambda: on_ready(running) if on_ready is not None else None)


def _arm_fault() -> None:
    """Arm the fault that a test asks for: no setting of the service, so it is read apart from them."""
    try:
        faults.arm(os.environ.get(f"{PREFIX}FAULT", ""))
    except ValueError as error:
        raise MisconfiguredError(f"{PREFIX}FAULT: {error}") from None


def _rest_the_collector() -> None:
    """Keep the garbage collector from walking what is loaded now and stays, and from walking each batch many times.

    That took much of the processor time. Our values hold no cycles; what libraries leave is collected, later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@asynccontextmanager
async def _in_words() -> AsyncIterator[None]:
    try:
        yield
    except (StreamError, WorkerFailed) as error:
        raise ServiceFailed(str(error)) from error


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """The first signal asks for an orderly end; the second one ends the process at once, which loses nothing either."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(_INTERRUPTED)
        stop.set()

    signals = (signal.SIGTERM, signal.SIGINT)
    for one in signals:
        loop.add_signal_handler(one, on_signal)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[tuple[AsyncEngine, Installation]]:
    """The database, as the role that may add history and nothing else. ServiceFailed when it cannot be used."""
    engine = open_engine(
        settings.database_url.get_secret_value(),
        role="service",
        application=settings.kafka_client_id,
        lock_timeout_seconds=settings.lock_timeout_seconds,
        statement_timeout_seconds=settings.statement_timeout_seconds,
        idle_timeout_seconds=settings.idle_timeout_seconds,
        pool_size=_CONNECTIONS,
    )
    try:
        try:
            async with engine.connect() as tx:
                installation = await read_installation(tx)
        except DATABASE_ERRORS as error:
            raise ServiceFailed(_unusable(settings, error)) from error
        yield engine, installation
    finally:
        await engine.dispose()


def _unusable(settings: Settings, error: Exception) -> str:
    where = f"the database at {settings.database_place}"
    state = str(getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None) or "")
    if state in {"42P01", "3F000", "22023"}:
        return f"{where} is not set up for exportgate; run: exportgate db init"
    if state.startswith("28"):
        return f"{where} refuses the user or password; correct {PREFIX}DATABASE_URL"
    if state == "3D000":
        return f"{where} does not exist; create it, or set {PREFIX}DATABASE_URL"
    return f"{where} does not answer ({type(error).__name__}); start it, or set {PREFIX}DATABASE_URL"


def _warn_of_partitions(cluster: Cluster, installation: Installation) -> None:
    for topic in INPUT_TOPICS:
        if installation.lanes % cluster.partitions[topic.name]:
            log.warning("partitions do not divide lanes: right, but slow", topic=topic.name, lanes=installation.lanes)


@contextmanager
def listening(settings: Settings) -> Iterator[socket]:
    """The socket of /live, /ready and /metrics, closed when the block ends. ServiceFailed when it cannot be had."""
    try:
        sock = listen(settings.http_host, settings.http_port)
    except OSError as error:
        raise ServiceFailed(
            f"nothing can be served at {settings.http_host}:{settings.http_port} ({error.strerror}); "
            f"set {PREFIX}HTTP_PORT or {PREFIX}HTTP_HOST"
        ) from error
    with sock:
        yield sock


def _pipeline(settings: Settings, engine: AsyncEngine, cluster: str) -> Pipeline:
    return Pipeline(
        engine=engine,
        cluster=cluster,
        environment=settings.environment,
        load_policy=load_resolved,
        bug_limit=settings.bug_limit,
    )


def _polling(settings: Settings) -> Polling:
    return Polling(
        group_id=settings.kafka_topic_prefix + settings.kafka_group_id,
        batch_max_records=settings.batch_max_records,
        batch_timeout_ms=settings.batch_timeout_ms,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        session_timeout_ms=settings.kafka_session_timeout_ms,
        graceful_timeout_seconds=settings.graceful_timeout_seconds,
    )
