"""The golden cases that travel with the shipped policies, and what the shipped documents say of themselves."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from schemas.accounts import AccountData
from schemas.contracts import ContractData
from service.audit.bodies import Cause, decision_body, header_of
from service.decide.decision import Outcome
from service.decide.evaluate import all_values, evaluate
from service.decide.facts import Facts, Item
from service.decide.vocabulary import WAITING
from service.normalise import NOTHING, account_facts, contract_facts, standing_facts
from service.policies import LoadedPolicy, load_file, policy_files
from service.policies.cases import ALWAYS_KNOWN, Case, run_cases
from service.policies.coverage import coverage, gaps
from service.policies.load import load_document

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"
PAGE = (POLICIES / "README.md").read_text()
GOLDEN = Path(__file__).parents[1] / "../shared/reference/golden-cases.md"
FORTY = range(1, 41)
VERSIONS = ["2026-06-12", "2026-06-26", "2026-06-30", "affiliates-2025-09", "ai-diffusion-2025-01", "baseline-2026-02"]

LOADED = {path.stem: load_file(path) for path in policy_files(POLICIES)}
CASES = [
    pytest.param(loaded, case, id=f"{version}: {case.name}")
    for version, loaded in LOADED.items()
    for case in loaded.cases
]
EVERY_CASE = [case for loaded in LOADED.values() for case in loaded.cases]


@pytest.mark.parametrize("loaded, case", CASES)
def test_the_golden_case_of_a_shipped_policy_holds(loaded: LoadedPolicy, case: Case) -> None:
    (result,) = run_cases(loaded.policy, [case])
    assert result.failure is None, result.failure


@pytest.mark.parametrize("loaded", LOADED.values(), ids=LOADED)
def test_the_cases_of_a_shipped_policy_leave_nothing_unshown(loaded: LoadedPolicy) -> None:
    assert gaps(coverage(loaded, run_cases(loaded.policy, loaded.cases))) == []


def test_the_shipped_policies_are_the_baseline_and_the_history_on_top_of_it() -> None:
    assert sorted(LOADED) == VERSIONS
    assert {loaded.policy.name for loaded in LOADED.values()} == {"frontier-model-access"}


def test_each_version_keeps_every_rule_of_the_baseline() -> None:
    baseline = {rule.name: rule for rule in LOADED["baseline-2026-02"].policy.rules}
    for loaded in LOADED.values():
        rules = {rule.name: rule for rule in loaded.policy.rules}
        assert {name: rules.get(name) for name in baseline} == baseline


@pytest.mark.parametrize("version", sorted(LOADED))
def test_a_file_is_named_after_its_version(version: str) -> None:
    assert LOADED[version].policy.version == version


@pytest.mark.parametrize("number", FORTY)
def test_each_of_the_forty_golden_cases_stands_in_a_shipped_document_with_a_neighbour(number: int) -> None:
    assert len([case for case in EVERY_CASE if number in case.golden]) > 1


def test_no_case_answers_a_golden_case_that_does_not_exist() -> None:
    assert {number for case in EVERY_CASE for number in case.golden} == set(FORTY)


def test_the_reference_still_has_forty_cases() -> None:
    if not GOLDEN.exists():
        pytest.skip("the reference pages are not beside the repository")
    assert "Forty cases" in GOLDEN.read_text()


@pytest.mark.parametrize("case", EVERY_CASE, ids=lambda case: case.place)
def test_a_case_that_is_given_what_this_release_cannot_find_out_says_so(case: Case) -> None:
    waits = {WAITING[name] for name in case.facts.values if name in WAITING}
    if "lists" in waits:
        waits.discard("facts")  # Screening comes last; one word for what is missing is enough.
    if case.facts.authorizations:
        waits.add("authorizations")
    assert set(case.waits_for) == waits


def test_a_rule_that_is_never_hit_by_a_case_is_found() -> None:
    hit = {
        reason.rule
        for loaded in LOADED.values()
        for result in run_cases(loaded.policy, loaded.cases)
        for reason in result.verdict.reasons
    }
    rules = {rule.name for loaded in LOADED.values() for rule in loaded.policy.rules}
    assert rules - hit == set()


def test_a_case_that_fails_says_where_what_was_expected_and_what_came() -> None:
    loaded = LOADED["baseline-2026-02"]
    iran = next(case for case in loaded.cases if case.name.startswith("An organization in Iran"))
    (result,) = run_cases(LOADED["2026-06-12"].policy, [_expecting_approval(iran)])
    assert result.failure is not None
    assert result.failure.startswith("baseline-2026-02.yaml:")
    assert "expected outcome approve, got deny" in result.failure
    assert "iran_embargo hit" in result.failure


def _expecting_approval(case: Case) -> Case:
    expect = case.expect.model_copy(update={"outcome": "approve"})
    return Case(case.name, case.place, case.facts, case.as_of, expect)


# ------------------------------------------------------------------------------------------ laws of every version

PLAIN = [("DE", "business"), ("JP", "residential"), ("GB", "business")]
DAYS = [datetime(2025, 10, 1, tzinfo=UTC), datetime(2026, 2, 4, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)]


def _plain(place: str, network: str) -> Facts:
    """Name, headquarters, billing country and network address, and nothing else."""
    values = {
        **ALWAYS_KNOWN,
        "customer.headquartered_in": place,
        "customer.billing_in": place,
        "location.evidence": ({"evidence.place": place, "evidence.kind": network},),
    }
    item = Item(model="sonata-4", delivery="api", release=None, volume=None)
    return Facts(values=values, items=(item,), assurance={}, authorizations=())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place, network", PLAIN)
@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_plain_customer_is_approved_at_once_under_every_version(
    version: str, place: str, network: str, day: datetime
) -> None:
    verdict = evaluate(_plain(place, network), LOADED[version].policy, day)
    assert verdict.outcome is Outcome.APPROVE
    assert verdict.reasons == ()


# ------------------------------------------------------------------------------------------ from the wire


def _contract_of_a_bank(**stated: object) -> Facts:
    """What a contract event says, of a bank in London."""
    account = {"account_id": "acct-1", "version": 1, "legal_name": "Thames", "headquartered_in": "GB"}
    contract = {"contract_id": "c-1", "account_id": "acct-1", "version": 1, **stated}
    bank = AccountData.model_validate_json(orjson.dumps(account))
    own = contract_facts(ContractData.model_validate_json(orjson.dumps(contract)), earlier=NOTHING, from_future=False)
    of_account = account_facts(bank, earlier=NOTHING, from_future=False)
    return standing_facts(("acct-1", "contract:c-1"), account=of_account, own=own, known=True, held=False)


ELSEWHERE = [("end_users", "end_user"), ("end_users", "ultimate_consignee"), ("intermediaries", "reseller")]
TUNING = [{"model": "mythos-5", "delivery": "fine_tuning"}]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("field, role", ELSEWHERE)
def test_a_contract_goes_to_where_its_parties_are_as_to_where_it_is_delivered(
    version: str, field: str, role: str
) -> None:
    policy = LOADED[version].policy
    party = {"role": role, "name": "N", "countries": ["RU"]}
    there = evaluate(_contract_of_a_bank(**{field: [party], "items": TUNING}), policy, DAYS[-1])
    delivered = evaluate(_contract_of_a_bank(deliver_to=["RU"], items=TUNING), policy, DAYS[-1])
    assert "russia_belarus_license" in {reason.rule for reason in there.reasons}
    assert there.outcome is delivered.outcome is Outcome.HOLD


@pytest.mark.parametrize("role", ["owner", "beneficial_owner", "director"])
def test_who_stands_behind_a_customer_is_no_destination(role: str) -> None:
    party = {"role": role, "name": "N", "kind": "individual", "countries": ["RU"]}
    verdict = evaluate(_contract_of_a_bank(end_users=[party], items=TUNING), LOADED["2026-06-30"].policy, DAYS[-1])
    assert verdict.outcome is Outcome.APPROVE


HEADER = header_of(
    account_id="acct-1",
    subject_id="account",
    epoch=1,
    revision=1,
    cause=Cause("event", "/crm evt-1"),
    origin=None,
    raw_sha256=None,
    supersedes=None,
    decided_at=DAYS[-1],
)
DEMANDING = """\
policy: frontier-model-access
version: demanding
title: The same, with lists
instrument: {{kind: house_rule, issuer: us}}
legal_status: in_force
enforcement: enforced
extends: "{extends}"
lists: {{required: [ofac-sdn], max_age: P3D}}
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_that_demanded_lists_would_hold_whoever_was_not_screened(version: str) -> None:
    text = DEMANDING.format(extends=version).encode()
    policy = load_document(text, "p.yaml", _version, lambda name: (POLICIES / name).read_bytes()).policy
    facts = _plain("GB", "business")
    screened = replace(facts, values={**facts.values, "screening.state": "complete", "matches": ()})
    assert [reason.rule for reason in evaluate(facts, policy, DAYS[-1]).reasons] == ["not_screened"]
    assert evaluate(facts, policy, DAYS[-1]).outcome is Outcome.HOLD
    assert evaluate(screened, policy, DAYS[-1]).outcome is Outcome.APPROVE


