"""Kafka in, Kafka out: what is published is what the ledger holds, and nothing is lost or decided twice on the way."""

import asyncio
import json
import signal
import socket
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from schemas.decisions import StatusData
from schemas.topics import INPUT_TOPICS, TOPICS
from service.app import ServiceFailed, run_service
from service.audit.journal import leaf_of
from service.ledger.lanes import murmur2
from service.settings import MisconfiguredError, read_settings
from service.stream.connection import Connection, StreamError
from service.stream.consume import Consumer
from service.stream.outgoing import Publisher
from service.stream.polling import Polling
from service.stream.relay import Relay, publishing
from service.stream.topics import verify_topics
from service.stream.watch import Watch
from service.telemetry import Metrics
from tests.brokers import Broker
from tests.events import account, closed, contract, event, signed_up, user
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream, end, eventually, eventually_shows, get, service, start_process

pytestmark = pytest.mark.embedded

Json = dict[str, Any]


def _many(count: int, first: int = 0) -> list[Json]:
    return [
        event("account.signed_up.v1", account(account_id=f"acct-{number}"), id=f"e-{number}")
        for number in range(first, first + count)
    ]


# ------------------------------------------------------------------------------------------------------- topics


async def test_a_missing_topic_is_named_with_what_to_do(broker: Broker) -> None:
    connection = Connection(bootstrap=broker.bootstrap, client_id="test", topic_prefix="absent-")
    with pytest.raises(StreamError, match=r"absent-accounts\.v1.*--create-topics"):
        await verify_topics(connection, create=False, replication_factor=1)


async def test_topics_are_made_as_the_contract_has_them_and_only_once(stream: Stream) -> None:
    again = await verify_topics(stream.connection, create=True, replication_factor=1)
    assert again.id == stream.cluster_id
    assert dict(again.partitions) == {topic.name: topic.partitions for topic in TOPICS}


