"""Damaged events among good ones: whatever arrives, nothing breaks, and nothing is decided that nobody said."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from schemas.topics import topic_of
from service.reading import Record
from tests.events import signed_up, to_bytes
from tests.ledger import Ledger
from tests.mutations import BASES, Plan, Sent, meant, mutate, plans
from tests.statements import Json, faults, fits_its_schema, read_plainly
from tests.stream import Stream, eventually, get, service

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""

BATCHES, IN_A_BATCH, THROUGH_A_BROKER = 80, 25, 120
_NUMBERS = count()
_ONE_FATE = {"decision", "duplicate", "stale", "quarantined", "ended", "reviewed", "enforced", "flagged"}


@dataclass(slots=True)
class Told:
    """What the journal says of one record: its entries, and the facts of its decisions without the account's id."""

    entries: list[Json] = field(default_factory=list)
    facts: list[Json] = field(default_factory=list)

    @property
    def kind(self) -> str:
        kinds = {entry["kind"] for entry in self.entries}
        assert len(kinds) == 1, kinds
        assert kinds <= _ONE_FATE
        return str(next(iter(kinds)))

    @property
    def outcome(self) -> list[Any]:
        """What does not depend on ids and times."""
        reasons = [[reason["rule"] for reason in entry.get("reasons", ())] for entry in self.entries]
        decided = [(entry.get("subject_kind"), entry.get("outcome"), entry.get("items")) for entry in self.entries]
        return [self.kind, decided, reasons, self.facts]


class Since:
    """The journal's entries from a moment on, by the record they tell of."""

    def __init__(self, ledger: Ledger, marks: Sequence[tuple[int, int]]) -> None:
        self._ledger, self._marks = ledger, marks

    @classmethod
    async def now(cls, ledger: Ledger) -> Since:
        rows = await ledger.rows("SELECT lane, next_seq FROM ledger.lane")
        return cls(ledger, [(row.lane, row.next_seq) for row in rows])

    async def told(self) -> dict[Place, Told]:
        query = """
            SELECT convert_from(j.body, 'UTF8') AS body, convert_from(e.content, 'UTF8') AS facts
            FROM unnest(CAST(:lanes AS smallint[]), CAST(:seqs AS bigint[])) AS mark (lane, seq)
            JOIN ledger.journal AS j ON j.lane = mark.lane AND j.seq >= mark.seq
            LEFT JOIN ledger.decision AS d ON d.lane = j.lane AND d.seq = j.seq
            LEFT JOIN ledger.evidence AS e ON e.sha256 = d.facts_sha256
            ORDER BY j.lane, j.seq
        """
        lanes, seqs = ([mark[n] for mark in self._marks] for n in (0, 1))
        found: defaultdict[Place, Told] = defaultdict(Told)
        for row in await self._ledger.rows(query, lanes=lanes, seqs=seqs):
            body = json.loads(row.body)
            origin = body.get("origin")
            if origin is not None:
                told = found[origin["topic"], origin["partition"], origin["offset"]]
                told.entries.append(body)
                if row.facts is not None:
                    told.facts.append(_flat(json.loads(row.facts)))
        return dict(found)


def _flat(facts: Json) -> Json:
    values = {name: value for name, value in facts["values"].items() if name != "account.id"}
    return values | {"items": facts["items"], "assurance": facts["assurance"]}


def check(sent: Sent, told: Told, untouched: Told) -> None:
    """The laws of one record; a failure names what befell it."""
    try:
        _check(sent, told, untouched)
    except AssertionError as error:
        error.add_note(f"{sent.plan}: key {sent.key!r}, value {sent.value!r}")
        raise


