"""Each law of the checker can be broken, and is then the one that it names."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from service.embedded.postgres import Server
from service.policies.lifecycle import publish
from tests.brokers import Broker
from tests.checker import CannotLookError, Violation, check, examine
from tests.checker.look import look
from tests.events import account, contract, event, record, signed_up
from tests.ledger import Ledger
from tests.policies import small_policy
from tests.scenarios import Stage
from tests.stream import Stream, fresh_stream

pytestmark = pytest.mark.embedded

Json = dict[str, Any]
KEY = b"acct-1/account/acct-1"
FREE = ("inbox", "journal", "decision", "quarantine", "policy_activation", "evidence")


async def build(stream: Stream, ledger: Ledger) -> Stage:
    """An account that was approved and updated, published, with every guard lifted that keeps one from tampering."""
    stage = Stage(ledger=ledger, stream=stream)
    await stage.sent_and_decided(signed_up(), event("contract.signed.v1", contract()))
    await stage.sent_and_decided(event("account.updated.v1", account(version=2)), record(b"{", key=b"acct-2"))
    await stage.publish()
    await ledger.tamper(*(f"ALTER TABLE ledger.{table} DISABLE TRIGGER USER" for table in FREE))
    return stage


@pytest.fixture
async def stage(stream: Stream, ledger: Ledger) -> Stage:
    """With topics of its own."""
    return await build(stream, ledger)


@pytest.fixture(scope="module")
async def template(postgres: Server, migrated: str, broker: Broker) -> AsyncIterator[tuple[str, Stream]]:
    """A database to be copied and tampered with, and the topics to it, which stay as they are."""
    name = "to_be_tampered_with"
    await postgres.create_database(name, template=migrated, strategy="file_copy")
    ledger = Ledger(postgres.url(name))
    await ledger.use()
    stage = await build(await fresh_stream(broker, f"{name}-{uuid4().hex[:6]}-"), ledger)
    assert await told(stage) == []
    await ledger.close()
    yield name, stage.stream
    await postgres.drop_database(name)


@pytest.fixture
async def copied(postgres: Server, template: tuple[str, Stream]) -> AsyncIterator[Stage]:
    """A database of its own; the topics are everybody's."""
    name = f"tampered_{uuid4().hex[:8]}"
    await postgres.create_database(name, template=template[0], strategy="file_copy")
    ledger = Ledger(postgres.url(name))
    yield Stage(ledger=ledger, stream=template[1])
    await ledger.close()
    await postgres.drop_database(name)


async def told(stage: Stage, *, replay: bool = False) -> list[Violation]:
    connection = stage.stream.connection
    return await check(
        stage.ledger.superuser_url, connection.bootstrap, connection.topic_prefix, replay=replay, within_seconds=0
    )


async def put(stage: Stage, topic: str, key: bytes | None, value: bytes | None) -> None:
    """Publish a record as somebody who must not."""
    async with AIOKafkaProducer(bootstrap_servers=stage.stream.connection.bootstrap) as producer:
        await producer.send_and_wait(stage.stream.connection.topic(topic), key=key, value=value)


async def put_changed(stage: Stage, topic: str, **fields: object) -> None:
    """Publish the first record of a topic again, with other fields in its data."""
    first = (await stage.stream.read(topic))[0]
    envelope = json.loads(first.value or b"")
    envelope["data"] |= fields
    await put(stage, topic, first.key, json.dumps(envelope, separators=(",", ":")).encode())


async def put_stale_status(stage: Stage) -> None:
    statuses = [one for one in await stage.stream.read("license-status.v1") if one.key == KEY]
    await put(stage, "license-status.v1", KEY, statuses[0].value)


async def send_more(stage: Stage) -> None:
    await stage.send(event("account.updated.v1", account(version=3), id="nobody looks at it"))


async def decide_more(stage: Stage) -> None:
    await stage.sent_and_decided(event("account.updated.v1", account(version=3), id="nobody tells of it"))


async def raise_a_version(stage: Stage) -> None:
    await stage.ledger.tamper("UPDATE ledger.subject SET version = 9 WHERE subject_id = 'account'")
    await decide_more(stage)


async def publish_a_policy(stage: Stage) -> None:
    loaded = small_policy("2")
    async with stage.ledger.engine("policy_officer").begin() as tx:
        await publish(tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by="ann")


def sql(*statements: str) -> Callable[[Stage], Awaitable[None]]:
    async def tamper(stage: Stage) -> None:
        await stage.ledger.tamper(*statements)

    return tamper


