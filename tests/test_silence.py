"""Only words take back what was told: a field that is null, or an event that comes late, takes back nothing."""

from datetime import date
from typing import Any

import orjson
import pytest

from schemas.accounts import AccountData, UserData
from schemas.contracts import ContractData
from service.decide.facts import Assurance
from service.deciding import Fate
from service.normalise import NOTHING, OwnFacts, account_facts, contract_facts, user_facts, with_account
from service.policies import load_resolved
from service.resolving import CannotResolve, Person, dismiss, redrive
from tests.events import account, contract, event
from tests.ledger import Ledger

OWNER = {"role": "owner", "name": "Ann", "party_id": "p-1", "kind": "individual", "countries": ["Iran"]}
RESELLER = {"role": "reseller", "name": "Elbe GmbH", "countries": ["DE"]}


def of_account(earlier: OwnFacts = NOTHING, **fields: Any) -> OwnFacts:
    data = AccountData.model_validate({"account_id": "acct-1", "version": 1, **fields})
    return account_facts(data, earlier=earlier, from_future=False)


def of_user(earlier: OwnFacts = NOTHING, **fields: Any) -> OwnFacts:
    data = UserData.model_validate({"user_id": "u", "account_id": "acct-1", "version": 1, **fields})
    return user_facts(data, earlier=earlier, said_on=date(2026, 7, 1), from_future=False)


def of_contract(earlier: OwnFacts = NOTHING, **fields: Any) -> OwnFacts:
    data = ContractData.model_validate({"contract_id": "c", "account_id": "acct-1", "version": 1, **fields})
    return contract_facts(data, earlier=earlier, from_future=False)


def standing(own: OwnFacts) -> dict[str, Any]:
    """As the policy sees it beside its account."""
    return dict(with_account(NOTHING, own).values)


def marks(own: OwnFacts) -> object:
    return own.values.get("customer.unreadable_places", ())


# ------------------------------------------------------------------------------------------------------ accounts
def test_silence_takes_back_no_fact_of_an_account() -> None:
    first = of_account(
        legal_name="Thames Bank plc", ultimate_parent_in="CN", relation_to_parent="branch", type="government",
        government_function="police", payment_in="Mars", end_uses=["nuclear_weapons"], users_population="mixed",
        payment_terms_days=90, assurance={"ultimate_parent_in": "documented"},
    )  # fmt: skip
    assert of_account(first, end_uses=[]) == first
    another = of_account(first, ultimate_parent_in="FR", payment_in="FR", end_uses=["general_business"])
    assert another.values["customer.branch_of_in"] == another.values["customer.ultimate_parent_in"] == "FR"
    assert another.values["customer.end_uses"] == ("general_business",)
    assert (marks(another), another.assurance) == ((), {})


@pytest.mark.parametrize("blank", [[], [" "], ["-"], ["\u3164"]])
def test_end_uses_without_a_word_take_back_none(blank: list[str]) -> None:
    first = of_account(end_uses=["military", "nuсlear"])
    assert of_account(first, end_uses=blank) == first
    of_its_own = of_contract(end_uses=["military"])
    assert of_contract(of_its_own, end_uses=blank) == of_its_own


def test_who_has_no_parent_any_more_says_so() -> None:
    first = of_account(ultimate_parent_in="IR", relation_to_parent="branch")
    apart = of_account(first, relation_to_parent="none")
    assert not {"customer.ultimate_parent_in", "customer.branch_of_in", "customer.wholly_owned_by_parent"} & {
        *apart.values
    }
    assert marks(of_account(of_account(ultimate_parent_in="Persia"), relation_to_parent="none")) == ()


def test_a_function_stated_by_mistake_is_taken_back_by_words() -> None:
    first = of_account(type="government", government_function="armed_forces")
    assert of_account(first, government_function="none").values["customer.government_function"] == "none"


def test_an_assurance_is_of_what_the_event_itself_states() -> None:
    first = of_account(organized_in="US", users_population="us_only", assurance={"organized_in": "documented"})
    raised = of_account(first, assurance={"users_population": "verified", "organized_in": "verified"})
    assert raised.assurance == {"customer.organized_in": Assurance.DOCUMENTED}
    assert of_account(first, organized_in="US", assurance={"organized_in": "declared"}).assurance == {}


