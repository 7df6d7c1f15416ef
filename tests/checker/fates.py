"""Laws about what came in: every record has one fate, every id is accepted once, positions say how far that is."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.checker.seen import INPUTS, Entry, Partition, Place, Record, Seen, Violation, place_text

SUBJECT_KINDS = ("decision", "ended")
_ACCEPTED_BY_NOTE = ("flagged", "reviewed", "enforced", "stale")


@dataclass(frozen=True, slots=True)
class Story:
    """What the journal tells of records, of the log that each partition is now.

    `passed` are the ranges (from, to) that hold no records by a gap, `given_up` those that a person gave up. A topic
    that was made anew begins a new log: what was told before `anew` was told of the old one. `redriven` has, by place
    and instant, what a person had read again, and when it had been put aside; `again` counts that of the new log.
    """

    told: dict[Place, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    passed: dict[Partition, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    given_up: dict[Partition, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    anew: dict[Partition, str] = field(default_factory=dict)
    redriven: dict[tuple[Place, str], str] = field(default_factory=dict)
    again: Counter[Place] = field(default_factory=Counter)

    def is_redriven(self, entry: Entry) -> bool:
        """Whether a person had the record of this entry read again, which then told it."""
        return entry.place is not None and (entry.place, entry.at) in self.redriven

    def is_of_the_old_log(self, entry: Entry) -> bool:
        """Whether the topic was made anew since."""
        if entry.place is None:
            return False
        return self.redriven.get((entry.place, entry.at), entry.at) <= self.anew.get(entry.place[:2], "")


def story_of(seen: Seen) -> Story:
    """Read the journal once."""
    story = Story()
    for entry in seen.of_kind("halt_lifted"):
        said = entry.said
        partition = said["topic"], said["partition"]
        is_lost = str(said["halt_reason"]).startswith("RECORDS_LOST")
        story.given_up[partition].append((said["from_offset"] if is_lost else 0, said["to_offset"]))
        if not is_lost:
            story.anew[partition] = max(entry.at, story.anew.get(partition, ""))
    asides = {entry.said["quarantine_id"]: entry for entry in seen.of_kind("quarantined")}
    for entry in seen.of_kind("quarantine_resolved"):
        aside = asides.get(entry.said["quarantine_id"])
        if aside is not None and aside.place is not None and entry.said["resolution"] == "redriven":
            story.redriven[aside.place, entry.at] = aside.at
            story.again[aside.place] += not story.is_of_the_old_log(aside)
    for entry in seen.of_kind("gap"):
        partition = entry.said["topic"], entry.said["partition"]
        if entry.at > story.anew.get(partition, ""):
            story.passed[partition].append((entry.said["from_offset"], entry.said["to_offset"]))
    for entry in seen.entries:
        if entry.place is not None and not story.is_of_the_old_log(entry):
            story.told[entry.place].append(entry)
    return story


def every_record_has_one_fate(seen: Seen) -> Iterator[Violation]:
    """Every input record is told of exactly once, with its own bytes; unless it waits in a halted partition."""
    story = story_of(seen)
    others = {partition for partition, row in seen.positions.items() if _is_another_log(row["halt_reason"])}
    lying = {record.place: record for topic in INPUTS for record in seen.records[topic]}
    for place, record in lying.items():
        if place[:2] not in others:
            for what in _faults_of_record(seen, story, record):
                yield Violation("fate", place_text(place), what)
    for place in story.told.keys() - lying.keys():
        if place[:2] not in others and place[2] >= seen.begins.get(place[:2], 0):
            yield Violation("fate", place_text(place), "the journal tells of a record that does not lie there")


def _is_another_log(halt_reason: str | None) -> bool:
    return halt_reason is not None and halt_reason.startswith("TOPIC_CHANGED")


def _faults_of_record(seen: Seen, story: Story, record: Record) -> Iterator[str]:
    place, partition = record.place, record.place[:2]
    entries = story.told.get(place, [])
    if not entries:
        position = seen.positions.get(partition)
        if position is None or record.offset >= position["next_offset"]:
            if position is None or position["halted_at"] is None:
                yield "undecided: no position has come to it"
        elif _within(record.offset, story.passed[partition]):
            yield "it was passed over as a gap, but it lies there"
        elif not _within(record.offset, story.given_up[partition]):
            yield "it has no fate, but its position is behind it"
        return
    fates, expected = _count_fates(entries), 1 + story.again[place]
    if fates != expected:
        kinds = ", ".join(f"{entry.kind} {entry.lane}/{entry.seq}" for entry in entries)
        yield f"it has {fates} fates instead of {expected}: {kinds}"
    for entry in _entries_of_other_bytes(story, record):
        yield f"{entry.where} tells of other bytes"


def _count_fates(entries: Iterable[Entry]) -> int:
    """One transaction tells a record once: by decisions and ends, maybe beside a flag, or by one other entry."""
    by_instant: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_instant[entry.at].append(entry)
    return sum(_count_in_one_transaction(together) for together in by_instant.values())


def _count_in_one_transaction(entries: Sequence[Entry]) -> int:
    flags = sum(entry.kind == "flagged" for entry in entries)
    notes = sum(entry.kind not in (*SUBJECT_KINDS, "flagged") for entry in entries)
    decides = any(entry.kind in SUBJECT_KINDS for entry in entries)
    return max(flags, 1 if decides else 0) + notes


def _within(offset: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(start <= offset < end for start, end in ranges)


def every_event_is_accepted_once(seen: Seen) -> Iterator[Violation]:
    """The inbox holds an id exactly when one record was accepted by it, and its bytes."""
    accepted: dict[tuple[str, str], set[tuple[Place | None, str, str]]] = defaultdict(set)
    for entry in seen.entries:
        key = _accepted_key(entry)
        if key is not None:
            accepted[key].add((entry.place, entry.at, entry.said["raw_sha256"]))
    for key in sorted(accepted.keys() | seen.inbox.keys()):
        where, by = f"event {key[0]} {key[1]}", accepted.get(key, set())
        if len(by) != 1:
            places = ", ".join(sorted(place_text(place) for place, _, _ in by if place is not None))
            yield Violation("inbox", where, f"{len(by)} records were accepted by it instead of one: {places}")
        if key not in seen.inbox:
            yield Violation("inbox", where, "it was accepted, but the inbox does not hold it")
        elif any(digest != seen.inbox[key].hex() for _, _, digest in by):
            yield Violation("inbox", where, "the inbox holds other bytes than were accepted")


def _accepted_key(entry: Entry) -> tuple[str, str] | None:
    said: Any = entry.said
    if entry.kind in SUBJECT_KINDS and said["cause"]["kind"] == "event":
        source, _, event_id = said["cause"]["id"].partition(" ")
        return source.replace("%20", " ").replace("%25", "%"), event_id
    is_accepted = (
        entry.kind in _ACCEPTED_BY_NOTE
        or (entry.kind == "duplicate" and said["of"] == "version")
        or (entry.kind == "quarantined" and said["reason"] in ("CONFLICTING_VERSION", "CONFLICTING_OLDER"))
    )
    return (said["source"], said["event_id"]) if is_accepted else None


def no_record_met_a_bug(seen: Seen) -> Iterator[Violation]:
    """No good record is put aside because we could not decide it; one that a person has resolved was looked at."""
    resolved = {row["quarantine_id"] for row in seen.resolutions}
    for row in seen.quarantine:
        if row["reason"] == "BUG" and row["quarantine_id"] not in resolved:
            place = row["topic"], row["partition"], row["record_offset"]
            yield Violation("bug", place_text(place), f"put aside for a bug: {row['detail']}")


def positions_end_where_fates_end(seen: Seen) -> Iterator[Violation]:
    """The next offset of a partition is the one behind the last that has a fate, was a gap or was given up."""
    story = story_of(seen)
    ends: dict[Partition, int] = {}
    for topic, partition, offset in story.told:
        ends[topic, partition] = max(offset + 1, ends.get((topic, partition), 0))
    for ranges in (story.passed, story.given_up):
        for one, each in ranges.items():
            ends[one] = max(ends.get(one, 0), *(end for _, end in each))
    for one in sorted(ends.keys() | seen.positions.keys()):
        where, row = f"{one[0]}/{one[1]}", seen.positions.get(one)
        if row is None:
            yield Violation("position", where, "records of it have fates, but it has no position")
        elif one in ends and row["next_offset"] != ends[one]:
            yield Violation("position", where, f"it stands at {row['next_offset']}, but fates end at {ends[one]}")
        elif one not in ends and row["next_offset"] > seen.begins.get(one, 0):
            yield Violation("position", where, f"it stands at {row['next_offset']}, but no record of it has a fate")
        elif row["next_offset"] > seen.ends.get(one, 0) and row["halted_at"] is None:
            yield Violation("position", where, f"it stands at {row['next_offset']}, behind the end of the log")


def halts_have_their_reason(seen: Seen) -> Iterator[Violation]:
    """A partition waits for a person only where its log really was made anew, or lost records before they were read."""
    story = story_of(seen)
    lying = {record.place: record for topic in INPUTS for record in seen.records[topic]}
    for partition, row in seen.positions.items():
        if row["halted_at"] is None:
            continue
        next_offset, where = row["next_offset"], f"{partition[0]}/{partition[1]}"
        if not _is_another_log(row["halt_reason"]):
            if seen.begins.get(partition, 0) <= next_offset:
                yield Violation("halt", where, f"it is halted ({row['halt_reason']}), but no record is missing")
            continue
        told = [place for place in story.told if place[:2] == partition and place[2] < next_offset]
        is_same = all(place in lying and not _entries_of_other_bytes(story, lying[place]) for place in told)
        if is_same and seen.ends.get(partition, 0) >= next_offset:
            yield Violation("halt", where, f"it is halted ({row['halt_reason']}), but its log is the one we know")


def _entries_of_other_bytes(story: Story, record: Record) -> list[Entry]:
    digest = sha256(record.value or b"").hexdigest()
    entries = story.told.get(record.place, [])
    return [one for one in entries if one.said["raw_sha256"] != digest and not story.is_redriven(one)]