def _check(sent: Sent, told: Told, untouched: Told) -> None:
    if told.kind == "quarantined":
        _check_put_aside(sent, told.entries[0])
        return
    said = read_plainly(sent.value)
    assert said is not None, f"{told.kind}, though a plain reader takes it for damaged"
    assert fits_its_schema(said), f"{told.kind}, though it does not fit the published schema"
    account_id = said["data"]["account_id"]
    assert sent.key in (None, account_id.encode())
    if sent.harmless:
        assert told.outcome == untouched.outcome
    for entry, facts in zip(told.entries, told.facts, strict=True) if told.facts else ():
        if account_id != sent.account_id and not said["type"].startswith("account."):
            # The account it names now has never signed up.
            assert entry["outcome"] == "hold"
            continue
        if untouched.facts:
            is_update = said["type"] == "account.updated.v1"
            before = _signup(account_id)["data"] if is_update and account_id == sent.account_id else {}
            assert faults(sent.meant, said, untouched.facts[0], facts, before) == []


def _check_put_aside(sent: Sent, entry: Json) -> None:
    assert entry["reason"] != "BUG", entry["detail"]
    assert not sent.harmless, entry["detail"]
    own = sent.account_id
    if sent.key != own.encode():
        # Nobody is held whom neither the payload nor the key names; where they disagree, nobody at all.
        assert entry["account_id"] in (None, _account_in(sent.value), _text_of(sent.key))
        assert entry["account_id"] is None or sent.key in (None, entry["account_id"].encode())
    elif entry["account_id"] is None:
        assert entry["reason"] == "KEY_MISMATCH"
        assert _account_in(sent.value) not in (None, own)
    else:
        assert entry["account_id"] == own


