"""The relay: publishes what the journal holds, each lane in order, at least once. The journal is its only outbox."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.ledger.engine import Tx
from service.ledger.history import JournalRow
from service.ledger.relay import advance_relay, lock_backlogs, read_backlogs
from service.stream.connection import Connection, StreamError
from service.stream.outgoing import HEADERS, Message, Publisher, partition_of
from service.stream.patience import AWAY, back_off, is_away, one_line, until
from service.telemetry import Metrics

log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 1_000_000
"""Below the 1,048,588 bytes that brokers accept by default, with room for the record around it."""

_LANES_A_ROUND = 64
_ENTRIES_A_LANE = 500
_SWEEP_SECONDS = 0.03
_IDLE_SWEEP_SECONDS = 0.25
_SWEEPS_BEFORE_IDLE = 20
_HEARTBEAT_SECONDS = 5.0
_REQUEST_TIMEOUT_MS = 10_000


@asynccontextmanager
async def publishing(
    connection: Connection, *, idempotent: bool, compression: str | None, patience_seconds: float
) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose records are on all in-sync replicas when acknowledged. StreamError when no broker answers.

    It lingers for nothing: a round hands over all its records before the sender runs, so they travel together anyway.
    """
    producer = AIOKafkaProducer(
        **connection.arguments(),
        acks="all",
        enable_idempotence=idempotent,
        compression_type=compression,
        linger_ms=0,
        max_batch_size=256 * 1024,
        max_request_size=2 * MAX_MESSAGE_BYTES,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
    )
    try:
        try:
            await producer.start()
        except KafkaError as error:
            raise StreamError(connection.unreachable(error)) from error
        yield producer
    finally:
        # With the brokers away it would wait for ever for what is unsent, which the journal holds anyway.
        await until(producer.stop(), patience_seconds)


@dataclass(slots=True, kw_only=True)
class Relay:
    """Publishes free lanes until it is stopped. Any number may run: a lane is published by one of them at a time."""

    engine: AsyncEngine
    producer: AIOKafkaProducer
    connection: Connection
    publisher: Publisher
    metrics: Metrics
    random: Random
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it after a commit that wrote entries; the sweeps are for the commits of others."""
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _refused: dict[int, int] = field(default_factory=dict)
    """Lane -> the entry that no broker takes; nothing behind it is published before it."""

    def stop(self) -> None:
        """Let `run` end once everything that is committed now has been published or cannot be."""
        self._stop.set()
        self.wake.set()

    async def run(self) -> None:
        """Publish until stopped. A broker or database that is away is waited for; anything else is raised."""
        idle = failures = 0
        while True:
            stopping = self._stop.is_set()
            self.wake.clear()
            try:
                published = await self.publish_once()
            except AWAY as error:
                if not is_away(error):
                    raise
                failures += 1
                self.metrics.relay_failures.inc()
                log.warning("relay will try again", error=one_line(error), failures=failures)
                if stopping:
                    return
                await until(self.wake.wait(), back_off(failures, self.random))
                continue
            failures = 0
            idle = 0 if published else idle + 1
            if published:
                continue
            if stopping:
                return
            await until(self.wake.wait(), _SWEEP_SECONDS if idle < _SWEEPS_BEFORE_IDLE else _IDLE_SWEEP_SECONDS)

    async def publish_once(self) -> int:
        """Publish what the free lanes hold, in one transaction, and return how many entries that were.

        The lanes' relay rows stay locked from reading to the moved cursor. When it fails nothing is moved, and the same
        entries are published again, with the same ids.
        """
        async with self.engine.begin() as tx:
            backlogs = await lock_backlogs(tx, _LANES_A_ROUND)
            if not backlogs:
                return 0
            lanes = await read_backlogs(tx, backlogs, _ENTRIES_A_LANE)
            sendable = {lane: self._until_refused(entries) for lane, entries in lanes.items()}
            done = {lane: entries[-1].seq for lane, entries in sendable.items() if entries}
            if not done:
                return 0
            messages = [m for entries in sendable.values() for entry in entries for m in self.publisher.messages(entry)]
            await self._send(tx, messages)
            await advance_relay(tx, done)
        self.metrics.published(message.topic for message in messages)
        return sum(len(entries) for entries in sendable.values())

    def _until_refused(self, entries: Sequence[JournalRow]) -> Sequence[JournalRow]:
        """The entries before the first one that is too large for the brokers, which stops its lane, visibly."""
        for index, entry in enumerate(entries):
            refused = self._refused.get(entry.lane) == entry.seq
            if not refused and len(entry.body) > MAX_MESSAGE_BYTES // 2:
                sizes = [len(message.value or b"") for message in self.publisher.messages(entry)]
                refused = max(sizes, default=0) > MAX_MESSAGE_BYTES
            if refused:
                self._note_refused(entry)
                return entries[:index]
        return entries

    def _note_refused(self, entry: JournalRow) -> None:
        if self._refused.get(entry.lane) != entry.seq:
            self._refused[entry.lane] = entry.seq
            log.error("an entry is too large to publish; its lane stops", lane=entry.lane, seq=entry.seq)
        self.metrics.relay_stopped.labels(lane=str(entry.lane)).set(entry.seq)

    async def _send(self, tx: Tx, messages: Sequence[Message]) -> None:
        """Hand everything to the producer and wait until the brokers have acknowledged, or refused, all of it.

        Waiting has no limit of its own: records that are still under way after the lock is given up could overtake the
        next relay's. Meanwhile the database hears from us, so that it does not take us for dead.
        """
        partitions = await self._partitions(messages)
        futures: list[asyncio.Future[object]] = []
        failure: Exception | None = None
        try:
            for message in messages:
                # One by one, not in a comprehension: when one fails, those before it are under way all the same.
                futures.append(await self._hand_over(message, partitions[message.topic]))  # noqa: PERF401
        except KafkaError as error:
            failure = error
        pending: set[asyncio.Future[object]] = set(futures)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=_HEARTBEAT_SECONDS)
            if pending and not isinstance(failure, SQLAlchemyError):
                failure = await _heartbeat(tx) or failure
        refused = [future.exception() for future in futures]
        failure = next((one for one in refused if isinstance(one, Exception)), failure)
        if failure is not None:
            raise failure

    async def _partitions(self, messages: Sequence[Message]) -> Mapping[str, int]:
        """How many partitions each topic has. One that has none yet is a broker error, to be tried again."""
        topics = {message.topic for message in messages}
        return {
            topic: len(await self.producer.partitions_for(self.connection.topic(topic))) for topic in sorted(topics)
        }

    async def _hand_over(self, message: Message, partitions: int) -> "asyncio.Future[object]":
        future: asyncio.Future[object] = await self.producer.send(
            self.connection.topic(message.topic),
            value=message.value,
            key=message.key,
            partition=partition_of(message.key, partitions, message.lane),
            headers=HEADERS if message.value is not None else [],
        )
        return future


async def _heartbeat(tx: Tx) -> SQLAlchemyError | None:
    try:
        await tx.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return error
    return None
