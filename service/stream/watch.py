"""Looks after the consumer: is the client where the ledger says, does it get on, and how far is it behind?"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from sqlalchemy.exc import SQLAlchemyError

from service.ledger.engine import is_temporary
from service.ledger.positions import Position, TopicPartition
from service.stream.consume import ASK_SECONDS, Consumer
from service.stream.patience import one_line, until

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0
_SEEKS_BEFORE_SETTLED = 3


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks every two seconds and after each assignment. `stalled_seconds` is how long a client may rest on unread records."""

    consumer: Consumer
    stalled_seconds: float
    fetched_at: float | None = None
    """When the brokers last answered a fetch, by the event loop's clock; None: not yet."""
    _last_fetch: int = 0
    _sought: dict[TopicPartition, tuple[int, int, int]] = field(default_factory=dict)
    _resting: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled. While broker or database are away nothing is concluded."""
        while True:
            await until(self.consumer.assigned.wait(), _LOOK_SECONDS)
            self.consumer.assigned.clear()
            try:
                await self.look()
                await self.consumer.commit_offsets()
            except (KafkaError, SQLAlchemyError, OSError, TimeoutError, IllegalStateError) as error:
                if isinstance(error, SQLAlchemyError) and not is_temporary(error):
                    raise
                log.info("could not look after the consumer", error=one_line(error))

    async def look(self) -> None:
        """Compare client and ledger once, and mend what differs unless a batch is in flight or came in between."""
        consumer = self.consumer
        began = consumer.batches
        ledger = await consumer.pipeline.positions()
        assigned = consumer.assignment()
        consumer.metrics.assigned.set(len(assigned))
        at = await self._client_positions(assigned)
        self._note_fetches(assigned)
        if not assigned:
            return
        beginnings = await consumer.beginnings_of([one for one in assigned if one not in ledger])
        ends = await self._ends(assigned)
        expected = {one: ledger[one].next_offset if one in ledger else beginnings[one] for one in assigned}
        for one in assigned:
            consumer.metrics.lag.labels(one[0], str(one[1])).set(max(0, ends[one] - expected[one]))
        if consumer.running or consumer.batches != began:
            self._resting.clear()
            return
        self._apply_halts(assigned, ledger)
        ours = [one for one in assigned if one not in consumer.halted]
        await self._reconcile({one: (expected[one], at[one]) for one in ours if expected[one] != at[one]}, ledger)
        self._look_for_stall({one: at[one] for one in ours if ends[one] > at[one]})

    async def _client_positions(self, assigned: list[TopicPartition]) -> dict[TopicPartition, int]:
        client = self.consumer.client
        if client is None:
            return {}
        async with asyncio.timeout(ASK_SECONDS):
            return {one: await client.position(self.consumer.client_partition(one)) for one in assigned}

    async def _ends(self, assigned: list[TopicPartition]) -> dict[TopicPartition, int]:
        client = self.consumer.client
        if client is None:
            raise TimeoutError
        asked = [self.consumer.client_partition(one) for one in assigned]
        found = await asyncio.wait_for(client.end_offsets(asked), ASK_SECONDS)
        return {self.consumer.contract_partition(one): offset for one, offset in found.items()}

    def _note_fetches(self, assigned: list[TopicPartition]) -> None:
        client = self.consumer.client
        if client is None:
            return
        stamps = [client.last_poll_timestamp(self.consumer.client_partition(one)) or 0 for one in assigned]
        latest = max(stamps, default=0)
        if latest != self._last_fetch:
            self._last_fetch = latest
            self.fetched_at = asyncio.get_running_loop().time()

    def _apply_halts(self, assigned: list[TopicPartition], ledger: Mapping[TopicPartition, Position]) -> None:
        """Bring what is halted here in line with the ledger, where halts are set and lifted. A rebalance forgets pauses."""
        consumer = self.consumer
        halted = {one: ledger[one] for one in assigned if one in ledger and ledger[one].halted_at is not None}
        for partition, position in halted.items():
            consumer.put_on_hold(partition, str(position.halt_reason))
        for partition in set(consumer.halted) - set(halted):
            consumer.take_up(partition)

    async def _reconcile(
        self, differing: Mapping[TopicPartition, tuple[int, int]], ledger: Mapping[TopicPartition, Position]
    ) -> None:
        """Seek to the ledger's positions. Records that the client fetched and dropped would else wait for the next one.

        A difference that stays after several seeks is a tail without records (transaction markers, compaction), not worth
        more of them: should there be records after all, the next one shows a gap.
        """
        self._sought = {one: sought for one, sought in self._sought.items() if one in differing}
        for one, (expected, at) in differing.items():
            sought = self._sought.get(one, (expected, at, 0))
            times = sought[2] + 1 if sought[:2] == (expected, at) else 1
            self._sought[one] = (expected, at, times)
            if times > _SEEKS_BEFORE_SETTLED:
                continue
            if one in ledger and await self._is_lost(one, expected):
                continue
            log.info("client sought to the ledger's position", partition=one, expected=expected, found=at)
            self.consumer.seek(one, expected, "reconciled")

    async def _is_lost(self, partition: TopicPartition, expected: int) -> bool:
        beginning = await self.consumer.ask_beginning(partition)
        if beginning is None or beginning <= expected:
            return False
        await self.consumer.halt(partition, f"RECORDS_LOST: the log begins at {beginning}, expected {expected}")
        return True

    def _look_for_stall(self, unread: Mapping[TopicPartition, int]) -> None:
        """End the process when the client rests on unread records: such clients exist, and only a restart mends them."""
        now = asyncio.get_running_loop().time()
        before = self._resting
        self._resting = {
            one: before[one] if one in before and before[one][0] == at else (at, now) for one, at in unread.items()
        }
        for partition, (at, since) in self._resting.items():
            if now - since > self.stalled_seconds:
                self.consumer.fail(
                    f"no progress: partition {partition[1]} of {partition[0]} has unread records behind {at} for "
                    f"{now - since:.0f} s, with broker and database at hand; restart"
                )