# --------------------------------------------------------------------------------------------------------- users
def test_silence_takes_back_no_fact_of_a_user() -> None:
    ties: dict[str, Any] = {"citizenships": [{"country": "IR", "since": "2001-01-01"}], "permanent_residencies": []}
    first = of_user(us_status="none", located_in="Mars", **ties)
    assert first.values["person.deemed_export_country"] == "IR"
    assert of_user(first) == first
    half = of_user(first, permanent_residencies=[{"country": "DE", "since": "2020-01-01"}])
    assert half.values["person.citizenships"] == ("IR",)
    assert "person.deemed_export_country" not in half.values


@pytest.mark.parametrize("odd", [{"country": "ZZ"}, {"country": "DE", "since": "2027-01-01"}])
def test_citizenships_told_again_do_not_settle_a_doubt_about_residencies(odd: dict[str, str]) -> None:
    german: dict[str, Any] = {"citizenships": [{"country": "DE"}]}
    first = of_user(permanent_residencies=[odd], **german)
    assert marks(of_user(first, **german)) == ("permanent_residencies",)
    assert marks(of_user(first, permanent_residencies=[], **german)) == ()


# ----------------------------------------------------------------------------------------------------- contracts
def test_silence_takes_back_no_fact_of_a_contract() -> None:
    first = of_contract(
        deliver_to=["IR"], end_users=[OWNER], intermediaries=[RESELLER], end_uses=["nuclear_weapons"],
        value="100", currency="USD", end_use_statement={"kind": "bis_711", "countries": ["SY", "ZZ"]},
    )  # fmt: skip
    assert of_contract(first) == first
    assert marks(first) == ("end_use_statement.countries", "end_users")


def test_the_words_of_a_statement_stand_until_a_statement_replaces_them() -> None:
    said = {"kind": "bis_711", "countries": ["IR", "ZZ"], "end_uses": ["nuclear_weapons"]}
    first = of_contract(deliver_to=["DE"], end_uses=["research"], end_use_statement=said)
    for silent in (of_contract(first, deliver_to=["DE"], end_uses=["research"]), of_contract(first)):
        assert standing(silent)["contract.deliver_to"] == ("DE", "IR")
        assert standing(silent)["contract.end_uses"] == ("nuclear_weapons", "research")
        assert marks(silent) == ("end_use_statement.countries",)
    half = of_contract(first, end_use_statement={"kind": "bis_711", "countries": ["FR"]})
    assert standing(half)["contract.deliver_to"] == ("DE", "FR")
    assert standing(half)["contract.end_uses"] == ("nuclear_weapons", "research")
    assert marks(half) == ()


def test_each_list_of_parties_stands_until_it_is_told_anew() -> None:
    first = of_contract(end_users=[OWNER], intermediaries=[RESELLER])
    other = of_contract(first, intermediaries=[{**RESELLER, "countries": ["FR"]}])
    assert [one["party.countries"] for one in standing(other)["parties"]] == [(), ("FR",)]
    assert marks(other) == ("end_users",)
    none = of_contract(other, end_users=[])
    assert [one["party.countries"] for one in standing(none)["parties"]] == [("FR",)]
    assert marks(none) == ()


def test_events_without_end_do_not_make_facts_grow() -> None:
    said: dict[str, Any] = {
        "end_use_statement": {"kind": "bis_711", "countries": ["ZZ"], "end_uses": ["nuсlear"]},
        "end_users": [OWNER],
    }
    first = known = of_contract(**said)
    for _ in range(20):
        known = of_contract(known, **said)
    assert known == first


# --------------------------------------------------------------------------------------------------- late events
LATE = {"ultimate_parent_in": "IR", "relation_to_parent": "subsidiary"}


