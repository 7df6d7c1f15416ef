"""Replay: make every stored decision again from what was stored, compare bytes, and walk the chains."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from service.audit.bodies import decision_body, ended_body, read_header
from service.audit.canonical import canonical, digest
from service.audit.facts import decode_facts
from service.audit.journal import FORMAT, leaf_of, link_of
from service.audit.retelling import UNREADABLE, Retelling, known_hash, read_again
from service.audit.shadowing import shadow_faults
from service.decide.evaluate import ENGINE, evaluate
from service.decide.policy import Policy
from service.ledger.consistency import mismatched_rows
from service.ledger.engine import DATABASE_ERRORS, Tx
from service.ledger.history import (
    DecisionRow,
    JournalRow,
    decisions_at,
    read_evidence,
    read_lane,
    walk_evidence,
)
from service.ledger.lanes import GENESIS, Head
from service.ledger.policies import Activation, list_activations, resolved_policy
from service.ledger.subjects import ACCOUNT, Subject, walk_accounts
from service.policies.approval import signature_faults
from service.reading import Event

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be. `where` is `lane/seq` or names a row."""

    where: str
    what: str


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What a replay has looked at."""

    entries: int = 0
    decisions: int = 0
    evidence: int = 0


@dataclass(slots=True, kw_only=True)
class Replay:
    """A replay of one ledger. `since`: decisions made before are not made again, but chains are walked whole."""

    tx: Tx
    load_policy: Callable[[bytes], Policy]
    since: datetime | None
    progress: Replayed = field(default_factory=Replayed)
    _policies: dict[bytes, Policy] = field(default_factory=dict)
    _activations: Sequence[Activation] = ()
    _bodies_are_json: bool = True

    async def differences(self, heads: Mapping[int, Head]) -> AsyncIterator[Difference]:
        """Everything that differs, as it is found. `heads` are the lanes' heads, read in the same snapshot.

        Nothing found means: every body follows byte for byte from its stored facts and policy; the policy was the one
        in force when it was made; every row of `decision` says what its body says; the chains are whole; evidence has
        its hashes; who had to sign has signed; results of candidates in shadow follow again from facts.
        """
        self._activations = await list_activations(self.tx)
        for lane in sorted(heads):
            async for difference in self._lane(heads[lane]):
                yield difference
        async for difference in self._evidence():
            yield difference
        for where, what in await signature_faults(self.tx):
            yield Difference(where, what)
        async for where, what in shadow_faults(self.tx, self.load_policy, self.since):
            yield Difference(where, what)
        if self._bodies_are_json:  # Otherwise PostgreSQL cannot compare rows with bodies; differences stand already.
            async for difference in self._rows():
                yield difference

    async def _lane(self, head: Head) -> AsyncIterator[Difference]:
        link, seq = GENESIS, 0
        told = Retelling()
        while rows := await read_lane(self.tx, head.lane, after_seq=seq, limit=CHUNK):
            for row in rows:
                for what in _chain_faults(row, link, seq + 1):
                    yield Difference(f"{row.lane}/{row.seq}", what)
                link, seq = row.link, row.seq
                self.progress.entries += 1
            async for difference in self._decisions(rows, told):
                yield difference
        async for difference in self._subjects(head.lane, told):
            yield difference
        if seq != head.next_seq - 1 or link != head.link:
            yield Difference(
                f"{head.lane}/{seq}", f"the lane must end at entry {head.next_seq - 1} with the head's link"
            )

    async def _decisions(self, rows: Sequence[JournalRow], told: Retelling) -> AsyncIterator[Difference]:
        stored = await decisions_at(self.tx, [(row.lane, row.seq) for row in rows])
        bodies = {(row.lane, row.seq): _read_body(row.body) for row in rows}
        events = await self._events([body for body in bodies.values() if body])
        facts = await read_evidence(self.tx, [_hash(body, "facts_sha256") for body in bodies.values() if body])
        for row in rows:
            place = row.lane, row.seq
            body = bodies[place]
            if body is None or body.get("kind") != row.kind:
                self._bodies_are_json = self._bodies_are_json and body is not None
                yield Difference(f"{row.lane}/{row.seq}", "the body is no entry of the kind in its column")
                continue
            try:
                faults = await self._entry(row, body, stored.get(place), facts.get(_hash(body, "facts_sha256")))
                faults += told.tell(row, body, events.get(_hash(body, "raw_sha256")))
            except UNREADABLE as error:
                faults = [f"the body cannot be read ({type(error).__name__})"]
            for what in faults:
                yield Difference(f"{row.lane}/{row.seq}", what)

    async def _events(self, bodies: Sequence[Mapping[str, Any]]) -> dict[bytes, Event]:
        """The events of which entries tell, by the sha256 of their records; those that are erased are left out."""
        of = {_hash(body, "raw_sha256"): body for body in bodies if body.get("raw_sha256")}
        events: dict[bytes, Event] = {}
        for sha256, content in (await read_evidence(self.tx, list(of))).items():
            with suppress(*UNREADABLE):  # The entry's own faults are told where it is looked at.
                event = read_again(of[sha256], content)
                if event is not None and event.raw_sha256 == sha256:
                    events[sha256] = event
        return events

    async def _entry(
        self, row: JournalRow, body: Mapping[str, Any], decision: DecisionRow | None, facts: bytes | None
    ) -> list[str]:
        if row.kind == "decision":
            faults = _column_faults(decision, body, row)
            if self.since is None or datetime.fromisoformat(body["decided_at"]) >= self.since:
                self.progress.decisions += 1
                faults += await self._again(row, body, facts)
            return faults
        if decision is not None:
            return ["a row of `decision` points at an entry that is no decision"]
        if row.kind == "ended" and _ended_again(row, body) != row.body:
            return ["the body of the end does not follow from its own header"]
        return []

    async def _again(self, row: JournalRow, body: Mapping[str, Any], facts: bytes | None) -> list[str]:
        if body["format"] != FORMAT or body["engine"] != ENGINE:
            return [f"made by engine {body['engine']}, body format {body['format']}; this engine is {ENGINE}, {FORMAT}"]
        if facts is None:
            return ["the facts are not kept as evidence"]
        sha256 = bytes.fromhex(body["policy"]["sha256"])
        header = read_header(body)
        faults = [] if self._in_force(header.decided_at) == sha256 else ["decided under a policy that was not in force"]
        try:
            policy = await self._policy(sha256)
            verdict = evaluate(decode_facts(facts), policy, header.decided_at)
        except UNREADABLE as error:
            return [*faults, f"cannot be decided again ({type(error).__name__})"]
        again = decision_body(header, verdict, policy, digest(facts))
        if _with_place(again, row) != row.body:
            faults.append("deciding it again gives other bytes")
        return faults

    def _in_force(self, instant: datetime) -> bytes | None:
        index = bisect_right(self._activations, instant, key=lambda activation: activation.effective_at)
        return self._activations[index - 1].policy_sha256 if index else None

    async def _policy(self, sha256: bytes) -> Policy:
        policy = self._policies.get(sha256)
        if policy is None:
            policy = self._policies[sha256] = self.load_policy(await resolved_policy(self.tx, sha256))
        return policy

    async def _subjects(self, lane: int, told: Retelling) -> AsyncIterator[Difference]:
        """What is currently known must be what was told and decided on: the next decision builds on it."""
        async for account in walk_accounts(self.tx, lane):
            for subject, decided_on in account.subjects:
                faults = told.faults_of(subject)
                if not subject.ended and decided_on is not None and known_hash(account, subject) != decided_on:
                    faults.append("its facts are not those that its standing decision was made on")
                if subject.ended and subject.subject_id == ACCOUNT:
                    faults += await self._closed(subject, told)
                for what in faults:
                    yield Difference(f"subject {subject.account_id} {subject.subject_id}", what)

    async def _closed(self, account: Subject, told: Retelling) -> list[str]:
        sha256 = told.decided_on(account.account_id)
        facts = None if sha256 is None else (await read_evidence(self.tx, [sha256])).get(sha256)
        if sha256 is not None and facts is None:
            return []  # That they are erased is said where they were decided on.
        try:
            return told.faults_of_ended(account, facts)
        except UNREADABLE as error:
            return [f"its facts cannot be read ({type(error).__name__})"]

    async def _rows(self) -> AsyncIterator[Difference]:
        try:
            for where, what in await mismatched_rows(self.tx):
                yield Difference(where, what)
        except DATABASE_ERRORS as error:
            yield Difference("rows", f"they cannot be compared with their entries ({type(error).__name__})")

    async def _evidence(self) -> AsyncIterator[Difference]:
        async for sha256, content in walk_evidence(self.tx):
            self.progress.evidence += 1
            if digest(content) != sha256:
                yield Difference(f"evidence {sha256.hex()}", "the content has another sha256")


def _chain_faults(row: JournalRow, previous: bytes, expected_seq: int) -> list[str]:
    faults = []
    if row.seq != expected_seq:
        faults.append(f"entry {expected_seq} is missing")
    if row.leaf != leaf_of(row.body):
        faults.append("the leaf is not the hash of the body")
    if row.link != link_of(previous, row.leaf):
        faults.append("the link does not follow from the entry before")
    return faults


def _column_faults(decision: DecisionRow | None, body: Mapping[str, Any], row: JournalRow) -> list[str]:
    if decision is None:
        return ["the decision has no row in `decision`"]
    expected = columns_of(body, row)
    return [
        f"column {name} of `decision` does not say what the body says"
        for name in DecisionRow._fields
        if getattr(decision, name) != getattr(expected, name)
    ]


def columns_of(body: Mapping[str, Any], row: JournalRow) -> DecisionRow:
    """The row of `decision` that a decision's body gives."""
    header = read_header(body)
    return DecisionRow(
        decision_id=UUID(body["decision_id"]),
        account_id=header.account_id,
        subject_id=header.subject_id,
        epoch=header.epoch,
        revision=header.revision,
        outcome=body["outcome"],
        access=body["access"],
        cause_kind=header.cause.kind,
        cause_id=header.cause.id,
        policy_sha256=_hash(body["policy"], "sha256"),
        rules=tuple(dict.fromkeys(reason["rule"] for reason in body["reasons"])),
        supersedes=header.supersedes,
        raw_sha256=header.raw_sha256,
        facts_sha256=_hash(body, "facts_sha256"),
        decided_at=header.decided_at,
        valid_until=None if body["valid_until"] is None else datetime.fromisoformat(body["valid_until"]),
        lane=row.lane,
        seq=row.seq,
    )


def _ended_again(row: JournalRow, body: Mapping[str, Any]) -> bytes:
    return _with_place(ended_body(read_header(body)), row)


def _with_place(body: Mapping[str, object], row: JournalRow) -> bytes:
    return canonical({**body, "format": FORMAT, "kind": row.kind, "lane": row.lane, "seq": row.seq})


def _read_body(body: bytes) -> dict[str, Any] | None:
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return read if isinstance(read, dict) else None


def _hash(body: Mapping[str, Any], name: str) -> bytes:
    value = body.get(name)
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
