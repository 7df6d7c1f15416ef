"""Static checks: what a document says that cannot be meant, and how precisely it is told."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not, compile_condition
from service.decide.evaluate import evaluate
from service.decide.facts import Facts
from service.decide.vocabulary import VOCABULARY
from service.policies import LoadedPolicy, load_file, policy_files
from service.policies.cases import ALWAYS_KNOWN, run_cases
from service.policies.coverage import coverage, gaps
from service.policies.lint import errors, lint
from service.policies.lint_logic import FALSE, TRUE, can_be_false, can_be_true, can_be_unknown, implies, possible
from service.policies.load import load_document

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"

HEAD = """\
policy: small
version: "1"
title: A small policy
instrument: {kind: rule, issuer: BIS, received_at: "2026-01-01T00:00:00Z"}
legal_status: in_force
enforcement: enforced
catalogue: {model-1: {eccn: EAR99}, model-2: {eccn: EAR99}}
"""


def _load(text: str, **others: str) -> LoadedPolicy:
    def find(name: str) -> bytes:
        if name not in others:
            raise LookupError(name)
        return others[name].encode()

    return load_document(text.encode(), "p.yaml", find, find)


def _rule(when: str, name: str = "r", more: str = "outcome: deny") -> str:
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    return (
        f"  - rule: {name}\n    title: t\n    citation: {{text: law}}\n    clears: [a license]\n"
        f"    customer_message: Please wait.\n{lines}    when: {when}\n"
    )


def _rules(*rules: str, head: str = HEAD, tail: str = "") -> LoadedPolicy:
    return _load(f"{head}rules:\n{''.join(rules)}{tail}")


def _found(loaded: LoadedPolicy) -> list[tuple[str, str, str]]:
    return [(one.level, one.check, one.place) for one in lint(loaded)]


@pytest.mark.parametrize("path", policy_files(POLICIES), ids=lambda path: path.stem)
def test_the_shipped_documents_are_clean(path: Path) -> None:
    assert [str(finding) for finding in lint(load_file(path))] == []


def test_a_finding_says_where_which_rule_what_and_what_to_do() -> None:
    loaded = _rules(_rule("{all: [{fact: customer.billing_in, is: GB}, {fact: customer.billing_in, is: FR}]}"))
    (finding,) = lint(loaded)
    assert str(finding) == (
        "p.yaml:15: rule r: it can never hit: what line 15 asks and what line 15 asks exclude each other; "
        "mend the condition, or drop the rule"
    )


GUARD = "{fact: customer.type, known: true}"
NEVER = {
    "a fact that is two things": (
        "{all: [{fact: customer.type, is: individual}, {fact: customer.type, is: government}]}"
    ),
    "known and unknown": "{all: [{fact: customer.type, known: false}, {fact: customer.type, is: government}]}",
    "an empty interval": "{all: [{fact: ownership.layers, above: 3}, {fact: ownership.layers, at_most: 3}]}",
    "an interval between two whole numbers": (
        "{all: [{fact: ownership.layers, above: 3}, {fact: ownership.layers, below: 4}]}"
    ),
    "a set without what it must have": (
        "{all: [{fact: customer.places, overlaps: [IR]}, {not: {fact: customer.places, overlaps: [IR, KP]}}]}"
    ),
    "a region outside its country": (
        "{all: [{fact: customer.billing_in, is: UA-43}, {not: {fact: customer.billing_in, is: UA}}]}"
    ),
    "absence of what is never absent": "{fact: account.id, known: false}",
    "a fact that differs from itself": "{fact: customer.billing_in, differs_from: customer.billing_in}",
    "a difference from what is absent": (
        "{all: [{fact: customer.billing_in, differs_from: customer.payment_in}, "
        "{fact: customer.payment_in, known: false}]}"
    ),
    "an element that is two things": (
        "{exists: account.flags, where: {all: [{fact: flag.severity, is: low}, {fact: flag.severity, is: high}]}}"
    ),
    "some element that none may be": (
        "{all: [{exists: account.flags, where: {fact: flag.severity, is: low}}, "
        "{forall: account.flags, where: {fact: flag.severity, in: [high, severe]}}]}"
    ),
    "every alternative contradicts": (
        f"{{all: [{GUARD}, {{fact: customer.type, is: individual}}, "
        "{any: [{fact: customer.type, is: government}, {fact: customer.type, known: false}]}]}"
    ),
    "no value of a closed set is left": (
        "{all: [{not: {fact: customer.type, in: [individual, organization]}}, "
        "{not: {fact: customer.type, is: government}}]}"
    ),
}


@pytest.mark.parametrize("when", NEVER.values(), ids=NEVER)
def test_a_rule_that_can_never_hit_is_an_error(when: str) -> None:
    assert ("error", "never_hits", "p.yaml:15") in _found(_rules(_rule(when)))


ALWAYS = {
    "known or unknown": "{any: [{fact: customer.type, known: true}, {fact: customer.type, known: false}]}",
    "every value of a closed set": "{fact: subject.kind, in: [account, user, contract]}",
    "not a contradiction": "{not: {all: [{fact: customer.type, known: true}, {fact: customer.type, known: false}]}}",
}


@pytest.mark.parametrize("when", ALWAYS.values(), ids=ALWAYS)
def test_a_rule_of_which_nobody_can_be_clear_is_an_error(when: str) -> None:
    assert ("error", "always_hits", "p.yaml:15") in _found(_rules(_rule(when)))


def test_a_rule_that_only_a_date_of_its_group_makes_idle_is_told_from_one_that_lives_at_another_time() -> None:
    head = HEAD + 'groups: {g: [{value: IR, from: null, to: "2026-03-01T00:00:00Z"}]}\n'
    dated = 'outcome: deny\nin_force: [{from: "%s", to: null}]'
    when = "{fact: customer.billing_in, in: g}"
    alive = _rules(_rule(when, more=dated % "2026-02-01T00:00:00Z"), head=head)
    idle = _rules(_rule(when, more=dated % "2026-03-01T00:00:00Z"), head=head)
    assert "never_hits" not in {one.check for one in lint(alive)}
    assert "never_hits" in {one.check for one in lint(idle)}


def test_parts_that_say_nothing_are_warned_of_where_they_stand() -> None:
    loaded = _rules(
        _rule(
            "\n      any:\n"
            "        - {all: [{fact: customer.type, is: individual}, {fact: customer.type, is: government}]}\n"
            "        - {fact: customer.billing_in, is: GB}\n"
            "        - {fact: customer.billing_in, is: GB}"
        )
    )
    found = [(one.place, one.what) for one in lint(loaded) if one.check == "idle_part"]
    assert found == [("p.yaml:17", "this part can never be true"), ("p.yaml:19", "the same stands there twice")]


def test_a_rule_behind_a_wider_and_as_strict_one_is_shadowed() -> None:
    wide = _rule("{fact: customer.places, overlaps: [IR, KP]}", "wide")
    narrow = _rule("{fact: customer.places, overlaps: [IR]}", "narrow", "outcome: hold\nhold_kind: red_flag")
    (finding,) = (one for one in lint(_rules(wide, narrow)) if one.check == "shadowed")
    assert (finding.level, finding.about) == ("warning", "rule narrow")
    assert "rule wide (deny)" in finding.what


def test_of_two_rules_that_say_the_same_the_later_by_name_is_shadowed() -> None:
    when = "{fact: customer.places, overlaps: [IR]}"
    assert [one.about for one in lint(_rules(_rule(when, "b"), _rule(when, "a"))) if one.check == "shadowed"] == [
        "rule b"
    ]


@pytest.mark.parametrize(
    "wide, narrow",
    [
        ("outcome: hold\nhold_kind: red_flag", "outcome: deny"),
        ("outcome: deny\nwaivable_by: [license]", "outcome: deny"),
        ("outcome: hold\nhold_kind: red_flag", "outcome: hold\nhold_kind: contradiction"),
        ('outcome: deny\nin_force: [{from: "2026-02-01T00:00:00Z", to: null}]', "outcome: deny"),
        ("outcome: deny", "outcome: approve"),
    ],
    ids=[
        "a weaker outcome",
        "one that a license lifts",
        "another kind of hold",
        "for some time",
        "a denial over a note",
    ],
)
def test_a_rule_that_still_matters_is_not_shadowed(wide: str, narrow: str) -> None:
    rules = _rules(
        _rule("{fact: customer.places, overlaps: [IR, KP]}", "wide", wide),
        _rule("{fact: customer.places, overlaps: [IR]}", "narrow", narrow),
    )
    assert "rule narrow" not in {one.about for one in lint(rules) if one.check == "shadowed"}


def test_a_fact_demanded_of_everybody_is_an_error_and_a_guarded_one_is_not() -> None:
    bare = _rules(_rule("{fact: customer.ultimate_parent_in, in: [IR]}"))
    (finding,) = errors(bare)
    assert finding.check == "demanded_of_everybody"
    assert "it asks for customer.ultimate_parent_in without a guard, and would hold every account" in finding.what
    assert "{fact: customer.ultimate_parent_in, known: true}" in finding.todo
    guard = "{fact: customer.ultimate_parent_in, known: true}"
    assert errors(_rules(_rule(f"{{all: [{guard}, {{fact: customer.ultimate_parent_in, in: [IR]}}]}}"))) == []


def test_a_fact_that_one_model_makes_necessary_may_be_demanded_and_one_that_every_model_does_may_not() -> None:
    def asked(models: str) -> LoadedPolicy:
        when = f"{{all: [{{fact: item.model, in: [{models}]}}, {{fact: customer.ultimate_parent_in, is: CN}}]}}"
        return _rules(_rule(when, more="outcome: deny\nscope: item"))

    assert errors(asked("model-1")) == []
    assert [one.check for one in errors(asked("model-1, model-2"))] == ["demanded_of_everybody"]


def test_a_rule_that_would_hit_every_plain_customer_is_warned_of() -> None:
    found = lint(_rules(_rule("{fact: customer.places, overlaps: [DE, GB, JP]}")))
    assert [(one.level, one.check) for one in found] == [("warning", "hits_everybody")]


def test_a_threshold_says_its_unit_unless_the_fact_or_nought_does() -> None:
    def share(limit: str) -> LoadedPolicy:
        guarded = f"{{all: [{{fact: presence.share, known: true}}, {{fact: presence.share, {limit}}}]}}"
        return _rules(_rule(f"{{exists: location.presence, where: {guarded}}}"))

    (finding,) = (one for one in lint(share('at_least: "10"')) if one.check == "no_unit")
    assert (finding.level, finding.todo) == ("error", "add unit: percent")
    assert errors(share('at_least: "10", unit: percent')) == []
    assert errors(share("above: 0")) == []
    assert (
        errors(_rules(_rule("{all: [{fact: ownership.layers, known: true}, {fact: ownership.layers, above: 3}]}")))
        == []
    )


def test_every_number_of_the_vocabulary_has_a_unit_and_nothing_else_has_one() -> None:
    specs = [*VOCABULARY.values(), *(inner for spec in VOCABULARY.values() for inner in spec.elements.values())]
    for spec in specs:
        assert bool(spec.unit) is (spec.type.value in ("whole number", "decimal")), spec.name


VAIN = {
    "unused_group": (HEAD + "groups: {nobody: [IR]}\nrules: []\n", "warning"),
    "unused_list": (HEAD + "lists: {required: [ofac-sdn]}\nrules: []\n", "error"),
    "status": (HEAD.replace("legal_status: in_force", "legal_status: rescinded") + "rules: []\n", "warning"),
    "no_models": (HEAD.replace("{model-1: {eccn: EAR99}, model-2: {eccn: EAR99}}", "{}") + "rules: []\n", "error"),
    "case_twice": (
        HEAD + "rules: []\ncases: [{case: c, expect: {outcome: hold}}, {case: c, expect: {outcome: hold}}]\n",
        "warning",
    ),
    "dates": (
        HEAD
        + "rules: []\ncases:\n  - case: c\n    given: {authorizations: [{kind: license, number: D-1, "
        + 'valid_from: "2027-01-01T00:00:00Z", valid_until: "2026-01-01T00:00:00Z"}]}\n    expect: {outcome: hold}\n',
        "error",
    ),
    "unknown_model": (
        HEAD + "rules:\n" + _rule("{fact: item.model, is: model1}", more="outcome: deny\nscope: item"),
        "warning",
    ),
    "no_clears": (
        HEAD + "rules:\n" + _rule("{fact: account.known, is: false}").replace("    clears: [a license]\n", ""),
        "warning",
    ),
    "no_customer_message": (
        HEAD
        + "rules:\n"
        + _rule("{fact: account.known, is: false}").replace("    customer_message: Please wait.\n", ""),
        "warning",
    ),
    "no_waiver": (
        HEAD
        + "rules:\n"
        + _rule("{fact: account.known, is: false}", more="outcome: hold\nhold_kind: license_required"),
        "warning",
    ),
    "past_rule": (
        HEAD
        + "rules:\n"
        + _rule(
            "{fact: account.known, is: false}",
            more='outcome: deny\nin_force: [{from: null, to: "2025-12-31T00:00:00Z"}]',
        ),
        "warning",
    ),
}


@pytest.mark.parametrize("check", VAIN)
def test_what_stands_there_in_vain_is_found(check: str) -> None:
    text, level = VAIN[check]
    assert [one.level for one in lint(_load(text)) if one.check == check] == [level]


def test_a_misspelled_model_comes_with_the_one_that_may_be_meant() -> None:
    (finding,) = (one for one in lint(_load(VAIN["unknown_model"][0])) if one.check == "unknown_model")
    assert finding.what == "the catalogue has no model 'model1' (did you mean 'model-1'?)"


def test_a_finding_in_an_inherited_rule_names_the_document_of_the_rule() -> None:
    when = "{all: [{fact: customer.billing_in, in: g}, {not: {fact: customer.billing_in, is: IR}}]}"
    parent = f"{HEAD}groups: {{g: [IR]}}\nrules:\n{_rule(when)}"
    child = HEAD.replace('version: "1"', 'version: "2"') + 'extends: "1"\n'
    assert ("error", "never_hits", "1.yaml:16") in _found(_load(child, **{"1": parent}))
    wider = child + "groups: {g: [IR, KP]}\n"
    assert _found(_load(wider, **{"1": parent})) == []


# ------------------------------------------------------------------------------------------ required facts

ASKS = _rule(
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
    loaded = _rules(ASKS, tail=f"cases:\n{asked}{told}")
    assert [result.failure for result in run_cases(loaded.policy, loaded.cases)] == [None, None]
    assert lint(loaded) == []
    assert gaps(coverage(loaded, run_cases(loaded.policy, loaded.cases))) == []


def test_a_form_that_an_older_release_would_read_past_has_another_number() -> None:
    assert b'"format":1' in _rules(_rule("{fact: account.known, is: false}")).resolved
    assert b'"format":2' in _rules(ASKS).resolved


# ---------------------------------------------------------------------------------------------- coverage

COVERED = _rule(
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
    loaded = _rules(COVERED, tail=f"cases:\n{cases}")
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
    loaded = _rules(_rule("{fact: account.known, is: false}"), tail="cases: []\n")
    assert [point.kind for point in coverage(loaded, [])] == ["hit", "clear"]


def test_both_moments_of_a_members_date_want_a_case_with_that_member() -> None:
    head = HEAD + 'groups: {g: [{value: KH, from: "2026-02-01T00:00:00Z", to: null}]}\n'

    def moments(place: str) -> list[bool]:
        cases = "".join(
            f'  - case: "{at}"\n    given: {{at: "{at}", customer.billing_in: {place}}}\n'
            f"    expect: {{outcome: {outcome}}}\n"
            for at, outcome in (("2026-01-31T23:59:59Z", "approve"), ("2026-02-01T00:00:00Z", "deny"))
        )
        rule = _rule("{all: [{fact: customer.billing_in, known: true}, {fact: customer.billing_in, in: g}]}")
        loaded = _rules(rule, head=head, tail=f"cases:\n{cases}")
        points = coverage(loaded, run_cases(loaded.policy, loaded.cases))
        return [point.shown for point in points if point.kind == "date"]

    assert moments("KH") == [True, True]
    assert moments("GB") == [False, False]


# ------------------------------------------------------------------- the logic, against conditions that are evaluated

_TYPES = sorted(VOCABULARY["customer.type"].values)
_PLACES = ["GB", "UA", "UA-43", "UA-30", "IR"]


def _leaf(fact: str, operator: str, operand: Any) -> Leaf:
    return Leaf(fact=fact, operator=operator, operand=operand, assured=1)


_LEAVES = st.one_of(
    st.builds(_leaf, st.just("customer.type"), st.just("is"), st.sampled_from(_TYPES)),
    st.builds(_leaf, st.just("customer.type"), st.just("known"), st.booleans()),
    st.builds(_leaf, st.just("customer.owners_disclosed"), st.just("is"), st.booleans()),
    st.builds(
        _leaf,
        st.just("ownership.layers"),
        st.sampled_from(["at_least", "above", "at_most", "below"]),
        st.integers(1, 3),
    ),
    st.builds(
        _leaf,
        st.just("contract.value_usd"),
        st.sampled_from(["above", "at_most"]),
        st.sampled_from([Decimal("0.5"), Decimal(1)]),
    ),
    st.builds(
        _leaf, st.just("customer.billing_in"), st.just("in_places"), st.frozensets(st.sampled_from(_PLACES), min_size=1)
    ),
    st.builds(
        _leaf,
        st.just("customer.places"),
        st.just("overlaps_places"),
        st.frozensets(st.sampled_from(_PLACES), min_size=1),
    ),
    st.builds(_leaf, st.just("customer.billing_in"), st.just("differs_from"), st.just("customer.payment_in")),
)
_FLAGS = st.one_of(
    st.builds(_leaf, st.just("flag.severity"), st.just("is"), st.sampled_from(["low", "high"])),
    st.builds(_leaf, st.just("flag.id"), st.just("in"), st.frozensets(st.sampled_from("ab"), min_size=1)),
    st.builds(_leaf, st.just("flag.id"), st.just("known"), st.booleans()),
)


def _trees(leaves: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    def wider(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.one_of(st.builds(All, parts), st.builds(AnyOf, parts), st.builds(Not, inner))

    return st.recursive(leaves, wider, max_leaves=6)


_IN_FLAGS = _trees(_FLAGS)
_LISTS = st.one_of(
    st.builds(Exists, st.just("account.flags"), _IN_FLAGS), st.builds(ForAll, st.just("account.flags"), _IN_FLAGS)
)
CONDITIONS = _trees(st.one_of(_LEAVES, _LISTS))
_ELEMENTS = st.fixed_dictionaries(
    {"flag.severity": st.sampled_from(["low", "high", "severe"])}, optional={"flag.id": st.sampled_from("abc")}
)
VALUES = st.fixed_dictionaries(
    {"account.flags": st.lists(_ELEMENTS, max_size=3).map(tuple)},
    optional={
        "customer.type": st.sampled_from(_TYPES),
        "customer.owners_disclosed": st.booleans(),
        "ownership.layers": st.integers(0, 4),
        "contract.value_usd": st.sampled_from(
            [Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), Decimal(1), Decimal(2)]
        ),
        "customer.billing_in": st.sampled_from([*_PLACES, "UA-14", "DE"]),
        "customer.payment_in": st.sampled_from([*_PLACES, "DE"]),
        "customer.places": st.lists(st.sampled_from([*_PLACES, "DE"]), max_size=3).map(tuple),
    },
)


@settings(max_examples=400, deadline=None)
@given(condition=CONDITIONS, values=VALUES)
def test_what_the_logic_calls_impossible_never_comes_about(condition: Condition, values: dict[str, Any]) -> None:
    truth = compile_condition(condition)(values)
    able: dict[object, Callable[[Condition], bool]] = {True: can_be_true, False: can_be_false, None: can_be_unknown}
    assert able[truth](condition)


@settings(max_examples=200, deadline=None)
@given(one=CONDITIONS, other=CONDITIONS, values=VALUES)
def test_what_the_logic_calls_implied_holds(one: Condition, other: Condition, values: dict[str, Any]) -> None:
    if implies(one, other) and compile_condition(one)(values) is True:
        assert compile_condition(other)(values) is True


def test_a_condition_excludes_its_opposite_and_implies_itself() -> None:
    leaf = _leaf("customer.billing_in", "in_places", frozenset({"UA-43"}))
    assert not possible((leaf, TRUE), (Not(leaf), TRUE))
    assert not possible((leaf, TRUE), (leaf, FALSE))
    assert implies(leaf, leaf)
    assert implies(leaf, replace(leaf, operand=frozenset({"UA"})))
    assert not implies(replace(leaf, operand=frozenset({"UA"})), leaf)


def _plain(**values: Any) -> Facts:
    return Facts(values={**ALWAYS_KNOWN, **values}, items=(), assurance={}, authorizations=())


def _never_found() -> Iterator[str]:
    for when in NEVER.values():
        verdict = evaluate(_plain(), _rules(_rule(when)).policy, datetime(2026, 6, 1, tzinfo=UTC))
        yield from (reason.result.value for reason in verdict.reasons)


def test_a_rule_that_can_never_hit_is_at_most_unknown() -> None:
    assert set(_never_found()) <= {"unknown"}
