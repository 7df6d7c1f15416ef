"""Reads a whole topic once, as it stands: for comparing what was published with what the ledger says."""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from service.reading import Record
from service.stream.connection import Connection, StreamError
from service.stream.topics import count_partitions

_POLL_MS = 200


async def read_topic(connection: Connection, topic: str, *, within_seconds: float) -> list[Record]:
    """All records of a topic of the contract up to the end it has now, each partition's in order; nothing is committed.

    StreamError when there is no such topic, or when the end is not reached within the seconds given.
    """
    name = connection.topic(topic)
    consumer = AIOKafkaConsumer(
        **connection.arguments(), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=_POLL_MS
    )
    try:
        async with asyncio.timeout(within_seconds):
            try:
                await consumer.start()
                return await _read_all(consumer, name, await count_partitions(connection))
            finally:
                await consumer.stop()
    except (KafkaError, TimeoutError) as error:
        raise StreamError(
            f"topic {name} at {connection.bootstrap} could not be read to its end within {within_seconds:.0f} s "
            f"({type(error).__name__}); is the broker there?"
        ) from error


async def _read_all(consumer: AIOKafkaConsumer, topic: str, counts: Mapping[str, int]) -> list[Record]:
    # The list of all topics: asking for one by name would make it, on brokers that make topics by themselves. And not
    # the consumer's own list: it knows the partitions of topics it reads already, which on Kafka is none of them.
    if topic not in counts:
        raise StreamError(f"expected a topic {topic}, but the broker has none of that name")
    partitions = [TopicPartition(topic, number) for number in range(counts[topic])]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    records: list[Record] = []
    while [partition for partition in partitions if await consumer.position(partition) < ends[partition]]:
        polled = await consumer.getmany(timeout_ms=_POLL_MS)
        records += [_record(one) for batch in polled.values() for one in batch]
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _record(one: ConsumerRecord) -> Record:
    return Record(
        topic=one.topic,
        partition=one.partition,
        offset=one.offset,
        key=one.key,
        value=one.value,
        timestamp_ms=one.timestamp,
    )
