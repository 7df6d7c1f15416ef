"""Static checks: what a document says that cannot be meant, and how precisely it is told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.decide.evaluate import evaluate
from service.decide.facts import Facts
from service.decide.vocabulary import VOCABULARY
from service.policies import LoadedPolicy, load_file, policy_files
from service.policies.cases import ALWAYS_KNOWN
from service.policies.lint import lint as every_check
from tests.policy_texts import HEAD, errors, lint, load_text, policy_of, rule_text

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"


def _found(loaded: LoadedPolicy) -> list[tuple[str, str, str]]:
    return [(one.level, one.check, one.place) for one in lint(loaded)]


@pytest.mark.parametrize("path", policy_files(POLICIES), ids=lambda path: path.stem)
def test_the_shipped_documents_are_clean(path: Path) -> None:
    assert [str(finding) for finding in every_check(load_file(path))] == []


def test_a_finding_says_where_which_rule_what_and_what_to_do() -> None:
    loaded = policy_of(rule_text("{all: [{fact: customer.billing_in, is: GB}, {fact: customer.billing_in, is: FR}]}"))
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
    assert ("error", "never_hits", "p.yaml:15") in _found(policy_of(rule_text(when)))


ALWAYS = {
    "known or unknown": "{any: [{fact: customer.type, known: true}, {fact: customer.type, known: false}]}",
    "every value of a closed set": "{fact: subject.kind, in: [account, user, contract]}",
    "not a contradiction": "{not: {all: [{fact: customer.type, known: true}, {fact: customer.type, known: false}]}}",
}


@pytest.mark.parametrize("when", ALWAYS.values(), ids=ALWAYS)
def test_a_rule_of_which_nobody_can_be_clear_is_an_error(when: str) -> None:
    assert ("error", "always_hits", "p.yaml:15") in _found(policy_of(rule_text(when)))


def test_a_rule_that_only_a_date_of_its_group_makes_idle_is_told_from_one_that_lives_at_another_time() -> None:
    head = HEAD + 'groups: {g: [{value: IR, from: null, to: "2026-03-01T00:00:00Z"}]}\n'
    dated = 'outcome: deny\nin_force: [{from: "%s", to: null}]'
    when = "{fact: customer.billing_in, in: g}"
    alive = policy_of(rule_text(when, more=dated % "2026-02-01T00:00:00Z"), head=head)
    idle = policy_of(rule_text(when, more=dated % "2026-03-01T00:00:00Z"), head=head)
    assert "never_hits" not in {one.check for one in lint(alive)}
    assert "never_hits" in {one.check for one in lint(idle)}


def test_parts_that_say_nothing_are_warned_of_where_they_stand() -> None:
    loaded = policy_of(
        rule_text(
            "\n      any:\n"
            "        - {all: [{fact: customer.type, is: individual}, {fact: customer.type, is: government}]}\n"
            "        - {fact: customer.billing_in, is: GB}\n"
            "        - {fact: customer.billing_in, is: GB}"
        )
    )
    found = [(one.place, one.what) for one in lint(loaded) if one.check == "idle_part"]
    assert found == [("p.yaml:17", "this part can never be true"), ("p.yaml:19", "the same stands there twice")]


def test_a_rule_behind_a_wider_and_as_strict_one_is_shadowed() -> None:
    wide = rule_text("{fact: customer.places, overlaps: [IR, KP]}", "wide")
    narrow = rule_text("{fact: customer.places, overlaps: [IR]}", "narrow", "outcome: hold\nhold_kind: red_flag")
    (finding,) = (one for one in lint(policy_of(wide, narrow)) if one.check == "shadowed")
    assert (finding.level, finding.about) == ("warning", "rule narrow")
    assert "rule wide (deny)" in finding.what


def test_of_two_rules_that_say_the_same_the_later_by_name_is_shadowed() -> None:
    when = "{fact: customer.places, overlaps: [IR]}"
    assert [
        one.about for one in lint(policy_of(rule_text(when, "b"), rule_text(when, "a"))) if one.check == "shadowed"
    ] == ["rule b"]


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
    rules = policy_of(
        rule_text("{fact: customer.places, overlaps: [IR, KP]}", "wide", wide),
        rule_text("{fact: customer.places, overlaps: [IR]}", "narrow", narrow),
    )
    assert "rule narrow" not in {one.about for one in lint(rules) if one.check == "shadowed"}


def test_a_fact_demanded_of_everybody_is_an_error_and_a_guarded_one_is_not() -> None:
    bare = policy_of(rule_text("{fact: customer.ultimate_parent_in, in: [IR]}"))
    (finding,) = errors(bare)
    assert finding.check == "demanded_of_everybody"
    assert "it asks for customer.ultimate_parent_in without a guard, and would hold every account" in finding.what
    assert "{fact: customer.ultimate_parent_in, known: true}" in finding.todo
    guard = "{fact: customer.ultimate_parent_in, known: true}"
    assert errors(policy_of(rule_text(f"{{all: [{guard}, {{fact: customer.ultimate_parent_in, in: [IR]}}]}}"))) == []


def test_a_fact_that_one_model_makes_necessary_may_be_demanded_and_one_that_every_model_does_may_not() -> None:
    def asked(models: str) -> LoadedPolicy:
        when = f"{{all: [{{fact: item.model, in: [{models}]}}, {{fact: customer.ultimate_parent_in, is: CN}}]}}"
        return policy_of(rule_text(when, more="outcome: deny\nscope: item"))

    assert errors(asked("model-1")) == []
    assert [one.check for one in errors(asked("model-1, model-2"))] == ["demanded_of_everybody"]


def test_a_rule_that_would_hit_every_plain_customer_is_warned_of() -> None:
    found = lint(policy_of(rule_text("{fact: customer.places, overlaps: [DE, GB, JP]}")))
    assert [(one.level, one.check) for one in found] == [("warning", "hits_everybody")]


def test_a_threshold_says_its_unit_unless_the_fact_or_nought_does() -> None:
    def share(limit: str) -> LoadedPolicy:
        guarded = f"{{all: [{{fact: presence.share, known: true}}, {{fact: presence.share, {limit}}}]}}"
        return policy_of(rule_text(f"{{exists: location.presence, where: {guarded}}}"))

    (finding,) = (one for one in lint(share('at_least: "10"')) if one.check == "no_unit")
    assert (finding.level, finding.todo) == ("error", "add unit: percent")
    assert errors(share('at_least: "10", unit: percent')) == []
    assert errors(share("above: 0")) == []
    assert (
        errors(
            policy_of(rule_text("{all: [{fact: ownership.layers, known: true}, {fact: ownership.layers, above: 3}]}"))
        )
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
        HEAD + "rules:\n" + rule_text("{fact: item.model, is: model1}", more="outcome: deny\nscope: item"),
        "warning",
    ),
    "no_clears": (
        HEAD + "rules:\n" + rule_text("{fact: account.known, is: false}").replace("    clears: [a license]\n", ""),
        "warning",
    ),
    "no_customer_message": (
        HEAD
        + "rules:\n"
        + rule_text("{fact: account.known, is: false}").replace("    customer_message: Please wait.\n", ""),
        "warning",
    ),
    "no_waiver": (
        HEAD
        + "rules:\n"
        + rule_text("{fact: account.known, is: false}", more="outcome: hold\nhold_kind: license_required"),
        "warning",
    ),
    "past_rule": (
        HEAD
        + "rules:\n"
        + rule_text(
            "{fact: account.known, is: false}",
            more='outcome: deny\nin_force: [{from: null, to: "2025-12-31T00:00:00Z"}]',
        ),
        "warning",
    ),
}


@pytest.mark.parametrize("check", VAIN)
def test_what_stands_there_in_vain_is_found(check: str) -> None:
    text, level = VAIN[check]
    assert [one.level for one in lint(load_text(text)) if one.check == check] == [level]


def test_a_misspelled_model_comes_with_the_one_that_may_be_meant() -> None:
    (finding,) = (one for one in lint(load_text(VAIN["unknown_model"][0])) if one.check == "unknown_model")
    assert finding.what == "the catalogue has no model 'model1' (did you mean 'model-1'?)"


def test_a_finding_in_an_inherited_rule_names_the_document_of_the_rule() -> None:
    when = "{all: [{fact: customer.billing_in, in: g}, {not: {fact: customer.billing_in, is: IR}}]}"
    parent = f"{HEAD}groups: {{g: [IR]}}\nrules:\n{rule_text(when)}"
    child = HEAD.replace('version: "1"', 'version: "2"') + 'extends: "1"\n'
    assert ("error", "never_hits", "1.yaml:16") in _found(load_text(child, **{"1": parent}))
    wider = child + "groups: {g: [IR, KP]}\n"
    assert _found(load_text(wider, **{"1": parent})) == []


@pytest.mark.parametrize("when", NEVER.values(), ids=NEVER)
def test_a_rule_that_can_never_hit_is_at_most_unknown(when: str) -> None:
    plain = Facts(values=ALWAYS_KNOWN, items=(), assurance={}, authorizations=())
    verdict = evaluate(plain, policy_of(rule_text(when)).policy, datetime(2026, 6, 1, tzinfo=UTC))
    assert {reason.result.value for reason in verdict.reasons} <= {"unknown"}


@pytest.mark.parametrize(
    "entry, found",
    [
        ("{eccn: '4E091', training_operations: '1E26', published: false}", []),
        ("{eccn: '4E091', training_operations: '2E26', published: false}", []),
        ("{eccn: '4E091', training_operations: '9E25', published: false}", ["it took 9E+25 training operations"]),
        ("{eccn: EAR99, training_operations: '1E26', published: false}", ["it is EAR99, and 4E091 in the parent"]),
        ("{published: true}", ["it is said to be published"]),
    ],
)
def test_a_child_that_makes_a_model_of_its_parent_milder_is_warned_of(entry: str, found: list[str]) -> None:
    catalogue = "catalogue: {{model-1: {}}}\n"
    head = HEAD.partition("catalogue:")[0]
    strict = "{eccn: '4E091', training_operations: '1E26', published: false}"
    child = head.replace('version: "1"', 'version: "2"') + 'extends: "1"\n' + catalogue.format(entry)
    loaded = load_text(child, **{"1": head + catalogue.format(strict) + "rules: []\n"})
    told = [one for one in lint(loaded) if one.check == "softer_model"]
    assert [(one.level, one.about) for one in told] == [("warning", "model model-1")] * len(found)
    assert all(one.what.startswith(words) for one, words in zip(told, found, strict=True))


@pytest.mark.parametrize(
    "groups, rules, gone",
    [
        ("{g: [model-2]}", "", "model-1"),
        ("{g: [{value: model-1, to: '2027-01-01T00:00:00Z'}, model-2]}", "", "model-1"),
        ("{g: [model-1, model-2, model-3]}", "", None),
        ("{other: [model-2]}", "", None),
        ("{g: [model-2]}", "drop: [r]\n", None),
    ],
    ids=["smaller", "for a time", "larger", "another name", "no rule left"],
)
def test_a_group_that_loses_members_which_a_parents_rule_asks_for_is_warned_of(
    groups: str, rules: str, gone: str | None
) -> None:
    rule = rule_text("{fact: item.model, in: g}", more="outcome: deny\nscope: item")
    parent = f"{HEAD}groups: {{g: [model-1, model-2]}}\nrules:\n{rule}"
    child = HEAD.replace('version: "1"', 'version: "2"') + f'extends: "1"\ngroups: {groups}\n{rules}'
    told = [one for one in lint(load_text(child, **{"1": parent})) if one.check == "group_shrinks"]
    assert [(one.level, one.place, one.about) for one in told] == [("warning", "p.yaml:9", "group g")] * bool(gone)
    assert all(f"without {gone}, and r of the parent asks for it" in one.what for one in told)


def test_a_finding_is_one_line_whatever_names_stand_in_the_document() -> None:
    policy = policy_of(rule_text('{fact: item.model, is: "model\\n3"}', more="outcome: deny\nscope: item"))
    (told,) = (str(one) for one in lint(policy) if one.check == "unknown_model")
    assert told.isprintable()
