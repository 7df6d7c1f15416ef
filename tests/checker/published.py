"""Laws about what went out: the topics say what the journal says, all of it and nothing else."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from tests.checker.fates import SUBJECT_KINDS
from tests.checker.seen import DECISIONS, POLICIES, QUARANTINE, STATUS, Entry, Record, Seen, Violation, place_text

_TOPICS = {
    "decision": DECISIONS,
    "ended": DECISIONS,
    "quarantined": QUARANTINE,
    "policy_activated": POLICIES,
    "policy_cancelled": POLICIES,
}
_IDS = {
    "decision": "decision_id",
    "ended": "decision_id",
    "quarantined": "quarantine_id",
    "policy_activated": "activation_id",
    "policy_cancelled": "cancellation_id",
}
_TYPES = {
    "approve": "license.approved.v1",
    "hold": "license.held.v1",
    "deny": "license.denied.v1",
    "ended": "license.ended.v1",
    "quarantined": "license.quarantined.v1",
    "policy_activated": "policy.activated.v1",
    "policy_cancelled": "policy.cancelled.v1",
}
_STATUS_FIELDS = (
    "account_id",
    "subject_kind",
    "subject_id",
    "decision_id",
    "epoch",
    "revision",
    "outcome",
    "access",
    "items",
    "conditions",
    "policy",
    "decided_at",
    "valid_until",
)
_DATA = b',"data":'


def topics_hold_what_was_written(seen: Seen) -> Iterator[Violation]:
    """Without copies of the same id, the topics hold every entry that is to be published once, and nothing more."""
    written = {(_TOPICS[one.kind], _id_of(one)): one for one in seen.of_kind(*_TOPICS)}
    contents: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for topic in (DECISIONS, QUARANTINE, POLICIES):
        for record in seen.records[topic]:
            envelope, data = _open(record)
            key = topic, str(envelope.get("id"))
            contents[key].add(data)
            entry = written.get(key)
            if entry is None:
                yield Violation("output", place_text(record.place), f"nothing of id {key[1]} was written")
                continue
            for what in _faults_of_message(record, envelope, data, entry):
                yield Violation("published", place_text(record.place), f"{entry.where}: {what}")
    for (topic, identifier), datas in contents.items():
        if len(datas) > 1:
            yield Violation("output", f"{topic} {identifier}", f"the same id was published with {len(datas)} contents")
    for (topic, identifier), entry in written.items():
        if (topic, identifier) not in contents and not _may_be_missing(seen, topic, entry):
            yield Violation("output", entry.where, f"{identifier} is not on {topic}")


def topics_keep_the_order_of_lanes(seen: Seen) -> Iterator[Violation]:
    """On a partition the entries of a lane come in order; copies may follow. What was refused and retried is late."""
    for topic in (DECISIONS, QUARANTINE, POLICIES):
        last: dict[tuple[int, int], int] = defaultdict(int)
        known: set[str] = set()
        for record in seen.records[topic]:
            envelope, _ = _open(record)
            if str(envelope.get("id")) in known or not isinstance(envelope.get("seq"), int):
                continue
            known.add(str(envelope.get("id")))
            of, seq = (record.partition, envelope["lane"]), envelope["seq"]
            if seq < last[of]:
                what = f"entry {of[1]}/{seq} comes for the first time after {of[1]}/{last[of]}"
                yield Violation("output", place_text(record.place), what)
            last[of] = max(last[of], seq)


def decisions_are_those_of_the_journal(seen: Seen) -> Iterator[Violation]:
    """The rows of `decision` and of `quarantine` are the entries of the journal: none missing, none more."""
    for kind, rows, name in (
        ("decision", seen.decisions, "decision_id"),
        ("quarantined", seen.quarantine, "quarantine_id"),
        ("quarantine_resolved", seen.resolutions, "quarantine_id"),
    ):
        written = {(str(one.said.get(name)), one.lane, one.seq) for one in seen.of_kind(kind)}
        stored = {(str(row[name]), row["lane"], row["seq"]) for row in rows}
        for identifier, lane, seq in sorted(written ^ stored):
            what = "has no row" if (identifier, lane, seq) in written else "is a row without its entry"
            yield Violation("output", f"entry {lane}/{seq}", f"{kind} {identifier} {what}")


def _id_of(entry: Entry) -> str:
    return str(entry.said[_IDS[entry.kind]])


def _open(record: Record) -> tuple[Mapping[str, Any], bytes]:
    """The attributes of an event and its data, byte for byte: it is last, and a quote within a text is escaped."""
    head, _, tail = (record.value or b"{}").partition(_DATA)
    try:
        envelope = json.loads(head + b"}" if tail else head)
    except ValueError:
        return {}, b""
    return envelope if isinstance(envelope, dict) else {}, tail[:-1]


def _faults_of_message(record: Record, envelope: Mapping[str, Any], data: bytes, entry: Entry) -> Iterator[str]:
    if data != entry.body:
        yield "its data is not the entry's body"
    key = entry.said["policy"]["name"] if entry.kind.startswith("policy_") else entry.said["account_id"]
    if record.key != (None if key is None else key.encode()):
        yield "its key is another"
    expected = {
        "specversion": "1.0",
        "type": _TYPES[entry.said["outcome"] if entry.kind == "decision" else entry.kind],
        "time": entry.at,
        "lane": entry.lane,
        "seq": entry.seq,
        "leaf": sha256(b"\x00" + data).hexdigest(),
    }
    for name, value in expected.items():
        if envelope.get(name) != value:
            yield f"its attribute {name} is {envelope.get(name)!r} instead of {value!r}"


def _may_be_missing(seen: Seen, topic: str, entry: Entry) -> bool:
    """Where the brokers refused it, which is noted, or may have removed it, since the log begins behind 0."""
    is_cut = any(begin > 0 for (name, _), begin in seen.begins.items() if name == topic)
    return is_cut or f"{topic}:" in seen.refused.get((entry.lane, entry.seq), "")


def statuses_are_where_subjects_stand(seen: Seen) -> Iterator[Violation]:
    """The last status of each key is the subject's latest decision, a tombstone or nothing when it has ended."""
    latest: dict[tuple[str, str, str], Entry] = {}
    for entry in seen.of_kind(*SUBJECT_KINDS):
        said = entry.said
        subject = said["account_id"], said["subject_kind"], said["subject_id"]
        if subject not in latest or _rank(entry) > _rank(latest[subject]):
            latest[subject] = entry
    yield from _faults_of_rows(seen, latest)
    last = {record.key or b"": record for record in seen.records[STATUS]}
    for subject, entry in latest.items():
        key = "/".join((_escaped(subject[0]), subject[1], _escaped(subject[2])))
        record = last.pop(key.encode(), None)
        what = _fault_of_status(seen, entry, record)
        if what is not None:
            yield Violation("status", key, what)
    for unknown, record in last.items():
        what = f"nothing was decided about {unknown.decode(errors='replace')}"
        yield Violation("status", place_text(record.place), what)


