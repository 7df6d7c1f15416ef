"""The batch: each record has one fate, nothing is decided twice, and what could not be read holds its account."""

import asyncio
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text

from service.arrivals import Gap
from service.audit.bodies import Cause
from service.docket import Docket
from service.ledger.subjects import Subject
from service.reading import Record
from service.transaction import MustStop, NoPolicyInForce
from tests.bad_records import QUARANTINED
from tests.events import account, closed, contract, event, flag, left, signed_up, terminated, to_bytes, user
from tests.ledger import Ledger
from tests.policies import small_policy

PLAIN = ("account", 1, "approve", ())
ITEMS = [{"model": "fable-5", "delivery": "api"}, {"model": "sonata-4", "delivery": "api"}]


async def test_a_plainly_fine_account_is_approved(ledger: Ledger) -> None:
    report = await ledger.decide(signed_up())
    assert report.fates == {"decision": 1}
    assert await ledger.decisions() == [PLAIN]


async def test_the_same_event_twice_is_decided_once(ledger: Ledger) -> None:
    in_one_batch = await ledger.decide(signed_up(), signed_up())
    later = await ledger.decide(signed_up())
    assert in_one_batch.fates == {"decision": 1, "duplicate": 1}
    assert later.fates == {"duplicate": 1}
    assert await ledger.decisions() == [PLAIN]


async def test_the_same_id_with_other_bytes_is_a_conflict_and_holds_the_account(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("contract.signed.v1", contract()))
    report = await ledger.decide(signed_up(legal_name="Another name"))
    assert report.fates == {"conflict": 1}
    held = [(subject, outcome, rules) for subject, _, outcome, rules in await ledger.decisions()][2:]
    assert held == [("account", "hold", ("unread_events",)), ("contract:contract-1", "hold", ("unread_events",))]


async def test_an_older_version_is_kept_as_stale_and_changes_nothing(ledger: Ledger) -> None:
    await ledger.decide(signed_up(version=5))
    report = await ledger.decide(event("account.updated.v1", account(version=4, headquartered_in="IR"), id="late"))
    assert report.fates == {"stale": 1}
    assert await ledger.decisions() == [PLAIN]
    assert [body["version"] for body in await ledger.journal("stale")] == [4]


async def test_the_same_version_with_other_content_is_a_conflict(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("contract.signed.v1", contract()))
    report = await ledger.decide(event("account.updated.v1", account(headquartered_in="IR"), id="other"))
    assert report.fates == {"conflict": 1}
    assert [row[2] for row in await ledger.decisions()] == ["approve", "approve", "hold", "hold"]


async def test_the_same_content_under_another_id_is_a_duplicate(ledger: Ledger) -> None:
    report = await ledger.decide(signed_up(), event("account.signed_up.v1", account(), id="again"))
    assert report.fates == {"decision": 1, "duplicate": 1}


def written_anew(value: dict[str, Any], **other: object) -> bytes:
    """The same event in other bytes: with white space, and the names in another order."""
    return json.dumps(dict(reversed((value | other).items())), indent=2).encode()


@pytest.mark.parametrize("batches", [1, 2])
async def test_an_event_that_is_written_anew_is_a_duplicate(ledger: Ledger, batches: int) -> None:
    first, again = ledger.next_record(signed_up()), ledger.next_record(written_anew(signed_up()), key=b"acct-1")
    if batches == 1:
        assert (await ledger.decide(first, again)).fates == {"decision": 1, "duplicate": 1}
    else:
        await ledger.decide(first)
        assert (await ledger.decide(again)).fates == {"duplicate": 1}
    assert await ledger.decisions() == [PLAIN]
    assert await ledger.replay() == []


@pytest.mark.parametrize(
    "other",
    [
        {"data": account(legal_name="B")},
        {"time": "2026-01-02T00:00:00Z"},
        {"type": "account.updated.v1"},
    ],
)
async def test_an_event_that_says_something_else_under_its_id_is_a_conflict(
    ledger: Ledger, other: dict[str, Any]
) -> None:
    await ledger.decide(signed_up())
    again = ledger.next_record(written_anew(signed_up(), **other), key=b"acct-1")
    assert (await ledger.decide(again)).fates == {"conflict": 1}
    assert (await ledger.decisions())[-1][2] == "hold"