def _version(version: str) -> bytes:
    return (POLICIES / f"{version}.yaml").read_bytes()


def test_a_document_that_is_not_enforced_marks_its_own_rules_and_no_others() -> None:
    marked = {rule.name for rule in LOADED["2026-06-30"].policy.rules if not rule.enforced}
    assert marked == {"weights_elsewhere", "weights_to_authorization_destination"}
    assert LOADED["2026-06-30"].policy.rule("weights_elsewhere").law.endswith("codified, not enforced")
    assert "enforced" not in LOADED["2026-06-30"].policy.rule("iran_embargo").law


def test_a_decision_tells_of_law_that_is_not_enforced_as_such() -> None:
    policy = LOADED["ai-diffusion-2025-01"].policy
    weights = Item(model="fable-5", delivery="weights", release=None, volume=None)
    facts = replace(_plain("GB", "business"), items=(weights,))
    body = decision_body(HEADER, evaluate(facts, policy, DAYS[-1]), policy, bytes(32))
    reasons = body["reasons"]
    assert isinstance(reasons, list | tuple)
    (reason,) = reasons
    assert reason["citation"].endswith("(90 FR 4544) - codified, not enforced")
    assert reason["outcome"] == "hold"


def test_a_match_that_has_ended_is_left_out_of_what_rules_see() -> None:
    match = {"match.of": "customer", "match.list": "bis-dpl", "match.until": "2026-11-25T00:00:00Z"}
    facts = Facts(values={**ALWAYS_KNOWN, "matches": (match,)}, items=(), assurance={}, authorizations=())
    policy = LOADED["baseline-2026-02"].policy
    assert all_values(facts, policy, datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC))["matches"] == (match,)
    assert all_values(facts, policy, datetime(2026, 11, 25, tzinfo=UTC))["matches"] == ()


