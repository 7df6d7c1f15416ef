"""The consumer: polls batches, gives them to the pipeline, and reads again where the pipeline says so."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.record import default_records
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from service.arrivals import Gap
from service.faults import reach
from service.ledger.engine import one_line
from service.ledger.lanes import murmur2
from service.ledger.positions import TopicPartition as Partition
from service.ledger.positions import halt_code
from service.pipeline import Pipeline, Report, TemporarilyUnavailable
from service.reading import Record
from service.stream.client import Client
from service.stream.connection import Connection, StreamError
from service.stream.gaps import Gaps
from service.stream.patience import AWAY, back_off, is_away, until
from service.stream.polling import Polling, subscribe
from service.stream.portion import Portion
from service.stream.proofs import Proofs
from service.telemetry import Metrics
from service.transaction import MustStop, NoPolicyInForce

log = structlog.get_logger(__name__)

_SMALL = 4
"""A batch is small below this part, a fourth, of the most it may hold; a larger one has more behind it to fetch."""


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
    ended_at: float | None = None
    """When the last batch ended, by the event loop's clock; None: not yet. During a small one nothing is fetched."""
    batches: int = 0
    """Batches begun so far: who compares it before and after knows whether one came in between."""
    halted: dict[Partition, str] = field(default_factory=dict)
    """Partitions of ours that wait for a person, and why."""
    assigned: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each assignment."""
    proofs: Proofs = field(default_factory=Proofs)
    client: Client = field(init=False)
    _done: dict[Partition, int] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _broker: KafkaBroker = field(init=False)
    _gaps: Gaps = field(default_factory=Gaps)
    _portion: Portion = field(init=False)
    _last_batch: dict[Partition, int] = field(default_factory=dict)
    """Partition -> the number of the last batch that had records of it."""

    def __post_init__(self) -> None:
        self._portion = Portion(self.polling.batch_max_records, self.polling.batch_max_records)
        self._broker, self.client = subscribe(self.connection, self.polling, self.handle, self._on_assigned)

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
        rests = len(message.raw_message) < self.polling.batch_max_records // _SMALL
        try:
            if rests:
                # Else one record, fetched meanwhile, keeps the client from fetching more, and is all of the next batch.
                self.client.rest()
            with self.metrics.batch_seconds.time():
                await self._handle(tuple(message.raw_message))
        except MustStop as error:
            self.fail(str(error))
        except Exception as error:
            # The outermost guard: the batch was not decided, so the process must end and its next life try again.
            log.exception("the handler met a bug")
            self.fail(f"a bug in the consumer ({type(error).__name__}); its traceback is in the log")
        finally:
            if rests:
                self.client.wake(but=self.halted)
            self.running, self.ended_at = False, asyncio.get_running_loop().time()

    def ended(self) -> int:
        """How many batches are over: a batch that is in flight, or comes later, has a higher number."""
        return self.batches - self.running

    def rests(self, partition: Partition, since: int) -> bool:
        """Whether no batch after this number had records of a partition, so that what was read of it still holds."""
        return self._last_batch.get(partition, 0) <= since

    async def _handle(self, polled: Sequence[ConsumerRecord]) -> None:
        records = self.proofs.proven([self._record(one) for one in polled], self.seek)
        self.metrics.batch_records.inc(len(records))
        if not records:
            return
        reach("polled")
        partitions = {(one.topic, one.partition) for one in records}
        self._last_batch.update(dict.fromkeys(partitions, self.batches))
        report = await self._decide(records, partitions)
        if report is None:
            return
        self.decided()
        self._account_for(report)
        self._count_misplaced(records)
        for partition, gaps in report.gaps.items():
            await self._go_back(partition, gaps)

    async def _decide(self, records: Sequence[Record], partitions: set[Partition]) -> Report | None:
        """The report of this batch, tried again for as long as what it needs is away; None when we stop meanwhile.

        A batch that is too slow again and again is decided in portions, each in a transaction of its own.
        """
        report, rest, failures = Report(), records, 0
        while rest and not self._stop.is_set():
            portion = rest[: self._portion.size]
            try:
                beginnings = await self.client.beginnings(partitions)
                done = await self.pipeline.decide(portion, beginnings=beginnings, accepted_gaps=self._gaps.confirmed)
            except NoPolicyInForce:
                missing, said = "policy", "no policy is in force"
            except TemporarilyUnavailable as away:
                missing, said = "database", str(away)
                if away.too_slow and self._portion.too_slow(len(portion)):
                    log.warning("the database is too slow; less is tried", records=self._portion.size)
            except (KafkaError, TimeoutError) as away:
                missing, said = "broker", one_line(away)
            else:
                report.add(done)
                rest = rest[len(portion) :]
                self._portion.decided(all_of_it=not rest)
                continue
            failures += 1
            self.metrics.retries.labels(reason=missing).inc()
            log.warning("the batch will be tried again", missing=missing, error=said, failures=failures)
            await until(self._stop.wait(), back_off(failures, self.random))
        return None if rest else report

    def _account_for(self, report: Report) -> None:
        self.metrics.decided(report.fates, report.outcomes)
        self._done.update(report.next_offsets)
        for partition, offset in report.next_offsets.items():
            self._gaps.moved_on(partition, report.gaps.get(partition, ()))
            self.metrics.position.labels(partition[0], str(partition[1])).set(offset)
        for partition, reason in report.halted.items():
            self.hold(partition, reason)
        log.info("batch", fates=dict(report.fates), outcomes=dict(report.outcomes), policy=report.policy_sha256)

    async def _go_back(self, partition: Partition, gaps: Sequence[Gap]) -> None:
        """Read again from where the ledger is. A hole that is seen twice is in the log and not made by the client."""
        again = self._gaps.seen_again(partition, gaps)
        if again and await self.halt_if_lost(partition, gaps[0].expected) is False:
            self._gaps.confirmed[partition] = again
        self.seek(partition, gaps[0].expected, "gap")

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
        self.metrics.halted.labels(partition[0], str(partition[1]), halt_code(reason)).set(1)
        self.client.pause(partition)

    def take_up(self, partition: Partition) -> None:
        """Poll a partition again whose halt was lifted, or forget one that is no longer ours."""
        reason = self.halted.pop(partition)
        self.metrics.halted.labels(partition[0], str(partition[1]), halt_code(reason)).set(0)
        self.client.resume(partition)

    def seek(self, partition: Partition, offset: int, reason: str) -> None:
        """Poll next from here, unless the partition is no longer ours."""
        if self.client.seek(partition, offset):
            self.metrics.seeks.labels(reason=reason).inc()

    async def commit_offsets(self) -> None:
        """Show in Kafka what was done since the last time."""
        done, self._done = self._done, {}
        await self.client.commit(done)

    def _on_assigned(self, assigned: set[Partition]) -> None:
        """Forget what held for the old assignment."""
        self.client.forget_beginnings()
        self.proofs.demand(assigned)
        self.assigned.set()

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
            if one.key is not None and count and one.partition != murmur2(one.key) % count:
                self.metrics.misplaced.labels(topic=one.topic).inc()
