"""Positions: what lies in Kafka and what the ledger knows may drift apart in many ways; none of them loses a record."""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import INPUT_TOPICS
from service.app import run_service
from service.ledger.lanes import murmur2
from service.settings import Settings
from service.stream.consume import Consumer
from service.stream.polling import Polling
from service.stream.watch import Watch
from service.telemetry import Metrics
from tests.brokers import running
from tests.events import account, event, record
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream, eventually, fresh_stream, get, service

pytestmark = pytest.mark.embedded

Json = dict[str, Any]
TOPIC = "accounts.v1"
PARTITIONS = 16
PLACE = (TOPIC, murmur2(b"acct-1") % PARTITIONS)
"""The one partition that these tests write to."""

on_kafka = pytest.mark.only_on("kafka", reason="the embedded broker deletes no records and knows no transactions")

on_kafka_offsets = pytest.mark.only_on(
    "kafka", reason="the embedded broker takes no offsets for a group that had members"
)


def _events(count: int, first: int = 1, name: str = "e") -> list[Json]:
    """Events of one account, so that all lie in one partition, each newer than the one before."""
    return [
        event("account.updated.v1", account(version=number), id=f"{name}-{number}")
        for number in range(first, first + count)
    ]


async def _fates(ledger: Ledger) -> Counter[str]:
    """How many entries of each kind tell of records."""
    rows = await ledger.rows("SELECT kind, count(*) AS times FROM ledger.journal GROUP BY kind")
    return Counter({row.kind: row.times for row in rows if not row.kind.startswith("policy_")})


async def _decided(ledger: Ledger) -> int:
    return len(await ledger.rows("SELECT 1 FROM ledger.inbox"))


async def _next_offset(ledger: Ledger, place: tuple[str, int] = PLACE) -> int:
    rows = await ledger.rows(
        "SELECT next_offset FROM ledger.stream_position WHERE topic = :topic AND partition = :partition",
        topic=place[0],
        partition=place[1],
    )
    return int(rows[0].next_offset)


