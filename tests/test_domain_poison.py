"""Sections B and C of bad-input.md in the ledger: what is doubtful holds, and costs its neighbours nothing."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from service.policies import LoadedPolicy, load_file, load_resolved
from service.resolving import CannotResolve, Person, redrive
from tests.bad_records import READABLE
from tests.events import account, contract, event, flag, review, signed_up, to_bytes
from tests.ledger import Ledger

BASELINE = Path(__file__).parents[1] / "deploy" / "policies" / "baseline-2026-02.yaml"


@cache
def _baseline() -> LoadedPolicy:
    return load_file(BASELINE)


_API = {"model": "fable-5", "delivery": "api"}

HOLDS: dict[str, tuple[dict[str, Any], str]] = {
    "B38 far future": ({"time": "2099-06-01T00:00:00Z"}, "event_from_the_future"),
    "C43 unknown country": ({"headquartered_in": "ZZ"}, "country_unknown"),
    "C43 a code of users": ({"headquartered_in": "XK"}, "country_unknown"),
    "C43 a full-width code": ({"headquartered_in": "\uff27\uff22"}, "country_unknown"),
    "C43 a code with a blank": ({"headquartered_in": "GB "}, "country_unknown"),
    "C43 a party in words": (
        {"parties": [{"role": "end_user", "name": "X", "countries": ["Iran"]}]},
        "country_unknown",
    ),
    "C43 an observation in words": (
        {"location_evidence": [{"place": "Iran", "source": "gateway"}]},
        "country_unknown",
    ),
    "C43 withdrawn country": ({"headquartered_in": "SU"}, "country_unknown"),
    "C43 a country that is no code": ({"headquartered_in": "UK"}, "country_unknown"),
    "C43 country in words": ({"headquartered_in": "Russia"}, "country_unknown"),
    "C43 lower case": ({"headquartered_in": "gb"}, "country_unknown"),
    "C43 empty country": ({"headquartered_in": ""}, "country_unknown"),
    "C44 owns itself": ({"ownership": [("acct-1", "acct-1", None)]}, "ownership_contradiction"),
    "C44 cycle": ({"ownership": [("a", "b", None), ("b", "a", None)]}, "ownership_contradiction"),
    "C44 a ring of 2000": (
        {"ownership": [(f"n{n}", f"n{(n + 1) % 2_000}", None) for n in range(2_000)]},
        "ownership_contradiction",
    ),
    "C45 a hair over 100 percent": (
        {"ownership": [("a", "acct-1", "50.000000000000000001"), ("b", "acct-1", "50")]},
        "ownership_contradiction",
    ),
    "C45 over 100 percent": (
        {"ownership": [("a", "acct-1", "60"), ("b", "acct-1", "40.01")]},
        "ownership_contradiction",
    ),
    "C45 negative": ({"ownership": [("a", "acct-1", "-1")]}, "ownership_contradiction"),
    "C46 a chain of 1000": (
        {"ownership": [(f"n{n}", f"n{n + 1}", None) for n in range(1_000)]},
        "ownership_contradiction",
    ),
    "C46 a fan of 2001": (
        {"ownership": [(f"n{n}", "acct-1", None) for n in range(2_001)]},
        "ownership_contradiction",
    ),
    "C48 name of zero-width characters": ({"legal_name": "\u200b\u200d\ufeff"}, "name_missing"),
    "C48 name of Hangul fillers": ({"legal_name": "\u3164\u115f\u1160\uffa0"}, "name_missing"),
    "C48 name of combining marks": ({"legal_name": "\u0301\u0302"}, "name_missing"),
    "C48 name of digits": ({"legal_name": "12345"}, "name_missing"),
    "C48 name of one space": ({"legal_name": " "}, "name_missing"),
    "C48 name of emoji": ({"legal_name": "🏦"}, "name_missing"),
    "C48 no name": ({"legal_name": None}, "name_missing"),
    "C49 a list that asks for nothing": ({"items": []}, "country_unknown"),
    "C49 an end use of two scripts": ({"end_uses": ["c\u0438ber"]}, "country_unknown"),
    "C50 quantity below zero": ({"items": [_API | {"volume": "-5"}]}, "implausible_quantity"),
    "C50 quantity of zero": ({"items": [_API | {"volume": "0.000"}]}, "implausible_quantity"),
    "C50 a model in upper case": ({"items": [{"model": "FABLE-5", "delivery": "api"}]}, "unclassified_item"),
    "C50 an item nobody has classified": ({"items": [{"model": "unknown-9", "delivery": "api"}]}, "unclassified_item"),
}


def _event(changes: dict[str, Any]) -> dict[str, Any]:
    fields = dict(changes)
    time = fields.pop("time", None)
    if "ownership" in fields:
        fields["ownership"] = [
            {"owner": owner, "owned": owned, "kind": "equity"} | ({"percent": percent} if percent else {})
            for owner, owned, percent in fields["ownership"]
        ]
    return signed_up(**fields) | ({"time": time} if time else {})


@pytest.mark.parametrize("row", sorted(HOLDS))
async def test_a_doubtful_row_holds_and_its_neighbour_is_approved(empty_ledger: Ledger, row: str) -> None:
    changes, rule = HOLDS[row]
    await empty_ledger.use(_baseline())
    neighbour = event("account.signed_up.v1", account(account_id="neighbour"), id="neighbour")
    await empty_ledger.decide(_event(changes), neighbour)
    (doubtful,) = await empty_ledger.decisions()
    assert doubtful[2] == "hold"
    assert rule in doubtful[3]
    assert [one[2] for one in await empty_ledger.decisions("neighbour")] == ["approve"]
    assert await empty_ledger.replay() == []


PLAIN = ("A", "B27", "B33", "B38 offset", "B38 first", "B38 ten", "B42", "C48 name N", "C48 name of one letter", "C51")


async def test_rows_that_are_odd_but_plain_are_approved(empty_ledger: Ledger) -> None:
    await empty_ledger.use(_baseline())
    plain = [row for row in sorted(READABLE) if row.startswith(PLAIN)]
    for number, row in enumerate(plain):
        account_id = f"acct-{number}".encode()
        value = READABLE[row].replace(b"acct-1", account_id).replace(b"evt-1", b"evt-" + account_id)
        await empty_ledger.decide(empty_ledger.next_record(value, key=account_id))
        assert [one[2] for one in await empty_ledger.decisions(account_id.decode())] == ["approve"], row


async def test_silence_about_evidence_releases_nothing(empty_ledger: Ledger) -> None:
    await empty_ledger.use(_baseline())
    seen = [{"place": "IR", "source": "gateway", "kind": "residential", "days_seen": 60}]
    await empty_ledger.decide(signed_up(location_evidence=seen))
    await empty_ledger.decide(event("account.updated.v1", account(version=2, location_evidence=None), id="silent"))
    assert [one[2] for one in await empty_ledger.decisions()] == ["hold", "hold"]
    assert await empty_ledger.replay() == []


async def test_a_quantity_nobody_can_have_meant_is_unreadable(empty_ledger: Ledger) -> None:
    await empty_ledger.use(_baseline())
    report = await empty_ledger.decide(event("contract.signed.v1", contract(value="1e30")))
    assert report.fates == {"quarantine": 1}


# ------------------------------------------------------------------------------------------- section B, in the ledger


async def test_b30_a_copy_on_another_partition_is_a_duplicate(ledger: Ledger) -> None:
    record = ledger.next_record(signed_up())
    await ledger.decide_records([record])
    report = await ledger.decide_records([replace(record, partition=7), replace(record, partition=9)])
    assert report.fates == {"duplicate": 2}
    assert len(await ledger.decisions()) == 1


async def test_b33_ids_are_compared_byte_for_byte(ledger: Ledger) -> None:
    ids = ("evt-1", "EVT-1", "evt-1 ", "{evt-1}", "evt-\u00e9", "evt-e\u0301", "8f14e45f", "8F14E45F")
    updates = [event("account.updated.v1", account(version=n), id=one) for n, one in enumerate(ids, start=1)]
    assert (await ledger.decide(*updates)).fates == {"decision": len(ids)}


@pytest.mark.parametrize("verdict", ["release", "deny"])
async def test_b36_a_review_of_an_unknown_decision_is_kept_and_changes_nothing(ledger: Ledger, verdict: str) -> None:
    await ledger.decide(signed_up())
    reviewed = event("license.reviewed.v1", review(decision_id="no-such-decision", verdict=verdict))
    records = [ledger.next_record(reviewed, topic="license-reviews.v1") for _ in range(2)]
    report = await ledger.decide_records(records)
    assert report.fates == {"recorded": 1, "duplicate": 1}
    assert [body["decision_id"] for body in await ledger.journal("reviewed")] == ["no-such-decision"]
    assert [one[2] for one in await ledger.decisions()] == ["approve"]


async def test_b37_a_review_cannot_release_a_denial(ledger: Ledger) -> None:
    await ledger.decide(signed_up(headquartered_in="IR"))
    (denied,) = await ledger.journal("decision")
    released = event("license.reviewed.v1", review(decision_id=denied["decision_id"], rule=None, verdict="release"))
    await ledger.decide(ledger.next_record(released, topic="license-reviews.v1"))
    await ledger.decide(event("account.updated.v1", account(version=2, headquartered_in="IR"), id="later"))
    assert [one[2] for one in await ledger.decisions()] == ["deny", "deny"]


@pytest.mark.parametrize("minutes,outcome", [(4, "approve"), (6, "hold")])
async def test_b38_five_minutes_ahead_of_the_databases_clock_is_the_future(
    ledger: Ledger, minutes: int, outcome: str
) -> None:
    (row,) = await ledger.rows("SELECT clock_timestamp() AS now")
    at = (row.now + timedelta(minutes=minutes)).isoformat()
    await ledger.decide(signed_up() | {"time": at})
    assert [one[2] for one in await ledger.decisions()] == [outcome]


async def test_b38_a_report_that_is_withdrawn_in_the_future_still_holds(ledger: Ledger) -> None:
    withdrawal = event("account.flagged.v1", flag(flag_id="flag-2", withdraws="flag-1"), id="w")
    await ledger.decide(signed_up(), event("account.flagged.v1", flag(), id="f"))
    await ledger.decide(withdrawal | {"time": "2099-01-01T00:00:00Z"})
    assert (await ledger.decisions())[-1][2:] == ("hold", ("from_the_future",))
    await ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    assert (await ledger.decisions())[-1][2] == "approve"
    assert await ledger.replay() == []


@pytest.mark.parametrize("timestamp", [None, -1, 0, 2**62])
async def test_b38_the_time_that_kafka_gives_means_nothing(ledger: Ledger, timestamp: int | None) -> None:
    await ledger.decide_records([replace(ledger.next_record(signed_up()), timestamp_ms=timestamp)])
    assert [one[2] for one in await ledger.decisions()] == ["approve"]


async def test_b40_an_event_of_a_later_schema_holds_its_account_until_it_is_sent_in_one_we_know(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    later = event("account.updated.v99", account(version=2), id="later")
    await ledger.decide(ledger.next_record(later))
    assert (await ledger.decisions())[-1][2:] == ("hold", ("unread_events",))
    (row,) = await ledger.rows("SELECT quarantine_id, reason FROM ledger.quarantine")
    assert row.reason == "UNKNOWN_SCHEMA"
    with pytest.raises(CannotResolve, match="still unreadable: UNKNOWN_SCHEMA"):
        await _redrive(ledger, row.quarantine_id, None)
    await _redrive(ledger, row.quarantine_id, to_bytes(later | {"type": "account.updated.v1"}))
    assert (await ledger.decisions())[-1][2] == "approve"


async def _redrive(ledger: Ledger, quarantine_id: UUID, corrected: bytes | None) -> None:
    async with ledger.engine("reviewer").begin() as tx:
        person = Person(name="ann", reason="the sender was late")
        await redrive(
            tx, quarantine_id, person, corrected=corrected, environment="production", load_policy=load_resolved
        )


# ------------------------------------------------------------------------------------------------ section C, further


async def test_a_4_one_bad_record_among_500_costs_only_itself(ledger: Ledger) -> None:
    good = [event("account.signed_up.v1", account(account_id=f"a{n}"), id=f"e{n}") for n in range(499)]
    report = await ledger.decide(*good[:250], ledger.next_record(b"{"), *good[250:])
    assert report.fates == {"decision": 499, "quarantine": 1}


async def test_c45_shares_that_reach_100_percent_exactly_are_no_contradiction(empty_ledger: Ledger) -> None:
    await empty_ledger.use(_baseline())
    exact = [("a", "acct-1", "50.000000000000000001"), ("b", "acct-1", "49.999999999999999999"), ("c", "acct-1", None)]
    await empty_ledger.decide(_event({"ownership": exact}))
    assert [one[2] for one in await empty_ledger.decisions()] == ["approve"]


@pytest.mark.parametrize("currency", ["usd", "US", "USDT", "U$D", ""])
async def test_c50_a_currency_that_is_no_code_is_unreadable(ledger: Ledger, currency: str) -> None:
    report = await ledger.decide(event("contract.signed.v1", contract(currency=currency)))
    assert report.fates == {"quarantine": 1}


async def test_c50_an_amount_in_a_currency_we_do_not_know_is_no_amount_in_dollars(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("contract.signed.v1", contract(currency="ZZZ", value="1000000.00")))
    query = "SELECT content FROM ledger.evidence JOIN ledger.decision ON facts_sha256 = sha256"
    assert not [row for row in await ledger.rows(query) if b"value_usd" in row.content]