# ------------------------------------------------------------------------------------------ the page for lawyers


@pytest.mark.parametrize("version", VERSIONS)
def test_the_page_tells_of_every_version(version: str) -> None:
    assert f"`{version}`" in PAGE


def test_the_page_has_a_row_for_each_golden_case_that_names_its_rules() -> None:
    rows = {int(found[1]): found[0] for found in re.finditer(r"(?m)^\| (\d+) \|.*$", PAGE)}
    assert sorted(rows) == list(FORTY)
    for number, row in rows.items():
        named = {
            rule
            for case in EVERY_CASE
            if number in case.golden
            for rule in (*(case.expect.hits or ()), *(case.expect.waived or ()))
        }
        shown = set(re.findall(r"`([a-z_0-9]+)`", row))
        assert shown <= {rule.name for rule in LOADED["2026-06-26"].policy.rules} | {"report_malicious_activity"}, (
            number
        )
        assert shown & named or not named, (number, named)


def test_the_page_says_of_each_golden_case_whether_it_waits() -> None:
    for found in re.finditer(r"(?m)^\| (\d+) \|.*$", PAGE):
        cases = [case for case in EVERY_CASE if int(found[1]) in case.golden]
        waits = all(case.waits_for for case in cases)
        assert ("waits" in found[0].rpartition("|")[0].rpartition("|")[2]) is waits, found[0]
