"""The consumer: polls batches, gives them to the pipeline, and keeps the client where the ledger says it should be."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka import TopicPartition as ClientPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.record import default_records
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from sqlalchemy.exc import SQLAlchemyError

from schemas.topics import INPUT_TOPICS
from service.ledger.engine import is_temporary
from service.ledger.lanes import murmur2
from service.ledger.positions import TopicPartition
from service.pipeline import Gap, MustStop, NoPolicyInForce, Pipeline, Report, TemporarilyUnavailable
from service.reading import Record
from service.stream.connection import Connection
from service.stream.patience import back_off, one_line, until
from service.telemetry import Metrics

log = structlog.get_logger(__name__)

ASK_SECONDS = 5.0
"""How long a question to the brokers may take before it counts as unanswered."""

_PARTITIONS_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How the client polls. `batch_timeout_ms` is how long it waits when there is nothing, and once more after that."""

    group_id: str
    batch_max_records: int
    batch_timeout_ms: int
    fetch_max_wait_ms: int
    graceful_timeout_seconds: float


@dataclass(slots=True, kw_only=True)
class Consumer:
    """One member of the consumer group. What it has done stands in the ledger; Kafka's own offsets are only for others' eyes.

    `failed` gets the reason, one line, why this process must end; from then on nothing more is decided.
    """

    pipeline: Pipeline
    connection: Connection
    polling: Polling
    metrics: Metrics
    random: Random
    decided: Callable[[], None]
    """Called after each committed batch; wakes the relay."""
    failed: "asyncio.Future[str]"
    running: bool = False
    """Whether a batch is in flight."""
    batches: int = 0
    """Batches begun so far: who compares it before and after knows whether one came in between."""
    halted: dict[TopicPartition, str] = field(default_factory=dict)
    """Partitions of ours that wait for a person, and why."""
    assigned: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each assignment, for the reconciler."""
    to_commit: dict[TopicPartition, int] = field(default_factory=dict)
    beginnings: dict[TopicPartition, int] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _broker: KafkaBroker | None = None
    _client: Callable[[], AIOKafkaConsumer | None] = lambda: None
    _suspected: dict[TopicPartition, Gap] = field(default_factory=dict)
    _accepted: dict[TopicPartition, Gap] = field(default_factory=dict)

    @property
    def client(self) -> AIOKafkaConsumer | None:
        """The client, None before the start and after the stop."""
        return self._client()

    async def start(self) -> None:
        """Join the group and begin to poll."""
        if default_records.DefaultRecordBatch is default_records._DefaultRecordBatchPy:  # noqa: SLF001 -- no public sign
            log.warning("aiokafka reads records in Python, many times slower; install its binary wheel")
        self._broker = self._build()
        await self._broker.start()

    async def stop(self) -> None:
        """Let the batch in flight finish, or give it up where it waits for something; then leave the group."""
        self._stop.set()
        await self.commit_offsets()
        if self._broker is not None:
            await self._broker.stop()

    def fail(self, reason: str) -> None:
        """Decide nothing more, and tell the process to end. The first reason counts."""
        self._stop.set()
        if not self.failed.done():
            log.critical("the consumer stops", reason=reason)
            self.failed.set_result(reason)

    def _build(self) -> KafkaBroker:
        # FastStream logs what goes wrong with the brokers and is otherwise silent, even on a crash of its loop.
        broker = KafkaBroker(
            self.connection.bootstrap,
            client_id=self.connection.client_id,
            security=self.connection.security(),
            apply_types=False,
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=self.polling.graceful_timeout_seconds,
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
            *(self.connection.topic(topic.name) for topic in INPUT_TOPICS),
            batch=True,
            group_id=self.polling.group_id,
            max_records=self.polling.batch_max_records,
            batch_timeout_ms=self.polling.batch_timeout_ms,
            fetch_max_wait_ms=self.polling.fetch_max_wait_ms,
            # Every other policy commits what was not decided, in some failure or other.
            ack_policy=AckPolicy.MANUAL,
            # With "none" the client raises before the handler that would seek; where we begin, the ledger says.
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=45_000,
            heartbeat_interval_ms=3_000,
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=600_000,
            # Gives the same partition numbers of all topics to one member, so that members hold distinct lanes.
            partition_assignment_strategy=(RangePartitionAssignor,),
            listener=_Assignments(self),
            parser=raw_parser,
            decoder=identity,
        )
        subscriber(self.handle)
        self._client = lambda: subscriber.consumer
        return broker

    async def handle(self, message: KafkaAckableMessage) -> None:
        """Decide one polled batch. Nothing escapes: FastStream would swallow it and go on with the next batch."""
        self.running = True
        self.batches += 1
        try:
            with self.metrics.batch_seconds.time():
                await self._handle(tuple(message.raw_message))
        except MustStop as error:
            self.fail(str(error))
        except Exception as error:  # noqa: BLE001
            # The outermost guard: the batch was not decided, so the process must end and its next life try again.
            log.exception("the handler met a bug")
            self.fail(f"a bug in the consumer ({type(error).__name__}); its traceback is in the log")
        finally:
            self.running = False

    async def _handle(self, polled: Sequence[ConsumerRecord]) -> None:
        records = [self._record(one) for one in polled]
        self.metrics.batch_records.inc(len(records))
        report = await self._decide(records)
        if report is None:
            return
        self.decided()
        self._account_for(report)
        self._count_misplaced(records)
        for partition, gap in report.gaps.items():
            await self._go_back(partition, gap)

    async def _decide(self, records: Sequence[Record]) -> Report | None:
        """The report of this batch, tried again for as long as what it needs is away; None when we stop meanwhile."""
        partitions = {(one.topic, one.partition) for one in records}
        failures = 0
        while not self._stop.is_set():
            try:
                beginnings = await self.beginnings_of(partitions)
                return await self.pipeline.decide(records, beginnings=beginnings, accepted_gaps=self._accepted)
            except NoPolicyInForce:
                reason, error = "no_policy", "no policy is in force"
            except TemporarilyUnavailable as away:
                reason, error = "database", str(away)
            except (KafkaError, TimeoutError) as away:
                reason, error = "broker", type(away).__name__
            failures += 1
            self.metrics.retries.labels(reason=reason).inc()
            log.warning("the batch will be tried again", reason=reason, error=error, failures=failures)
            await until(self._stop.wait(), back_off(failures, self.random))
        return None

    def _account_for(self, report: Report) -> None:
        self.metrics.decided(report.fates, report.outcomes)
        self.to_commit.update(report.next_offsets)
        for partition, offset in report.next_offsets.items():
            self._accepted.pop(partition, None)
            if partition not in report.gaps:
                self._suspected.pop(partition, None)
            self.metrics.position.labels(partition[0], str(partition[1])).set(offset)
        for partition, reason in report.halted.items():
            self.put_on_hold(partition, reason)
        log.info("batch", fates=dict(report.fates), outcomes=dict(report.outcomes), policy=report.policy_sha256)

    async def _go_back(self, partition: TopicPartition, gap: Gap) -> None:
        """Read again from behind the last record that was decided; a hole seen twice is in the log and not in the client."""
        if self._suspected.get(partition) == gap:
            beginning = await self.ask_beginning(partition)
            if beginning is not None and beginning > gap.expected:
                lost = f"RECORDS_LOST: the log begins at {beginning}, the ledger waits for {gap.expected}"
                await self.halt(partition, lost)
            elif beginning is not None:
                self._accepted[partition] = gap
        self._suspected[partition] = gap
        self.seek(partition, gap.expected, "gap")

    async def ask_beginning(self, partition: TopicPartition) -> int | None:
        """The first offset of the log now; None when the brokers do not tell."""
        try:
            return (await self._fetch_beginnings([partition]))[partition]
        except (KafkaError, TimeoutError):
            return None  # The gap comes again after the seek, and the question with it.

    async def beginnings_of(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The log's first offsets, asked once an assignment, for all partitions of it at once. KafkaError, TimeoutError."""
        wanted = set(partitions)
        if not wanted <= self.beginnings.keys():
            self.beginnings.update(await self._fetch_beginnings(wanted | set(self.assignment())))
        return self.beginnings

    async def _fetch_beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        client = self.client
        if client is None:
            raise TimeoutError
        asked = [self.client_partition(one) for one in partitions]
        found = await asyncio.wait_for(client.beginning_offsets(asked), ASK_SECONDS)
        return {self.contract_partition(one): offset for one, offset in found.items()}

    def assignment(self) -> list[TopicPartition]:
        """The partitions that are ours now."""
        client = self.client
        return [] if client is None else [self.contract_partition(one) for one in client.assignment()]

    async def halt(self, partition: TopicPartition, reason: str) -> None:
        """Stop a partition in the ledger. When the database is away nothing happens: what led here will be seen again."""
        try:
            await self.pipeline.halt(partition, reason)
        except (SQLAlchemyError, OSError) as error:
            if not is_temporary(error):
                raise
            log.warning("a halt could not be stored and will be found again", error=one_line(error))
            return
        self.put_on_hold(partition, reason)

    def put_on_hold(self, partition: TopicPartition, reason: str) -> None:
        """Poll nothing more of a partition that a person has to look at."""
        if partition not in self.halted:
            log.error("partition halted", topic=partition[0], partition=partition[1], reason=reason)
        self.halted[partition] = reason
        self.metrics.halted.labels(partition[0], str(partition[1])).set(1)
        if self.client is not None and partition in self.assignment():
            self.client.pause(self.client_partition(partition))

    def take_up(self, partition: TopicPartition) -> None:
        """Poll a partition again whose halt was lifted."""
        del self.halted[partition]
        self.metrics.halted.labels(partition[0], str(partition[1])).set(0)
        if self.client is not None and partition in self.assignment():
            self.client.resume(self.client_partition(partition))

    async def commit_offsets(self) -> None:
        """Tell Kafka how far we are, for lag dashboards only: what fails is left."""
        client, assigned = self.client, set(self.assignment())
        offsets = {self.client_partition(one): offset for one, offset in self.to_commit.items() if one in assigned}
        self.to_commit.clear()
        if client is None or not offsets:
            return
        try:
            await asyncio.wait_for(client.commit(offsets), ASK_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.debug("offsets not committed", error=one_line(error))

    def seek(self, partition: TopicPartition, offset: int, reason: str) -> None:
        """Poll next from here; nothing happens when the partition is no longer ours."""
        try:
            if self.client is not None:
                self.client.seek(self.client_partition(partition), offset)
        except IllegalStateError:
            return
        self.metrics.seeks.labels(reason=reason).inc()

    def client_partition(self, partition: TopicPartition) -> ClientPartition:
        """A partition as the client names it."""
        return ClientPartition(self.connection.topic(partition[0]), partition[1])

    def contract_partition(self, partition: ClientPartition) -> TopicPartition:
        """A partition as the ledger names it."""
        return self.connection.contract_name(partition.topic), partition.partition

    def _record(self, one: ConsumerRecord) -> Record:
        return Record(
            topic=self.connection.contract_name(one.topic),
            partition=one.partition,
            offset=one.offset,
            key=one.key,
            value=one.value,
            timestamp_ms=one.timestamp,
        )

    def _count_misplaced(self, records: Sequence[Record]) -> None:
        client = self.client
        for topic in {one.topic for one in records} if client is not None else ():
            partitions = len(client.partitions_for_topic(self.connection.topic(topic)) or ())
            misplaced = sum(
                one.topic == topic and one.key is not None and one.partition != _default_partition(one.key, partitions)
                for one in records
            )
            if misplaced:
                self.metrics.misplaced.labels(topic=topic).inc(misplaced)


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka publishes no types
    """Marks that the assignment changed and does nothing else: no heartbeat is sent while it runs, and its errors vanish."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: set[ClientPartition]) -> None:
        """Nothing: the batch in flight is fenced by the ledger."""

    def on_partitions_assigned(self, assigned: set[ClientPartition]) -> None:
        """Forget what held for the old assignment."""
        self._consumer.beginnings.clear()
        self._consumer.to_commit.clear()
        self._consumer.assigned.set()


@lru_cache(maxsize=_PARTITIONS_REMEMBERED)
def _default_partition(key: bytes, partitions: int) -> int:
    return murmur2(key) % partitions if partitions else -1
