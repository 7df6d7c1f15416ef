"""What follows from matches with published lists: half-owned customers, ended orders, and what a license must match."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from schemas.accounts import AccountData
from service.audit.facts import decode_facts, encode_facts
from service.decide.elements import MATCH
from service.decide.facts import Authorization, Element, Facts, Value
from service.decide.matches import weigh_matches
from service.decide.ownership import Edge, held_by
from service.decide.values import read_value
from service.decide.waiver import end_of, waives
from service.normalise import NOTHING, account_facts
from tests.events import account, to_bytes

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def _edges(text: str) -> list[Edge]:
    """`x>a 50, a>c 50`: x holds 50 percent of a, a 50 of c; `?` is a share nobody knows, `50v` one of the votes."""
    found = []
    for part in text.split(", "):
        pair, share = part.split()
        owner, owned = pair.split(">")
        kind = "voting" if share.endswith("v") else "equity"
        number = share.removesuffix("v")
        found.append(Edge(owner, owned, None if number == "?" else Decimal(number), kind))
    return found


@pytest.mark.parametrize(
    "edges, share",
    [
        ("x>c 50", "50"),
        ("x>c 49.99", "49.99"),
        ("x>c 25, y>c 25", "50"),
        ("x>a 50, a>c 50", "50"),
        ("x>a 50, x>b 50, a>c 25, b>c 25", "50"),
        ("x>a 50, x>c 10, a>c 40", "50"),
        ("x>a 25, a>c 100", "0"),
        ("x>a 50, x>b 10, a>b 40, b>c 50", "50"),
        ("x>c 30, x>c 30v", "30"),
        ("x>c 30, x>c 60v", "60"),
        ("x>a 100, a>b 100, b>a 100, b>c 60", "60"),
        ("x>c 20, z>c ?", "20"),
        ("x>c ?", None),
        ("x>c 60, y>c ?", "60"),
        ("x>a ?, a>c 50", None),
        ("x>a ?, a>c 49", "0"),
        ("x>a 50, z>c 10", None),
        ("z>c 100", None),
    ],
)
def test_what_blocked_owners_hold_is_counted_as_ofac_counts_it(edges: str, share: str | None) -> None:
    listed = frozenset({"x", "y"} & {edge.owner for edge in _edges(edges)}) or frozenset({"x"})
    assert held_by(listed, "c", _edges(edges)) == (None if share is None else Decimal(share))


def test_copies_of_an_edge_from_two_sources_count_once() -> None:
    assert held_by(frozenset({"x"}), "c", _edges("x>c 30, x>c 30")) == 30


OWNER: Element = {"match.of": "owner", "match.party": "x", "match.list": "ofac-sdn", "match.verdict": "same"}
HALF: Element = {"edge.owner": "x", "edge.owned": "acct-1", "edge.percent": Decimal(50), "edge.kind": "equity"}


def _weighed(*matches: Element, edges: tuple[Element, ...] = (HALF,)) -> dict[str, Value]:
    values: dict[str, Value] = {"account.id": "acct-1", "ownership.edges": edges, "matches": matches}
    weigh_matches(values, (), NOON)
    return values


def test_only_owners_that_certainly_are_the_listed_party_count() -> None:
    assert _weighed(OWNER)["ownership.sdn_percent"] == 50
    for change in ({"match.verdict": "possible"}, {"match.of": "director"}, {"match.list": "ofac-ssi"}):
        assert "ownership.sdn_percent" not in _weighed({**OWNER, **change})


def test_a_listed_owner_without_a_handle_leaves_the_share_unknown() -> None:
    nameless = {name: value for name, value in OWNER.items() if name != "match.party"}
    assert "ownership.sdn_percent" not in _weighed(OWNER, nameless)


def test_owners_on_the_lists_of_bis_count_for_the_affiliates_rule_only() -> None:
    values = _weighed({**OWNER, "match.list": "bis-meu"})
    assert values["ownership.listed_percent"] == 50
    assert "ownership.sdn_percent" not in values


def test_without_edges_the_share_is_unknown() -> None:
    assert "ownership.sdn_percent" not in _weighed(OWNER, edges=())


@pytest.mark.parametrize("until, kept", [("2026-11-25T12:00:01Z", True), ("2026-11-25T12:00:00Z", False)])
def test_a_listing_ends_at_its_end(until: str, kept: bool) -> None:  # noqa: FBT001
    assert bool(_weighed({**OWNER, "match.until": until})["matches"]) is kept


@pytest.mark.parametrize("raw", ["2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+01:00", 5, None])
def test_an_end_that_is_no_instant_in_utc_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match=r"'match\.until': expected"):
        read_value(MATCH["match.until"], raw)


# ------------------------------------------------------------------------------------------ authorizations

LICENSE = Authorization(
    kind="license",
    number="D1",
    models=None,
    deliveries=None,
    destinations=None,
    end_uses=None,
    valid_from=NOON - timedelta(days=1),
    valid_until=NOON + timedelta(days=9),
    parties=("acct-1", "p-1"),
    quantity=Decimal(10),
    revoked_at=NOON + timedelta(days=5),
)
ASKED: dict[str, Value] = {
    "account.id": "acct-1",
    "subject.kind": "user",
    "person.employer_relation": "employee",
    "item.volume": Decimal(10),
    "parties": ({"party.role": "end_user", "party.id": "p-1"}, {"party.role": "director"}),
}


def test_a_license_lifts_what_fits_all_its_limits() -> None:
    assert waives(LICENSE, ASKED, NOON)
    assert waives(LICENSE, {**ASKED, "subject.kind": "contract", "person.employer_relation": "other"}, NOON)
    assert end_of(LICENSE) == NOON + timedelta(days=5)
    assert end_of(replace(LICENSE, revoked_at=None)) == LICENSE.valid_until


@pytest.mark.parametrize(
    "change",
    [
        {"account.id": "acct-2"},
        {"person.employer_relation": "contractor"},
        {"person.employer_relation": None},
        {"item.volume": Decimal("10.01")},
        {"item.volume": None},
        {"parties": ({"party.role": "end_user", "party.id": "p-2"},)},
        {"parties": ({"party.role": "owner"},)},
        {"parties": ({"party.id": "p-2"},)},
    ],
    ids=str,
)
def test_a_license_lifts_nothing_where_one_limit_does_not_fit_or_cannot_be_told(
    change: dict[str, Value | None],
) -> None:
    values = {name: value for name, value in {**ASKED, **change}.items() if value is not None}
    assert not waives(LICENSE, values, NOON)


@pytest.mark.parametrize("days, lifts", [(-2, False), (4, True), (5, False), (9, False)])
def test_a_license_lifts_until_it_is_revoked(days: int, lifts: bool) -> None:  # noqa: FBT001
    assert waives(LICENSE, ASKED, NOON + timedelta(days=days)) is lifts


def test_the_handle_by_which_a_license_names_a_party_is_that_of_the_event() -> None:
    sent = account(parties=[{"role": "owner", "name": "X", "party_id": "p-1"}, {"role": "owner", "name": "Y"}])
    data = AccountData.model_validate_json(to_bytes(sent))
    parties = account_facts(data, earlier=NOTHING, from_future=False).values["parties"]
    assert parties == ({"party.role": "owner", "party.id": "p-1"}, {"party.role": "owner"})


def test_the_limits_of_a_license_are_stored_and_read_again() -> None:
    facts = Facts(values={}, items=(), assurance={}, authorizations=(LICENSE, replace(LICENSE, parties=None)))
    assert decode_facts(encode_facts(facts)) == facts
