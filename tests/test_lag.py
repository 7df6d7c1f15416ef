"""How far behind we are, as `positions list` tells it: by the brokers' ends, and without them where they are away."""

import asyncio
import socket

import pytest

from service.ledger.positions import enter
from tests.commands import Cli
from tests.events import signed_up
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream

pytestmark = pytest.mark.embedded


async def test_positions_are_listed_with_the_end_of_the_log_and_the_lag(
    cli: Cli, ledger: Ledger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", stream.connection.bootstrap)
    monkeypatch.setenv("EXPORTGATE_KAFKA_TOPIC_PREFIX", stream.connection.topic_prefix)
    # They do answer, however long a busy machine takes.
    monkeypatch.setattr("service.cli.positions._BROKER_SECONDS", DEADLINE_SECONDS)
    sent = await stream.send(*(signed_up() | {"id": f"e-{number}"} for number in range(5)))
    _, partition, _ = sent[0]
    other = (partition + 1) % 16
    async with ledger.engine("service").begin() as tx:
        await enter(tx, stream.cluster, {("accounts.v1", partition): 2, ("accounts.v1", other): 0})
    answer = await cli("positions", "list", "--json")
    assert answer.err == ""
    told = {row["partition"]: (row["next_offset"], row["end_offset"], row["lag"]) for row in answer.json}
    assert told == {partition: (2, 5, 3), other: (0, 0, 0)}
    monkeypatch.setenv("COLUMNS", "160")
    lines = (await cli("positions", "list")).out.splitlines()
    assert [stream.cluster, "accounts.v1", str(partition), "2", "5", "3"] in [line.split() for line in lines]
    # Those of other brokers, and of topics that these do not have, stay without.
    async with ledger.engine("service").begin() as tx:
        await enter(tx, "elsewhere", {("accounts.v1", partition): 2})
        await enter(tx, stream.cluster, {("accounts.v1", 99): 2})
    answer = await cli("positions", "list", "--json")
    assert [row["lag"] for row in answer.json if row["lag"] is None] == [None, None]
    assert answer.err.startswith(f"lag is not known: the brokers are cluster {stream.cluster}")


async def test_positions_are_listed_where_the_brokers_have_none_of_these_topics(
    cli: Cli, ledger: Ledger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", stream.connection.bootstrap)
    monkeypatch.setenv("EXPORTGATE_KAFKA_TOPIC_PREFIX", "absent-")
    monkeypatch.setattr("service.cli.positions._BROKER_SECONDS", DEADLINE_SECONDS)
    await ledger.decide(signed_up())
    answer = await cli("positions", "list", "--json")
    (row,) = answer.json
    assert (answer.code, row["next_offset"], row["lag"]) == (0, 1, None)
    assert answer.err.startswith("lag is not known: ")


@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "nobody answers"])
async def test_positions_are_listed_without_lag_where_no_broker_answers(
    cli: Cli, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, silent: bool
) -> None:
    await ledger.decide(signed_up())
    with socket.create_server(("127.0.0.1", 0)) as server:
        bootstrap = f"127.0.0.1:{server.getsockname()[1] if silent else 1}"
        monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", bootstrap)
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer = await cli("positions", "list", "--json")
    (row,) = answer.json
    assert (answer.code, row["next_offset"], row["end_offset"], row["lag"]) == (0, 1, None, None)
    assert answer.err.startswith(f"lag is not known: no Kafka broker answers at {bootstrap}")
    assert answer.err.count("\n") == 1
