"""Section C of bad-input.md under the shipped baseline: doubtful content is readable, and it holds."""

from pathlib import Path
from typing import Any

import pytest

from service.policies import load_file
from tests.bad_records import READABLE
from tests.events import account, contract, event, signed_up
from tests.ledger import Ledger

BASELINE = Path(__file__).parents[1] / "deploy" / "policies" / "baseline-2026-02.yaml"

HOLDS: dict[str, tuple[dict[str, Any], str]] = {
    "B38 far future": ({"time": "2099-06-01T00:00:00Z"}, "event_from_the_future"),
    "C43 unknown country": ({"headquartered_in": "ZZ"}, "country_unknown"),
    "C43 withdrawn country": ({"headquartered_in": "SU"}, "country_unknown"),
    "C43 a country that is no code": ({"headquartered_in": "UK"}, "country_unknown"),
    "C43 country in words": ({"headquartered_in": "Russia"}, "country_unknown"),
    "C43 lower case": ({"headquartered_in": "gb"}, "country_unknown"),
    "C43 empty country": ({"headquartered_in": ""}, "country_unknown"),
    "C44 owns itself": ({"ownership": [("acct-1", "acct-1", None)]}, "ownership_contradiction"),
    "C44 cycle": ({"ownership": [("a", "b", None), ("b", "a", None)]}, "ownership_contradiction"),
    "C45 over 100 percent": (
        {"ownership": [("a", "acct-1", "60"), ("b", "acct-1", "40.01")]},
        "ownership_contradiction",
    ),
    "C45 negative": ({"ownership": [("a", "acct-1", "-1")]}, "ownership_contradiction"),
    "C46 a chain of 1000": (
        {"ownership": [(f"n{n}", f"n{n + 1}", None) for n in range(1_000)]},
        "ownership_contradiction",
    ),
    "C48 name of one space": ({"legal_name": " "}, "name_missing"),
    "C48 name of emoji": ({"legal_name": "🏦"}, "name_missing"),
    "C48 no name": ({"legal_name": None}, "name_missing"),
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
    await empty_ledger.use(load_file(BASELINE))
    neighbour = event("account.signed_up.v1", account(account_id="neighbour"), id="neighbour")
    await empty_ledger.decide(_event(changes), neighbour)
    (doubtful,) = await empty_ledger.decisions()
    assert doubtful[2] == "hold"
    assert rule in doubtful[3]
    assert [one[2] for one in await empty_ledger.decisions("neighbour")] == ["approve"]
    assert await empty_ledger.replay() == []


async def test_rows_that_are_odd_but_plain_are_approved(empty_ledger: Ledger) -> None:
    await empty_ledger.use(load_file(BASELINE))
    plain = [row for row in sorted(READABLE) if row.startswith(("A", "B27", "B33", "B42", "C48 name Null", "C51"))]
    for number, row in enumerate(plain):
        account_id = f"acct-{number}".encode()
        value = READABLE[row].replace(b"acct-1", account_id).replace(b"evt-1", b"evt-" + account_id)
        await empty_ledger.decide(empty_ledger.next_record(value, key=account_id))
        assert [one[2] for one in await empty_ledger.decisions(account_id.decode())] == ["approve"], row


async def test_a_quantity_nobody_can_have_meant_is_unreadable(empty_ledger: Ledger) -> None:
    await empty_ledger.use(load_file(BASELINE))
    report = await empty_ledger.decide(event("contract.signed.v1", contract(value="1e30")))
    assert report.fates == {"quarantine": 1}
