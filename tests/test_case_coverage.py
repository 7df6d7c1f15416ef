"""What golden cases show of the rules beside them, and how a gap is named; rules that ask for facts."""

import pytest

from service.policies.cases import run_cases
from service.policies.coverage import coverage, gaps
from tests.policy_texts import HEAD, lint, policy_of, rule_text

ASKS = rule_text(
    "{fact: item.delivery, is: compute}",
    "compute_needs_its_parent",
    "outcome: hold\nhold_kind: fact_missing\nscope: item\nrequired_facts: [customer.ultimate_parent_in]",
)
COMPUTE = "items: [{model: model-1, delivery: compute}, {model: model-2}]"


def _case(name: str, known: str, expect: str) -> str:
    return f"  - {{case: {name}, given: {{customer.billing_in: GB{known}, {COMPUTE}}}, expect: {{{expect}}}}}\n"


def test_required_facts_are_asked_for_where_the_item_needs_them_and_are_named() -> None:
    asked = _case("asked", "", "outcome: hold, access: partial, unknown: [compute_needs_its_parent], "
                  "missing: [customer.ultimate_parent_in], items: {model-1: hold, model-2: approve}")  # fmt: skip
    told = _case("told", ", customer.ultimate_parent_in: JP", "outcome: approve, no_unknown: true, hits: []")
    loaded = policy_of(ASKS, tail=f"cases:\n{asked}{told}")
    assert [result.failure for result in run_cases(loaded.policy, loaded.cases)] == [None, None]
    assert lint(loaded) == []
    assert gaps(coverage(loaded, run_cases(loaded.policy, loaded.cases))) == []


def test_a_form_that_an_older_release_would_read_past_has_another_number() -> None:
    assert b'"format":1' in policy_of(rule_text("{fact: account.known, is: false}")).resolved
    assert b'"format":2' in policy_of(ASKS).resolved


COVERED = rule_text(
    "{all: [{fact: ownership.layers, known: true}, {fact: ownership.layers, at_least: 3}, "
    "{fact: customer.type, is: organization}]}",
    "layers",
    'outcome: deny\nwaivable_by: [license]\nin_force: [{from: "2026-02-01T00:00:00Z", to: null}]',
)
LICENSED = ('authorizations: [{kind: license, number: D-1, valid_from: "2026-01-01T00:00:00Z", '
            'valid_until: "2030-01-01T00:00:00Z"}]')  # fmt: skip
SHOWN = {
    "before": ('at: "2026-01-31T23:59:59Z", ownership.layers: 4, customer.type: organization', "approve"),
    "at": ('at: "2026-02-01T00:00:00Z", ownership.layers: 4, customer.type: organization', "deny"),
    "three": ('at: "2026-03-01T00:00:00Z", ownership.layers: 3, customer.type: organization', "deny"),
    "two": ('at: "2026-03-01T00:00:00Z", ownership.layers: 2, customer.type: organization', "approve"),
    "no type": ('at: "2026-03-01T00:00:00Z", ownership.layers: 3', "hold"),
    "licensed": (
        f'at: "2026-03-01T00:00:00Z", ownership.layers: 4, customer.type: organization, {LICENSED}',
        "approve",
    ),
}


def _unshown(*without: str) -> list[str]:
    cases = "".join(
        f"  - {{case: {name}, given: {{{given}}}, expect: {{outcome: {outcome}}}}}\n"
        for name, (given, outcome) in SHOWN.items()
        if name not in without
    )
    loaded = policy_of(COVERED, tail=f"cases:\n{cases}")
    results = run_cases(loaded.policy, loaded.cases)
    assert [result.failure for result in results if result.failure] == []
    return [point.what for point in gaps(coverage(loaded, results))]


def test_cases_that_show_everything_leave_no_gap() -> None:
    assert _unshown() == []


@pytest.mark.parametrize(
    "without, gap",
    [
        (("at", "three"), ["no case hits it", "no case that it is about is decided at 2026-02-01T00:00:00Z"]),
        (("two",), ["no case is clear of it", "no case has ownership.layers below 3"]),
        (("no type",), ["no case leaves it unknown"]),
        (("three", "no type"), ["no case leaves it unknown", "no case has ownership.layers at 3"]),
        (
            ("at", "licensed"),
            [
                "no case has ownership.layers above 3",
                "no case that it is about is decided at 2026-02-01T00:00:00Z",
                "no case has it waived by license",
            ],
        ),
        (("before",), ["no case that it is about is decided one second before 2026-02-01T00:00:00Z"]),
        (("licensed",), ["no case has it waived by license"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_the_cases_do_not_show_is_named(without: tuple[str, ...], gap: list[str]) -> None:
    assert _unshown(*without) == gap


def test_what_cannot_be_is_not_asked_of_the_cases() -> None:
    loaded = policy_of(rule_text("{fact: account.known, is: false}"), tail="cases: []\n")
    assert [point.kind for point in coverage(loaded, [])] == ["hit", "clear"]


def test_both_moments_of_a_members_date_want_a_case_with_that_member() -> None:
    head = HEAD + 'groups: {g: [{value: KH, from: "2026-02-01T00:00:00Z", to: null}]}\n'

    def moments(place: str) -> list[bool]:
        cases = "".join(
            f'  - case: "{at}"\n    given: {{at: "{at}", customer.billing_in: {place}}}\n'
            f"    expect: {{outcome: {outcome}}}\n"
            for at, outcome in (("2026-01-31T23:59:59Z", "approve"), ("2026-02-01T00:00:00Z", "deny"))
        )
        rule = rule_text("{all: [{fact: customer.billing_in, known: true}, {fact: customer.billing_in, in: g}]}")
        loaded = policy_of(rule, head=head, tail=f"cases:\n{cases}")
        points = coverage(loaded, run_cases(loaded.policy, loaded.cases))
        return [point.shown for point in points if point.kind == "date"]

    assert moments("KH") == [True, True]
    assert moments("GB") == [False, False]