async def test_a_topic_that_is_compacted_and_must_not_be_is_refused(broker: Broker) -> None:
    connection = Connection(bootstrap=broker.bootstrap, client_id="test", topic_prefix="compacted-")
    admin = AIOKafkaAdminClient(**connection.arguments())
    await admin.start()
    await admin.create_topics([NewTopic("compacted-accounts.v1", 16, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    with pytest.raises(StreamError, match=r"compacted-accounts\.v1: expected cleanup\.policy=delete, found compact"):
        await verify_topics(connection, create=True, replication_factor=1)


async def test_a_broker_that_is_not_there_is_named_with_the_setting() -> None:
    connection = Connection(bootstrap="127.0.0.1:1", client_id="test")
    with pytest.raises(StreamError, match=r"127\.0\.0\.1:1 .*EXPORTGATE_KAFKA_BOOTSTRAP"):
        await verify_topics(connection, create=False, replication_factor=1)


# -------------------------------------------------------------------------------------------------------- relay


async def _publish_all(stream: Stream, ledger: Ledger, metrics: Metrics | None = None) -> None:
    async with publishing(
        stream.connection, idempotent=stream.broker.idempotent, compression="zstd", patience_seconds=5
    ) as producer:
        relay = Relay(
            engine=ledger.engine("service"),
            producer=producer,
            connection=stream.connection,
            publisher=Publisher(source="/here", environment="test"),
            metrics=metrics or Metrics(),
            random=Random(1),
        )
        while await relay.publish_once():
            pass


async def test_what_is_published_is_what_the_journal_holds_byte_for_byte(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("user.joined.v1", user()), event("contract.signed.v1", contract()))
    await ledger.decide(ledger.next_record(b"{", key=b"acct-1"), event("account.closed.v1", closed(version=2)))
    await _publish_all(stream, ledger)
    published = [one for topic in TOPICS for one in await stream.events(topic.name)]
    # Documents are published to the ledger alone; their activations go out.
    rows = await ledger.rows("SELECT lane, seq, body, leaf FROM ledger.journal WHERE kind <> 'policy_published'")
    journal = {(row.lane, row.seq): row for row in rows}
    told = [one for one in published if one["type"] != "license.status.v1"]
    assert {(one["lane"], one["seq"]) for one in told} == set(journal)
    raw = [one.value or b"" for topic in TOPICS for one in await stream.read(topic.name)]
    for one in told:
        row = journal[one["lane"], one["seq"]]
        assert any(b'"data":' + row.body + b"}" in value for value in raw)
        assert one["leaf"] == row.leaf.hex() == leaf_of(row.body).hex()
        assert one["source"] == "/here"


async def test_the_status_topic_ends_where_the_ledger_stands(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("user.joined.v1", user()), event("contract.signed.v1", contract()))
    await ledger.decide(event("account.updated.v1", account(version=2, headquartered_in="IR"), id="moved"))
    await _publish_all(stream, ledger)
    last = {one.key: one.value for one in await stream.read("license-status.v1")}
    subjects = await ledger.rows("SELECT subject_id, decision_id, outcome FROM ledger.subject")
    assert len(last) == len(subjects) == 3
    data = [StatusData.model_validate(json.loads(value)["data"]) for value in last.values() if value]
    assert {(one.decision_id, one.outcome) for one in data} == {(str(s.decision_id), s.outcome) for s in subjects}
    await ledger.decide(event("account.closed.v1", closed(version=3)))
    await _publish_all(stream, ledger)
    assert {one.key: one.value for one in await stream.read("license-status.v1")} == dict.fromkeys(last)


async def test_a_key_lies_where_kafka_itself_would_put_it(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*_many(20))
    await _publish_all(stream, ledger)
    records = await stream.read("license-decisions.v1") + await stream.read("license-status.v1")
    assert len(records) == 40
    assert all(one.key is not None and one.partition == murmur2(one.key) % 16 for one in records)


async def test_what_was_published_is_not_published_again(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await _publish_all(stream, ledger)
    await _publish_all(stream, ledger)
    assert len(await stream.events("license-decisions.v1")) == 1


async def test_two_relays_never_publish_one_lane_at_once(stream: Stream, ledger: Ledger) -> None:
    await ledger.decide(*_many(40))
    await asyncio.gather(_publish_all(stream, ledger), _publish_all(stream, ledger))
    decisions = await stream.events("license-decisions.v1")
    assert len(decisions) == 40
    assert len({one["id"] for one in decisions}) == 40


# ------------------------------------------------------------------------------------------- the service, whole


async def test_events_go_in_and_decisions_come_out(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)) as (running, _):
        sent = await stream.send(*_many(50), event("contract.signed.v1", contract(account_id="acct-1")), *_many(3))
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
        ready, body = await get(running.http_port, "/ready")
        live, _body = await get(running.http_port, "/live")
        assert (ready, live) == (200, 200), body
        pinned = await ledger.rows("SELECT encode(sha256, 'hex') AS sha256 FROM ledger.policy")
        assert json.loads(body)["policy_sha256"] == pinned[0].sha256
        await eventually_shows(running.http_port, 'exportgate_events_total{fate="duplicate"} 3.0')
        assert (await get(running.http_port, "/nothing"))[0] == 404
    decisions = await stream.events("license-decisions.v1")
    stored = await ledger.rows("SELECT decision_id FROM ledger.decision")
    assert sorted(one["id"] for one in decisions) == sorted(str(row.decision_id) for row in stored)
    assert len(stored) >= 51
    assert await ledger.replay() == []


async def test_without_a_policy_nothing_is_consumed_and_the_service_is_not_ready(
    stream: Stream, empty_ledger: Ledger
) -> None:
    sent = await stream.send(*_many(3))
    process = asyncio.create_task(_serve_until_done(stream, empty_ledger, sent))
    await empty_ledger.use()
    await process


async def _serve_until_done(stream: Stream, ledger: Ledger, sent: list[tuple[str, int, int]]) -> None:
    async with service(stream.settings(ledger)):
        later = await stream.send(*_many(1, first=100))
        await eventually(lambda: stream.done(ledger, sent + later), "all records are done")


async def test_a_restart_in_mid_stream_loses_nothing_and_decides_nothing_twice(stream: Stream, ledger: Ledger) -> None:
    settings = stream.settings(ledger, batch_max_records=20)
    process = await start_process(settings)
    sent = await stream.send(*_many(300))
    await eventually(lambda: _has_decided(ledger, 20), "some are decided")
    code, log = await end(process, signal.SIGTERM)
    assert code == 0, log
    process = await start_process(settings)
    sent += await stream.send(*_many(100, first=300))
    await eventually(lambda: stream.done(ledger, sent), "all records are done")
    code, log = await end(process, signal.SIGTERM)
    assert code == 0, log
    await _assert_each_decided_once(ledger, 400)
    assert len({one["id"] for one in await stream.events("license-decisions.v1")}) == 400


async def test_a_killed_worker_loses_nothing_and_decides_nothing_twice(stream: Stream, ledger: Ledger) -> None:
    settings = stream.settings(ledger, batch_max_records=20)
    process = await start_process(settings)
    sent = await stream.send(*_many(300))
    await eventually(lambda: _has_decided(ledger, 20), "some are decided")
    await end(process, signal.SIGKILL)
    process = await start_process(settings)
    await eventually(lambda: stream.done(ledger, sent), "all records are done")
    await end(process, signal.SIGTERM)
    await _assert_each_decided_once(ledger, 300)
    assert len({one["id"] for one in await stream.events("license-decisions.v1")}) == 300


async def _has_decided(ledger: Ledger, count: int) -> bool:
    return len(await ledger.rows("SELECT 1 FROM ledger.decision")) >= count


async def _assert_each_decided_once(ledger: Ledger, count: int) -> None:
    rows = await ledger.rows("SELECT account_id, count(*) AS times FROM ledger.decision GROUP BY account_id")
    assert {row.times for row in rows} == {1}
    assert len(rows) == count
    assert await ledger.replay() == []


async def test_what_comes_while_a_batch_is_decided_is_the_next_batch(stream: Stream, ledger: Ledger) -> None:
    """Else one record that is fetched meanwhile would be the next batch, and all behind it would wait for one more."""
    owner = create_async_engine(ledger.superuser_url)
    async with service(stream.settings(ledger)):
        sent = await stream.send(*_many(1))
        await eventually(lambda: stream.done(ledger, sent), "the service is at work")
        async with owner.begin() as held:
            await held.execute(text("SELECT FROM ledger.lane FOR UPDATE"))
            await stream.send(*_many(1, first=1))
            await eventually(ledger.somebody_waits, "a batch is in flight")
            for number in range(2, 12):
                sent += await stream.send(*_many(1, first=number))
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
    await owner.dispose()
    batches = "SELECT decided_at, count(*) AS events FROM ledger.decision GROUP BY decided_at ORDER BY decided_at"
    assert [row.events for row in await ledger.rows(batches)] == [1, 1, 10]


async def test_offsets_in_kafka_that_run_ahead_of_the_ledger_are_not_believed(stream: Stream, ledger: Ledger) -> None:
    sent = await stream.send(*_many(30))
    settings = stream.settings(ledger)
    ahead = {(topic, partition): offset + 1 for topic, partition, offset in sent}
    await stream.commit(settings.kafka_topic_prefix + settings.kafka_group_id, ahead)
    async with service(settings):
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
    await _assert_each_decided_once(ledger, 30)


async def test_a_halted_partition_waits_and_makes_the_service_not_ready(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)) as (running, _):
        (sent,) = await stream.send(signed_up())
        await eventually(lambda: stream.done(ledger, [sent]), "the record is done")
        await ledger.pipeline(stream.cluster).halt(sent[:2], "TOPIC_CHANGED: a test")

        async def is_not_ready() -> bool:
            status, body = await get(running.http_port, "/ready")
            return status == 503 and "halted" in body

        await eventually(is_not_ready, "the halt shows")
        (waiting,) = await stream.send(event("account.updated.v1", account(version=2), id="later"))
        (other,) = await stream.send(event("account.signed_up.v1", account(account_id="acct-3"), id="other"))
        await eventually(lambda: stream.done(ledger, [other]), "other partitions go on")
        assert other[:2] != waiting[:2]
        assert not await stream.done(ledger, [waiting])
        await ledger.tamper("UPDATE ledger.stream_position SET halted_at = NULL, halt_reason = NULL")
        await eventually(lambda: stream.done(ledger, [waiting]), "the partition goes on once the halt is lifted")


async def test_a_client_that_is_not_where_the_ledger_says_is_sought_there(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)) as (running, _):
        sent = await stream.send(*_many(20))
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
        await ledger.tamper("UPDATE ledger.stream_position SET next_offset = 0")
        await eventually(lambda: stream.done(ledger, sent), "the records are read again, though nobody wrote any")
        _, metrics = await get(running.http_port, "/metrics")
        assert 'exportgate_seeks_total{reason="reconciled"}' in metrics
    await _assert_each_decided_once(ledger, 20)


async def test_a_client_that_rests_on_unread_records_ends_the_process(stream: Stream, ledger: Ledger) -> None:
    polling = Polling(
        group_id=f"{stream.connection.topic_prefix}resting",
        batch_max_records=500,
        batch_timeout_ms=20,
        fetch_max_wait_ms=20,
        session_timeout_ms=stream.broker.session_timeout_ms,
        graceful_timeout_seconds=5,
    )
    consumer = Consumer(
        pipeline=ledger.pipeline(stream.cluster),
        connection=stream.connection,
        polling=polling,
        metrics=Metrics(),
        random=Random(1),
        decided=lambda: None,
        failed=asyncio.get_running_loop().create_future(),
    )
    await consumer.start()
    for partition in consumer.client.assignment():
        consumer.client.pause(partition)
    await stream.send(signed_up())
    watch = Watch(consumer=consumer, stalled_seconds=0)
    await watch.look()
    assert not consumer.failed.done()
    await watch.look()
    await consumer.stop()
    assert "no progress" in consumer.failed.result()


async def test_connections_that_are_cut_in_mid_stream_lose_nothing(stream: Stream, ledger: Ledger) -> None:
    sent: list[tuple[str, int, int]] = []
    async with service(stream.settings(ledger, batch_max_records=10)):
        for first in range(0, 200, 50):
            decided = len(sent)
            sent += await stream.send(*_many(50, first=first))
            await eventually(partial(_has_decided, ledger, decided + 10), "some are decided")
            await _cut_connections(ledger)
        await eventually(lambda: stream.done(ledger, sent), "all records are done")

        async def all_told() -> bool:
            return len({one["id"] for one in await stream.events("license-decisions.v1")}) == 200

        # Before it is stopped: a stop right behind a cut leaves to the next life what could not be published.
        await eventually(all_told, "all decisions are published")
    await _assert_each_decided_once(ledger, 200)


async def _cut_connections(ledger: Ledger) -> None:
    superuser = create_async_engine(ledger.superuser_url)
    async with superuser.connect() as tx:
        await tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'exportgate' AND datname = current_database()"
            )
        )
    await superuser.dispose()