def _rank(entry: Entry) -> tuple[int, int]:
    return entry.said["epoch"], entry.said["revision"]


def _escaped(identifier: str) -> str:
    return identifier.replace("%", "%25").replace("/", "%2F")


def _faults_of_rows(seen: Seen, latest: Mapping[tuple[str, str, str], Entry]) -> Iterator[Violation]:
    unseen = dict(latest)
    for row in seen.subjects:
        kind, _, own = row["subject_id"].partition(":")
        where = f"subject {row['account_id']} {row['subject_id']}"
        entry = unseen.pop((row["account_id"], kind, own or row["account_id"]), None)
        if entry is None:
            if row["revision"]:
                yield Violation("status", where, "its row knows a decision, but the journal none")
            continue
        has_ended = entry.kind == "ended"
        standing = (entry.said["revision"], None if has_ended else entry.said["decision_id"], entry.said.get("outcome"))
        known = (row["revision"], None if row["decision_id"] is None else str(row["decision_id"]), row["outcome"])
        if known != standing or row["ended"] != has_ended:
            yield Violation("status", where, f"its row does not say what {entry.where} says, the last about it")
    for subject, entry in unseen.items():
        yield Violation("status", f"subject {' '.join(subject)}", f"it has no row, but {entry.where} is about it")


def _fault_of_status(seen: Seen, entry: Entry, record: Record | None) -> str | None:
    is_withdrawn = f"{STATUS}:" in seen.refused.get((entry.lane, entry.seq), "")
    if entry.kind == "ended" or is_withdrawn:
        return None if record is None or record.value is None else "its last status stands, but it has none any more"
    if record is None:
        return f"it has no status, but {entry.where} decided"
    if record.value is None:
        return f"its last status is a tombstone, but {entry.where} stands"
    envelope, data = _open(record)
    status = json.loads(data)
    if status != {name: entry.said[name] for name in _STATUS_FIELDS}:
        return f"its last status is of revision {status.get('revision')} and not what {entry.where} decided"
    if envelope.get("id") != entry.said["decision_id"]:
        return f"its last status has another id than {entry.where}"
    return None
