"""A halted partition goes on when a named person says so, and nothing is lost, or decided twice, by that."""

import pytest
from sqlalchemy.exc import DBAPIError

from service.ledger.positions import halt
from service.lifting import CannotLift, Lifted, lift_halt
from service.resolving import Person
from tests.events import account, event, signed_up
from tests.ledger import Ledger
from tests.stream import Stream, eventually, service

EVE = Person(name="eve", reason="a test")
ACCOUNTS = ("accounts.v1", 0)


async def stop(ledger: Ledger, reason: str) -> None:
    async with ledger.engine("service").begin() as tx:
        await halt(tx, "test", ACCOUNTS, reason)


async def lift(
    ledger: Ledger, to_offset: int | None = None, role: str = "reviewer", *, give_up: bool = False
) -> Lifted:
    async with ledger.engine(role).begin() as tx:
        return await lift_halt(
            tx, cluster="test", topic="accounts.v1", partition=0, person=EVE, to_offset=to_offset, give_up=give_up
        )


async def test_a_lifted_halt_stands_in_the_journal_with_name_and_reason(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await stop(ledger, "RECORDS_LOST: the log begins at 7, and 1 would have been next")
    lifted = await lift(ledger, 7)
    (entry,) = await ledger.journal("halt_lifted")
    at = {entry.pop("at"), entry.pop("halted_at")}
    assert len(at) == 2
    assert entry == {
        "account_id": None,
        "by": "eve",
        "cluster": "test",
        "format": 1,
        "from_offset": 1,
        "halt_reason": "RECORDS_LOST: the log begins at 7, and 1 would have been next",
        "kind": "halt_lifted",
        "lane": 16,
        "partition": 0,
        "reason": "a test",
        "seq": lifted.seq,
        "to_offset": 7,
        "topic": "accounts.v1",
    }
    (position,) = await ledger.rows("SELECT next_offset, halted_at, halt_reason FROM ledger.stream_position")
    assert tuple(position) == (7, None, None)
    assert await ledger.replay() == []


async def test_after_lost_records_the_offset_is_asked_for_and_may_not_lead_back(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await stop(ledger, "RECORDS_LOST: the log begins at 7, and 1 would have been next")
    with pytest.raises(CannotLift, match=r"expected --to OFFSET.*the log begins at 7"):
        await lift(ledger)
    with pytest.raises(CannotLift, match=r"behind 1.*got 1"):
        await lift(ledger, 1)
    assert await ledger.journal("halt_lifted") == []


@pytest.mark.parametrize(
    "reason, most, lost",
    [("RECORDS_LOST: the log begins at 7, and 1 would have been next", 7, 6), ("TOPIC_CHANGED: a test", 0, 0)],
)
async def test_records_that_the_log_still_holds_are_given_up_only_where_that_is_said(
    ledger: Ledger, reason: str, most: int, lost: int
) -> None:
    await ledger.decide(signed_up())
    await stop(ledger, reason)
    with pytest.raises(CannotLift, match=f"passes over 5 offsets from {most} on.*--give-up"):
        await lift(ledger, most + 5)
    assert await ledger.journal("halt_lifted") == []
    lifted = await lift(ledger, most + 5, give_up=True)
    assert (lifted.to_offset, lifted.lost, lifted.given_up) == (most + 5, lost, 5)
    await stop(ledger, reason)
    again = await lift(ledger, None if most == 0 else most + 6, give_up=True)
    assert again.given_up == (0 if most == 0 else 6)


async def test_without_a_named_beginning_nothing_is_known_to_be_gone(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await stop(ledger, "RECORDS_LOST: a test")
    with pytest.raises(CannotLift, match="passes over 1 offset from 1 on"):
        await lift(ledger, 2)


async def test_a_topic_made_anew_is_read_from_its_beginning_and_nothing_is_decided_twice(ledger: Ledger) -> None:
    first = [event("account.signed_up.v1", account(account_id=f"acct-{n}"), id=f"e-{n}") for n in range(3)]
    await ledger.decide(*first)
    # The topic is made anew: one event that we know, and one that nobody has seen yet where we had been already.
    ledger.offsets.clear()
    new = event("account.signed_up.v1", account(account_id="new"), id="new")
    refilled = [ledger.next_record(one) for one in (first[2], new)]
    assert (await ledger.decide_records(refilled)).halted
    assert (await lift(ledger)).to_offset == 0
    report = await ledger.decide_records(refilled)
    assert dict(report.fates) == {"duplicate": 1, "decision": 1}
    assert len(await ledger.rows("SELECT 1 FROM ledger.decision")) == 4
    assert await ledger.replay() == []


async def test_a_record_put_aside_before_its_topic_was_made_anew_does_not_stop_the_worker(ledger: Ledger) -> None:
    await ledger.decide_records([ledger.next_record(b"{", key=b"acct-1"), ledger.next_record(signed_up())])
    ledger.offsets.clear()
    new = event("account.signed_up.v1", account(account_id="new"), id="new")
    refilled = [ledger.next_record(b"{", key=b"acct-1"), ledger.next_record(new)]
    assert (await ledger.decide_records(refilled)).halted
    await lift(ledger)
    assert (await ledger.decide_records(refilled)).fates["decision"] == 1


async def test_a_partition_that_is_not_halted_cannot_be_moved(ledger: Ledger) -> None:
    with pytest.raises(CannotLift, match="not halted"):
        await lift(ledger, 5)
    await ledger.decide(signed_up())
    with pytest.raises(CannotLift, match="not halted"):
        await lift(ledger, 5)


async def test_a_policy_officer_cannot_lift_a_halt(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await stop(ledger, "TOPIC_CHANGED: a test")
    with pytest.raises(DBAPIError, match="permission denied"):
        await lift(ledger, role="policy_officer")


@pytest.mark.embedded
async def test_a_running_worker_takes_a_lifted_partition_up_by_itself(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)):
        (sent,) = await stream.send(signed_up())
        await eventually(lambda: stream.done(ledger, [sent]), "the record is done")
        await ledger.pipeline(stream.cluster).halt(sent[:2], "TOPIC_CHANGED: a test")
        (waiting,) = await stream.send(event("account.updated.v1", account(version=2), id="later"))
        async with ledger.engine("reviewer").begin() as tx:
            await lift_halt(tx, cluster=stream.cluster, topic=sent[0], partition=sent[1], person=EVE, to_offset=None)
        await eventually(lambda: stream.done(ledger, [waiting]), "the partition goes on, from its beginning")
    kinds = await ledger.rows("SELECT kind, count(*) AS times FROM ledger.journal GROUP BY kind")
    counts = {row.kind: row.times for row in kinds}
    assert counts["duplicate"] == counts["halt_lifted"] == 1
    assert len(await ledger.decisions()) == 2
    assert await ledger.replay() == []