async def test_a_policy_that_cannot_be_loaded_ends_the_service_with_one_line(stream: Stream, ledger: Ledger) -> None:
    await ledger.tamper(
        "ALTER TABLE ledger.policy DISABLE TRIGGER USER", "UPDATE ledger.policy SET resolved = 'nonsense'"
    )
    sent = await stream.send(signed_up())
    settings = stream.settings(ledger)
    with pytest.raises(ServiceFailed, match=r"the policy in force, .* cannot be loaded") as raised:
        await run_service(settings, create_topics=False, stop=asyncio.Event())
    assert "\n" not in str(raised.value)
    assert not await stream.done(ledger, sent)


async def test_a_service_that_is_told_to_stop_before_it_is_ready_stops(stream: Stream, ledger: Ledger) -> None:
    stop = asyncio.Event()
    settings = stream.settings(ledger, kafka_session_timeout_ms=600_000)
    task = asyncio.create_task(run_service(settings, create_topics=False, stop=stop))
    await eventually(lambda: _listens(ledger), "it is connected to the database")
    stop.set()
    await asyncio.wait_for(task, DEADLINE_SECONDS)


async def _listens(ledger: Ledger) -> bool:
    return bool(await ledger.rows("SELECT 1 FROM pg_stat_activity WHERE application_name = 'exportgate'"))


