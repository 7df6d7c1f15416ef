"""Reads on where one has stopped, up to the end a topic has now: a look at its tail, whatever lies before."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from service.stream.connection import Connection, StreamError
from service.stream.topics import count_partitions

_POLL_MS = 200
_OPEN_SECONDS = 15.0
_READ_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class Tail:
    """A client that stands somewhere in a topic. Nothing is committed."""

    consumer: AIOKafkaConsumer
    partitions: list[TopicPartition]

    async def read(self, after_each: Callable[[], Awaitable[object]]) -> tuple[int, dict[bytes, bytes | None]]:
        """How many records there are up to the end of now, and the last value of each key; None is a tombstone.

        `after_each` poll something may be done. KafkaError, or TimeoutError when the end is not reached.
        """
        count, last = 0, dict[bytes, bytes | None]()
        async with asyncio.timeout(_READ_SECONDS):
            ends = await self.consumer.end_offsets(self.partitions)
            behind = True
            # Once in any case: where a topic was made anew and is shorter, the client sees it, and begins anew too.
            while behind:
                for records in (await self.consumer.getmany(timeout_ms=_POLL_MS)).values():
                    count += len(records)
                    last.update((one.key, one.value) for one in records if one.key is not None)
                await after_each()
                behind = bool([one for one in self.partitions if await self.consumer.position(one) < ends[one]])
        return count, last

    async def places(self) -> dict[int, int]:
        """The offset behind what was read, by partition."""
        return {one.partition: await self.consumer.position(one) for one in self.partitions}


@asynccontextmanager
async def tail_of(connection: Connection, topic: str, *, places: Mapping[int, int], most: int) -> AsyncIterator[Tail]:
    """The tail of a topic of the contract, from these offsets on, but not more than `most` records of a partition.

    KafkaError, or TimeoutError, when the brokers do not answer; StreamError when there is no such topic.
    """
    name = connection.topic(topic)
    consumer = AIOKafkaConsumer(
        **connection.arguments(), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=_POLL_MS
    )
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            await consumer.start()
            # The list of all topics: the client itself knows the partitions of topics only that it reads already.
            counts = await count_partitions(connection)
            if name not in counts:
                raise StreamError(f"expected a topic {name}, but the broker has none of that name")
            partitions = [TopicPartition(name, number) for number in range(counts[name])]
            consumer.assign(partitions)
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
        for one in partitions:
            consumer.seek(one, max(begins[one], ends[one] - most, places.get(one.partition, 0)))
        yield Tail(consumer=consumer, partitions=partitions)
    finally:
        await consumer.stop()
