"""Looks after the consumer: whether the client is where the ledger says, and gets on, and how far it is behind."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from service.ledger.positions import Position, TopicPartition
from service.stream.consume import Consumer
from service.stream.patience import AWAY, is_away, one_line, until

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0
_SEEKS_BEFORE_SETTLED = 3


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks every two seconds and after each assignment.

    `stalled_seconds` is how long a client may rest on unread records.
    """

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
            except AWAY as error:
                if not is_away(error):
                    raise
                log.info("could not look after the consumer", error=one_line(error))

    async def look(self) -> None:
        """Compare client and ledger once, and mend what differs unless a batch is in flight or came in between."""
        consumer, client = self.consumer, self.consumer.client
        began = consumer.batches
        ledger = await consumer.pipeline.positions()
        assigned = client.assignment()
        at = await client.positions(assigned)
        first_seen = [one for one in assigned if one not in ledger]
        beginnings = await client.beginnings(first_seen) if first_seen else {}
        ends = await client.end_offsets(assigned) if assigned else {}
        expected = {one: ledger[one].next_offset if one in ledger else beginnings[one] for one in assigned}
        self._tell(expected, ends)
        if consumer.running or consumer.batches != began:
            self._resting.clear()
            return
        self._apply_halts(assigned, ledger)
        ours = [one for one in assigned if one not in consumer.halted]
        await self._reconcile({one: (expected[one], at[one]) for one in ours if expected[one] != at[one]})
        self._look_for_stall({one: at[one] for one in ours if ends[one] > at[one]})

    def _tell(self, expected: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        metrics = self.consumer.metrics
        metrics.assigned.set(len(expected))
        metrics.lag.clear()
        metrics.position.clear()
        for one, offset in expected.items():
            metrics.position.labels(one[0], str(one[1])).set(offset)
            metrics.lag.labels(one[0], str(one[1])).set(max(0, ends[one] - offset))
        last_fetch = self.consumer.client.last_fetch()
        if last_fetch != self._last_fetch:
            self._last_fetch = last_fetch
            self.fetched_at = asyncio.get_running_loop().time()

    def _apply_halts(self, assigned: list[TopicPartition], ledger: Mapping[TopicPartition, Position]) -> None:
        """Halt here what is halted in the ledger, and nothing else. A rebalance forgets pauses."""
        halted = {one: ledger[one] for one in assigned if one in ledger and ledger[one].halted_at is not None}
        for partition, position in halted.items():
            self.consumer.hold(partition, str(position.halt_reason))
        for partition in set(self.consumer.halted) - set(halted):
            self.consumer.take_up(partition)

    async def _reconcile(self, differing: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Seek to the ledger's positions. Records that the client fetched and dropped would else wait for the next one.

        A difference that stays after several seeks is a tail without records (transaction markers, compaction), not
        worth more of them: should there be records after all, the next one shows a gap.
        """
        began = self.consumer.batches
        self._sought = {one: sought for one, sought in self._sought.items() if one in differing}
        for one, (expected, at) in differing.items():
            before = self._sought.get(one)
            times = before[2] + 1 if before is not None and before[:2] == (expected, at) else 1
            self._sought[one] = (expected, at, times)
            if times > _SEEKS_BEFORE_SETTLED or await self.consumer.halt_if_lost(one, expected) is not False:
                continue
            if self.consumer.batches != began:
                return
            log.info("client sought to the ledger's position", partition=one, expected=expected, found=at)
            self.consumer.seek(one, expected, "reconciled")

    def _look_for_stall(self, unread: Mapping[TopicPartition, int]) -> None:
        """End the process when the client rests on unread records: only a restart mends such a client."""
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
