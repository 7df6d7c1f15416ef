"""Proofs: a partition that is newly assigned must show that it is the one we know, before its records are decided."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from service.ledger.positions import TopicPartition
from service.reading import Record

Seek = Callable[[TopicPartition, int, str], None]


@dataclass(slots=True, kw_only=True)
class Proof:
    """That a newly assigned partition is the one we know: the record before our position is read again and compared.

    `again` is that record's offset, None until the watch has asked for it; `came` is what came instead, None: nothing.
    """

    again: int | None = None
    came: int | None = None


@dataclass(slots=True)
class Proofs:
    """Partitions assigned lately, which are not proven yet.

    A topic made anew and filled beyond our position would else be taken for the old one, and what lies before the
    position be lost.
    """

    open: dict[TopicPartition, Proof] = field(default_factory=dict)

    def demand(self, partitions: Iterable[TopicPartition]) -> None:
        """Demand a proof of these partitions, and of no others."""
        self.open = {partition: Proof() for partition in partitions}

    def proven(self, records: Sequence[Record], seek: Seek) -> Sequence[Record]:
        """Leave out the records of partitions that are not proven yet: the watch has them read again."""
        if not self.open:
            return records
        first: dict[TopicPartition, int] = {}
        for one in records:
            partition = one.topic, one.partition
            first[partition] = min(first.get(partition, one.offset), one.offset)
        unproven = {partition for partition, offset in first.items() if not self._proves(partition, offset, seek)}
        return [one for one in records if (one.topic, one.partition) not in unproven]

    def _proves(self, partition: TopicPartition, first: int, seek: Seek) -> bool:
        """Whether what a poll brought of a partition shows the pipeline the record to compare."""
        proof = self.open.get(partition)
        if proof is None:
            return True
        if proof.again is None:
            return False
        # A record behind the one asked for was polled before we asked. If it comes again, the one asked for is gone.
        if first > proof.again and proof.came != first:
            proof.came = first
            seek(partition, proof.again, "proof")
            return False
        del self.open[partition]
        return True