async def test_an_older_event_that_tells_what_no_newer_one_did_holds_the_account(ledger: Ledger) -> None:
    late = event("account.updated.v1", account(version=2, **LATE), id="late")
    await ledger.decide(event("account.signed_up.v1", account(), id="first"))
    await ledger.decide(event("account.updated.v1", account(version=3), id="newer"))
    report = await ledger.decide(late)
    assert report.fates == {Fate.CONFLICT.value: 1}
    (row,) = await ledger.rows("SELECT * FROM ledger.quarantine")
    assert row.reason == "CONFLICTING_OLDER"
    assert "customer.ultimate_parent_in" in row.detail
    assert (await ledger.decisions())[-1][2] == "hold"
    await ledger.decide(event("account.updated.v1", account(version=4, **LATE), id="again"))
    async with ledger.engine("reviewer").begin() as tx:
        await dismiss(tx, row.quarantine_id, Person(name="ann", reason="told again"), load_resolved)
    assert (await ledger.decisions())[-1][2] == "approve"  # The small policy has no rule about parents.
    assert await ledger.replay() == []


RAISED = {"edition": "2025-11", "raised_by": "a", "raised_at": "2026-01-01T00:00:00Z"}


async def test_a_late_red_flag_that_no_newer_event_speaks_of_holds_the_account(ledger: Ledger) -> None:
    newer = account(version=3, red_flags=[{**RAISED, "number": 2}])
    await ledger.decide(event("account.signed_up.v1", newer, id="newer"))
    spoken = account(version=1, red_flags=[{**RAISED, "number": 2}])
    assert (await ledger.decide(event("account.updated.v1", spoken, id="same"))).fates == {Fate.STALE.value: 1}
    late = account(version=2, red_flags=[{**RAISED, "number": 1}])
    assert (await ledger.decide(event("account.updated.v1", late, id="late"))).fates == {Fate.CONFLICT.value: 1}
    (row,) = await ledger.rows("SELECT detail FROM ledger.quarantine")
    assert "account.red_flags" in row.detail


async def test_late_end_users_of_a_contract_whose_resellers_alone_were_told_since_hold_it(ledger: Ledger) -> None:
    await ledger.decide(event("account.signed_up.v1", account(), id="first"))
    newer = contract(version=2, end_users=None, intermediaries=[RESELLER])
    await ledger.decide(event("contract.signed.v1", newer, id="newer"))
    late = contract(version=1, end_users=[{**RESELLER, "role": "end_user", "countries": ["IR"]}], intermediaries=None)
    assert (await ledger.decide(event("contract.amended.v1", late, id="late"))).fates == {Fate.CONFLICT.value: 1}
    (row,) = await ledger.rows("SELECT detail FROM ledger.quarantine")
    assert "end_users" in row.detail
    assert await ledger.replay() == []


async def test_an_older_event_that_tells_nothing_else_is_stale(ledger: Ledger) -> None:
    await ledger.decide(event("account.signed_up.v1", account(version=3), id="newer"))
    report = await ledger.decide(event("account.updated.v1", account(version=2, billing_in="FR"), id="late"))
    assert report.fates == {Fate.STALE.value: 1}


async def test_a_corrected_record_of_an_older_version_does_not_vanish(ledger: Ledger) -> None:
    damaged = event("account.signed_up.v1", account(), id="first") | {"specversion": "0.3"}
    await ledger.decide(damaged)
    await ledger.decide(event("account.updated.v1", account(version=2), id="newer"))
    (row,) = await ledger.rows("SELECT * FROM ledger.quarantine")
    corrected = event("account.signed_up.v1", account(**LATE), id="first")
    async with ledger.engine("reviewer").begin() as tx:
        with pytest.raises(CannotResolve, match="send the correction with a new id and version"):
            await redrive(
                tx,
                row.quarantine_id,
                Person(name="ann", reason="corrected"),
                corrected=orjson.dumps(corrected),
                environment=None,
                load_policy=load_resolved,
            )
    assert (await ledger.decisions())[-1][2] == "hold"


async def test_a_silent_event_changes_no_decision(ledger: Ledger) -> None:
    await ledger.decide(event("account.signed_up.v1", account(), id="first"))
    silent = {"account_id": "acct-1", "version": 2}
    report = await ledger.decide(event("account.updated.v1", silent, id="silent"))
    assert report.fates == {Fate.DECISION.value: 1}
    assert [row[2] for row in await ledger.decisions()] == ["approve", "approve"]
