"""The story: one polled batch becomes one transaction. Read it from `Pipeline.decide` downwards."""

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.audit.journal import Scribe
from service.decide.policy import Policy
from service.deciding import Fate, conflict, decide_event, duplicate, put_aside
from service.docket import Docket
from service.ledger.engine import Tx, is_temporary
from service.ledger.history import append_decisions, append_journal, keep_evidence, known_records
from service.ledger.inbox import EventKey, accept, accepted_hashes
from service.ledger.lanes import Installation, advance_lanes, lane_of, lock_lanes, read_installation
from service.ledger.policies import read_pin, resolved_policy
from service.ledger.positions import Position, TopicPartition, advance, claim, halt, list_positions
from service.ledger.quarantine import append_quarantine, open_bugs, open_counts
from service.ledger.subjects import ACCOUNT, SubjectKey, load_subjects, save_subjects
from service.reading import Event, Record, Unreadable, read

log = structlog.get_logger(__name__)

Read = Event | Unreadable
PolicyLoader = Callable[[bytes], Policy]


class TemporarilyUnavailable(Exception):  # noqa: N818 -- it tells the caller what to do: try the same batch again
    """The database could not take the batch now. Nothing was written; the same batch may be tried again."""


class NoPolicyInForce(Exception):  # noqa: N818 -- as above: wait, consume nothing
    """No policy has been activated, so nothing can be decided. Never go on without one."""


class MustStop(Exception):  # noqa: N818 -- as above: the process must end
    """Something is wrong with us: the pinned policy cannot be loaded, or too many records meet a bug."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a partition: `expected` is the offset we had to see next, `found` the one that came."""

    expected: int
    found: int


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of a batch.

    `next_offsets` are done; `gaps` are to be sought back to; `halted` partitions need a person.
    """

    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    gaps: dict[TopicPartition, Gap] = field(default_factory=dict)
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
    _policies: dict[bytes, Policy] = field(default_factory=dict)
    _installation: Installation | None = None

    async def decide(
        self,
        records: Sequence[Record],
        *,
        beginnings: Mapping[TopicPartition, int],
        accepted_gaps: Mapping[TopicPartition, Gap],
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

    async def halt(self, partition: TopicPartition, reason: str) -> None:
        """Stop a partition until a person lifts it."""
        async with self.engine.begin() as tx:
            await halt(tx, self.cluster, partition, reason)

    async def ready(self) -> str | None:
        """None when the database answers and a policy is in force, else what is missing, in one line."""
        try:
            async with self.engine.connect() as tx:
                pin = await read_pin(tx, None)
        except (SQLAlchemyError, OSError) as error:
            return f"the database does not answer ({type(error).__name__}); check EXPORTGATE_DATABASE_URL"
        if pin.policy_sha256 is None:
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
                raise TemporarilyUnavailable(_one_line(error)) from error
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
            raise MustStop(f"a record can be neither decided nor quarantined: {_one_line(error)}") from error
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
        async with self.engine.connect() as tx:
            met = await open_bugs(tx)
        if met >= self.bug_limit:
            raise MustStop(
                f"{met} records met a bug and are still open; look at `exportgate quarantine list`"
            ) from error
        return await self._decide([aside], kafka)

    async def _in_one_transaction(self, batch: Sequence[Read], kafka: "_Log") -> Report:
        async with self.engine.begin() as tx:
            report = Report()
            partitions = {_partition(one.record): kafka.beginnings[_partition(one.record)] for one in batch}
            positions = await claim(tx, self.cluster, partitions)
            fresh = _sift(batch, positions, kafka.accepted_gaps, report)
            await self._recognise(tx, batch, positions, report)
            fresh = [one for one in fresh if _partition(one.record) not in report.halted]
            if not fresh:
                return report
            first_copies = _first_copies(fresh)
            accepted, known = await accept(tx, {key: event.raw_sha256 for key, event in first_copies.items()})
            inbox = _Inbox(first_copies, accepted, known)
            gaps = {partition: gap for partition, gap in kafka.accepted_gaps.items() if partition in partitions}
            docket = await self._open_docket(tx, fresh, accepted, with_control_lane=bool(gaps))
            report.policy_sha256 = docket.policy.sha256
            _journal_gaps(docket, gaps, positions)
            for one in fresh:
                fate = _decide_one(docket, self.cluster, one, inbox)
                report.fates[fate.value] += 1
            report.outcomes.update(row.outcome for row in docket.decisions)
            await write(tx, docket)
            report.next_offsets = {_partition(one.record): one.record.offset + 1 for one in fresh}
            await advance(tx, self.cluster, report.next_offsets)
        return report

    async def _recognise(
        self, tx: Tx, batch: Sequence[Read], positions: Mapping[TopicPartition, Position], report: Report
    ) -> None:
        """Records below the position were done before; one that we do not know means the topic was made anew."""
        old = [one for one in batch if one.record.offset < positions[_partition(one.record)].next_offset]
        if not old:
            return
        known = await known_records(tx, [one.raw_sha256 for one in old])
        erased = [one for one in old if isinstance(one, Event) and one.raw_sha256 not in known]
        known.update((await accepted_hashes(tx, [(one.source, one.id) for one in erased])).values())
        for one in old:
            partition = _partition(one.record)
            if one.raw_sha256 not in known and partition not in report.halted:
                reason = f"TOPIC_CHANGED: offset {one.record.offset} was done before, but with other bytes"
                await halt(tx, self.cluster, partition, reason)
                report.halted[partition] = reason

    async def _open_docket(
        self, tx: Tx, batch: Sequence[Read], accepted: set[EventKey], *, with_control_lane: bool
    ) -> Docket:
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
            keys=sorted({key for one in batch for key in _keys(one)}),
            whole=sorted({one.account_id for one in batch if one.account_id and _touches_account(one, accepted)}),
            policies=self._policies,
            load_policy=self.load_policy,
        )
        contested = _contested_accounts(docket, batch)
        for subject in await load_subjects(tx, (), contested) if contested else ():
            if subject.key not in docket.subjects:
                docket.know(subject)
        return docket


@dataclass(frozen=True, slots=True)
class _Log:
    """What the consumer knows of Kafka's log."""

    beginnings: Mapping[TopicPartition, int]
    accepted_gaps: Mapping[TopicPartition, Gap]