def say(change: str, where: str) -> Callable[[Stage], Awaitable[None]]:
    """Change what entries say, in the bodies and nowhere else."""
    body = "convert_to(jsonb_set(convert_from(body, 'UTF8')::jsonb, {})::text, 'UTF8')"
    return sql(f"UPDATE ledger.journal SET body = {body.format(change)} WHERE {where}")


def put_on(topic: str, key: bytes | None, value: bytes | None) -> Callable[[Stage], Awaitable[None]]:
    return lambda stage: put(stage, topic, key, value)


NOBODYS = b'{"specversion":"1.0","id":"nobody","type":"license.approved.v1","lane":1,"seq":1,"data":{}}'
UPDATE = "kind = 'decision' AND convert_from(body, 'UTF8')::jsonb ->> 'revision' = '2'"
Broken = tuple[Callable[[Stage], Awaitable[None]], str, str]
"""What is done, which law is broken, and what is said of it."""

ROWS: dict[str, Broken] = {
    "an entry is gone": (sql(f"DELETE FROM ledger.journal WHERE {UPDATE}"), "fate", "no fate, but its position"),
    "an entry within a lane is gone": (
        sql("DELETE FROM ledger.journal WHERE kind = 'decision' AND seq = 2"),
        "chain",
        "entry 2 is missing before it",
    ),
    "a fate is told of another record": (say("'{origin,offset}', '7'", UPDATE), "fate", "does not lie there"),
    "a fate is told of other bytes": (say("'{raw_sha256}', '\"00\"'", UPDATE), "fate", "other bytes"),
    "a record is passed over as a gap": (
        sql(
            f"UPDATE ledger.journal SET kind = 'gap', body = convert_to(json_build_object('topic', 'accounts.v1', "
            "'partition', convert_from(body, 'UTF8')::jsonb -> 'origin' -> 'partition', "
            f"'from_offset', 1, 'to_offset', 2, 'at', '2999')::text, 'UTF8') WHERE {UPDATE} "
            "AND convert_from(body, 'UTF8')::jsonb ->> 'subject_kind' = 'account'",
            f"DELETE FROM ledger.journal WHERE {UPDATE}",
        ),
        "fate",
        "passed over as a gap",
    ),
    "an id is gone from the inbox": (sql("DELETE FROM ledger.inbox"), "inbox", "does not hold it"),
    "an id is in the inbox that nobody sent": (
        sql("INSERT INTO ledger.inbox VALUES ('/crm', 'nobody', '')"),
        "inbox",
        "0 records",
    ),
    "an id is in the inbox with other bytes": (sql("UPDATE ledger.inbox SET raw_sha256 = ''"), "inbox", "other bytes"),
    "a position has gone on": (sql("UPDATE ledger.stream_position SET next_offset = 9"), "position", "fates end at"),
    "a position is gone": (sql("DELETE FROM ledger.stream_position"), "position", "has no position"),
    "a partition is halted without a reason": (
        sql("UPDATE ledger.stream_position SET halted_at = now(), halt_reason = 'TOPIC_CHANGED: a test'"),
        "halt",
        "its log is the one we know",
    ),
    "a partition is halted though nothing is lost": (
        sql("UPDATE ledger.stream_position SET halted_at = now(), halt_reason = 'RECORDS_LOST: a test'"),
        "halt",
        "no record is missing",
    ),
    "a record met a bug": (sql("UPDATE ledger.quarantine SET reason = 'BUG'"), "bug", "put aside for a bug"),
    "a body says something else": (say("'{access}', '\"full\"'", "kind = 'decision'"), "chain", "hash of its body"),
    "a link is another": (sql("UPDATE ledger.journal SET link = leaf"), "chain", "its link does not follow"),
    "a lane counts wrongly": (sql("UPDATE ledger.lane SET next_seq = next_seq + 1"), "chain", "its last one is"),
    "a lane has another head": (sql("UPDATE ledger.lane SET head = ''"), "chain", "head is not the link"),
    "a lane's clock stands before its entries": (
        sql("UPDATE ledger.lane SET last_at = '2026-01-01'"),
        "chain",
        "before its entry",
    ),
    "time falls": (say("'{decided_at}', '\"2026-01-01T00:00:00.000000Z\"'", UPDATE), "order", "after one of"),
    "records of an account fall": (
        say("'{origin,offset}', '7'", "convert_from(body, 'UTF8')::jsonb ->> 'revision' = '1'"),
        "order",
        "after 7",
    ),
    "a revision is left out": (say("'{revision}', '9'", UPDATE), "order", "revision 9 after 1"),
    "an approval while a record is open": (
        sql(
            "UPDATE ledger.journal SET body = convert_to(jsonb_set(convert_from(body, 'UTF8')::jsonb, '{account_id}', "
            "'\"acct-1\"')::text, 'UTF8'), lane = 14, seq = 0 WHERE kind = 'quarantined'"
        ),
        "taint",
        "acct-1 is approved while",
    ),
    "a policy was not in force": (
        sql("UPDATE ledger.policy_activation SET policy_sha256 = ''"),
        "policy",
        "decided under version 1",
    ),
    "no policy was in force": (sql("DELETE FROM ledger.policy_activation"), "policy", "before any policy"),
    "a decision has no row": (sql("DELETE FROM ledger.decision"), "output", "has no row"),
    "a row has no entry": (
        sql("UPDATE ledger.decision SET decision_id = gen_random_uuid()"),
        "output",
        "is a row without its entry",
    ),
    "a subject's row is another": (sql("UPDATE ledger.subject SET revision = 9"), "status", "its row does not say"),
    "a subject has no row": (sql("DELETE FROM ledger.subject"), "status", "it has no row"),
}
TOPICS: dict[str, Broken] = {
    "a record is not decided": (send_more, "fate", "undecided"),
    "a version was raised, so that what came was old": (
        raise_a_version,
        "version",
        "aside for 9, but 2 was the newest",
    ),
    "a decision is not published": (decide_more, "output", "is not on license-decisions.v1"),
    "a decision is published that was not made": (
        put_on("license-decisions.v1", b"acct-1", NOBODYS),
        "output",
        "nothing of id nobody was written",
    ),
    "a record is published that is no event": (put_on("license-quarantine.v1", None, b"7"), "output", "nothing of id"),
    "a decision is published with other data": (
        lambda stage: put_changed(stage, "license-decisions.v1", access="none"),
        "published",
        "its data is not the entry's body",
    ),
    "an id is published with two contents": (
        lambda stage: put_changed(stage, "license-quarantine.v1", reason="NONE"),
        "output",
        "with 2 contents",
    ),
    "a policy is published with other data": (
        lambda stage: put_changed(stage, "export-policy.v1", reason="none"),
        "published",
        "its data is not",
    ),
    "an old status comes last": (put_stale_status, "status", "its last status is of revision 1"),
    "a status is withdrawn that stands": (put_on("license-status.v1", KEY, None), "status", "is a tombstone"),
    "a status is of nobody": (put_on("license-status.v1", b"x/account/x", NOBODYS), "status", "nothing was decided"),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_row_that_was_tampered_with_breaks_the_law_that_is_named(copied: Stage, name: str) -> None:
    await assert_told(copied, *ROWS[name])


@pytest.mark.parametrize("name", TOPICS)
async def test_a_record_too_many_or_too_few_breaks_the_law_that_is_named(stage: Stage, name: str) -> None:
    await assert_told(stage, *TOPICS[name])


async def assert_told(stage: Stage, tamper: Callable[[Stage], Awaitable[None]], law: str, what: str) -> None:
    await tamper(stage)
    found = await told(stage)
    assert [one for one in found if one.law == law and what in one.what], found


async def test_decisions_in_another_order_than_they_were_made_break_the_law_of_the_topics(copied: Stage) -> None:
    connection = copied.stream.connection
    seen = await look(copied.ledger.superuser_url, connection.bootstrap, connection.topic_prefix, None, 0)
    decisions = seen.records["license-decisions.v1"]
    turned = [one._replace(offset=other.offset) for one, other in zip(decisions, reversed(decisions), strict=True)]
    records = dict(seen.records) | {"license-decisions.v1": sorted(turned, key=lambda one: one.place)}
    found = examine(replace(seen, records=records))
    assert {one.law for one in found} == {"output"}
    assert "for the first time after" in found[0].what


async def test_what_a_replay_finds_is_a_violation(copied: Stage) -> None:
    await copied.ledger.tamper("UPDATE ledger.evidence SET content = content || 'x'")
    found = await told(copied, replay=True)
    assert {one.law for one in found} == {"replay"}


async def test_a_policy_that_is_published_and_not_activated_breaks_no_law(stage: Stage) -> None:
    await publish_a_policy(stage)
    await stage.publish()
    assert await told(stage) == []


async def test_positions_of_another_cluster_cannot_be_told_apart(copied: Stage) -> None:
    await copied.ledger.tamper("UPDATE ledger.stream_position SET cluster = 'another'")
    with pytest.raises(CannotLookError, match="'another'"):
        await told(copied)
