"""A database that is too slow for a whole batch gets smaller ones, and no record is blamed for it."""

from typing import Any

import pytest

from service.stream.portion import Portion
from tests.events import account, event
from tests.ledger import Ledger
from tests.stream import Stream, eventually, get, service

SLOW = """
CREATE FUNCTION ledger.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$
"""
DAWDLE = "CREATE TRIGGER dawdle BEFORE INSERT ON ledger.{table} FOR EACH ROW EXECUTE FUNCTION ledger.dawdle()"


def _many(count: int) -> list[dict[str, Any]]:
    # Of one account, so that they lie in one partition and come in one poll.
    return [event("account.updated.v1", account(version=n), id=f"e-{n}") for n in range(1, count + 1)]


def test_what_is_too_slow_three_times_is_halved_down_to_one_record() -> None:
    portion = Portion(500, 500)
    assert [portion.too_slow(40) for _ in range(3)] == [False, False, True]
    assert portion.size == 20
    sizes = []
    while portion.size > 1:
        while not portion.too_slow(portion.size):
            pass
        sizes.append(portion.size)
    assert sizes == [10, 5, 2, 1]
    assert not any(portion.too_slow(1) for _ in range(10))


def test_a_database_that_is_fast_again_gets_whole_batches_again() -> None:
    portion = Portion(500, 20)
    portion.decided(all_of_it=False)
    assert portion.size == 20
    for _ in range(6):
        portion.decided(all_of_it=True)
    assert portion.size == 500


def test_a_success_in_between_begins_the_count_anew() -> None:
    portion = Portion(500, 500)
    portion.too_slow(500)
    portion.too_slow(500)
    portion.decided(all_of_it=True)
    assert [portion.too_slow(500) for _ in range(2)] == [False, False]


@pytest.mark.embedded
@pytest.mark.parametrize("table", ["inbox", "journal"])
async def test_a_batch_that_is_too_slow_as_a_whole_is_decided_in_portions(
    stream: Stream, ledger: Ledger, table: str
) -> None:
    await ledger.tamper(SLOW.format(seconds=0.02), DAWDLE.format(table=table))
    sent = await stream.send(*_many(60))
    # A whole batch takes 1.2 s or more in one statement.
    async with service(stream.settings(ledger, statement_timeout_seconds=0.5)) as (running, _):
        await eventually(lambda: stream.done(ledger, sent), "all records are done")
        assert 'exportgate_retries_total{reason="database"}' in (await get(running.http_port, "/metrics"))[1]
    await _assert_all_decided(ledger, 60)


@pytest.mark.embedded
async def test_a_single_record_that_is_too_slow_is_tried_until_the_database_can(stream: Stream, ledger: Ledger) -> None:
    await ledger.tamper(SLOW.format(seconds=3), DAWDLE.format(table="inbox"))
    async with service(stream.settings(ledger, statement_timeout_seconds=0.6)) as (running, _):
        sent = await stream.send(*_many(1))

        async def has_tried() -> bool:
            _, metrics = await get(running.http_port, "/metrics")
            return any(f'exportgate_retries_total{{reason="database"}} {n}.0' in metrics for n in range(5, 20))

        await eventually(has_tried, "it was tried again and again")
        assert not await stream.done(ledger, sent)
        await ledger.tamper("DROP TRIGGER dawdle ON ledger.inbox")
        await eventually(lambda: stream.done(ledger, sent), "the record is done")
    await _assert_all_decided(ledger, 1)


async def _assert_all_decided(ledger: Ledger, count: int) -> None:
    assert await ledger.rows("SELECT reason FROM ledger.quarantine") == []
    assert len(await ledger.rows("SELECT 1 FROM ledger.inbox")) == count
    assert await ledger.replay() == []