async def open_docket(
    tx: Tx,
    installation: Installation,
    lanes: Iterable[int],
    *,
    keys: Sequence[SubjectKey],
    whole: Sequence[str],
    policies: dict[bytes, Policy],
    load_policy: PolicyLoader,
) -> Docket:
    """Everything that decides under these lanes starts here, whether an event, a redrive or a re-evaluation asks.

    Whatever a decision reads is written under its account's lane or changed by "commit, then walk every lane": so the
    pin is read after the lanes are held, in a statement of its own.
    """
    heads = await lock_lanes(tx, lanes)
    pin = await read_pin(tx, max(head.last_at for head in heads.values()))
    if pin.policy_sha256 is None:
        raise NoPolicyInForce
    for head in heads.values():
        head.last_at = pin.now
    policy = policies.get(pin.policy_sha256)
    if policy is None:
        policy = policies[pin.policy_sha256] = await _load(tx, pin.policy_sha256, load_policy)
    accounts = {account for account, _ in keys}
    unread = await open_counts(tx, accounts)
    docket = Docket(installation=installation, now=pin.now, policy=policy, scribe=Scribe(heads), unread=unread)
    for subject in await load_subjects(tx, keys, whole):
        docket.know(subject)
    return docket


async def write(tx: Tx, docket: Docket) -> None:
    """Write what a docket has decided, one statement a table, and move its lanes on."""
    await keep_evidence(tx, docket.evidence)
    await append_journal(tx, docket.scribe.rows)
    await append_decisions(tx, docket.decisions)
    await append_quarantine(tx, docket.quarantined)
    await save_subjects(tx, [docket.subjects[key] for key in docket.changed])
    await advance_lanes(tx, docket.scribe.heads.values())


async def _load(tx: Tx, sha256_: bytes, load_policy: PolicyLoader) -> Policy:
    try:
        policy = load_policy(await resolved_policy(tx, sha256_))
    except (LookupError, ValueError) as error:
        raise MustStop(f"the policy in force, {sha256_.hex()}, cannot be loaded: {error}") from error
    if policy.sha256 != sha256_.hex():
        raise MustStop(f"the policy in force, {sha256_.hex()}, is stored with other bytes, {policy.sha256}")
    return policy


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _partition(record: Record) -> TopicPartition:
    return record.topic, record.partition


