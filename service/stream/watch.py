"""Looks after the consumer: whether the client is where the ledger says, and gets on, and how far it is behind."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from service.ledger.engine import one_line
from service.ledger.positions import Position, TopicPartition
from service.stream.consume import Consumer
from service.stream.patience import AWAY, is_away, until

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
    _short: set[TopicPartition] = field(default_factory=set)
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
        """Compare client and ledger once, and mend what differs, of partitions that no batch has touched meanwhile."""
        consumer, client = self.consumer, self.consumer.client
        began = consumer.ended()
        ledger = await consumer.pipeline.positions()
        assigned = client.assignment()
        at = await client.positions(assigned)
        first_seen = [one for one in assigned if one not in ledger]
        beginnings = await client.beginnings(first_seen) if first_seen else {}
        if first_seen:
            # At once and not with the first record: what retention takes before that would else go unnoticed.
            await consumer.pipeline.enter({one: beginnings[one] for one in first_seen})
        ends = await client.end_offsets(assigned) if assigned else {}
        expected = {one: ledger[one].next_offset if one in ledger else beginnings[one] for one in assigned}
        self._tell(expected, ends)
        # Other partitions may be busy all the time: one at rest must be looked at nevertheless.
        rest = [one for one in assigned if consumer.rests(one, began)]
        self._apply_halts(assigned, rest, ledger)
        await self._halt_shortened({one: (expected[one], ends[one]) for one in rest if one in ledger})
        ours = [one for one in rest if one not in consumer.halted]
        asked = await self._ask_for_proof([one for one in ours if one in consumer.proofs.open], expected)
        # Just before is right too: there lies the record that proves the partition.
        differing = {one: (expected[one], at[one]) for one in ours if not 0 <= expected[one] - at[one] <= 1}
        await self._reconcile({one: both for one, both in differing.items() if one not in asked}, began)
        if consumer.ended() != began or consumer.running:
            self._resting.clear()
            return
        self._look_for_stall({one: at[one] for one in ours if ends[one] > at[one]})

    async def _ask_for_proof(
        self, unproven: list[TopicPartition], expected: Mapping[TopicPartition, int]
    ) -> set[TopicPartition]:
        """Have the record before the position of newly assigned partitions read again; those that were sought to it.

        The pipeline halts a partition where it is another one. Where the log has none before the position, there is
        nothing to compare, and the position is looked after as ever.
        """
        wanted = [one for one in unproven if self.consumer.proofs.open[one].again is None]
        begins = await self.consumer.client.first_offsets(wanted) if wanted else {}
        asked = set()
        for one in wanted:
            proof = self.consumer.proofs.open.get(one)
            if proof is None:
                continue
            if begins[one] >= expected[one]:
                del self.consumer.proofs.open[one]
                continue
            proof.again = expected[one] - 1
            self.consumer.seek(one, proof.again, "proof")
            asked.add(one)
        return asked

    async def _halt_shortened(self, logs: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Halt partitions whose log ends before the position, seen twice: a deposed leader may say so for a moment."""
        short = {one: both for one, both in logs.items() if both[1] < both[0] and one not in self.consumer.halted}
        for one, (expected, end) in short.items():
            if one in self._short:
                reason = f"TOPIC_CHANGED: the log ends at {end}, and {expected} would have been next"
                await self.consumer.pipeline.halt(one, reason)
                self.consumer.hold(one, reason)
        self._short = set(short)

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

    def _apply_halts(
        self, assigned: list[TopicPartition], rest: list[TopicPartition], ledger: Mapping[TopicPartition, Position]
    ) -> None:
        """Halt here what is halted in the ledger, and nothing else. A rebalance forgets pauses."""
        halted = {one: ledger[one] for one in assigned if one in ledger and ledger[one].halted_at is not None}
        for partition, position in halted.items():
            self.consumer.hold(partition, str(position.halt_reason))
        for partition in set(self.consumer.halted) - set(halted):
            # A batch that came in between may have halted what was not halted when the ledger was read.
            if partition in rest or partition not in assigned:
                self.consumer.take_up(partition)

    async def _reconcile(self, differing: Mapping[TopicPartition, tuple[int, int]], began: int) -> None:
        """Seek to the ledger's positions. Records that the client fetched and dropped would else wait for the next one.

        A difference that stays after several seeks is a tail without records (transaction markers, compaction), not
        worth more of them: should there be records after all, the next one shows a gap.
        """
        self._sought = {one: sought for one, sought in self._sought.items() if one in differing}
        for one, (expected, at) in differing.items():
            before = self._sought.get(one)
            times = before[2] + 1 if before is not None and before[:2] == (expected, at) else 1
            self._sought[one] = (expected, at, times)
            if times > _SEEKS_BEFORE_SETTLED or await self.consumer.halt_if_lost(one, expected) is not False:
                continue
            if not self.consumer.rests(one, began):
                continue
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