async def test_where_the_first_record_is_erased_other_bytes_are_a_conflict(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    async with ledger.engine("eraser").begin() as tx:
        await tx.execute(text("DELETE FROM ledger.evidence"))
    again = ledger.next_record(written_anew(signed_up()), key=b"acct-1")
    assert (await ledger.decide(again)).fates == {"conflict": 1}


async def test_a_model_that_no_catalogue_knows_is_not_published_by_name(ledger: Ledger) -> None:
    await ledger.use(small_policy("2", held="Maria Example"))
    await ledger.decide(signed_up(items=[{"model": "Maria Example", "delivery": "api"}, *ITEMS]))
    (body,) = await ledger.journal("decision")
    unlisted = "unlisted:" + sha256(b"Maria Example").hexdigest()[:16]
    assert [item["model"] for item in body["items"]] == [unlisted, "fable-5", "sonata-4"]
    assert [reason["items"] for reason in body["reasons"]] == [[f"{unlisted}/api"]]
    assert (
        await ledger.rows("SELECT 1 FROM ledger.journal WHERE position('Maria' IN convert_from(body, 'UTF8')) > 0")
        == []
    )
    assert await ledger.replay() == []


async def test_a_contract_before_its_account_is_held_and_decided_again_at_signup(ledger: Ledger) -> None:
    await ledger.decide(event("contract.signed.v1", contract()))
    assert await ledger.decisions() == [("contract:contract-1", 1, "hold", ("unknown_account",))]
    await ledger.decide(signed_up())
    assert (await ledger.decisions())[1:] == [PLAIN, ("contract:contract-1", 2, "approve", ())]


async def test_users_and_contracts_are_decided_again_when_their_account_changes(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("user.joined.v1", user()), event("contract.signed.v1", contract()))
    await ledger.decide(event("account.updated.v1", account(version=2, headquartered_in="IR"), id="moved"))
    after = [(subject, outcome) for subject, _, outcome, _ in await ledger.decisions()][3:]
    assert after == [("account", "deny"), ("contract:contract-1", "deny"), ("user:user-1", "deny")]


async def test_a_flag_holds_a_standing_approval_and_its_withdrawal_releases_it(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("account.flagged.v1", flag(), id="f1"))
    assert [row[2] for row in await ledger.decisions()] == ["approve", "hold"]
    await ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    assert (await ledger.decisions())[-1][2] == "hold"
    withdrawal = event("account.flagged.v1", flag(flag_id="flag-2", withdraws=flag()["flag_id"]), id="f2")
    await ledger.decide(withdrawal)
    assert (await ledger.decisions())[-1][2] == "approve"


async def test_what_is_closed_is_ended_with_everything_that_hangs_on_it(ledger: Ledger) -> None:
    await ledger.decide(
        signed_up(),
        event("user.joined.v1", user(), id="u"),
        event("user.joined.v1", user(user_id="user-2"), id="u2"),
        event("contract.signed.v1", contract(), id="c"),
        event("contract.signed.v1", contract(contract_id="contract-2"), id="c2"),
    )
    await ledger.decide(event("user.left.v1", left(version=2), id="l"))
    await ledger.decide(event("contract.terminated.v1", terminated(version=2), id="t"))
    await ledger.decide(event("account.closed.v1", closed(version=2), id="x"))
    ended = [(body["subject_kind"], body["subject_id"]) for body in await ledger.journal("ended")]
    assert sorted(ended) == [
        ("account", "acct-1"),
        ("contract", "contract-1"),
        ("contract", "contract-2"),
        ("user", "user-1"),
        ("user", "user-2"),
    ]
    await ledger.decide(event("contract.signed.v1", contract(contract_id="contract-3"), id="c3"))
    assert (await ledger.decisions())[-1][2:] == ("hold", ("unknown_account",))


async def test_one_held_item_does_not_cut_off_the_account(ledger: Ledger) -> None:
    await ledger.use(small_policy("2", held="fable-5"))
    await ledger.decide(signed_up(items=ITEMS))
    body = (await ledger.journal("decision"))[0]
    assert (body["outcome"], body["access"]) == ("hold", "partial")
    assert [item["outcome"] for item in body["items"]] == ["hold", "approve"]
    assert body["authority"] == {"kind": "no_license_required", "number": None}


async def test_an_event_from_the_future_is_held_and_an_old_one_is_a_backlog(ledger: Ledger) -> None:
    await ledger.decide(signed_up() | {"time": "2099-01-01T00:00:00Z"})
    await ledger.decide(event("account.signed_up.v1", account(account_id="b"), id="old", time="2001-01-01T00:00:00Z"))
    assert (await ledger.decisions())[0][2:] == ("hold", ("from_the_future",))
    assert (await ledger.decisions("b"))[0][2] == "approve"


@pytest.mark.parametrize("row", sorted(QUARANTINED))
async def test_an_unreadable_record_is_put_aside_and_its_neighbours_are_decided(ledger: Ledger, row: str) -> None:
    value, reason = QUARANTINED[row]
    report = await ledger.decide(
        event("account.signed_up.v1", account(account_id="before"), id="before"),
        ledger.next_record(value),
        event("account.signed_up.v1", account(account_id="behind"), id="behind"),
    )
    assert report.fates == {"decision": 2, "quarantine": 1}
    assert report.outcomes == {"approve": 2}
    assert [found.reason for found in await ledger.rows("SELECT reason FROM ledger.quarantine")] == [reason]
    assert await ledger.replay() == []


async def test_an_unreadable_record_holds_the_account_that_its_key_names(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await ledger.decide(ledger.next_record(b"{", key=b"acct-1"))
    assert (await ledger.decisions())[-1] == ("account", 2, "hold", ("unread_events",))
    await ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    assert (await ledger.decisions())[-1][2:] == ("hold", ("unread_events",))


async def test_a_key_that_is_not_the_account_of_the_payload_holds_nobody(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("account.signed_up.v1", account(account_id="rival"), id="r"))
    report = await ledger.decide(ledger.next_record(signed_up(version=2), key=b"rival"))
    assert report.fates == {"quarantine": 1}
    assert len(await ledger.decisions()) == len(await ledger.decisions("rival")) == 1


async def test_contracts_of_two_accounts_with_one_id_are_two_subjects(ledger: Ledger) -> None:
    await ledger.decide(
        event("contract.signed.v1", contract(), id="1"),
        event("contract.signed.v1", contract(account_id="other"), id="2"),
    )
    assert len(await ledger.decisions()) == len(await ledger.decisions("other")) == 1


async def test_redelivered_records_are_passed_over(ledger: Ledger) -> None:
    records = [ledger.next_record(signed_up()), ledger.next_record(b"{")]
    await ledger.decide_records(records)
    again = await ledger.decide_records(records)
    assert not again.fates
    assert not again.halted
    assert await ledger.decisions() == [PLAIN]


async def test_other_bytes_at_a_done_offset_halt_the_partition(ledger: Ledger) -> None:
    record = ledger.next_record(signed_up())
    await ledger.decide_records([record])
    report = await ledger.decide_records([replace(record, value=b"something else")])
    assert report.halted[record.topic, 0].startswith("TOPIC_CHANGED")
    after = await ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    assert not after.fates
    assert len(await ledger.decisions()) == 1


async def test_a_hole_is_sought_back_to_and_journalled_only_when_confirmed(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    late = replace(ledger.next_record(event("account.updated.v1", account(version=2), id="u")), offset=7)
    report = await ledger.decide_records([late])
    gap = Gap(expected=1, found=7)
    assert report.gaps == {("accounts.v1", 0): [gap]}
    assert not report.fates
    confirmed = await ledger.decide_records([late], accepted_gaps={("accounts.v1", 0): [gap]})
    assert confirmed.next_offsets == {("accounts.v1", 0): 8}
    (body,) = await ledger.journal("gap")
    assert (body["from_offset"], body["to_offset"]) == (1, 7)


async def test_another_cluster_does_not_inherit_offsets(ledger: Ledger) -> None:
    record = ledger.next_record(signed_up())
    await ledger.decide_records([record])
    report = await ledger.decide_records([record], pipeline=ledger.pipeline(cluster="another"))
    assert report.fates == {"duplicate": 1}


async def test_without_a_policy_nothing_is_consumed(empty_ledger: Ledger) -> None:
    with pytest.raises(NoPolicyInForce):
        await empty_ledger.decide(signed_up())
    assert await empty_ledger.rows("SELECT 1 FROM ledger.stream_position") == []


async def test_a_policy_that_cannot_be_loaded_stops_the_worker(ledger: Ledger) -> None:
    await ledger.tamper(
        "ALTER TABLE ledger.policy DISABLE TRIGGER ALL",
        "UPDATE ledger.policy SET resolved = resolved || ' '",
    )
    with pytest.raises(MustStop):
        await ledger.decide(signed_up())


class BrokenError(Exception):
    pass


async def test_a_bug_in_one_event_is_halved_out_and_put_aside(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Docket.decide

    def breaks_on_seven(self: Docket, subject: Subject, cause: Cause, *rest: Any) -> None:
        if subject.account_id == "a7" and cause.kind == "event":
            raise BrokenError
        decide(self, subject, cause, *rest)

    monkeypatch.setattr(Docket, "decide", breaks_on_seven)
    events = [event("account.signed_up.v1", account(account_id=f"a{n}"), id=f"e{n}") for n in range(13)]
    report = await ledger.decide(*events)
    assert report.fates == {"decision": 12, "quarantine": 1}
    (aside,) = await ledger.rows("SELECT account_id, reason FROM ledger.quarantine")
    assert tuple(aside) == ("a7", "BUG")
    pipeline = ledger.pipeline(bug_limit=1)
    with pytest.raises(MustStop):
        await ledger.decide(event("account.signed_up.v1", account(account_id="a7"), id="again"), pipeline=pipeline)


async def test_two_workers_on_one_partition_decide_each_record_once(ledger: Ledger) -> None:
    records: list[Record] = [
        ledger.next_record(event("account.signed_up.v1", account(account_id=f"a{n % 5}", version=n + 1), id=f"e{n}"))
        for n in range(60)
    ]
    first, second = ledger.pipeline(), ledger.pipeline()
    batches = [records[start : start + 20] for start in range(0, 60, 20)]

    async def work(pipeline: Any) -> None:
        for batch in batches:
            await ledger.decide_records(batch, pipeline=pipeline)

    await asyncio.gather(work(first), work(second))
    assert len(await ledger.rows("SELECT 1 FROM ledger.decision")) == 60
    assert await ledger.replay() == []


async def test_a_conflict_within_a_batch_holds_the_contracts_too(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("contract.signed.v1", contract()))
    await ledger.decide(
        event("user.joined.v1", user(), id="one"),
        event("user.joined.v1", user(version=2, located_in="DE"), id="one"),
    )
    last = {subject: outcome for subject, _, outcome, _ in await ledger.decisions()}
    assert last == {"account": "hold", "contract:contract-1": "hold", "user:user-1": "hold"}


@pytest.mark.parametrize("ending", ["contract.terminated.v1", "user.left.v1", "account.closed.v1"])
async def test_an_end_with_the_version_of_what_it_ends_is_no_duplicate(ledger: Ledger, ending: str) -> None:
    """The two say the same words, an id and a version; taken for a copy, the approval would stand for ever."""
    begin = {"contract": "contract.signed.v1", "user": "user.joined.v1", "account": "account.signed_up.v1"}
    kind = ending.partition(".")[0]
    names = {"contract": ("contract_id", "c-9"), "user": ("user_id", "u-9"), "account": ("account_id", "acct-1")}[kind]
    data = {"account_id": "acct-1", names[0]: names[1], "version": 1}
    await ledger.decide(event(begin[kind], data, id="begin"))
    report = await ledger.decide(event(ending, data, id="end"))
    assert report.fates == {"conflict": 1}
    assert (await ledger.decisions())[-1][2] == "hold"


async def test_a_second_unreadable_record_decides_nothing_again(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), *(event("user.joined.v1", user(user_id=f"u{n}"), id=f"u{n}") for n in range(5)))
    await ledger.decide(*(ledger.next_record(b"{", key=b"acct-1") for _ in range(20)))
    assert len(await ledger.decisions()) == 12
    assert {row[2] for row in (await ledger.decisions())[6:]} == {"hold"}
    assert await ledger.replay() == []


async def test_a_flag_on_a_closed_account_counts_when_it_comes_back(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("account.closed.v1", closed(version=2)))
    report = await ledger.decide(event("account.flagged.v1", flag()))
    assert report.fates == {"recorded": 1}
    assert len(await ledger.decisions()) == 1
    await ledger.decide(event("account.updated.v1", account(version=3), id="back"))
    assert (await ledger.decisions())[-1][2:] == ("hold", ("flagged_military",))
    assert await ledger.replay() == []


async def test_a_second_report_under_one_flag_id_does_not_soften_the_first(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("account.flagged.v1", flag(), id="f1"))
    await ledger.decide(event("account.flagged.v1", flag(category="other", severity="low"), id="f2"))
    assert (await ledger.decisions())[-1][2] == "hold"


async def test_source_and_id_cannot_be_mixed_up(ledger: Ledger) -> None:
    await ledger.decide(signed_up() | {"source": "a b", "id": "c"})
    report = await ledger.decide(event("account.updated.v1", account(version=2), id="b c", source="a"))
    assert report.fates == {"decision": 1}
    assert await ledger.replay() == []


async def test_a_name_twice_holds_the_account_it_names_even_without_a_key(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    doubled = to_bytes(signed_up()).replace(b'"version":1', b'"version":1,"version":2')
    await ledger.decide(replace(ledger.next_record(doubled), key=None))
    assert (await ledger.decisions())[-1][2] == "hold"


async def test_an_erased_record_that_is_delivered_again_halts_nothing(ledger: Ledger) -> None:
    records = [ledger.next_record(signed_up()), ledger.next_record(b"{")]
    await ledger.decide_records(records)
    async with ledger.engine("eraser").begin() as tx:
        await tx.execute(text("DELETE FROM ledger.evidence"))
    assert not (await ledger.decide_records(records)).halted
