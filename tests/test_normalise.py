"""Other people's words -> our facts: what is absent stays unknown, what contradicts itself says so."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.accounts import AccountData, AccountFlagged, UserData
from schemas.contracts import ContractData
from service.decide.facts import Assurance
from service.decide.ownership import MOST_EDGES, Edge, examine
from service.decide.vocabulary import VOCABULARY
from service.normalise import NOTHING, OwnFacts, account_facts, contract_facts, flagged_facts, user_facts, with_account
from service.places import read_place
from tests.events import account, big_account, contract, flag, to_bytes, user


def facts(**fields: Any) -> Any:
    data = AccountData.model_validate_json(to_bytes(account(**fields)))
    return account_facts(data, earlier=NOTHING, from_future=False).values


def person(**fields: Any) -> Any:
    data = UserData.model_validate_json(to_bytes(user(**fields)))
    return user_facts(data, earlier=NOTHING, said_on=date(2026, 7, 1), from_future=False).values


def edge(owner: str, owned: str, percent: str | None = None, kind: str = "equity") -> Edge:
    return Edge(owner=owner, owned=owned, percent=None if percent is None else Decimal(percent), kind=kind)


@pytest.mark.parametrize("code", ["GB", "UA-43", "CN-HK", "US-NY"])
def test_a_code_of_iso_3166_is_a_place(code: str) -> None:
    assert read_place(code) == code


@pytest.mark.parametrize("code", ["", "ZZ", "XK", "SU", "UK", "gb", "Russia", "GBR", "UA-", "UA-4344", "ZZ-1", " GB"])
def test_anything_else_is_no_place_and_is_not_guessed_at(code: str) -> None:
    assert read_place(code) is None


def test_hong_kong_is_china_and_macau_stays_apart() -> None:
    assert (read_place("HK"), read_place("MO")) == ("CN-HK", "MO")


def test_a_field_without_a_code_is_named_and_its_place_is_unknown() -> None:
    found = facts(headquartered_in="Russia", billing_in="uk")
    assert found["customer.unreadable_places"] == ("billing_in", "headquartered_in")
    assert "customer.headquartered_in" not in found


def test_what_an_event_does_not_say_is_absent_and_never_a_default() -> None:
    bare = account_facts(
        AccountData.model_validate_json(to_bytes({"account_id": "a", "version": 1})), earlier=NOTHING, from_future=False
    )
    assert dict(bare.values) == {
        "account.flags": (),
        "account.from_future": False,
        "customer.unreadable_places": (),
    }


def test_every_fact_is_in_the_vocabulary() -> None:
    found = facts(**big_account())
    found |= person()
    found |= contract_facts(
        ContractData.model_validate_json(to_bytes(contract())), earlier=NOTHING, from_future=True
    ).values
    assert set(found) <= set(VOCABULARY)
    assert not [name for name in found if VOCABULARY[name].derived]


@pytest.mark.parametrize("name", ["😀😀", "   ", "---", "123"])
def test_a_name_without_a_letter_is_no_name(name: str) -> None:
    assert facts(legal_name=name)["customer.name_given"] is False


@pytest.mark.parametrize("name", ["Null", "NaN", "'; DROP TABLE", "=cmd()", "東京物流", "Ж"])
def test_an_odd_name_is_a_name(name: str) -> None:
    assert facts(legal_name=name)["customer.name_given"] is True


def test_the_most_recent_citizenship_or_residency_counts() -> None:
    since = {"citizenships": [{"country": "FR", "since": "1975-01-01"}]}
    resident = {"permanent_residencies": [{"country": "IR", "since": "2019-01-01"}]}
    assert person(**since, **resident)["person.deemed_export_country"] == "IR"


def test_which_is_the_most_recent_cannot_be_told_without_dates() -> None:
    two = [{"country": "FR"}, {"country": "IR", "since": "2019-01-01"}]
    assert "person.deemed_export_country" not in person(citizenships=two)
    same_day = [{"country": "FR", "since": "2019-01-01"}, {"country": "IR", "since": "2019-01-01"}]
    assert "person.deemed_export_country" not in person(citizenships=same_day)


def test_a_flag_stays_until_it_is_withdrawn() -> None:
    raised = flagged_facts(AccountFlagged.model_validate_json(to_bytes(flag())), earlier=NOTHING, from_future=False)
    kept = account_facts(AccountData.model_validate_json(to_bytes(account())), earlier=raised, from_future=False)
    withdrawal = AccountFlagged.model_validate_json(to_bytes(flag(flag_id="f2", withdraws="flag-1")))
    assert len(kept.values["account.flags"]) == 1  # type: ignore[arg-type]
    assert flagged_facts(withdrawal, earlier=kept, from_future=False).values["account.flags"] == ()


def test_a_contract_has_its_accounts_facts_and_its_own_and_doubts_add_up() -> None:
    account_own = account_facts(
        AccountData.model_validate_json(to_bytes(account(billing_in="uk"))), earlier=NOTHING, from_future=False
    )
    own = contract_facts(
        ContractData.model_validate_json(to_bytes(contract(deliver_to=["Mars"]))), earlier=NOTHING, from_future=True
    )
    both = with_account(account_own, own)
    assert both.values["customer.unreadable_places"] == ("billing_in", "deliver_to")
    assert both.values["account.from_future"] is True
    assert both.items == account_own.items


def test_only_better_than_declared_is_kept_as_assurance() -> None:
    data = AccountData.model_validate_json(
        to_bytes(account(assurance={"organized_in": "documented", "billing_in": "declared", "legal_name": "verified"}))
    )
    assert account_facts(data, earlier=NOTHING, from_future=False).assurance == {
        "customer.organized_in": Assurance.DOCUMENTED
    }


def test_ownership_that_adds_up_has_layers_and_ends() -> None:
    found = examine([edge("p", "h2", "100"), edge("h2", "h1", "60"), edge("q", "h1", "40"), edge("h1", "us", "100")])
    assert (found.state, found.layers, found.ends) == ("consistent", 3, frozenset({"p", "q"}))


@pytest.mark.parametrize(
    "edges",
    [
        [edge("a", "b", "-0.01")],
        [edge("a", "b", "100.01")],
        [edge("a", "b", "60"), edge("c", "b", "40.000000000000000001")],
    ],
)
def test_shares_that_do_not_add_up_are_inconsistent(edges: list[Edge]) -> None:
    assert examine(edges).state == "inconsistent"


def test_shares_of_different_kinds_are_not_added() -> None:
    assert examine([edge("a", "b", "60"), edge("c", "b", "60", "voting")]).state == "consistent"


def test_a_cycle_ends_the_walk() -> None:
    assert examine([edge("a", "b"), edge("b", "a")]).state == "cyclic"
    assert examine([edge("a", "a")]).state == "cyclic"


def test_too_many_edges_or_layers_are_too_complex() -> None:
    chain = [edge(f"n{number}", f"n{number + 1}") for number in range(1_000)]
    star = [edge(f"n{number}", "us") for number in range(MOST_EDGES + 1)]
    assert examine(chain).state == examine(star).state == "too_complex"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"))))
def test_the_walk_always_terminates_and_the_order_of_edges_means_nothing(pairs: list[tuple[str, str]]) -> None:
    edges = [edge(owner, owned) for owner, owned in pairs]
    assert examine(edges) == examine(edges[::-1])


def test_a_birthday_is_no_fact() -> None:
    assert not any(isinstance(value, date) for value in person().values())


@pytest.mark.parametrize("code", ["UA-9", "UA-ZZ", "UA-043", "UA-4"])
def test_a_region_of_ukraine_that_does_not_exist_is_no_place(code: str) -> None:
    assert read_place(code) is None


def test_an_observation_without_a_place_is_named() -> None:
    evidence = {"source": "gateway", "kind": "residential", "days_seen": 30}
    for odd in ({"place": "ir"}, {"place": "Iran"}, {"place": "IR", "share": "-5"}, {"place": "IR", "share": "400"}):
        assert facts(location_evidence=[evidence | odd])["customer.unreadable_places"] == ("location_evidence",)


def test_a_party_without_a_country_code_is_named() -> None:
    assert facts(parties=[{"role": "owner", "name": "X", "countries": ["Iran"]}])["customer.unreadable_places"] == (
        "parties",
    )


def test_a_party_without_a_code_for_its_address_is_named() -> None:
    found = facts(parties=[{"role": "end_user", "name": "X", "countries": ["GB"], "located_in": "Iran"}])
    assert found["customer.unreadable_places"] == ("parties",)


def test_where_a_party_is_and_what_it_is_of_are_two_facts() -> None:
    (party,) = facts(parties=[{"role": "end_user", "name": "X", "countries": ["RU"], "located_in": "GB"}])["parties"]
    assert (party["party.countries"], party["party.located_in"]) == (("RU",), "GB")


def test_an_empty_list_of_countries_says_nothing_of_a_party() -> None:
    (party,) = facts(parties=[{"role": "end_user", "name": "X", "countries": []}])["parties"]
    assert "party.countries" not in party


def test_both_the_contract_and_its_statement_say_what_it_is_for_and_where() -> None:
    statement = {"kind": "bis_711", "end_uses": ["Nuclear weapons"], "countries": ["IR"]}
    data = contract(end_uses=["customer_service"], end_use_statement=statement)
    own = contract_facts(ContractData.model_validate_json(to_bytes(data)), earlier=NOTHING, from_future=False)
    found = with_account(NOTHING, own).values
    assert found["contract.end_uses"] == ("customer_service", "nuclear_weapons")
    assert found["contract.deliver_to"] == ("GB", "IR")


@pytest.mark.parametrize(
    "written",
    [
        "Nuclear weapons",
        " nuclear-weapons ",
        "nuclear\u00a0weapons",
        "nu\u200bclear_weap\u00adons",
        "nuclear\ufe0f_weapo\u034fns",
        "ｎｕｃｌｅａｒ＿ｗｅａｐｏｎｓ",
        "nuclear\u2010weapons",
        "nuclear\u2011weapons",
        "nuclear\u2013weapons",
        "nuclear\u3164weapons",
        "nuclear_weapons\u3164",
        "nu\u1160clear_weapons",
        "nuclear\u2800weapons\u2800",
        "_nuclear_weapons-",
        "nuclear/weapons.",
        "n\u00faclear we\u0430pons",
        "\u039duclear w\u0435ap\u03bfns",
        "NU\u0421LE\u0391R WEAPONS",
    ],
)
def test_a_spelling_that_looks_the_same_is_the_same_end_use(written: str) -> None:
    assert facts(end_uses=[written])["customer.end_uses"] == ("nuclear_weapons",)


def test_silence_does_not_resolve_a_red_flag() -> None:
    flagged = {"edition": "2025-11", "number": 1, "raised_by": "a", "raised_at": "2026-01-01T00:00:00Z"}
    first = account_facts(
        AccountData.model_validate_json(to_bytes(account(red_flags=[flagged]))), earlier=NOTHING, from_future=False
    )
    later = account_facts(AccountData.model_validate_json(to_bytes(account())), earlier=first, from_future=False)
    assert later.values["account.red_flags"] == first.values["account.red_flags"]


@pytest.mark.parametrize("stated", [[], [{"edition": "2025-11", "number": 2}]])
def test_an_open_red_flag_stays_until_it_is_stated_with_a_resolution(stated: list[dict[str, Any]]) -> None:
    raised = {"raised_by": "a", "raised_at": "2026-01-01T00:00:00Z"}
    flagged = {"edition": "2025-11", "number": 1, **raised}
    first = told(red_flags=[flagged])
    later = told(first, red_flags=[one | raised for one in stated])
    assert {"red_flag.edition": "2025-11", "red_flag.number": 1, "red_flag.resolved": False} in red_flags(later)
    resolved = told(
        later, red_flags=[flagged | {"resolution": {"by": "b", "at": "2026-02-01T00:00:00Z", "how": "seen"}}]
    )
    assert [flag["red_flag.number"] for flag in red_flags(resolved) if not flag["red_flag.resolved"]] == [
        one["number"] for one in stated
    ]


def red_flags(known: OwnFacts) -> Any:
    return known.values["account.red_flags"]


def told(earlier: OwnFacts = NOTHING, **fields: Any) -> OwnFacts:
    data = AccountData.model_validate_json(to_bytes(account(**fields)))
    return account_facts(data, earlier=earlier, from_future=False)


OWNER = {"role": "owner", "name": "Ann", "party_id": "p-1", "kind": "individual", "countries": ["Iran"]}
EDGE = {"owner": "p-1", "owned": "acct-1", "percent": "60", "kind": "equity"}


def test_silence_takes_back_neither_evidence_nor_parties_nor_owners() -> None:
    seen = [{"place": "IR", "source": "gateway", "days_seen": 60}, {"place": "Iran", "source": "gateway"}]
    first = told(location_evidence=seen, parties=[OWNER], ownership=[EDGE])
    silent = told(first, location_evidence=None)
    assert silent == first
    assert silent.values["customer.unreadable_places"] == ("location_evidence", "parties")
    assert silent.values["ownership.ends_known"] is True
    emptied = told(first, location_evidence=[], parties=[], ownership=[])
    assert (emptied.values["location.evidence"], emptied.values["parties"]) == ((), ())
    assert emptied.values["customer.unreadable_places"] == ()
    assert "ownership.state" not in emptied.values


def test_owners_told_of_earlier_do_not_end_in_parties_named_later() -> None:
    first = told(parties=[OWNER], ownership=[EDGE])
    assert "ownership.ends_known" not in told(first, parties=[OWNER | {"party_id": "p-2"}]).values
    assert told(first, ownership=[EDGE]).values["ownership.ends_known"] is True
    assert told(first, ownership=[EDGE | {"owner": "p-2"}]).values["ownership.ends_known"] is False


def test_a_withdrawal_takes_back_no_report_that_was_raised_after_it() -> None:
    raised = AccountFlagged.model_validate_json(to_bytes(flag(raised_at="2026-03-02T12:00:00+02:00")))
    known = flagged_facts(raised, earlier=NOTHING, from_future=False)
    for at, left in (("2026-03-02T09:59:59Z", 1), ("2026-03-02T10:00:00Z", 0)):
        withdrawal = flag(flag_id="w", withdraws="flag-1", raised_at=at)
        data = AccountFlagged.model_validate_json(to_bytes(withdrawal))
        assert len(flagged_facts(data, earlier=known, from_future=False).values["account.flags"]) == left  # type: ignore[arg-type]


def test_a_report_that_comes_twice_stands_once_as_of_the_later() -> None:
    known = NOTHING
    for at in ("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z", "2026-03-05T00:00:00Z"):
        data = AccountFlagged.model_validate_json(to_bytes(flag(raised_at=at)))
        known = flagged_facts(data, earlier=known, from_future=False)
    flags: Any = known.values["account.flags"]
    assert [one["flag.raised_at"] for one in flags] == ["2026-03-09T00:00:00Z"]


def test_a_residency_that_has_not_begun_is_no_residency() -> None:
    ahead = {"permanent_residencies": [{"country": "CA", "since": "2026-07-02"}]}
    found = person(citizenships=[{"country": "IR", "since": "1980-01-01"}], **ahead)
    assert "person.deemed_export_country" not in found
    assert found["customer.unreadable_places"] == ("permanent_residencies",)
    today = {"permanent_residencies": [{"country": "CA", "since": "2026-07-01"}]}
    assert person(**today)["person.deemed_export_country"] == "CA"


def test_a_list_that_asks_for_nothing_is_named() -> None:
    assert facts(items=[])["customer.unreadable_places"] == ("items",)
    assert person(items=[])["customer.unreadable_places"] == ("items",)
    bought = ContractData.model_validate_json(to_bytes(contract(items=[])))
    assert contract_facts(bought, earlier=NOTHING, from_future=False).values["customer.unreadable_places"] == ("items",)


@pytest.mark.parametrize("nothing", [[], ["-"], ["\u3164"]])
def test_an_empty_list_of_end_uses_states_none(nothing: list[str]) -> None:
    assert "customer.end_uses" not in facts(end_uses=nothing)
    bought = ContractData.model_validate_json(to_bytes(contract(end_uses=nothing)))
    assert "contract.end_uses" not in contract_facts(bought, earlier=NOTHING, from_future=False).values


def test_a_word_of_two_scripts_that_cannot_be_read_as_one_is_named() -> None:
    assert facts(end_uses=["c\u0438ber"])["customer.unreadable_places"] == ("end_uses",)
    for plain in (
        "\u0432\u043e\u0435\u043d\u043d\u044b\u0439",
        "\u0412\u041e\u0415\u041d\u041d\u042b\u0419",
        "\u03bb calculus",
        "AI\u7814\u7a76",
    ):
        assert facts(end_uses=[plain])["customer.unreadable_places"] == ()


def test_the_deemed_export_country_needs_both_lists() -> None:
    assert "person.deemed_export_country" not in person(permanent_residencies=None)


def test_a_branch_is_its_parent() -> None:
    assert facts(relation_to_parent="branch", ultimate_parent_in="IR")["customer.branch_of_in"] == "IR"


def test_one_edge_from_two_sources_is_counted_once() -> None:
    assert examine([edge("a", "b", "60"), edge("a", "b", "60")]).state == "consistent"
    assert examine([edge("a", "b", "60"), edge("a", "b", "61")]).state == "inconsistent"
