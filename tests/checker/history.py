"""Laws about what was written: chains, order, the law in force, and that doubt is not forgotten."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256

from tests.checker.fates import SUBJECT_KINDS, story_of
from tests.checker.seen import Entry, Seen, Violation

_GENESIS = bytes(32)


def lanes_are_whole(seen: Seen) -> Iterator[Violation]:
    """A lane's entries count from 1 without gaps, each is chained to the one before, and the lane's row has the end."""
    ends = dict.fromkeys(seen.lanes, (0, _GENESIS, ""))
    for entry in seen.entries:
        if entry.lane not in ends:
            yield Violation("chain", entry.where, "there is no such lane")
            continue
        seq, link, last = ends[entry.lane]
        for what in _faults_of_entry(entry, seq, link):
            yield Violation("chain", entry.where, what)
        ends[entry.lane] = entry.seq, entry.link, max(last, entry.at)
    for lane, (seq, link, last) in sorted(ends.items()):
        row, where = seen.lanes[lane], f"lane {lane}"
        if row["next_seq"] != seq + 1:
            yield Violation("chain", where, f"its row expects entry {row['next_seq']} next, but its last one is {seq}")
        if row["head"] != link:
            yield Violation("chain", where, "its row's head is not the link of its last entry")
        if row["last_at"] < last:
            yield Violation("chain", where, f"its row was last written {row['last_at']}, before its entry of {last}")


def _faults_of_entry(entry: Entry, seq: int, link: bytes) -> Iterator[str]:
    if entry.seq != seq + 1:
        yield f"entry {seq + 1} is missing before it"
    if entry.leaf != sha256(b"\x00" + entry.body).digest():
        yield "its leaf is not the hash of its body"
    if entry.link != sha256(b"\x02" + link + entry.leaf).digest():
        yield "its link does not follow from the entry before"
    if (entry.said.get("lane"), entry.said.get("seq"), entry.said.get("kind")) != (entry.lane, entry.seq, entry.kind):
        yield "its body does not name its place and kind"


def history_is_in_order(seen: Seen) -> Iterator[Violation]:
    """Along a lane time never falls, the records of an account rise by partition, and its revisions rise by one."""
    story = story_of(seen)
    last_at: dict[int, str] = defaultdict(str)
    offsets: dict[tuple[str, str, int, bool], int] = defaultdict(lambda: -1)
    revisions: dict[tuple[str, str, str], int] = defaultdict(int)
    for entry in seen.entries:
        said = entry.said
        if entry.at < last_at[entry.lane]:
            yield Violation("order", entry.where, f"it is of {entry.at}, after one of {last_at[entry.lane]}")
        last_at[entry.lane] = max(last_at[entry.lane], entry.at)
        if entry.place is not None and said["account_id"] is not None and not story.is_redriven(entry):
            topic, partition, offset = entry.place
            of = said["account_id"], topic, partition, story.is_of_the_old_log(entry)
            if offset < offsets[of]:
                yield Violation("order", entry.where, f"offset {offset} of {topic}/{partition} after {offsets[of]}")
            offsets[of] = max(offsets[of], offset)
        if entry.kind in SUBJECT_KINDS:
            subject = said["account_id"], said["subject_kind"], said["subject_id"]
            if said["revision"] != revisions[subject] + 1:
                yield Violation("order", entry.where, f"revision {said['revision']} after {revisions[subject]}")
            revisions[subject] = said["revision"]


def doubt_holds(seen: Seen) -> Iterator[Violation]:
    """While a record of an account is put aside and not resolved, nothing of that account is approved."""
    open_records: dict[str, set[str]] = defaultdict(set)
    for entry in seen.entries:
        account, said = entry.said.get("account_id"), entry.said
        if account is None:
            continue
        if entry.kind == "quarantined":
            open_records[account].add(said["quarantine_id"])
        elif entry.kind == "quarantine_resolved":
            open_records[account].discard(said["quarantine_id"])
        elif entry.kind == "decision" and said["outcome"] == "approve" and open_records[account]:
            yield Violation("taint", entry.where, f"{account} is approved while {min(open_records[account])} is open")


def the_policy_was_in_force(seen: Seen) -> Iterator[Violation]:
    """No decision is made under a policy that was not in force at its instant, whoever waited for whom."""
    begins = [str(row["effective_at"]) for row in seen.activations]
    for entry in seen.of_kind("decision"):
        index = bisect_right(begins, entry.at)
        if not index:
            yield Violation("policy", entry.where, "decided before any policy was in force")
        elif seen.activations[index - 1]["policy_sha256"].hex() != entry.said["policy"]["sha256"]:
            version = entry.said["policy"]["version"]
            yield Violation("policy", entry.where, f"decided under version {version}, which was not in force then")
