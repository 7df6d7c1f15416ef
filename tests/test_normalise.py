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
from service.normalise import NOTHING, account_facts, contract_facts, flagged_facts, user_facts, with_account
from service.places import read_place
from tests.events import account, big_account, contract, flag, to_bytes, user


def facts(**fields: Any) -> Any:
    data = AccountData.model_validate_json(to_bytes(account(**fields)))
    return account_facts(data, earlier=NOTHING, from_future=False).values


def person(**fields: Any) -> Any:
    return user_facts(UserData.model_validate_json(to_bytes(user(**fields))), from_future=False).values


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
        "customer.name_given": False,
        "customer.unreadable_places": (),
    }


def test_every_fact_is_in_the_vocabulary() -> None:
    found = facts(**big_account())
    found |= person()
    found |= contract_facts(ContractData.model_validate_json(to_bytes(contract())), from_future=True).values
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
    own = contract_facts(ContractData.model_validate_json(to_bytes(contract(deliver_to=["Mars"]))), from_future=True)
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


def test_both_the_contract_and_its_statement_say_what_it_is_for_and_where() -> None:
    statement = {"kind": "bis_711", "end_uses": ["Nuclear weapons"], "countries": ["IR"]}
    data = contract(end_uses=["customer_service"], end_use_statement=statement)
    found = contract_facts(ContractData.model_validate_json(to_bytes(data)), from_future=False).values
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


def test_the_deemed_export_country_needs_both_lists() -> None:
    assert "person.deemed_export_country" not in person(permanent_residencies=None)


def test_a_branch_is_its_parent() -> None:
    assert facts(relation_to_parent="branch", ultimate_parent_in="IR")["customer.branch_of_in"] == "IR"


def test_one_edge_from_two_sources_is_counted_once() -> None:
    assert examine([edge("a", "b", "60"), edge("a", "b", "60")]).state == "consistent"
    assert examine([edge("a", "b", "60"), edge("a", "b", "61")]).state == "inconsistent"
