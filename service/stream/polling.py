"""How we poll: one member of the consumer group, that gets batches of records as they are, with nothing in between."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from schemas.topics import INPUT_TOPICS
from service.ledger.positions import TopicPartition as Partition
from service.stream.client import Client
from service.stream.connection import Connection

Handle = Callable[[KafkaAckableMessage], Awaitable[None]]
OnAssigned = Callable[[set[Partition]], None]

_HEARTBEATS_A_SESSION = 15
_METADATA_MS = 10_000
"""How long partitions that were added may go unnoticed; the client's own 5 minutes would leave their records lying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How to poll. `batch_timeout_ms` is how long a poll waits when there is nothing, and once more after that."""

    group_id: str
    batch_max_records: int
    batch_timeout_ms: int
    fetch_max_wait_ms: int
    session_timeout_ms: int
    graceful_timeout_seconds: float


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka publishes no types
    """Tells that the assignment changed, and no more: no heartbeat is sent while it runs, and its errors vanish."""

    def __init__(self, connection: Connection, on_assigned: OnAssigned) -> None:
        self._name = connection.contract_name
        self._on_assigned = on_assigned

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing: the batch in flight is fenced by the ledger."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Tell which partitions are ours, by the names of the contract."""
        self._on_assigned({(self._name(one.topic), one.partition) for one in assigned})


def subscribe(
    connection: Connection, polling: Polling, handle: Handle, on_assigned: OnAssigned
) -> tuple[KafkaBroker, Client]:
    """A broker that hands polled batches to `handle` once it is started, and its client.

    `on_assigned` is called at each assignment; it must be quick and may not raise.
    """
    broker = KafkaBroker(
        connection.bootstrap,
        client_id=connection.client_id,
        security=connection.security(),
        apply_types=False,
        consumer_only=True,
        allow_auto_create_topics=False,
        metadata_max_age_ms=_METADATA_MS,
        graceful_timeout=polling.graceful_timeout_seconds,
        logger=logging.getLogger("exportgate.faststream"),
    )

    # One argument: this replaces FastStream's parser, which loses whole batches over one odd header.
    async def raw_parser(records: Sequence[ConsumerRecord]) -> KafkaAckableMessage:
        return KafkaAckableMessage(
            body=records,
            headers={},
            batch_headers=[],
            reply_to="",
            content_type=None,
            message_id="",
            correlation_id="",
            raw_message=records,
            path={},
            consumer=subscriber.consumer,
        )

    async def identity(message: KafkaAckableMessage) -> KafkaAckableMessage:
        return message

    subscriber = broker.subscriber(
        *(connection.topic(topic.name) for topic in INPUT_TOPICS),
        batch=True,
        group_id=polling.group_id,
        max_records=polling.batch_max_records,
        batch_timeout_ms=polling.batch_timeout_ms,
        fetch_max_wait_ms=polling.fetch_max_wait_ms,
        # Every other policy commits what was not decided, in some failure or other.
        ack_policy=AckPolicy.MANUAL,
        # With "none" the client raises before the handler that would seek; where we begin, the ledger says.
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=polling.session_timeout_ms,
        heartbeat_interval_ms=polling.session_timeout_ms // _HEARTBEATS_A_SESSION,
        rebalance_timeout_ms=60_000,
        max_poll_interval_ms=600_000,
        # Gives the same partition numbers of all topics to one member, so that members hold distinct lanes.
        partition_assignment_strategy=(RangePartitionAssignor,),
        listener=_Assignments(connection, on_assigned),
        parser=raw_parser,
        decoder=identity,
    )
    subscriber(handle)
    return broker, Client(connection=connection, raw=lambda: subscriber.consumer)