async def test_a_port_that_is_taken_is_named_with_the_setting(stream: Stream, ledger: Ledger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceFailed, match=rf"127\.0\.0\.1:{port} .*EXPORTGATE_HTTP_PORT"):
            async with service(stream.settings(ledger, http_port=port)):
                pass


async def test_a_database_that_is_not_there_is_named_without_its_password(stream: Stream, ledger: Ledger) -> None:
    settings = stream.settings(ledger, database_url="postgresql://ann:hunter2@127.0.0.1:1/exportgate")
    with pytest.raises(ServiceFailed, match=r"127\.0\.0\.1:1/exportgate does not answer.*EXPORTGATE_DATABASE_URL") as e:
        async with service(settings):
            pass
    assert "hunter2" not in str(e.value)


async def test_a_database_without_a_ledger_says_which_command_helps(stream: Stream, ledger: Ledger) -> None:
    elsewhere = ledger.superuser_url.rpartition("/")[0] + "/postgres"
    with pytest.raises(ServiceFailed, match="exportgate db init"):
        async with service(stream.settings(ledger, database_url=elsewhere)):
            pass


async def test_a_broker_that_is_not_there_ends_the_service_with_one_line(stream: Stream, ledger: Ledger) -> None:
    with pytest.raises(ServiceFailed, match=r"127\.0\.0\.1:1 .*EXPORTGATE_KAFKA_BOOTSTRAP"):
        async with service(stream.settings(ledger, kafka_bootstrap="127.0.0.1:1")):
            pass


