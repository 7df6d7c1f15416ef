"""Rows of bad-input.md that only a broker can deliver: headers, keys, partitions, and records that unpack."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import topic_of
from tests.events import account, event, signed_up, to_bytes
from tests.ledger import Ledger
from tests.stream import Stream, eventually, get, service

pytestmark = pytest.mark.embedded

Json = dict[str, Any]
Headers = Sequence[tuple[str, bytes | None]]

HEADERS: dict[str, Headers] = {
    "B26 not UTF-8": [("trace", b"\xff\xfe\x80")],
    "B26 null": [("trace", None)],
    "B26 empty": [("", b"")],
    "B26 a name twice": [("trace", b"1"), ("trace", b"2")],
    "B26 a hundred": [(f"h{number}", b"\x00" * 50) for number in range(100)],
    "B27 plain text": [("content-type", b"text/plain")],
    "B27 Avro": [("content-type", b"avro/binary")],
    "B27 no text": [("content-type", b"\xff")],
    "B27 binary mode": [("ce_type", b"account.closed.v1"), ("ce_id", b"other"), ("ce_source", b"/other")],
}


def _signup(account_id: str) -> Json:
    return event("account.signed_up.v1", account(account_id=account_id), id=f"e-{account_id}")


async def _send(stream: Stream, several: Sequence[tuple[Json, dict[str, Any]]], **producer: Any) -> list[Any]:
    """Send events as only a foreign producer would; where each lies."""
    placed = []
    async with AIOKafkaProducer(
        bootstrap_servers=stream.connection.bootstrap,
        acks="all",
        enable_idempotence=stream.broker.idempotent,
        **producer,
    ) as client:
        for one, how in several:
            topic = topic_of(one["type"])
            assert topic is not None
            arguments = {"key": one["data"]["account_id"].encode(), "value": to_bytes(one)} | how
            sent = await client.send_and_wait(stream.connection.topic(topic.name), **arguments)
            placed.append((topic.name, sent.partition, sent.offset))
    return placed


async def test_b26_b27_headers_mean_nothing_and_lose_nothing(stream: Stream, ledger: Ledger) -> None:
    several = [(_signup(f"a{n}"), {"headers": list(headers)}) for n, headers in enumerate(HEADERS.values())]
    async with service(stream.settings(ledger)):
        sent = await _send(stream, [*several, (_signup("last"), {})])
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
    decided = {
        row.account_id: row.outcome for row in await ledger.rows("SELECT account_id, outcome FROM ledger.subject")
    }
    assert decided == dict.fromkeys([*(f"a{n}" for n in range(len(HEADERS))), "last"], "approve")
    assert await ledger.replay() == []


async def test_b28_b29_a_record_without_key_or_on_another_partition_is_decided(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)) as (running, _):
        astray = [(_signup(f"b{n}"), {"partition": n}) for n in range(16)]
        sent = await _send(stream, [(_signup("keyless"), {"key": None}), *astray])
        await eventually(lambda: stream.done(ledger, sent), "all records are done")

        async def are_counted() -> bool:
            _, metrics = await get(running.http_port, "/metrics")
            lines = [one for one in metrics.splitlines() if one.startswith("exportgate_misplaced_records_total{")]
            return sum(float(one.rpartition(" ")[2]) for one in lines) >= 8

        await eventually(are_counted, "records on another partition are counted")
    assert {row.outcome for row in await ledger.rows("SELECT outcome FROM ledger.subject")} == {"approve"}
    assert len(await ledger.rows("SELECT 1 FROM ledger.subject")) == 17
    assert await ledger.rows("SELECT 1 FROM ledger.quarantine") == []


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_a25_a_record_that_unpacks_to_twenty_megabytes_is_put_aside(
    stream: Stream, ledger: Ledger, compression: str
) -> None:
    bomb = b'"' + b"x" * 20_000_000 + b'"'
    async with service(stream.settings(ledger)):
        sent = await _send(
            stream,
            [(signed_up(account_id="bomb"), {"value": bomb}), (signed_up(), {})],
            compression_type=compression,
            max_request_size=64_000_000,
        )
        await eventually(lambda: stream.done(ledger, sent), "both records are done")
    (row,) = await ledger.rows("SELECT reason, account_id FROM ledger.quarantine")
    assert tuple(row) == ("TOO_LARGE", "bomb")
    assert [one[2] for one in await ledger.decisions()] == ["approve"]


async def test_a2_a_tombstone_among_good_records_costs_only_itself(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)):
        sent = await _send(stream, [(_signup("c"), {}), (_signup("c"), {"value": None}), (_signup("d"), {})])
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
    assert [row.reason for row in await ledger.rows("SELECT reason FROM ledger.quarantine")] == ["TOMBSTONE"]
    assert [one[2] for one in await ledger.decisions("c")] == ["approve", "hold"]
    assert [one[2] for one in await ledger.decisions("d")] == ["approve"]
