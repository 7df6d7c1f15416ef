"""Holes in partitions: a hole that is seen again after a refetch is in the log itself, and not made by the client."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from service.arrivals import Gap
from service.ledger.positions import TopicPartition


@dataclass(slots=True)
class Gaps:
    """The holes that were seen once, and those that were seen again: all of a partition are confirmed together."""

    confirmed: dict[TopicPartition, Collection[Gap]] = field(default_factory=dict)
    _suspected: dict[TopicPartition, Collection[Gap]] = field(default_factory=dict)

    def seen_again(self, partition: TopicPartition, gaps: Sequence[Gap]) -> list[Gap]:
        """Remember the holes that a poll has shown; those of them that the poll before had shown already."""
        again = [gap for gap in gaps if gap in self._suspected.get(partition, ())]
        self._suspected[partition] = gaps
        return again

    def moved_on(self, partition: TopicPartition, gaps: Collection[Gap]) -> None:
        """Forget what was passed by a batch, which left these holes to be looked into."""
        self.confirmed.pop(partition, None)
        if not gaps:
            self._suspected.pop(partition, None)
