"""Reads a whole topic once, as it stands: for comparing what was published with what the ledger says."""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from service.reading import Record

_POLL_MS = 200


async def read_topic(
    bootstrap: str, topic: str, *, within_seconds: float, options: Mapping[str, object] | None = None
) -> list[Record]:
    """All records of a topic up to the end it had at the start, each partition's in order; nothing is committed.

    `options` go to the client as they are (SASL, TLS). LookupError when there is no such topic; TimeoutError when the end is
    not reached within the seconds given.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_POLL_MS,
        **(options or {}),
    )
    async with asyncio.timeout(within_seconds):
        await consumer.start()
        try:
            return await _read_all(consumer, topic)
        finally:
            await consumer.stop()


async def _read_all(consumer: AIOKafkaConsumer, topic: str) -> list[Record]:
    # Asking for one topic by name would make it, on brokers that make topics by themselves.
    if topic not in await consumer.topics():
        raise LookupError(f"expected a topic {topic}, but the broker has none of that name")
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    records: list[Record] = []
    while any(await consumer.position(partition) < ends[partition] for partition in partitions):
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
