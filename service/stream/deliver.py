"""Sends records and tells where each one came to lie: for demonstrations that account for everything they sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from service.stream.connection import Connection, StreamError
from service.stream.produce import Outgoing

Place = tuple[str, int, int]
"""Topic, partition and offset of a record that the broker has acknowledged."""
Deliver = Callable[[Sequence[Outgoing]], Awaitable[list[Place]]]


@asynccontextmanager
async def delivering(connection: Connection) -> AsyncIterator[Deliver]:
    """A function that sends records and returns their places, in the same order, once all in-sync replicas have them.

    It raises StreamError when the broker does not take them; then some may have been sent.
    """
    # Not idempotent: the embedded broker knows no producer ids.
    producer = AIOKafkaProducer(**connection.arguments(), acks="all")

    async def deliver(records: Sequence[Outgoing]) -> list[Place]:
        try:
            sent = [
                await producer.send(connection.topic(record.topic), record.value, key=record.key) for record in records
            ]
            acknowledged = await asyncio.gather(*sent)
        except KafkaError as error:
            raise _refused(connection, error) from error
        return [(one.topic, one.partition, one.offset) for one in acknowledged]

    try:
        await producer.start()
    except KafkaError as error:
        await producer.stop()
        raise _refused(connection, error) from error
    try:
        yield deliver
    finally:
        await producer.stop()


def _refused(connection: Connection, error: KafkaError) -> StreamError:
    return StreamError(
        f"the broker at {connection.bootstrap} does not take the events ({type(error).__name__}); is it there?"
    )