def _sift(
    batch: Sequence[Read],
    positions: Mapping[TopicPartition, Position],
    accepted: Mapping[TopicPartition, Gap],
    report: Report,
) -> list[Read]:
    """The records that come next, without holes; what lies behind a hole waits for a refetch."""
    expected = {partition: position.next_offset for partition, position in positions.items()}
    report.halted.update(
        {partition: str(one.halt_reason) for partition, one in positions.items() if one.halted_at is not None}
    )
    fresh = []
    for one in batch:
        partition, offset = _partition(one.record), one.record.offset
        if partition in report.halted or partition in report.gaps or offset < expected[partition]:
            continue
        gap = Gap(expected[partition], offset)
        if offset > gap.expected and accepted.get(partition) != gap:
            report.gaps[partition] = gap
            continue
        expected[partition] = offset + 1
        fresh.append(one)
    return fresh


@dataclass(frozen=True, slots=True)
class _Inbox:
    """The first copy of each id in this batch, the ids that are new, and the hashes by which others are known."""

    first_copies: Mapping[EventKey, Event]
    accepted: set[EventKey]
    known: Mapping[EventKey, bytes]


def _first_copies(fresh: Sequence[Read]) -> dict[EventKey, Event]:
    """Of several copies in one batch the first in arrival order counts."""
    first: dict[EventKey, Event] = {}
    for one in fresh:
        if isinstance(one, Event):
            first.setdefault((one.source, one.id), one)
    return first


def _decide_one(docket: Docket, cluster: str, one: Read, inbox: _Inbox) -> Fate:
    if isinstance(one, Unreadable):
        return put_aside(docket, cluster, one)
    key = one.source, one.id
    first = inbox.first_copies[key]
    is_new = key in inbox.accepted
    if is_new and one is first:
        return decide_event(docket, cluster, one)
    if one.raw_sha256 == (first.raw_sha256 if is_new else inbox.known[key]):
        return duplicate(docket, one)
    detail = "an event of this source and id was accepted with other bytes; a correction needs an id of its own"
    return conflict(docket, cluster, one, reason="CONFLICTING_DUPLICATE", detail=detail)


def _journal_gaps(
    docket: Docket, accepted: Mapping[TopicPartition, Gap], positions: Mapping[TopicPartition, Position]
) -> None:
    for (topic, partition), gap in sorted(accepted.items()):
        if positions[topic, partition].next_offset <= gap.expected:
            content = {"topic": topic, "partition": partition, "from_offset": gap.expected, "to_offset": gap.found}
            docket.write(None, "gap", content)


def _touches_account(one: Read, accepted: set[EventKey]) -> bool:
    """Whether deciding it decides the users and contracts of its account too."""
    if isinstance(one, Unreadable):
        return True
    return one.type.startswith("account.") or (one.source, one.id) not in accepted


def _contested_accounts(docket: Docket, batch: Sequence[Read]) -> list[str]:
    """Accounts with an event that is not newer than what is known.

    If it turns out a conflict, the whole account is held.
    """
    newest = {key: subject.version for key, subject in docket.subjects.items()}
    contested = set()
    for one in batch:
        version = getattr(one.data, "version", None) if isinstance(one, Event) else None
        if version is None or one.account_id is None:
            continue
        key = _keys(one)[-1]
        if version <= newest.get(key, 0):
            contested.add(one.account_id)
        newest[key] = max(version, newest.get(key, 0))
    return sorted(contested)


def _keys(one: Read) -> list[SubjectKey]:
    """The subjects a record needs: its account, and behind it the user or contract it is about."""
    if one.account_id is None:
        return []
    keys = [(one.account_id, ACCOUNT)]
    if isinstance(one, Event):
        user_id, contract_id = getattr(one.data, "user_id", None), getattr(one.data, "contract_id", None)
        if user_id is not None:
            keys.append((one.account_id, f"user:{user_id}"))
        if contract_id is not None:
            keys.append((one.account_id, f"contract:{contract_id}"))
    return keys