# ----------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "overrides,said",
    [
        ({"http_port": "many"}, r"EXPORTGATE_HTTP_PORT: .*'many'"),
        ({"batch_max_records": 0}, "EXPORTGATE_BATCH_MAX_RECORDS: .*0"),
        ({"database_url": "mysql://ann:hunter2@db/x"}, "EXPORTGATE_DATABASE_URL: expected postgresql://"),
        ({"kafka_security_protocol": "SASL_SSL"}, "EXPORTGATE_KAFKA_SASL_USERNAME"),
        ({"kafka_sasl_mechanism": "PLAIN"}, "EXPORTGATE_KAFKA_SECURITY_PROTOCOL"),
        ({"kafka_bootstrap": "localhost:abc"}, "EXPORTGATE_KAFKA_BOOTSTRAP: expected host:port.*'localhost:abc'"),
        ({"kafka_bootstrap": "a:1,,b:2"}, "EXPORTGATE_KAFKA_BOOTSTRAP: expected host:port"),
        ({"kafka_bootstrap": "[::1"}, "EXPORTGATE_KAFKA_BOOTSTRAP: expected host:port"),
        ({"no_such": 1}, "EXPORTGATE_NO_SUCH: there is no such setting"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(overrides: Json, said: str) -> None:
    with pytest.raises(MisconfiguredError, match=said) as raised:
        read_settings(**({"database_url": "postgresql://ann:hunter2@db/x"} | overrides))
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_secrets_are_not_shown_when_settings_are_printed() -> None:
    settings = read_settings(database_url="postgresql://ann:hunter2@db/x", kafka_sasl_password="hunter3")
    assert "hunter" not in repr(settings)
    assert settings.database_place == "db:5432/x"


def test_a_login_reaches_both_clients() -> None:
    connection = Connection(
        bootstrap="b:1",
        client_id="c",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="u",
        sasl_password="p",
    )
    arguments = connection.arguments()
    assert (arguments["sasl_mechanism"], arguments["sasl_plain_password"]) == ("SCRAM-SHA-512", "p")
    security = connection.security()
    assert type(security).__name__ == "SASLScram512"
    assert security.use_ssl
    assert "'p'" not in repr(replace(connection))


def test_every_input_topic_has_equal_partitions() -> None:
    assert len({topic.partitions for topic in INPUT_TOPICS}) == 1