def _account_in(value: bytes | None) -> str | None:
    """The account that the payload names, a name twice or not."""
    try:
        data = json.loads(value or b"")["data"]["account_id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return data if isinstance(data, str) else None


def _text_of(key: bytes | None) -> str | None:
    return None if key is None else key.decode(errors="replace")


def before(base: str, account_id: str) -> list[Json]:
    """What came before the event of a base: its account has signed up, unless it is the signup itself."""
    return [] if BASES[base][0] == "account.signed_up.v1" else [_signup(account_id)]


def _signup(account_id: str) -> Json:
    return signed_up(account_id=account_id) | {"id": f"before-{account_id}"}


class Log:
    """Partitions of one example, so that its records begin at offset 0."""

    def __init__(self) -> None:
        self._partition = next(_NUMBERS)
        self._offsets: Counter[str] = Counter()

    def next(self, topic: str, key: bytes | None, value: bytes | None) -> Record:
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        where = {"topic": topic, "partition": self._partition, "offset": offset}
        return Record(**where, key=key, value=value, timestamp_ms=None)  # type: ignore[arg-type]

    def good(self, one: Json) -> Record:
        topic = topic_of(one["type"])
        assert topic is not None
        return self.next(topic.name, one["data"]["account_id"].encode(), to_bytes(one))


def place_of(record: Record) -> Place:
    return record.topic, record.partition, record.offset


async def decide(ledger: Ledger, records: Sequence[Record]) -> None:
    """Decide a batch; every record has one fate."""
    report = await ledger.decide_records(records)
    assert report.fates.total() == len(records)
    assert not report.halted
    assert not report.gaps


async def decided_alone(ledger: Ledger) -> dict[str, Told]:
    """Base -> what becomes of its event when nothing is wrong and nobody else is there."""
    alone = {}
    for number, base in enumerate(BASES):
        log, account_id = Log(), f"alone-{number:06}"
        for one in before(base, account_id):
            await decide(ledger, [log.good(one)])
        since = await Since.now(ledger)
        record = log.good(meant(base, account_id))
        await decide(ledger, [record])
        alone[base] = (await since.told())[place_of(record)]
        assert alone[base].kind != "quarantined"
    return alone


async def no_approval_on_doubt(ledger: Ledger) -> None:
    """An account with an open record has no standing approval, nor has any of its users and contracts."""
    query = """
        SELECT s.account_id FROM ledger.subject AS s JOIN ledger.quarantine AS q USING (account_id)
        WHERE s.outcome = 'approve' AND NOT s.ended
    """
    assert await ledger.rows(query) == []
    assert await ledger.rows("SELECT detail FROM ledger.quarantine WHERE reason = 'BUG'") == []


def drawn(count: int) -> list[Plan]:
    """So many plans, the same in every run."""
    found: list[Plan] = []

    @settings(max_examples=count, database=None, derandomize=True, phases=[Phase.generate], deadline=None)
    @given(plans())
    def collect(plan: Plan) -> None:
        found.append(plan)

    collect()
    return found


@dataclass(frozen=True, slots=True)
class Crowd:
    """Damaged events, each with a good neighbour: (base, account id)."""

    damaged: list[Sent]
    neighbours: list[tuple[str, str]]

    @classmethod
    def of(cls, several: Sequence[Plan]) -> Crowd:
        number, bases = next(_NUMBERS), [*BASES]
        damaged = [mutate(plan, f"m-{number:04}-{place:04}") for place, plan in enumerate(several)]
        return cls(damaged, [(bases[n % len(bases)], f"n-{number:04}-{n:04}") for n in range(len(damaged))])

    def earlier(self) -> list[Json]:
        known = [*((sent.plan.base, sent.account_id) for sent in self.damaged), *self.neighbours]
        return [one for base, account_id in known for one in before(base, account_id)]

    def records(self, log: Log) -> list[Record]:
        """Each damaged one, and behind it its neighbour."""
        return [
            record
            for sent, neighbour in zip(self.damaged, self.neighbours, strict=True)
            for record in (log.next(sent.topic, sent.key, sent.value), log.good(meant(*neighbour)))
        ]

    def check(self, places: Sequence[Place], told: Mapping[Place, Told], alone: Mapping[str, Told]) -> Counter[str]:
        """The laws of all, whose records lie at these places; what became of the damaged ones."""
        pairs = zip(self.damaged, places[::2], self.neighbours, places[1::2], strict=True)
        for sent, mine, (base, _), good in pairs:
            check(sent, told[mine], alone[sent.plan.base])
            assert told[good].outcome == alone[base].outcome, f"the neighbour of {sent.plan}"
        return Counter(told[place].kind for place in places[::2])


async def test_damage_never_changes_what_is_decided_nor_touches_its_neighbours(ledger: Ledger) -> None:
    alone = await decided_alone(ledger)
    several = drawn(BATCHES * IN_A_BATCH)
    fates: Counter[str] = Counter()
    for first in range(0, len(several), IN_A_BATCH):
        crowd, log = Crowd.of(several[first : first + IN_A_BATCH]), Log()
        await decide(ledger, [log.good(one) for one in crowd.earlier()])
        since, records = await Since.now(ledger), crowd.records(log)
        await decide(ledger, records)
        fates += crowd.check([place_of(record) for record in records], await since.told(), alone)
    await no_approval_on_doubt(ledger)
    assert await ledger.replay() == []
    # Neither is everything refused, nor everything let through.
    assert fates.total() == BATCHES * IN_A_BATCH
    assert min(fates["quarantined"], fates["decision"]) > fates.total() // 5, fates


@pytest.mark.embedded
async def test_damage_that_a_broker_delivers_stops_nothing(stream: Stream, ledger: Ledger) -> None:
    alone = await decided_alone(ledger)
    crowd = Crowd.of(drawn(THROUGH_A_BROKER))
    async with service(stream.settings(ledger)) as (running, _):
        earlier = await stream.send(*crowd.earlier())
        await eventually(lambda: stream.done(ledger, earlier), "the accounts are known")
        since = await Since.now(ledger)
        sent = await stream.send(*crowd.records(Log()))
        last = await stream.send(_signup("last"))
        await eventually(lambda: stream.done(ledger, sent + last), "all records are done")

        async def all_counted() -> bool:
            _, metrics = await get(running.http_port, "/metrics")
            fates = [line for line in metrics.splitlines() if line.startswith("exportgate_events_total{")]
            return sum(float(line.rpartition(" ")[2]) for line in fates) == len(earlier) + len(sent) + len(last)

        await eventually(all_counted, "each record is counted once")
    crowd.check(sent, await since.told(), alone)
    assert [one[2] for one in await ledger.decisions("last")] == ["approve"]
    await no_approval_on_doubt(ledger)
    assert await ledger.replay() == []
