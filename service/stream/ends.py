"""Where the logs end on the brokers, asked once and not for long: by that a position becomes a lag."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError

from service.ledger.positions import TopicPartition
from service.stream.connection import Connection, StreamError
from service.stream.topics import find_cluster

_FETCH_MS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The offsets that the next records will get, by topic of the contract and partition.

    `cluster` is the name under which the ledger keeps positions of these brokers.
    """

    cluster: str
    offsets: Mapping[TopicPartition, int]


async def read_ends(connection: Connection, wanted: Iterable[TopicPartition], *, within_seconds: float) -> Ends:
    """Where the logs of these partitions end now; those that the brokers do not have are left out.

    StreamError when the brokers do not answer within the seconds given.
    """
    try:
        async with asyncio.timeout(within_seconds):
            # Only partitions that are there: about others the client would ask for ever.
            cluster = await find_cluster(connection)
            there = [one for one in wanted if one[1] < cluster.partitions.get(one[0], 0)]
            own = {one: ClientPartition(connection.topic(one[0]), one[1]) for one in there}
            ends = await _ends(connection, list(own.values())) if own else {}
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(connection.unreachable(error)) from error
    return Ends(cluster=connection.cluster_name(cluster.id), offsets={one: ends[own[one]] for one in there})


async def _ends(connection: Connection, partitions: list[ClientPartition]) -> dict[ClientPartition, int]:
    consumer = AIOKafkaConsumer(**connection.arguments(), enable_auto_commit=False, fetch_max_wait_ms=_FETCH_MS)
    try:
        await consumer.start()
        consumer.assign(partitions)
        return await _looked_up(consumer, partitions)
    finally:
        await consumer.stop()


async def _looked_up(consumer: AIOKafkaConsumer, partitions: list[ClientPartition]) -> dict[ClientPartition, int]:
    """The embedded broker answers with an offset inside the log's last batch; what a fetch from there says is right."""
    ends: dict[ClientPartition, int] = await consumer.end_offsets(partitions)
    for one, end in ends.items():
        consumer.seek(one, end)
    while any(consumer.highwater(one) is None for one in partitions):
        await consumer.getmany(timeout_ms=_FETCH_MS)
    return {one: max(end, consumer.highwater(one)) for one, end in ends.items()}
