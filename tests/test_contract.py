"""The contract: every event type goes in, and the topics say, in published form, what the ledger says."""

import json
import signal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from schemas import examples
from schemas.catalog import INPUT_EVENTS
from schemas.topics import OUTPUT_TOPICS
from service.demo.published import compare
from service.demo.tally import written
from tests import events
from tests.events import event, record, signed_up
from tests.ledger import Ledger
from tests.stream import Stream, end, eventually, service, start_process

pytestmark = pytest.mark.embedded
SCHEMAS = Path(__file__).parents[1] / "schemas" / "json"
ENDS = ("account.closed.v1", "user.left.v1", "contract.terminated.v1")


def _validator(event_type: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{event_type}.schema.json").read_text()))


async def test_every_event_type_goes_in_and_the_topics_equal_the_ledger(stream: Stream, ledger: Ledger) -> None:
    versions = {"account.updated.v1": 2, "user.updated.v1": 2, "contract.amended.v1": 2, "contract.renewed.v1": 3}
    process = await start_process(stream.settings(ledger))
    # What changes a subject comes after it, and the ends come last, each when the ledger has what went before.
    first = [kind for kind in INPUT_EVENTS if kind not in versions and kind not in ENDS]
    for several in (first, list(versions), list(ENDS)):
        sent = await stream.send(*(_event(kind, versions.get(kind)) for kind in several))
        await eventually(lambda sent=sent: stream.done(ledger, sent), "all records are done")  # type: ignore[misc]
    broken = await stream.send(record(b"{", key=b"acct-1"), signed_up())
    await eventually(lambda: stream.done(ledger, broken), "the last records are done")
    code, log = await end(process, signal.SIGTERM)
    assert code == 0, log

    fates = {row.kind for row in await ledger.rows("SELECT kind FROM ledger.journal")}
    expected = {"decision", "ended", "reviewed", "enforced", "quarantined", "duplicate"}
    expected |= {"policy_published", "policy_activated"}
    assert fates == expected
    async with ledger.engine("auditor").connect() as tx:
        assert (await compare(stream.connection, await written(tx))).differences == 0
    assert await ledger.replay() == []
    await _everything_published_fits_its_schema(stream)


async def test_a12_a_record_as_large_as_brokers_take_is_put_aside_and_the_next_is_decided(
    stream: Stream, ledger: Ledger
) -> None:
    async with service(stream.settings(ledger)):
        sent = await stream.send(record(b"x" * 1_000_000, key=b"large"), signed_up())
        await eventually(lambda: stream.done(ledger, sent), "both records are done")
    assert [row.reason for row in await ledger.rows("SELECT reason FROM ledger.quarantine")] == ["TOO_LARGE"]
    assert [row[2] for row in await ledger.decisions()] == ["approve"]


def _event(event_type: str, version: int | None) -> dict[str, object]:
    data = events.DATA_OF[event_type]()
    if version is not None:
        data["version"] = version
    if event_type in ENDS:
        data["version"] = 9
    return event(event_type, data)


async def _everything_published_fits_its_schema(stream: Stream) -> None:
    seen = set()
    for topic in OUTPUT_TOPICS:
        for published in await stream.events(topic.name):
            _validator(published["type"]).validate(published)
            assert published["type"] in topic.types
            seen.add(published["type"])
    assert seen >= {"license.approved.v1", "license.held.v1", "license.ended.v1", "license.quarantined.v1"}
    assert "policy.activated.v1" in seen


@pytest.mark.parametrize("event_type", sorted(INPUT_EVENTS))
def test_every_published_example_fits_its_published_schema(event_type: str) -> None:
    _validator(event_type).validate(examples.example(event_type))
