"""Hands records to the brokers, in order, and tells which of them no broker will ever take."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.faults import reach
from service.ledger.engine import Tx
from service.stream.connection import Connection, StreamError
from service.stream.outgoing import HEADERS, Message, partition_of
from service.stream.patience import until

log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 1_000_000
"""Below the 1,048,588 bytes that brokers accept by default, with room for the record around it."""

MOST_BYTES = 100_000_000
"""What is tried when a person asks for an entry to be sent again; the brokers say what they take."""
_HEARTBEAT_SECONDS = 5.0
_REQUEST_TIMEOUT_MS = 10_000
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A record that no broker takes, and why."""

    message: Message
    reason: str


@dataclass(slots=True, kw_only=True)
class Sender:
    """A producer that is made anew when the brokers would not go on with the old one."""

    connection: Connection
    make: Callable[[], AIOKafkaProducer]
    patience_seconds: float
    _producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. KafkaError when no broker answers."""
        producer = self.make()
        try:
            await producer.start()
        except KafkaError:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Let go of the producer; the next send makes another one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            # With the brokers away it would wait for ever for what is unsent, which the journal holds anyway.
            await until(producer.stop(), self.patience_seconds)

    async def send(
        self, tx: Tx, messages: Sequence[Message], *, largest_bytes: int = MAX_MESSAGE_BYTES
    ) -> list[Unsendable]:
        """Send records, those of a lane in order, and return those that are too large for the brokers.

        In the place of a status that is too large goes a tombstone, so that no older one stands. All others are
        acknowledged when this returns; when it raises, no record is under way any more. `tx` hears from us meanwhile.
        """
        unsendable: list[Unsendable] = []
        fitting: list[Message] = []
        for message in messages:
            size = len(message.value or b"")
            if size <= largest_bytes:
                fitting.append(message)
                continue
            unsendable.append(Unsendable(message, f"{message.topic}: {size:,} bytes, more than {largest_bytes:,}"))
            fitting += _instead(message)
        lanes = {message.lane for message in await self._send_together(tx, fitting)}
        for message in fitting:
            if message.lane in lanes:
                unsendable += await self._send_alone(tx, message)
        return unsendable

    async def _send_alone(self, tx: Tx, message: Message) -> list[Unsendable]:
        """Send one record in a batch of its own: a batch is refused whole, whichever of its records is too large."""
        lost = await _heartbeat(tx)
        if lost is not None:
            raise lost
        if not await self._send_together(tx, [message]):
            return []
        for other in _instead(message):
            await self._send_together(tx, [other])
        return [Unsendable(message, f"{message.topic}: the broker refuses its {len(message.value or b''):,} bytes")]

    async def _send_together(self, tx: Tx, messages: Sequence[Message]) -> list[Message]:
        """Hand everything over, wait until the brokers have answered all of it, and return what they call too large.

        Waiting has no limit of its own: records that are still under way after the lock is given up could overtake the
        next relay's. Meanwhile the database hears from us, so that it does not take us for dead.
        """
        if self._producer is None:
            await self.start()
        futures: list[asyncio.Future[object]] = []
        failure: Exception | None = None
        try:
            partitions = await self._partitions(messages)
            for message in messages:
                # One by one, not in a comprehension: when one fails, those before it are under way all the same.
                futures.append(await self._hand_over(message, partitions[message.topic]))
                if len(futures) == len(messages) // 2:
                    reach("relay_half_handed_over")
            for first in futures[:1]:
                first.add_done_callback(lambda _: reach("relay_some_acknowledged"))
            reach("relay_handed_over")
        except KafkaError as error:
            failure = error
        pending: set[asyncio.Future[object]] = set(futures)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=_HEARTBEAT_SECONDS)
            if pending and not isinstance(failure, SQLAlchemyError):
                failure = await _heartbeat(tx) or failure
        answers = [future.exception() for future in futures]
        failures = [one for one in answers if isinstance(one, Exception) and not isinstance(one, _TOO_LARGE)]
        failure = failures[0] if failures else failure
        too_large = [one for one, answer in zip(messages, answers, strict=False) if isinstance(answer, _TOO_LARGE)]
        if too_large or (isinstance(failure, KafkaError) and not failure.retriable):
            # A refused batch leaves a hole in an idempotent producer's numbers, behind which nothing is taken.
            await self.stop()
        if failure is not None:
            raise failure
        return too_large

    async def _partitions(self, messages: Sequence[Message]) -> Mapping[str, int]:
        """How many partitions each topic has. One that has none yet is a broker error, to be tried again."""
        topics = {message.topic for message in messages}
        return {topic: len(await self._raw().partitions_for(self.connection.topic(topic))) for topic in sorted(topics)}

    async def _hand_over(self, message: Message, partitions: int) -> "asyncio.Future[object]":
        future: asyncio.Future[object] = await self._raw().send(
            self.connection.topic(message.topic),
            value=message.value,
            key=message.key,
            partition=partition_of(message.key, partitions, message.lane),
            headers=HEADERS if message.value is not None else [],
        )
        return future

    def _raw(self) -> AIOKafkaProducer:
        return self._producer


@asynccontextmanager
async def publishing(
    connection: Connection, *, idempotent: bool, compression: str | None, patience_seconds: float
) -> AsyncIterator[Sender]:
    """A sender whose records are on all in-sync replicas when acknowledged. StreamError when no broker answers.

    It lingers for nothing: a round hands over all its records before the sender runs, so they travel together anyway.
    """

    def make() -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **connection.arguments(),
            acks="all",
            enable_idempotence=idempotent,
            compression_type=compression,
            linger_ms=0,
            max_batch_size=256 * 1024,
            max_request_size=MOST_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )

    sender = Sender(connection=connection, make=make, patience_seconds=patience_seconds)
    try:
        await sender.start()
    except KafkaError as error:
        raise StreamError(connection.unreachable(error)) from error
    try:
        yield sender
    finally:
        await sender.stop()


def _instead(message: Message) -> list[Message]:
    return [message.withdrawn()] if message.status_of is not None and message.value is not None else []


async def _heartbeat(tx: Tx) -> SQLAlchemyError | None:
    try:
        await tx.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return error
    return None
