"""Whether the topics say what the ledger says: every decision once at least, every subject's status as it stands."""

from dataclasses import dataclass

import orjson

from schemas.topics import DECISIONS, STATUS
from service.audit.canonical import canonical
from service.audit.journal import leaf_of
from service.demo.tally import Written
from service.reading import Record
from service.stream.connection import Connection
from service.stream.read_topic import read_topic

WITHIN_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How many entries and statuses were found on the topics, and how many are not as the ledger has them."""

    decisions: int
    statuses: int
    differences: int


async def compare(connection: Connection, written: Written) -> Published:
    """Read both topics to their ends and hold them against what was written. Raises StreamError when they cannot be."""
    decisions = await read_topic(connection, DECISIONS.name, within_seconds=WITHIN_SECONDS)
    statuses = await read_topic(connection, STATUS.name, within_seconds=WITHIN_SECONDS)
    leaves = dict(_place_and_leaf(record) for record in decisions)
    last = {(record.key or b"").decode(): _decision_id(record) for record in statuses}
    standing = {key: None if one is None else str(one) for key, one in written.standing.items()}
    differences = [place for place in leaves.keys() | written.leaves if leaves.get(place) != written.leaves.get(place)]
    wrong = [key for key in last.keys() | standing if key not in last or last[key] != standing.get(key)]
    return Published(decisions=len(leaves), statuses=len(last), differences=len(differences) + len(wrong))


def _place_and_leaf(record: Record) -> tuple[tuple[int, int], str]:
    """The place in the journal, and the leaf computed anew from the data as it was published."""
    event = orjson.loads(record.value or b"")
    return (event["lane"], event["seq"]), leaf_of(canonical(event["data"])).hex()


def _decision_id(record: Record) -> str | None:
    """The decision that stands; None for a tombstone."""
    return None if record.value is None else str(orjson.loads(record.value)["data"]["decision_id"])
