"""The golden cases that travel with the shipped policies."""

import re
from pathlib import Path

import pytest

from service.policies import LoadedPolicy, load_file, policy_files
from service.policies.cases import Case, run_cases

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"
GOLDEN = Path(__file__).parents[1] / "../shared/reference/golden-cases.md"
NEED_NO_LIST = {*range(1, 13), *range(32, 39), 40}
"""Of the forty golden cases those that no list decides. 39 needs authorizations to be registered."""

LOADED = {path.stem: load_file(path) for path in policy_files(POLICIES)}
CASES = [
    pytest.param(loaded, case, id=f"{version}: {case.name}")
    for version, loaded in LOADED.items()
    for case in loaded.cases
]


@pytest.mark.parametrize("loaded, case", CASES)
def test_the_golden_case_of_a_shipped_policy_holds(loaded: LoadedPolicy, case: Case) -> None:
    (result,) = run_cases(loaded.policy, [case])
    assert result.failure is None, result.failure


def test_the_shipped_policies_are_the_baseline_and_the_three_versions_of_june_2026() -> None:
    assert sorted(LOADED) == ["2026-06-12", "2026-06-26", "2026-06-30", "baseline-2026-02"]
    assert {loaded.policy.name for loaded in LOADED.values()} == {"frontier-model-access"}


@pytest.mark.parametrize("version", sorted(LOADED))
def test_a_file_is_named_after_its_version(version: str) -> None:
    assert LOADED[version].policy.version == version


@pytest.mark.parametrize("number", sorted(NEED_NO_LIST))
def test_every_golden_case_that_needs_no_list_is_cited_by_a_shipped_case(number: int) -> None:
    text = " ".join(path.read_text() for path in policy_files(POLICIES))
    assert re.search(rf"source: golden case {number}\b", text)


def test_the_reference_still_has_forty_cases() -> None:
    if not GOLDEN.exists():
        pytest.skip("the reference pages are not beside the repository")
    assert "Forty cases" in GOLDEN.read_text()


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