@asynccontextmanager
async def _unready(settings: Settings) -> AsyncIterator[int]:
    """A service that may never be ready, because a halt keeps it: the port on which it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    stop = asyncio.Event()
    halting = settings.model_copy(update={"http_port": port})
    task = asyncio.create_task(run_service(halting, create_topics=False, stop=stop))
    try:
        yield port
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE_SECONDS)


async def _assert_halted(ledger: Ledger, http_port: int, reason: str) -> None:
    """The halt is stored, and /ready says which partition it is."""

    async def is_halted() -> bool:
        return bool(await ledger.rows("SELECT 1 FROM ledger.stream_position WHERE halted_at IS NOT NULL"))

    async def is_not_ready() -> bool:
        try:
            status, body = await get(http_port, "/ready")
        except OSError:
            return False
        return status == 503 and f"{PLACE[0]}/{PLACE[1]} {reason}" in body

    await eventually(is_halted, "the partition is halted")
    halted = await ledger.rows("SELECT partition, halt_reason FROM ledger.stream_position WHERE halted_at IS NOT NULL")
    assert [(one.partition, one.halt_reason.partition(":")[0]) for one in halted] == [(PLACE[1], reason)]
    await eventually(is_not_ready, "the halt shows in /ready")


@asynccontextmanager
async def _admin(stream: Stream) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**stream.connection.arguments())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def _own(stream: Stream, place: tuple[str, int] = PLACE) -> TopicPartition:
    return TopicPartition(stream.connection.topic(place[0]), place[1])


async def _delete_before(stream: Stream, offset: int) -> None:
    """What retention does, at once."""
    async with _admin(stream) as admin:
        await admin.delete_records({_own(stream): RecordsToDelete(before_offset=offset)})


async def _make_anew(stream: Stream) -> None:
    """Delete the topic and make it again, as soon as the brokers have forgotten it."""
    name = stream.connection.topic(TOPIC)
    async with _admin(stream) as admin:
        await admin.delete_topics([name])

        async def is_forgotten() -> bool:
            return name not in await admin.list_topics()

        async def is_made() -> bool:
            answer = await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
            return bool(answer.topic_errors[0][1] == 0)

        async def is_known() -> bool:
            return name in await admin.list_topics()

        # Kafka's controller answers before the brokers act: records could else go into the log that is about to vanish.
        await eventually(is_forgotten, "the brokers have forgotten the topic")
        await eventually(is_made, "the topic is made anew")
        await eventually(is_known, "the brokers know of it")


async def _send_in_transactions(stream: Stream, *groups: Sequence[Json], abort: Sequence[Json] = ()) -> None:
    """Send each group in a transaction of its own; `abort` goes first, in one that is aborted."""
    name = f"{stream.connection.topic_prefix}producer"
    async with AIOKafkaProducer(bootstrap_servers=stream.connection.bootstrap, transactional_id=name) as producer:
        if abort:
            await producer.begin_transaction()
            await _hand_over(stream, producer, abort)
            await producer.abort_transaction()
        for group in groups:
            async with producer.transaction():
                await _hand_over(stream, producer, group)


async def _hand_over(stream: Stream, producer: AIOKafkaProducer, events: Sequence[Json]) -> None:
    for one in map(record, events):
        await producer.send_and_wait(stream.connection.topic(one.topic), value=one.value, key=one.key)


# ------------------------------------------------------------------------------------------- of Kafka's own offsets


async def test_the_first_start_begins_at_the_beginning_of_the_log(stream: Stream, ledger: Ledger) -> None:
    sent = await stream.send(*_events(5))
    async with service(stream.settings(ledger)):
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
    assert await _decided(ledger) == 5


@on_kafka_offsets
async def test_offsets_in_kafka_that_lag_behind_make_nothing_be_decided_again(stream: Stream, ledger: Ledger) -> None:
    settings = stream.settings(ledger)
    sent = await stream.send(*_events(10))
    async with service(settings):
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
    before = await _fates(ledger)
    await stream.commit(settings.kafka_topic_prefix + settings.kafka_group_id, {PLACE: 0})
    async with service(settings):
        sent = await stream.send(*_events(1, first=11))
        await eventually(lambda: stream.done(ledger, sent), "the new record is done")
    assert await _fates(ledger) == before + Counter(decision=1)


@on_kafka_offsets
async def test_offsets_in_kafka_that_run_ahead_of_an_idle_partition_are_not_believed(
    stream: Stream, ledger: Ledger
) -> None:
    settings = stream.settings(ledger)
    first = await stream.send(*_events(3))
    async with service(settings):
        await eventually(lambda: stream.done(ledger, first), "the first records are done")
    later = await stream.send(*_events(3, first=4))
    await stream.commit(settings.kafka_topic_prefix + settings.kafka_group_id, {PLACE: 6})
    async with service(settings):
        # Nobody writes any more: only the watch can notice.
        await eventually(lambda: stream.done(ledger, later), "the records that Kafka took for done are done")
    assert await _decided(ledger) == 6


async def test_records_that_the_client_fetched_and_dropped_are_read_again_while_others_are_busy(
    stream: Stream, ledger: Ledger
) -> None:
    async with service(stream.settings(ledger)) as (_, _task):
        sent = await stream.send(*_events(4))
        await eventually(lambda: stream.done(ledger, sent), "the records are done")
        await ledger.tamper(
            f"UPDATE ledger.stream_position SET next_offset = 1 WHERE (topic, partition) = ('{PLACE[0]}', {PLACE[1]})"
        )
        number = 0
        elsewhere = [f"acct-{n}" for n in range(2, 200) if murmur2(f"acct-{n}".encode()) % PARTITIONS != PLACE[1]]

        async def is_read_again() -> bool:
            nonlocal number
            busy = account(account_id=elsewhere[number % len(elsewhere)], version=1 + number // len(elsewhere))
            await stream.send(event("account.updated.v1", busy, id=f"busy-{number}"))
            number += 1
            return await _next_offset(ledger) == 4

        await eventually(is_read_again, "the idle partition is read again though others never rest")


# -------------------------------------------------------------------------------------------------- what was lost


@on_kafka
@pytest.mark.parametrize("refill", [0, 3])
async def test_records_that_retention_took_before_we_read_them_halt_their_partition(
    stream: Stream, ledger: Ledger, refill: int
) -> None:
    settings = stream.settings(ledger)
    sent = await stream.send(*_events(5))
    async with service(settings):
        await eventually(lambda: stream.done(ledger, sent), "the first records are done")
    await stream.send(*_events(5, first=6))
    await _delete_before(stream, 8)
    if not refill:
        await _delete_before(stream, 10)
    await stream.send(*_events(refill, first=11))
    async with _unready(settings) as port:
        await _assert_halted(ledger, port, "RECORDS_LOST")
    # The halt is in the ledger: the next life of the worker finds it.
    async with _unready(settings) as port:
        await _assert_halted(ledger, port, "RECORDS_LOST")
    assert await _next_offset(ledger) == 5
    assert await _decided(ledger) == 5


async def test_a_partition_has_a_position_before_its_first_record_comes(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)):

        async def all_are_known() -> bool:
            rows = await ledger.rows("SELECT next_offset, halted_at FROM ledger.stream_position")
            assert {(row.next_offset, row.halted_at) for row in rows} <= {(0, None)}
            return len(rows) == PARTITIONS * len(INPUT_TOPICS)

        await eventually(all_are_known, "every partition has a position")
        sent = await stream.send(*_events(3))
        await eventually(lambda: stream.done(ledger, sent), "the records are done")


@on_kafka
async def test_first_records_that_retention_took_before_we_read_them_halt_their_partition(
    stream: Stream, ledger: Ledger
) -> None:
    settings = stream.settings(ledger)
    async with service(settings):

        async def is_known() -> bool:
            return bool(await ledger.rows("SELECT 1 FROM ledger.stream_position WHERE partition = :n", n=PLACE[1]))

        await eventually(is_known, "the idle partition was seen")
    await stream.send(*_events(5))
    await _delete_before(stream, 3)
    async with _unready(settings) as port:
        await _assert_halted(ledger, port, "RECORDS_LOST")
    assert await _decided(ledger) == 0


@on_kafka
async def test_retention_of_records_that_were_done_halts_nothing(stream: Stream, ledger: Ledger) -> None:
    settings = stream.settings(ledger)
    sent = await stream.send(*_events(5))
    async with service(settings):
        await eventually(lambda: stream.done(ledger, sent), "the first records are done")
    await _delete_before(stream, 5)
    async with service(settings):
        sent = await stream.send(*_events(2, first=6))
        await eventually(lambda: stream.done(ledger, sent), "the later records are done")
    assert await _decided(ledger) == 7


@on_kafka
@pytest.mark.parametrize("refill", [0, 3, 5, 8], ids=["empty", "shorter", "as_long", "longer"])
async def test_a_topic_that_was_made_anew_while_we_were_away_halts(stream: Stream, ledger: Ledger, refill: int) -> None:
    settings = stream.settings(ledger)
    sent = await stream.send(*_events(5))
    async with service(settings):
        await eventually(lambda: stream.done(ledger, sent), "the first records are done")
    await _make_anew(stream)
    await stream.send(*_events(refill, first=100, name="anew"))
    async with _unready(settings) as port:
        await _assert_halted(ledger, port, "TOPIC_CHANGED")
    assert await _decided(ledger) == 5


@on_kafka
async def test_a_topic_made_anew_halts_even_where_kafka_holds_the_offset_of_the_old_one(
    stream: Stream, ledger: Ledger
) -> None:
    settings = stream.settings(ledger)
    sent = await stream.send(*_events(5))
    async with service(settings):
        await eventually(lambda: stream.done(ledger, sent), "the first records are done")
    await _make_anew(stream)
    await stream.send(*_events(8, first=100, name="anew"))
    # The client begins behind the new records 0 to 4, and nothing but the record before the position gives it away.
    await stream.commit(settings.kafka_topic_prefix + settings.kafka_group_id, {PLACE: 5})
    async with _unready(settings) as port:
        await _assert_halted(ledger, port, "TOPIC_CHANGED")
    assert await _decided(ledger) == 5


@on_kafka
async def test_a_topic_that_is_made_anew_under_a_running_worker_halts(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)) as (running_service, _):
        sent = await stream.send(*_events(5))
        await eventually(lambda: stream.done(ledger, sent), "the first records are done")
        await _make_anew(stream)
        await stream.send(*_events(8, first=100, name="anew"))
        await _assert_halted(ledger, running_service.http_port, "TOPIC_CHANGED")
    assert await _decided(ledger) == 5


# ----------------------------------------------------------------------------------------- what was never a record


@on_kafka
async def test_the_marks_of_transactions_are_journalled_as_gaps_and_nothing_is_lost(
    stream: Stream, ledger: Ledger
) -> None:
    groups = [_events(3), _events(2, first=4), _events(1, first=6)]
    async with service(stream.settings(ledger)) as (running_service, _):
        await _send_in_transactions(stream, *groups, abort=_events(2, first=50, name="aborted"))
        await eventually(lambda: _has_decided(ledger, 6), "all committed records are done")
        assert (await get(running_service.http_port, "/ready"))[0] == 200
    # Offsets 0-1 were aborted and 2 is its mark; 3-5, a mark, 7-8, a mark, 10, and the last mark.
    gaps = [(one["from_offset"], one["to_offset"]) for one in await ledger.journal("gap")]
    assert gaps == [(0, 3), (6, 7), (9, 10)]
    assert await _fates(ledger) == Counter(decision=6, gap=3)
    assert await ledger.replay() == []


@on_kafka
async def test_many_holes_of_one_partition_are_confirmed_together(stream: Stream, ledger: Ledger) -> None:
    groups = [_events(1, first=number) for number in range(1, 31)]
    await _send_in_transactions(stream, *groups)
    async with service(stream.settings(ledger)) as (running_service, _):
        await eventually(lambda: _has_decided(ledger, 30), "all committed records are done")
        _, metrics = await get(running_service.http_port, "/metrics")
    assert len(await ledger.journal("gap")) == 29
    # Each hole alone would be two: one when it is seen, one when it is confirmed.
    seeks = re.search(r'exportgate_seeks_total\{reason="gap"\} (\d+)', metrics)
    assert seeks is not None
    assert int(seeks[1]) < 15


@on_kafka
async def test_a_log_that_ends_with_the_mark_of_a_transaction_is_no_stall_after_a_restart(
    stream: Stream, ledger: Ledger
) -> None:
    settings = stream.settings(ledger)
    async with service(settings):
        await _send_in_transactions(stream, _events(2))
        await eventually(lambda: _has_decided(ledger, 2), "the records are done")
    async with service(settings):
        await _send_in_transactions(stream, _events(2, first=3))
        await eventually(lambda: _has_decided(ledger, 4), "the later records are done")
    assert [(one["from_offset"], one["to_offset"]) for one in await ledger.journal("gap")] == [(2, 3)]


@on_kafka
async def test_records_that_compaction_removed_are_journalled_as_gaps(stream: Stream, ledger: Ledger) -> None:
    await stream.send(*_events(6))
    await _alter(stream, {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"})

    async def is_compacted() -> bool:
        # A record of another key makes Kafka close the segment; it compacts closed ones only.
        await _keyed(stream, b"other")
        return len(await _offsets(stream)) < 6

    await eventually(is_compacted, "the log is compacted")
    await _alter(stream, {"cleanup.policy": "delete"})
    left = await _offsets(stream)

    async def is_at_rest() -> bool:
        nonlocal left
        before, left = left, await _offsets(stream)
        return before == left

    # The brokers act on a setting somewhat later than they answer.
    await eventually(is_at_rest, "nothing more is compacted")
    async with service(stream.settings(ledger)):
        await eventually(lambda: stream.done(ledger, [(*PLACE, left[-1])]), "what is left is done")
    gaps = [(one["from_offset"], one["to_offset"]) for one in await ledger.journal("gap")]
    missing = [offset for first, behind in gaps for offset in range(first, behind)]
    assert sorted(missing + left) == list(range(left[-1] + 1))


async def _has_decided(ledger: Ledger, count: int) -> bool:
    return await _decided(ledger) >= count


async def _alter(stream: Stream, settings: dict[str, str]) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, stream.connection.topic(TOPIC), configs=settings)
    async with _admin(stream) as admin:
        await admin.alter_configs([resource])


async def _keyed(stream: Stream, key: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=stream.connection.bootstrap, acks="all") as producer:
        await producer.send_and_wait(stream.connection.topic(TOPIC), value=b"{", key=key, partition=PLACE[1])


async def _offsets(stream: Stream) -> list[int]:
    """The offsets of the records that are in the log now."""
    return [one.offset for one in await stream.read(TOPIC) if one.partition == PLACE[1]]


# ------------------------------------------------------------------------------------------------ more, and others


@on_kafka
async def test_records_of_partitions_that_were_added_are_decided(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)):
        sent = await stream.send(*_events(1))
        await eventually(lambda: stream.done(ledger, sent), "the first record is done")
        async with _admin(stream) as admin:
            await admin.create_partitions({stream.connection.topic(TOPIC): NewPartitions(PARTITIONS + 2)})
        one = record(event("account.signed_up.v1", account(account_id="acct-9"), id="added"))
        place = await _send_to(stream, one.value, PARTITIONS + 1)
        await eventually(lambda: stream.done(ledger, [place]), "the record of the added partition is done")
    assert await _decided(ledger) == 2


async def _send_to(stream: Stream, value: bytes | None, partition: int) -> tuple[str, int, int]:
    async with AIOKafkaProducer(bootstrap_servers=stream.connection.bootstrap, acks="all") as producer:
        place = _own(stream, (TOPIC, partition))

        async def is_there() -> bool:
            await producer.client.force_metadata_update()
            return partition in await producer.partitions_for(place.topic)

        await eventually(is_there, "the producer knows the partition")
        sent = await producer.send_and_wait(place.topic, value=value, key=b"acct-9", partition=partition)
    return TOPIC, partition, sent.offset


async def test_another_cluster_takes_up_nobodys_positions(stream: Stream, ledger: Ledger) -> None:
    sent = await stream.send(*_events(5))
    async with service(stream.settings(ledger)):
        await eventually(lambda: stream.done(ledger, sent), "the records of the first cluster are done")
    async with running("embedded") as broker:
        other = await fresh_stream(broker, stream.connection.topic_prefix)
        sent = await other.send(*_events(3, first=6))
        async with service(other.settings(ledger)) as (running_service, _):
            await eventually(lambda: other.done(ledger, sent), "the records of the other cluster are done")
            assert (await get(running_service.http_port, "/ready"))[0] == 200
    assert await _decided(ledger) == 8


def _consumer(stream: Stream, ledger: Ledger) -> Consumer:
    return Consumer(
        pipeline=ledger.pipeline(stream.cluster),
        connection=stream.connection,
        polling=Polling(
            group_id=f"{stream.connection.topic_prefix}looking",
            batch_max_records=500,
            batch_timeout_ms=20,
            fetch_max_wait_ms=20,
            session_timeout_ms=stream.broker.session_timeout_ms,
            graceful_timeout_seconds=5,
        ),
        metrics=Metrics(),
        random=Random(1),
        decided=lambda: None,
        failed=asyncio.get_running_loop().create_future(),
    )


async def test_a_last_batch_of_several_records_is_not_taken_for_a_shortened_log(stream: Stream, ledger: Ledger) -> None:
    consumer = _consumer(stream, ledger)
    watch = Watch(consumer=consumer, stalled_seconds=60)
    await consumer.start()
    await watch.look()
    sent = await stream.send(*_events(5))
    await eventually(lambda: stream.done(ledger, sent), "all records are done")
    for _ in range(3):
        await watch.look()
    await consumer.stop()
    assert consumer.halted == {}


async def test_a_new_assignment_in_the_middle_of_a_batch_takes_nothing_from_it(stream: Stream, ledger: Ledger) -> None:
    consumer = _consumer(stream, ledger)
    await consumer.start()
    beginnings = await consumer.client.beginnings([PLACE])
    consumer.client.forget_beginnings()
    await consumer.stop()
    assert beginnings[PLACE] == 0
