"""What the checker looks at, read once: rows of the database and records of the topics, as plain tuples and dicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

INPUTS = ("accounts.v1", "contracts.v1", "license-reviews.v1", "license-enforcements.v1")
DECISIONS, STATUS, QUARANTINE, POLICIES = (
    "license-decisions.v1",
    "license-status.v1",
    "license-quarantine.v1",
    "export-policy.v1",
)
OUTPUTS = (DECISIONS, STATUS, QUARANTINE, POLICIES)

Partition = tuple[str, int]
"""(topic of the contract, number)."""

Place = tuple[str, int, int]
"""(topic of the contract, partition, offset)."""

Row = Mapping[str, Any]
"""A row of a table by its columns' names; instants are text as in bodies, so that they compare."""


class CannotLookError(Exception):
    """The checker could not look, so nothing is said about the laws. The message is one line: what, where."""


class Violation(NamedTuple):
    """One thing that is not as a law has it."""

    law: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.law}: {self.where}: {self.what}"


class Record(NamedTuple):
    """A record of a topic; `value` None is a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.topic, self.partition, self.offset


class Entry(NamedTuple):
    """An entry of the journal. `said` is its body as JSON, empty when it is none; `at` is its instant."""

    lane: int
    seq: int
    kind: str
    body: bytes
    leaf: bytes
    link: bytes
    said: Mapping[str, Any]
    at: str

    @property
    def where(self) -> str:
        """Where it stands, as a person writes it."""
        return f"entry {self.lane}/{self.seq}"

    @property
    def place(self) -> Place | None:
        """Where the record lies that it tells of; None when it tells of none."""
        origin = self.said.get("origin")
        return None if origin is None else (origin["topic"], origin["partition"], origin["offset"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All of it. `begins` and `ends` are the logs' offsets; `entries` are by lane and seq.

    `raw` has the records that entries tell of, by their sha256 in hexadecimal, as far as they are kept.
    """

    records: Mapping[str, Sequence[Record]]
    begins: Mapping[Partition, int]
    ends: Mapping[Partition, int]
    entries: Sequence[Entry]
    lanes: Mapping[int, Row]
    positions: Mapping[Partition, Row]
    inbox: Mapping[tuple[str, str], bytes]
    decisions: Sequence[Row]
    subjects: Sequence[Row]
    quarantine: Sequence[Row]
    resolutions: Sequence[Row]
    activations: Sequence[Row]
    refused: Mapping[tuple[int, int], str]
    raw: Mapping[str, bytes]

    def of_kind(self, *kinds: str) -> list[Entry]:
        """The entries of these kinds."""
        return [entry for entry in self.entries if entry.kind in kinds]


def place_text(place: Place) -> str:
    """A place as a person writes it."""
    topic, partition, offset = place
    return f"{topic}/{partition}/{offset}"
