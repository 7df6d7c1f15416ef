"""Laws about versions: what was left aside as old or as a copy was so, by the events that were accepted before it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.checker.fates import SUBJECT_KINDS
from tests.checker.seen import Entry, Seen, Violation

Subject = tuple[str, str, str]
"""(account, kind, id)."""


def what_is_left_aside_is_old(seen: Seen) -> Iterator[Violation]:
    """A stale event, or a copy by its version, is of a subject of which an event was accepted with the version named.

    Of a subject with an event whose record is erased, or cannot be read, nothing is said from there on.
    """
    newest: dict[Subject, int | None] = {}
    for entry in seen.entries:
        told = _told(seen, entry)
        if entry.kind in SUBJECT_KINDS and entry.said["cause"]["kind"] == "event":
            subject = entry.said["account_id"], entry.said["subject_kind"], entry.said["subject_id"]
            if told is None:
                newest[subject] = None
            elif told[0] == subject and told[1]:
                newest[subject] = told[1]
        elif told is not None:
            known = newest.get(told[0], 0)
            if known is not None:
                yield from _faults_of_aside(entry, told[1], known)


def _faults_of_aside(entry: Entry, version: int, known: int) -> Iterator[Violation]:
    said = entry.said
    if entry.kind == "stale" and (said["known_version"] != known or version >= known):
        what = f"it leaves version {version} aside for {said['known_version']}, but {known} was the newest"
        yield Violation("version", entry.where, what)
    if entry.kind == "duplicate" and said["of"] == "version" and version != known:
        yield Violation("version", entry.where, f"it calls version {version} a copy, but {known} was the newest")


def copies_tell_the_same(seen: Seen) -> Iterator[Violation]:
    """A copy has the bytes by which its id was accepted, or says the same in others."""
    for entry in seen.of_kind("duplicate"):
        if entry.said["of"] == "event":
            first = seen.inbox.get((entry.said["source"], entry.said["event_id"]))
            if first is None or (first.hex() != entry.said["raw_sha256"] and not _is_written_anew(seen, entry, first)):
                yield Violation("inbox", entry.where, "it calls a copy what was not accepted with this content")


def _is_written_anew(seen: Seen, entry: Entry, accepted: bytes) -> bool:
    copy, first = _read(seen, entry.said["raw_sha256"]), _read(seen, accepted.hex())
    named = ("source", "id", "type", "time", "data")
    return copy is not None and first is not None and all(copy.get(name) == first.get(name) for name in named)


def _told(seen: Seen, entry: Entry) -> tuple[Subject, int] | None:
    """The subject that the event of an entry is about, and its version; of one without any, version 0."""
    event = _read(seen, entry.said.get("raw_sha256"))
    if event is None:
        return None
    data, kind = event["data"], str(event["type"]).partition(".")[0]
    return (data["account_id"], kind, data.get(f"{kind}_id", "")), data.get("version", 0)


def _read(seen: Seen, sha256: str | None) -> Mapping[str, Any] | None:
    content = seen.raw.get(sha256 or "")
    try:
        event = None if content is None else json.loads(content)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("data"), dict) and "type" in event else None
