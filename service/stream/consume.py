"""The consumer: polls batches, gives them to the pipeline, and reads again where the pipeline says so."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.record import default_records
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from schemas.topics import INPUT_TOPICS
from service.arrivals import Gap
from service.ledger.lanes import murmur2
from service.ledger.positions import TopicPartition as Partition
from service.pipeline import Pipeline, Report, TemporarilyUnavailable
from service.reading import Record
from service.stream.client import Client
from service.stream.connection import Connection, StreamError
from service.stream.patience import AWAY, back_off, is_away, one_line, until
from service.telemetry import Metrics
from service.transaction import MustStop, NoPolicyInForce

log = structlog.get_logger(__name__)

_PARTITIONS_REMEMBERED = 100_000
_HEARTBEATS_A_SESSION = 15
_METADATA_MS = 10_000
"""How long partitions that were added may go unnoticed; the client's own 5 minutes would leave their records lying."""


@dataclass(slots=True, kw_only=True)
class Proof:
    """That a newly assigned partition is the one we know: the record before our position is read again and compared.

    `again` is that record's offset, None until the watch has asked for it; `came` is what came instead, None: nothing.
    """

    again: int | None = None
    came: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How to poll. `batch_timeout_ms` is how long a poll waits when there is nothing, and once more after that."""

    group_id: str
    batch_max_records: int
    batch_timeout_ms: int
    fetch_max_wait_ms: int
    session_timeout_ms: int
    graceful_timeout_seconds: float


@dataclass(slots=True, kw_only=True, repr=False)
class Consumer:
    """One member of the consumer group. What is done stands in the ledger; offsets in Kafka are for others' eyes only.

    `decided` is called after each committed batch. `failed` gets the reason, one line, why this process must end; from
    then on nothing more is decided.
    """

    pipeline: Pipeline
    connection: Connection
    polling: Polling
    metrics: Metrics
    random: Random
    decided: Callable[[], None]
    failed: "asyncio.Future[str]"
    running: bool = False
    """Whether a batch is in flight."""
    batches: int = 0
    """Batches begun so far: who compares it before and after knows whether one came in between."""
    halted: dict[Partition, str] = field(default_factory=dict)
    """Partitions of ours that wait for a person, and why."""
    assigned: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each assignment."""
    unproven: dict[Partition, Proof] = field(default_factory=dict)
    """Partitions assigned lately. A topic made anew and filled beyond our position would else be taken for the old one,
    and what lies before the position be lost."""
    client: Client = field(init=False)
    _done: dict[Partition, int] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _broker: KafkaBroker = field(init=False)
    _suspected: dict[Partition, Gap] = field(default_factory=dict)
    _accepted: dict[Partition, Gap] = field(default_factory=dict)
    _last_batch: dict[Partition, int] = field(default_factory=dict)
    """Partition -> the number of the last batch that had records of it."""

    def __post_init__(self) -> None:
        self._broker, self.client = _build(self)

    async def start(self) -> None:
        """Join the group and begin to poll. StreamError when no broker answers."""
        if default_records.DefaultRecordBatch is default_records._DefaultRecordBatchPy:  # noqa: SLF001 -- no public sign
            log.warning("aiokafka reads records in Python, many times slower; install its binary wheel")
        try:
            await self._broker.start()
        except KafkaError as error:
            raise StreamError(self.connection.unreachable(error)) from error

    async def stop(self) -> None:
        """Let the batch in flight finish, or give it up where it waits for something; then leave the group."""
        self._stop.set()
        await self.commit_offsets()
        await self._broker.stop()

    def fail(self, reason: str) -> None:
        """Decide nothing more, and tell the process to end. The first reason counts."""
        self._stop.set()
        if not self.failed.done():
            log.critical("the consumer stops", reason=reason)
            self.failed.set_result(reason)

    async def handle(self, message: KafkaAckableMessage) -> None:
        """Decide one polled batch. Nothing escapes: FastStream would swallow it and go on with the next batch."""
        self.running = True
        self.batches += 1
        try:
            with self.metrics.batch_seconds.time():
                await self._handle(tuple(message.raw_message))
        except MustStop as error:
            self.fail(str(error))
        except Exception as error:
            # The outermost guard: the batch was not decided, so the process must end and its next life try again.
            log.exception("the handler met a bug")
            self.fail(f"a bug in the consumer ({type(error).__name__}); its traceback is in the log")
        finally:
            self.running = False

    def ended(self) -> int:
        """How many batches are over: a batch that is in flight, or comes later, has a higher number."""
        return self.batches - self.running

    def rests(self, partition: Partition, since: int) -> bool:
        """Whether no batch after this number had records of a partition, so that what was read of it still holds."""
        return self._last_batch.get(partition, 0) <= since

    async def _handle(self, polled: Sequence[ConsumerRecord]) -> None:
        records = self._proven([self._record(one) for one in polled])
        self.metrics.batch_records.inc(len(records))
        if not records:
            return
        partitions = {(one.topic, one.partition) for one in records}
        self._last_batch.update(dict.fromkeys(partitions, self.batches))
        report = await self._decide(records, partitions)
        if report is None:
            return
        self.decided()
        self._account_for(report)
        self._count_misplaced(records)
        for partition, gap in report.gaps.items():
            await self._go_back(partition, gap)

    def _proven(self, records: Sequence[Record]) -> Sequence[Record]:
        """Leave out the records of partitions that are not proven yet: the watch has them read again."""
        if not self.unproven:
            return records
        first: dict[Partition, int] = {}
        for one in records:
            partition = one.topic, one.partition
            first[partition] = min(first.get(partition, one.offset), one.offset)
        unproven = {partition for partition, offset in first.items() if not self._proves(partition, offset)}
        return [one for one in records if (one.topic, one.partition) not in unproven]

    def _proves(self, partition: Partition, first: int) -> bool:
        """Whether what a poll brought of a partition shows the pipeline the record to compare."""
        proof = self.unproven.get(partition)
        if proof is None:
            return True
        if proof.again is None:
            return False
        # A record behind the one asked for was polled before we asked. If it comes again, the one asked for is gone.
        if first > proof.again and proof.came != first:
            proof.came = first
            self.seek(partition, proof.again, "proof")
            return False
        del self.unproven[partition]
        return True

    async def _decide(self, records: Sequence[Record], partitions: set[Partition]) -> Report | None:
        """The report of this batch, tried again for as long as what it needs is away; None when we stop meanwhile."""
        failures = 0
        while not self._stop.is_set():
            try:
                beginnings = await self.client.beginnings(partitions)
                return await self.pipeline.decide(records, beginnings=beginnings, accepted_gaps=self._accepted)
            except NoPolicyInForce:
                missing, said = "policy", "no policy is in force"
            except TemporarilyUnavailable as away:
                missing, said = "database", str(away)
            except (KafkaError, TimeoutError) as away:
                missing, said = "broker", one_line(away)
            failures += 1
            self.metrics.retries.labels(reason=missing).inc()
            log.warning("the batch will be tried again", missing=missing, error=said, failures=failures)
            await until(self._stop.wait(), back_off(failures, self.random))
        return None

    def _account_for(self, report: Report) -> None:
        self.metrics.decided(report.fates, report.outcomes)
        self._done.update(report.next_offsets)
        for partition, offset in report.next_offsets.items():
            self._accepted.pop(partition, None)
            if partition not in report.gaps:
                self._suspected.pop(partition, None)
            self.metrics.position.labels(partition[0], str(partition[1])).set(offset)
        for partition, reason in report.halted.items():
            self.hold(partition, reason)
        log.info("batch", fates=dict(report.fates), outcomes=dict(report.outcomes), policy=report.policy_sha256)

    async def _go_back(self, partition: Partition, gap: Gap) -> None:
        """Read again from where the ledger is. A hole that is seen twice is in the log and not made by the client."""
        if self._suspected.get(partition) == gap and await self.halt_if_lost(partition, gap.expected) is False:
            self._accepted[partition] = gap
        self._suspected[partition] = gap
        self.seek(partition, gap.expected, "gap")

    async def halt_if_lost(self, partition: Partition, expected: int) -> bool | None:
        """Halt a partition whose log begins behind the position `expected`: records were removed before we read them.

        Whether that is so; None when the brokers, or the database, cannot be asked now: what led here will come again.
        """
        try:
            begins = (await self.client.first_offsets([partition]))[partition]
            if begins <= expected:
                return False
            reason = f"RECORDS_LOST: the log begins at {begins}, and {expected} would have been next"
            await self.pipeline.halt(partition, reason)
        except AWAY as error:
            if not is_away(error):
                raise
            log.warning("a gap could not be looked into", error=one_line(error))
            return None
        self.hold(partition, reason)
        return True

    def hold(self, partition: Partition, reason: str) -> None:
        """Poll nothing more of a partition that a person has to look at."""
        if partition not in self.halted:
            log.error("partition halted", topic=partition[0], partition=partition[1], reason=reason)
        self.halted[partition] = reason
        self.metrics.halted.labels(partition[0], str(partition[1])).set(1)
        self.client.pause(partition)

    def take_up(self, partition: Partition) -> None:
        """Poll a partition again whose halt was lifted, or forget one that is no longer ours."""
        del self.halted[partition]
        self.metrics.halted.labels(partition[0], str(partition[1])).set(0)
        self.client.resume(partition)

    def seek(self, partition: Partition, offset: int, reason: str) -> None:
        """Poll next from here, unless the partition is no longer ours."""
        if self.client.seek(partition, offset):
            self.metrics.seeks.labels(reason=reason).inc()

    async def commit_offsets(self) -> None:
        """Show in Kafka what was done since the last time."""
        done, self._done = self._done, {}
        await self.client.commit(done)

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
        partitions = {topic: self.client.partitions(topic) for topic in {one.topic for one in records}}
        for one in records:
            count = partitions[one.topic]
            if one.key is not None and count and one.partition != _default_partition(one.key, count):
                self.metrics.misplaced.labels(topic=one.topic).inc()


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka publishes no types
    """Marks that the assignment changed, and no more: no heartbeat is sent while it runs, and its errors vanish."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing: the batch in flight is fenced by the ledger."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Forget what held for the old assignment."""
        consumer = self._consumer
        consumer.client.forget_beginnings()
        name = consumer.connection.contract_name
        consumer.unproven = {(name(one.topic), one.partition): Proof() for one in assigned}
        consumer.assigned.set()


def _build(consumer: Consumer) -> tuple[KafkaBroker, Client]:
    connection, polling = consumer.connection, consumer.polling
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
        listener=_Assignments(consumer),
        parser=raw_parser,
        decoder=identity,
    )
    subscriber(consumer.handle)
    return broker, Client(connection=connection, raw=lambda: subscriber.consumer)


@lru_cache(maxsize=_PARTITIONS_REMEMBERED)
def _default_partition(key: bytes, partitions: int) -> int:
    return murmur2(key) % partitions
