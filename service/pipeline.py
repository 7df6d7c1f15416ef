"""The story: one polled batch becomes one transaction. Read it from `Pipeline.decide` downwards."""

import traceback
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.arrivals import (
    Gap,
    Inbox,
    Read,
    contested_accounts,
    first_copies,
    partition_of,
    sift,
    subjects_of,
    whole_accounts,
)
from service.copies import written_anew
from service.decide.policy import Policy
from service.deciding import Fate, conflict, decide_event, duplicate, put_aside
from service.docket import Docket
from service.faults import reach
from service.ledger.engine import DATABASE_ERRORS, STATEMENT_TIMEOUT, Tx, is_temporary, one_line, sqlstate
from service.ledger.history import known_records
from service.ledger.inbox import accept, accepted_hashes
from service.ledger.lanes import Installation, lane_of, read_installation
from service.ledger.policies import read_pin
from service.ledger.positions import Position, TopicPartition, claim, enter, halt, list_positions
from service.ledger.quarantine import open_bugs, quarantined_hashes
from service.ledger.subjects import load_subjects
from service.reading import Event, Record, Unreadable, read
from service.transaction import MustStop, NoPolicyInForce, PolicyLoader, open_docket, write

log = structlog.get_logger(__name__)


class TemporarilyUnavailable(Exception):  # noqa: N818 -- it tells the caller what to do: try the same batch again
    """The database could not take the batch now. Nothing was written; the same batch may be tried again.

    `too_slow` is whether a statement took longer than it may: a smaller batch may succeed where this one does not.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(one_line(error))
        self.too_slow = sqlstate(error) == STATEMENT_TIMEOUT


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of a batch.

    `next_offsets` are done; the first of a partition's `gaps` is to be sought back to; `halted` ones need a person.
    """

    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    gaps: dict[TopicPartition, list[Gap]] = field(default_factory=dict)
    halted: dict[TopicPartition, str] = field(default_factory=dict)
    fates: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    policy_sha256: str | None = None

    def add(self, later: "Report") -> None:
        """Take in the report of the second half of a batch."""
        self.next_offsets.update(later.next_offsets)
        self.gaps = {**later.gaps, **self.gaps}
        self.halted.update(later.halted)
        self.fates.update(later.fates)
        self.outcomes.update(later.outcomes)
        self.policy_sha256 = later.policy_sha256 or self.policy_sha256


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """Decides batches for one Kafka cluster.

    `environment` is the `env` attribute our events must have, None for any.
    """

    engine: AsyncEngine
    cluster: str
    environment: str | None
    load_policy: PolicyLoader
    bug_limit: int
    policy_sha256: str | None = None
    """The policy by which this worker decides, as it read last: with a batch or when it was asked if it is ready."""
    _policies: dict[bytes, Policy] = field(default_factory=dict)
    _signed: set[datetime] = field(default_factory=set)
    _installation: Installation | None = None

    async def decide(
        self,
        records: Sequence[Record],
        *,
        beginnings: Mapping[TopicPartition, int],
        accepted_gaps: Mapping[TopicPartition, Collection[Gap]],
    ) -> Report:
        """Decide a batch in one transaction; when a bug breaks it, its halves, till the culprit is alone and put aside.

        `beginnings` has the log's first offset of every partition of the batch, `accepted_gaps` the holes a refetch
        confirmed. Raises TemporarilyUnavailable, NoPolicyInForce or MustStop and nothing else; in each case nothing was
        written of the batch, or whole halves of it were, which a repetition passes over.
        """
        ordered = sorted(records, key=lambda record: (record.topic, record.partition, record.offset))
        batch = [read(record, environment=self.environment) for record in ordered]
        return await self._decide(batch, _Log(beginnings, accepted_gaps))

    async def positions(self) -> dict[TopicPartition, Position]:
        """The positions of this cluster's partitions."""
        async with self.engine.connect() as tx:
            return {(one.topic, one.partition): one for one in await list_positions(tx) if one.cluster == self.cluster}

    async def enter(self, beginnings: Mapping[TopicPartition, int]) -> None:
        """Remember where the logs of partitions begin that are seen for the first time; the others stay as they are."""
        async with self.engine.begin() as tx:
            await enter(tx, self.cluster, beginnings)

    async def halt(self, partition: TopicPartition, reason: str) -> None:
        """Stop a partition until a person lifts it."""
        async with self.engine.begin() as tx:
            await halt(tx, self.cluster, partition, reason)

    async def ready(self) -> str | None:
        """None when the database answers and a policy is in force, else what is missing, in one line."""
        try:
            async with self.engine.connect() as tx:
                pin = await read_pin(tx, None)
        except DATABASE_ERRORS as error:
            return f"the database does not answer ({type(error).__name__}); check EXPORTGATE_DATABASE_URL"
        self.policy_sha256 = None if pin.policy_sha256 is None else pin.policy_sha256.hex()
        if self.policy_sha256 is None:
            return "no policy is in force; run `exportgate policy publish` and `exportgate policy activate`"
        return None

    async def _decide(self, batch: Sequence[Read], kafka: "_Log") -> Report:
        try:
            return await self._in_one_transaction(batch, kafka)
        except (NoPolicyInForce, MustStop):
            raise
        except Exception as error:
            # The one place that catches everything: a batch must be retried, halved or quarantined, and never lost.
            if is_temporary(error):
                raise TemporarilyUnavailable(error) from error
            return await self._halve(batch, kafka, error)

    async def _halve(self, batch: Sequence[Read], kafka: "_Log", error: Exception) -> Report:
        if len(batch) == 1:
            return await self._put_aside_as_bug(batch[0], kafka, error)
        middle = len(batch) // 2
        report = await self._decide(batch[:middle], kafka)
        report.add(await self._decide(batch[middle:], kafka))
        return report

    async def _put_aside_as_bug(self, one: Read, kafka: "_Log", error: Exception) -> Report:
        trace = "".join(traceback.format_tb(error.__traceback__))
        fingerprint = sha256(trace.encode()).hexdigest()[:16]
        if isinstance(one, Unreadable) and one.reason == "BUG":
            raise MustStop(f"a record can be neither decided nor quarantined: {one_line(error)}") from error
        log.error("bug", error=type(error).__name__, fingerprint=fingerprint, traceback=trace)
        detail = f"{type(error).__name__}, traceback {fingerprint}"
        account_id = one.account_id
        source, event_id = (one.source, one.id) if isinstance(one, Event) else (one.source, one.event_id)
        aside = Unreadable(
            reason="BUG",
            detail=detail,
            account_id=account_id,
            source=source,
            event_id=event_id,
            raw_sha256=one.raw_sha256,
            record=one.record,
        )
        met = await self._open_bugs()
        if met >= self.bug_limit:
            raise MustStop(
                f"{met} records met a bug and are still open; look at `exportgate quarantine list`"
            ) from error
        return await self._decide([aside], kafka)

    async def _open_bugs(self) -> int:
        try:
            async with self.engine.connect() as tx:
                return await open_bugs(tx)
        except DATABASE_ERRORS as error:
            raise TemporarilyUnavailable(error) from error

    async def _in_one_transaction(self, batch: Sequence[Read], kafka: "_Log") -> Report:
        async with self.engine.begin() as tx:
            partitions = {partition_of(one.record): kafka.beginnings[partition_of(one.record)] for one in batch}
            positions = await claim(tx, self.cluster, partitions)
            reach("positions_claimed")
            halted = await self._halted(tx, batch, positions)
            sifted = sift(batch, positions, kafka.accepted_gaps)
            report = Report(gaps=sifted.gaps, halted=halted)
            fresh = [one for one in sifted.fresh if partition_of(one.record) not in halted]
            if not fresh:
                return report
            copies = first_copies(fresh)
            accepted, known = await accept(tx, {key: event.raw_sha256 for key, event in copies.items()})
            reach("inbox_entered")
            inbox = Inbox(copies, accepted, known)
            unlike = inbox.unlike(fresh)
            anew = await written_anew(tx, unlike, inbox.at_hand({first for _, first in unlike})) if unlike else set()
            docket = await self._open_docket(tx, fresh, inbox, with_control_lane=bool(sifted.passed))
            self.policy_sha256 = report.policy_sha256 = docket.policy.sha256
            _journal_gaps(docket, sifted.passed)
            for one in fresh:
                report.fates[_decide_one(docket, one, inbox, anew).value] += 1
            report.outcomes.update(row.outcome for row in docket.decisions)
            reach("decided")
            report.next_offsets = {partition_of(one.record): one.record.offset + 1 for one in fresh}
            await write(tx, docket, cluster=self.cluster, next_offsets=report.next_offsets)
        reach("committed")
        return report

    async def _halted(
        self, tx: Tx, batch: Sequence[Read], positions: Mapping[TopicPartition, Position]
    ) -> dict[TopicPartition, str]:
        """The partitions that wait for a person, and why.

        Records below a position were done before; one of them that we do not know means the topic was made anew.
        """
        halted = {one: str(position.halt_reason) for one, position in positions.items() if position.halted_at}
        old = [one for one in batch if one.record.offset < positions[partition_of(one.record)].next_offset]
        if not old:
            return halted
        known = await known_records(tx, [one.raw_sha256 for one in old])
        erased = [one for one in old if isinstance(one, Event) and one.raw_sha256 not in known]
        known.update((await accepted_hashes(tx, [(one.source, one.id) for one in erased])).values())
        known.update(await quarantined_hashes(tx, [one.raw_sha256 for one in old if one.raw_sha256 not in known]))
        for one in old:
            partition = partition_of(one.record)
            if one.raw_sha256 not in known and partition not in halted:
                halted[partition] = f"TOPIC_CHANGED: offset {one.record.offset} was done before, but with other bytes"
                await halt(tx, self.cluster, partition, halted[partition])
        return halted

    async def _open_docket(self, tx: Tx, batch: Sequence[Read], inbox: Inbox, *, with_control_lane: bool) -> Docket:
        """The docket of a batch: the lanes of its accounts, and what is known of them."""
        if self._installation is None:
            self._installation = await read_installation(tx)
        lanes = {
            self._installation.control_lane
            if one.account_id is None
            else lane_of(one.account_id, self._installation.lanes)
            for one in batch
        }
        if with_control_lane:
            lanes.add(self._installation.control_lane)
        docket = await open_docket(
            tx,
            self._installation,
            lanes,
            keys=sorted({key for one in batch for key in subjects_of(one)}),
            whole=whole_accounts(batch, inbox),
            policies=self._policies,
            signed=self._signed,
            load_policy=self.load_policy,
        )
        contested = contested_accounts(docket, batch)
        for subject in await load_subjects(tx, (), contested) if contested else ():
            if subject.key not in docket.subjects:
                docket.know(subject)
        return docket


@dataclass(frozen=True, slots=True)
class _Log:
    """What the consumer knows of Kafka's log."""

    beginnings: Mapping[TopicPartition, int]
    accepted_gaps: Mapping[TopicPartition, Collection[Gap]]


def _decide_one(docket: Docket, one: Read, inbox: Inbox, anew: Collection[bytes]) -> Fate:
    if isinstance(one, Unreadable):
        return put_aside(docket, one)
    if inbox.is_new(one):
        return decide_event(docket, one)
    if inbox.hash_of(one) == one.raw_sha256 or one.raw_sha256 in anew:
        return duplicate(docket, one)
    detail = "an event of this source and id was accepted with other content; a correction needs an id of its own"
    return conflict(docket, one, reason="CONFLICTING_DUPLICATE", detail=detail)


def _journal_gaps(docket: Docket, passed: Mapping[TopicPartition, Collection[Gap]]) -> None:
    for (topic, partition), gaps in sorted(passed.items()):
        for gap in gaps:
            content = {"topic": topic, "partition": partition, "from_offset": gap.expected, "to_offset": gap.found}
            docket.write(None, "gap", content)
