"""The Kafka client of one member of the group, spoken to in the ledger's names and never without a time limit."""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import IllegalStateError, KafkaError

from service.faults import reach
from service.ledger.engine import one_line
from service.ledger.positions import TopicPartition
from service.stream.connection import Connection

log = structlog.get_logger(__name__)

ASK_SECONDS = 5.0
"""How long a question to the brokers may take before it counts as unanswered, which is a TimeoutError."""

_Ask = Callable[[Iterable[ClientPartition]], "asyncio.Future[dict[ClientPartition, int]]"]


@dataclass(slots=True, kw_only=True)
class Client:
    """Topics have their names of the contract here. Questions raise KafkaError, or TimeoutError without an answer.

    `raw` finds aiokafka's client, None before the start and after the stop.
    """

    connection: Connection
    raw: Callable[[], AIOKafkaConsumer | None]
    _beginnings: dict[TopicPartition, int] = field(default_factory=dict)

    def assignment(self) -> list[TopicPartition]:
        """The partitions that are ours now, sorted."""
        raw = self.raw()
        return [] if raw is None else sorted(self._contract(one) for one in raw.assignment())

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 when that is not known yet."""
        raw = self.raw()
        return 0 if raw is None else len(raw.partitions_for_topic(self.connection.topic(topic)) or ())

    def last_fetch(self) -> int:
        """A number that grows whenever the brokers answer a fetch; 0 before."""
        raw = self.raw()
        return 0 if raw is None else max((raw.last_poll_timestamp(one) or 0 for one in raw.assignment()), default=0)

    def seek(self, partition: TopicPartition, offset: int) -> bool:
        """Poll next from here; False when the partition is no longer ours."""
        raw = self.raw()
        if raw is None:
            return False
        try:
            raw.seek(self._own(partition), offset)
        except IllegalStateError:
            return False
        return True

    def pause(self, partition: TopicPartition) -> None:
        """Poll nothing of a partition, if it is ours, until it is resumed or assigned anew."""
        raw = self.raw()
        if raw is not None and self._own(partition) in raw.assignment():
            raw.pause(self._own(partition))

    def resume(self, partition: TopicPartition) -> None:
        """Poll a paused partition again, if it is ours."""
        raw = self.raw()
        if raw is not None and self._own(partition) in raw.assignment():
            raw.resume(self._own(partition))

    def rest(self) -> None:
        """Fetch nothing until `wake`."""
        raw = self.raw()
        if raw is not None:
            raw.pause(*raw.assignment())

    def wake(self, but: Container[TopicPartition]) -> None:
        """Fetch again, all that is ours but these."""
        raw = self.raw()
        if raw is not None:
            raw.resume(*[one for one in raw.assignment() if self._contract(one) not in but])

    async def positions(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """From where the client polls next."""
        raw = self._started()
        async with asyncio.timeout(ASK_SECONDS):
            return {one: await raw.position(self._own(one)) for one in partitions}

    async def first_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the logs begin now."""
        return await self._ask(self._started().beginning_offsets, partitions)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the logs end now: the offset that the next record will get.

        The embedded broker answers with an offset inside the log's last batch; what a fetch has said is right.
        """
        ends = await self._ask(self._started().end_offsets, partitions)
        return {one: max(end, self._fetched_end(one)) for one, end in ends.items()}

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where the logs began when we first asked, of these partitions and maybe more."""
        wanted = set(partitions)
        if not wanted <= self._beginnings.keys():
            self._beginnings.update(await self.first_offsets(wanted | set(self.assignment())))
        # A copy: a new assignment in the middle of a batch forgets ours.
        return dict(self._beginnings)

    def forget_beginnings(self) -> None:
        """Ask anew where the logs begin; for a new assignment."""
        self._beginnings.clear()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tell Kafka how far we are, for lag dashboards only: what fails is left."""
        raw, assigned = self.raw(), set(self.assignment())
        ours = {self._own(one): offset for one, offset in offsets.items() if one in assigned}
        if raw is None or not ours:
            return
        try:
            await asyncio.wait_for(raw.commit(ours), ASK_SECONDS)
            reach("offsets_committed")
        except (KafkaError, TimeoutError) as error:
            log.debug("offsets not committed", error=one_line(error))

    def _fetched_end(self, partition: TopicPartition) -> int:
        raw, own = self._started(), self._own(partition)
        return (raw.last_stable_offset(own) or 0) if own in raw.assignment() else 0

    def _started(self) -> AIOKafkaConsumer:
        raw = self.raw()
        if raw is None:
            raise TimeoutError("the client is not started")
        return raw

    async def _ask(self, question: _Ask, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        answer = await asyncio.wait_for(question([self._own(one) for one in partitions]), ASK_SECONDS)
        return {self._contract(one): offset for one, offset in answer.items()}

    def _own(self, partition: TopicPartition) -> ClientPartition:
        return ClientPartition(self.connection.topic(partition[0]), partition[1])

    def _contract(self, partition: ClientPartition) -> TopicPartition:
        return self.connection.contract_name(partition.topic), partition.partition
