"""Sends events to the input topics: for people at a command line and for demonstrations, never on a decision path."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.envelope import CONTENT_TYPE
from service.stream.connection import Connection, StreamError

_ANSWER_SECONDS = 20.0
_CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record to send. `topic` is its name in the contract; `key` None leaves the partition to the client."""

    topic: str
    key: bytes | None
    value: bytes


async def send_events(connection: Connection, records: Sequence[Outgoing]) -> Counter[str]:
    """Send records, those of one key in order, and return how many went to each topic, by its name on the brokers.

    Returns when all in-sync replicas have them. StreamError when no broker answers, or a topic is missing; then some of
    the records may have been sent: sending the same ones again makes duplicates, which are recognised by their ids.
    """
    producer = AIOKafkaProducer(**connection.arguments(), acks="all")
    try:
        # Not idempotent: the embedded broker knows no producer ids.
        async with asyncio.timeout(_ANSWER_SECONDS):
            await producer.start()
            await _refuse_missing(producer, connection, {connection.topic(record.topic) for record in records})
        for first in range(0, len(records), _CHUNK):
            await _send(producer, connection, records[first : first + _CHUNK])
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(
            f"the broker at {connection.bootstrap} does not take the events ({type(error).__name__}); start it, or set "
            "EXPORTGATE_KAFKA_BOOTSTRAP"
        ) from error
    finally:
        await producer.stop()
    return Counter(connection.topic(record.topic) for record in records)


async def _send(producer: AIOKafkaProducer, connection: Connection, records: Sequence[Outgoing]) -> None:
    headers = [("content-type", CONTENT_TYPE.encode())]
    sent = [
        await producer.send(connection.topic(record.topic), record.value, key=record.key, headers=headers)
        for record in records
    ]
    await asyncio.gather(*sent)


async def _refuse_missing(producer: AIOKafkaProducer, connection: Connection, topics: set[str]) -> None:
    # The list of all topics: asking for one by name would make it, on brokers that make topics by themselves.
    metadata = await producer.client.fetch_all_metadata()
    missing = sorted(topics - set(metadata.topics()))
    if missing:
        raise StreamError(
            f"missing at {connection.bootstrap}: topic {', '.join(missing)}; make them, or start once: "
            "exportgate serve --create-topics"
        )
