"""The core: three-valued truth, places, thresholds, waivers, and the laws every verdict obeys."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decide.comparison import Operand, Truth, same_place
from service.decide.condition import (
    All,
    AnyOf,
    Condition,
    Exists,
    ForAll,
    Leaf,
    Not,
    compile_condition,
    missing_facts,
)
from service.decide.decision import Access, Outcome, Result
from service.decide.derive import derive, with_item
from service.decide.evaluate import evaluate
from service.decide.facts import Assurance, Authorization, Element, Facts, FactSpec, FactType, Item, Scalar, Value
from service.decide.ownership import Edge, examine
from service.decide.policy import Citation, Group, Interval, Member, Policy, Rule
from service.decide.vocabulary import VOCABULARY
from service.policies import load_file
from service.policies.cases import ALWAYS_KNOWN

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"
BASELINE = load_file(POLICIES / "baseline-2026-02.yaml")
LETTER = load_file(POLICIES / "2026-06-12.yaml")
CARVE_OUT = load_file(POLICIES / "2026-06-26.yaml")
SHIPPED = [BASELINE.policy, LETTER.policy, CARVE_OUT.policy]
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
FEW = settings(max_examples=150, deadline=None)

TRUTHS: tuple[Truth, ...] = (True, None, False)
PAIRS = list(product(TRUTHS, TRUTHS))


def _leaf(fact: str, operator: str, operand: Operand, assured: int = 1) -> Leaf:
    return Leaf(fact=fact, operator=operator, operand=operand, assured=assured)


def _truth(truth: Truth) -> Condition:
    """A condition that is true, false or unknown for `KNOWN`."""
    return _leaf("missing" if truth is None else "yes", "is", operand=truth is not False)


KNOWN: Mapping[str, Value] = {"yes": True}


def _ask(condition: Condition, **values: Value) -> Truth:
    return compile_condition(condition)({**KNOWN, **values})


def _rule(name: str, outcome: Outcome, when: Condition, **changes: object) -> Rule:
    rule = Rule(
        name=name,
        title=name,
        outcome=outcome,
        unknown=Outcome.HOLD,
        hold_kind="license_required" if outcome is Outcome.HOLD else None,
        per_item=False,
        citation=Citation(text="law", href=None),
        in_force=(Interval(None, None),),
        when=when,
        waivable_by=frozenset(),
        droppable=True,
        clears=(),
        message=name,
        customer_message=name,
        limit=None,
        limit_from=None,
    )
    return replace(rule, **changes)  # type: ignore[arg-type]


def _policy(*rules: Rule, **groups: Group) -> Policy:
    return Policy(
        name="small",
        version="1",
        sha256="0" * 64,
        title="small",
        rules=rules,
        groups=groups,
        catalogue={"model-1": {}},
        valid_for=None,
        required_lists=(),
    )


def _facts(**values: Value) -> Facts:
    return Facts(values={**KNOWN, **values}, items=(), assurance={}, authorizations=())


# ------------------------------------------------------------------------------------------ three-valued truth


@pytest.mark.parametrize("one, two", PAIRS)
def test_all_and_any_follow_the_strong_kleene_tables(one: Truth, two: Truth) -> None:
    parts = (_truth(one), _truth(two))
    conjunction = False if False in (one, two) else None if None in (one, two) else True
    disjunction = True if True in (one, two) else None if None in (one, two) else False
    assert _ask(All(parts)) is conjunction
    assert _ask(AnyOf(parts)) is disjunction


@pytest.mark.parametrize("one, opposite", [(True, False), (None, None), (False, True)])
def test_the_opposite_of_unknown_is_unknown(one: Truth, opposite: Truth) -> None:
    assert _ask(Not(_truth(one))) is opposite


RESOLVED = _leaf("red_flag.resolved", "is", operand=True)
ELEMENTS: Mapping[Truth, Element] = {True: {"red_flag.resolved": True}, False: {"red_flag.resolved": False}, None: {}}


def _ask_flags(condition: Condition, *flags: Element) -> Truth:
    return _ask(condition, **{"account.red_flags": flags})


@pytest.mark.parametrize("one, two", PAIRS)
def test_exists_and_forall_are_any_and_all_of_the_elements(one: Truth, two: Truth) -> None:
    flags = (ELEMENTS[one], ELEMENTS[two])
    assert _ask_flags(Exists("account.red_flags", RESOLVED), *flags) is _ask(AnyOf((_truth(one), _truth(two))))
    assert _ask_flags(ForAll("account.red_flags", RESOLVED), *flags) is _ask(All((_truth(one), _truth(two))))


def test_an_element_is_seen_together_with_the_facts_around_it() -> None:
    both = Exists("account.red_flags", All((RESOLVED, _leaf("yes", "is", operand=True))))
    assert _ask_flags(both, ELEMENTS[True]) is True
    assert _ask_flags(Exists("account.red_flags", All((RESOLVED, _truth(None)))), ELEMENTS[True]) is None


def test_a_missing_list_is_not_an_empty_list() -> None:
    assert _ask(Exists("account.red_flags", RESOLVED)) is None
    assert _ask(ForAll("account.red_flags", RESOLVED)) is None
    assert _ask_flags(Exists("account.red_flags", RESOLVED)) is False
    assert _ask_flags(ForAll("account.red_flags", RESOLVED)) is True


COMPARISONS = [
    ("is", "x"),
    ("in", frozenset({"x"})),
    ("is_place", "GB"),
    ("in_places", frozenset({"GB"})),
    ("overlaps", frozenset({"x"})),
    ("overlaps_places", frozenset({"GB"})),
    ("at_least", 1),
    ("above", 1),
    ("at_most", 1),
    ("below", 1),
    ("differs_from", "yes"),
]


@pytest.mark.parametrize("operator, operand", COMPARISONS)
def test_every_comparison_with_a_missing_fact_is_unknown(operator: str, operand: Operand) -> None:
    assert _ask(_leaf("fact", operator, operand)) is None


def test_only_known_looks_at_absence() -> None:
    assert _ask(_leaf("fact", "known", operand=True)) is False
    assert _ask(_leaf("fact", "known", operand=False)) is True
    assert _ask(_leaf("yes", "known", operand=True)) is True


@pytest.mark.parametrize("level, truth", [(1, None), (2, True), (3, True)])
def test_a_fact_less_sure_than_demanded_is_unknown(level: int, truth: Truth) -> None:
    assert _ask(_leaf("yes", "is", operand=True, assured=2), **{"assured:yes": level}) is truth


def test_a_fact_nobody_says_more_of_is_declared() -> None:
    assert _ask(_leaf("yes", "is", operand=True, assured=2)) is None
    assert _ask(_leaf("yes", "is", operand=True, assured=1)) is True


@pytest.mark.parametrize(
    "operator, below, at, above",
    [
        ("at_least", False, True, True),
        ("above", False, False, True),
        ("at_most", True, True, False),
        ("below", True, False, False),
    ],
)
def test_a_threshold_is_told_below_at_and_above(operator: str, below: Truth, at: Truth, above: Truth) -> None:
    share = _leaf("share", operator, Decimal("50.00"))
    assert _ask(share, share=Decimal("49.99")) is below
    assert _ask(share, share=Decimal(50)) is at
    assert _ask(share, share=Decimal("50.01")) is above


# ------------------------------------------------------------------------------------------ places


@pytest.mark.parametrize(
    "place, other, same",
    [
        ("GB", "GB", True),
        ("UA-43", "UA", True),
        ("UA", "UA-43", None),
        ("UA-30", "UA-43", False),
        ("DE", "GB", False),
        ("CN-HK", "CN", True),
        ("CN", "CN-HK", None),
    ],
)
def test_a_region_lies_in_its_country_and_a_country_may_be_any_of_its_regions(
    place: str,
    other: str,
    same: Truth,
) -> None:
    assert same_place(place, other) is same
    assert _ask(_leaf("place", "is_place", other), place=place) is same
    assert _ask(_leaf("place", "in_places", frozenset({other, "ZZ"})), place=place) is same
    assert _ask(_leaf("places", "overlaps_places", frozenset({other})), places=(place,)) is same


def test_one_place_that_fits_settles_it_and_one_that_may_fit_leaves_it_open() -> None:
    crimea = _leaf("places", "overlaps_places", frozenset({"UA-43"}))
    assert _ask(crimea, places=("DE", "UA", "UA-43")) is True
    assert _ask(crimea, places=("DE", "UA")) is None
    assert _ask(crimea, places=("DE", "UA-30")) is False
    assert _ask(crimea, places=()) is False


def test_a_city_that_is_stated_tells_the_region_of_a_billing_country() -> None:
    facts = _facts(**{"customer.headquartered_in": "UA-30", "customer.billing_in": "UA", "customer.organized_in": "UA"})
    assert derive(facts)["customer.places"] == ("UA-30",)


def test_the_city_of_an_employee_tells_nothing_about_the_billing_country() -> None:
    facts = _facts(**{"person.located_in": "UA-30", "customer.billing_in": "UA"})
    assert derive(facts)["customer.places"] == ("UA", "UA-30")


def test_a_country_of_delivery_stays_beside_the_city_of_the_seat() -> None:
    stated: dict[str, Value] = {"customer.headquartered_in": "UA-30", "contract.deliver_to": ("UA",)}
    facts = _facts(**stated)
    assert derive(facts)["customer.places"] == ("UA", "UA-30")


def test_a_parent_is_no_place_of_its_subsidiary() -> None:
    facts = _facts(**{"customer.headquartered_in": "SG", "customer.ultimate_parent_in": "CN"})
    assert derive(facts)["customer.places"] == ("SG",)


@pytest.mark.parametrize("one, two, differs", [("UA", "UA-43", None), ("UA-30", "UA-43", True), ("UA", "UA", False)])
def test_whether_places_differ_does_not_depend_on_which_is_named_first(one: str, two: str, differs: Truth) -> None:
    assert _ask(_leaf("here", "differs_from", "there"), here=one, there=two) is differs
    assert _ask(_leaf("here", "differs_from", "there"), here=two, there=one) is differs


# ------------------------------------------------------------------------------------------ where it was seen


def _seen(place: str, days: int | None = None, share: str | None = None) -> Element:
    measured = {"evidence.days": days, "evidence.share": None if share is None else Decimal(share)}
    told = {name: value for name, value in measured.items() if value is not None}
    return {"evidence.place": place, "evidence.kind": "mobile", **told}


def _present(*seen: Element, seat: str = "GB") -> list[tuple[object, ...]]:
    stated: dict[str, Value] = {"location.evidence": seen, "customer.headquartered_in": seat}
    values = derive(_facts(**stated))
    presence = values["location.presence"]
    assert isinstance(presence, tuple)
    parts = ("presence.place", "presence.days", "presence.share")
    return [tuple(one.get(part) for part in parts) for one in presence if not isinstance(one, str)]


def test_a_small_sighting_does_not_hide_one_that_was_not_measured() -> None:
    assert _present(_seen("IR"), _seen("IR", 1)) == [("IR", None, None), ("IR", 1, None)]
    assert _present(_seen("IR"), _seen("IR-23", 60, "50")) == [("IR", None, None), ("IR", 60, Decimal(50))]
    assert _present(_seen("IR"), _seen("IR")) == [("IR", None, None)]


def test_a_country_is_not_split_below_a_threshold() -> None:
    split = [_seen(place, 2, "9.9") for place in ("IR", "IR-07", "IR-23")]
    assert _present(*split) == [("IR", 6, Decimal("29.7"))]
    assert _present(_seen("IR", 2), _seen("IR", 1)) == [("IR", 2, None)]


def test_the_regions_of_ukraine_stay_apart_and_what_names_none_counts_for_each() -> None:
    assert _present(_seen("UA-30", 60), _seen("UA-43", 2)) == [("UA-30", 60, None), ("UA-43", 2, None)]
    assert _present(_seen("UA", 1, "6"), _seen("UA-43", 2, "6")) == [
        ("UA", 1, Decimal(6)),
        ("UA-43", 3, Decimal(12)),
    ]


def test_who_sits_in_kyiv_and_was_seen_in_ukraine_was_seen_in_kyiv() -> None:
    assert _present(_seen("UA", 30), _seen("UA-43", 1), seat="UA-30") == [("UA-30", 30, None), ("UA-43", 1, None)]


@pytest.mark.parametrize(
    "seen",
    [
        (_seen("IR"), _seen("IR", 1)),
        (_seen("IR"), _seen("IR", share="1")),
        tuple(_seen("IR" + region, 2, "1") for region in ("", "-07")),
        tuple(_seen("IR" + region, share="9.9") for region in ("", "-07")),
    ],
)
def test_sightings_in_an_embargoed_place_hold_however_they_are_told(seen: tuple[Element, ...]) -> None:
    values = {**ORDINARY, "location.evidence": (SEEN_IN_LONDON, *seen)}
    verdict = evaluate(Facts(values=values, items=(), assurance={}, authorizations=()), BASELINE.policy, NOON)
    assert "location_conflict" in {reason.rule for reason in verdict.reasons}
    assert verdict.outcome is Outcome.HOLD


# ------------------------------------------------------------------------------------------ persons


@pytest.mark.parametrize(
    "status, located, foreign, us_person",
    [
        ("citizen", "FR", False, True),
        ("permanent_resident", "US", False, True),
        ("protected", "US-MA", False, True),
        ("none", "US-MA", True, True),
        ("none", "FR", True, False),
        ("none", None, True, None),
        (None, None, None, None),
    ],
)
def test_foreign_person_and_us_person_are_two_tests(
    status: str | None,
    located: str | None,
    foreign: bool | None,  # noqa: FBT001
    us_person: bool | None,  # noqa: FBT001
) -> None:
    stated = {"person.us_status": status, "person.located_in": located}
    known = {name: value for name, value in stated.items() if value is not None}
    values = derive(_facts(**{"subject.kind": "user", **known}))
    assert values.get("person.foreign") is foreign
    assert values.get("person.us") is us_person


def test_a_company_is_as_surely_not_foreign_as_its_weakest_fact() -> None:
    facts = replace(
        _facts(**{"customer.organized_in": "US", "customer.users_population": "us_only"}),
        assurance={"customer.organized_in": Assurance.VERIFIED},
    )
    values = derive(facts)
    assert values["person.foreign"] is False
    assert values["assured:person.foreign"] == Assurance.DECLARED


# ------------------------------------------------------------------------------------------ dates


@pytest.mark.parametrize(
    "seconds, outcome",
    [(-1, Outcome.APPROVE), (0, Outcome.DENY), (59, Outcome.DENY), (60, Outcome.APPROVE)],
)
def test_an_interval_holds_from_its_first_instant_until_before_its_last(seconds: int, outcome: Outcome) -> None:
    during = Interval(NOON, NOON + timedelta(seconds=60))
    policy = _policy(_rule("r", Outcome.DENY, _truth(truth=True), in_force=(during,)))
    assert evaluate(_facts(), policy, NOON + timedelta(seconds=seconds)).outcome is outcome


def test_a_suspended_rule_comes_back_by_itself() -> None:
    suspended = (Interval(None, NOON), Interval(NOON + timedelta(days=365), None))
    policy = _policy(_rule("r", Outcome.DENY, _truth(truth=True), in_force=suspended))
    outcomes = [evaluate(_facts(), policy, NOON + timedelta(days=days)).outcome for days in (-1, 0, 364, 365)]
    assert outcomes == [Outcome.DENY, Outcome.APPROVE, Outcome.APPROVE, Outcome.DENY]


def test_a_member_of_a_group_counts_while_it_is_one() -> None:
    group = Group((Member("KH", Interval(None, NOON)), Member("CN", Interval(None, None))))
    policy = _policy(_rule("r", Outcome.DENY, _leaf("country", "in_places", "group:d5")), d5=group)
    facts = _facts(country="KH")
    assert evaluate(facts, policy, NOON - timedelta(seconds=1)).outcome is Outcome.DENY
    assert evaluate(facts, policy, NOON).outcome is Outcome.APPROVE


# ------------------------------------------------------------------------------------------ waivers

LICENSE = Authorization(
    kind="license",
    number="D1",
    models=("m",),
    deliveries=("api",),
    destinations=("JP",),
    end_uses=("chat",),
    valid_from=NOON,
    valid_until=NOON + timedelta(days=1),
)
ASKED = Facts(
    values={"customer.headquartered_in": "JP-13", "customer.end_uses": ("chat",), **KNOWN},
    items=(Item(model="m", delivery="api", release=None, volume=None),),
    assurance={},
    authorizations=(LICENSE,),
)
NEEDS_LICENSE = _policy(
    _rule("r", Outcome.HOLD, _truth(truth=True), per_item=True, waivable_by=frozenset({"license"})),
)


def test_a_license_that_matches_lifts_a_hit_and_is_the_authority() -> None:
    verdict = evaluate(ASKED, NEEDS_LICENSE, NOON)
    assert verdict.outcome is Outcome.APPROVE
    assert verdict.authority is not None
    assert (verdict.authority.kind, verdict.authority.number) == ("license", "D1")
    assert verdict.valid_until == LICENSE.valid_until


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "carve_out"},
        {"models": ("n",)},
        {"models": ()},
        {"deliveries": ("weights",)},
        {"destinations": ("GB",)},
        {"destinations": ("JP-14",)},
        {"end_uses": ("research",)},
        {"valid_from": NOON + timedelta(seconds=1)},
        {"valid_until": NOON},
    ],
    ids=str,
)
def test_a_license_that_differs_in_one_thing_lifts_nothing(changes: dict[str, object]) -> None:
    facts = replace(ASKED, authorizations=(replace(LICENSE, **changes),))  # type: ignore[arg-type]
    assert evaluate(facts, NEEDS_LICENSE, NOON).outcome is Outcome.HOLD


@pytest.mark.parametrize("fact", ["customer.headquartered_in", "customer.end_uses"])
def test_a_license_whose_condition_cannot_be_told_lifts_nothing(fact: str) -> None:
    values = {name: value for name, value in ASKED.values.items() if name != fact}
    assert evaluate(replace(ASKED, values=values), NEEDS_LICENSE, NOON).outcome is Outcome.HOLD


def test_doubt_is_never_waived() -> None:
    policy = _policy(
        _rule("r", Outcome.HOLD, _truth(truth=None), per_item=True, waivable_by=frozenset({"license"})),
    )
    verdict = evaluate(ASKED, policy, NOON)
    assert verdict.outcome is Outcome.HOLD
    assert [finding.result for finding in verdict.findings] == [Result.UNKNOWN]


def test_the_order_of_licenses_does_not_choose_the_authority() -> None:
    other = replace(LICENSE, number="D0")
    for held in ((LICENSE, other), (other, LICENSE)):
        authority = evaluate(replace(ASKED, authorizations=held), NEEDS_LICENSE, NOON).authority
        assert authority is not None
        assert authority.number == "D0"


# ------------------------------------------------------------------------------------------ outcome and access


def test_the_outcome_is_the_worst_and_each_item_keeps_its_own() -> None:
    items = tuple(Item(model=model, delivery="api", release=None, volume=None) for model in ("a", "b", "c"))
    policy = _policy(
        _rule("denied", Outcome.DENY, _leaf("item.model", "is", "a"), per_item=True),
        _rule("held", Outcome.HOLD, _leaf("item.model", "is", "b"), per_item=True),
    )
    verdict = evaluate(replace(_facts(), items=items), policy, NOON)
    assert verdict.outcome is Outcome.DENY
    assert verdict.access is Access.PARTIAL
    assert [item.outcome for item in verdict.items] == [Outcome.DENY, Outcome.HOLD, Outcome.APPROVE]


def test_a_rule_about_the_subject_reaches_every_item() -> None:
    items = (Item(model="a", delivery="api", release=None, volume=None),)
    verdict = evaluate(replace(_facts(), items=items), _policy(_rule("r", Outcome.HOLD, _truth(truth=True))), NOON)
    assert verdict.access is Access.NONE
    assert verdict.authority is None
    assert verdict.items[0].outcome is Outcome.HOLD


def test_a_rule_may_deny_what_it_cannot_tell() -> None:
    policy = _policy(_rule("r", Outcome.DENY, _truth(truth=None), unknown=Outcome.DENY))
    assert evaluate(_facts(), policy, NOON).outcome is Outcome.DENY


def test_an_unknown_note_holds() -> None:
    verdict = evaluate(_facts(), _policy(_rule("r", Outcome.APPROVE, _truth(truth=None))), NOON)
    assert verdict.outcome is Outcome.HOLD
    assert verdict.reasons[0].missing == ("missing",)
    assert verdict.next_actor == "customer"


# ------------------------------------------------------------------------------------------ laws

PLACES = st.sampled_from(["GB", "DE", "US", "IR", "RU", "UA", "UA-30", "UA-43", "CN", "CN-HK", "AE", "SY", "KH", "CU"])
WORDS = st.sampled_from(["chat", "military", "missile", "surveillance"])


def _value(spec: FactSpec) -> st.SearchStrategy[Value]:
    """Any value of a fact, rather one that a shipped rule looks at."""
    if spec.type is FactType.ELEMENTS:
        stated = {name: _scalar(part) for name, part in spec.elements.items() if not part.derived}
        return st.lists(st.fixed_dictionaries({}, optional=stated), max_size=2).map(_elements)
    return _scalar(spec)


def _elements(elements: list[dict[str, Scalar]]) -> Value:
    return tuple(elements)


def _scalar(spec: FactSpec) -> st.SearchStrategy[Scalar]:
    open_words = st.sampled_from(sorted(spec.values) or ["acct-partner-1", "x"])
    strategies: Mapping[FactType, st.SearchStrategy[Scalar]] = {
        FactType.TEXT: open_words,
        FactType.PLACE: PLACES,
        FactType.BOOLEAN: st.booleans(),
        FactType.WHOLE: st.integers(0, 4),
        FactType.DECIMAL: st.sampled_from([Decimal(0), Decimal("9.99"), Decimal(10)]),
        FactType.TEXTS: st.lists(WORDS, unique=True, max_size=2).map(tuple),
        FactType.PLACES: st.lists(PLACES, unique=True, max_size=2).map(tuple),
        FactType.INSTANT: st.sampled_from(["2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]),
    }
    return strategies[spec.type]


STATED = {name: spec for name, spec in VOCABULARY.items() if not spec.derived and not name.startswith("item.")}
ITEMS = st.builds(
    Item,
    model=st.sampled_from([*sorted(BASELINE.policy.catalogue), "unheard-of"]),
    delivery=st.sampled_from(sorted(VOCABULARY["item.delivery"].values)),
    release=st.sampled_from([None, "none", "source_code"]),
    volume=st.none(),
)
UNLIMITED = replace(LICENSE, models=None, deliveries=None, destinations=None, end_uses=None)
FACTS = st.builds(
    Facts,
    values=st.fixed_dictionaries({}, optional={name: _value(spec) for name, spec in STATED.items()}),
    items=st.lists(ITEMS, max_size=2).map(tuple),
    assurance=st.fixed_dictionaries({}, optional={"person.us_status": st.sampled_from(Assurance)}),
    authorizations=st.sampled_from([(), (UNLIMITED,)]),
)
SEEN_IN_LONDON: Element = {"evidence.place": "GB", "evidence.kind": "business", "evidence.days": 9}
ORDINARY: Mapping[str, Value] = {
    **ALWAYS_KNOWN,
    "customer.headquartered_in": "GB",
    "customer.organized_in": "GB",
    "customer.billing_in": "GB",
    "location.evidence": (SEEN_IN_LONDON,),
}
SUBJECTS = FACTS | FACTS.map(lambda facts: replace(facts, values={**ORDINARY, **facts.values}))


@FEW
@given(facts=SUBJECTS, policy=st.sampled_from(SHIPPED))
def test_a_rule_that_cannot_be_told_never_approves(facts: Facts, policy: Policy) -> None:
    verdict = evaluate(facts, policy, NOON)
    for finding in verdict.findings:
        if finding.result is Result.UNKNOWN:
            assert verdict.outcome >= Outcome.HOLD
            if finding.item is not None:
                assert verdict.items[finding.item].outcome >= Outcome.HOLD


@FEW
@given(facts=SUBJECTS, policy=st.sampled_from(SHIPPED), data=st.data())
def test_a_rule_without_guard_that_was_settled_is_at_most_unsettled_by_a_missing_fact(
    facts: Facts, policy: Policy, data: st.DataObject
) -> None:
    """Only `known` may look at absence: any other condition goes to unknown, never to the opposite."""
    values = with_item(
        derive(facts), Item(model="fable-5", delivery="api", release=None, volume=None), policy.catalogue
    )
    gone = data.draw(st.sampled_from(sorted(values)))
    fewer = {name: value for name, value in values.items() if name not in (gone, "assured:" + gone)}
    for one in (*policy.at(NOON).subject_rules, *policy.at(NOON).item_rules):
        if not _looks_at_absence(one.when):
            before, after = one.test(values), one.test(fewer)
            assert after is before or after is None


def _looks_at_absence(condition: Condition) -> bool:
    match condition:
        case All(parts) | AnyOf(parts):
            return any(_looks_at_absence(part) for part in parts)
        case Not(part) | Exists(_, part) | ForAll(_, part):
            return _looks_at_absence(part)
        case Leaf():
            return condition.operator == "known"


@FEW
@given(
    facts=SUBJECTS,
    policy=st.sampled_from(SHIPPED),
    outcome=st.sampled_from(Outcome),
    truth=st.sampled_from(TRUTHS),
    per_item=st.booleans(),
)
def test_one_rule_more_never_softens(
    facts: Facts,
    policy: Policy,
    outcome: Outcome,
    truth: Truth,
    per_item: bool,  # noqa: FBT001
) -> None:
    facts = replace(facts, values={**facts.values, **KNOWN})
    more = _with_rules(policy, (*policy.rules, _rule("more", outcome, _truth(truth), per_item=per_item)))
    before, after = evaluate(facts, policy, NOON), evaluate(facts, more, NOON)
    assert after.outcome >= before.outcome
    assert all(two.outcome >= one.outcome for one, two in zip(before.items, after.items, strict=True))
    if truth is not False:
        assert after.outcome >= (outcome if truth else Outcome.HOLD)


@FEW
@given(facts=SUBJECTS, policy=st.sampled_from(SHIPPED), seed=st.integers(0, 2**32))
def test_the_order_of_rules_and_keys_changes_nothing(facts: Facts, policy: Policy, seed: int) -> None:
    shuffle = random.Random(seed)
    rules, names = list(policy.rules), list(facts.values)
    shuffle.shuffle(rules)
    shuffle.shuffle(names)
    other = replace(facts, values={name: facts.values[name] for name in names})
    verdict = evaluate(facts, policy, NOON)
    again = evaluate(other, _with_rules(policy, tuple(rules)), NOON)
    assert again == verdict
    assert repr(again) == repr(verdict)


@FEW
@given(facts=SUBJECTS, policy=st.sampled_from(SHIPPED))
def test_every_unknown_names_what_is_missing_and_every_hold_who_acts(facts: Facts, policy: Policy) -> None:
    verdict = evaluate(facts, policy, NOON)
    for reason in verdict.reasons:
        assert bool(reason.missing) is (reason.result is Result.UNKNOWN)
    assert (verdict.next_actor is not None) is (verdict.outcome is Outcome.HOLD)


@FEW
@given(facts=SUBJECTS, policy=st.sampled_from(SHIPPED))
def test_what_is_not_approved_rests_on_no_authority(facts: Facts, policy: Policy) -> None:
    verdict = evaluate(facts, policy, NOON)
    approved = any(item.outcome is Outcome.APPROVE for item in verdict.items)
    assert (verdict.authority is not None) is approved
    assert (verdict.access is Access.NONE) is not approved


def _with_rules(policy: Policy, rules: tuple[Rule, ...]) -> Policy:
    return Policy(
        name=policy.name,
        version=policy.version,
        sha256=policy.sha256,
        title=policy.title,
        rules=rules,
        groups=policy.groups,
        catalogue=policy.catalogue,
        valid_for=policy.valid_for,
        required_lists=policy.required_lists,
    )


@pytest.mark.parametrize("fact", sorted(set(ALWAYS_KNOWN) - {"subject.kind", "account.id"}))
def test_without_a_fact_that_is_never_absent_the_baseline_holds(fact: str) -> None:
    values = {name: value for name, value in ORDINARY.items() if name != fact}
    facts = Facts(values=values, items=(), assurance={}, authorizations=())
    assert evaluate(facts, BASELINE.policy, NOON).outcome >= Outcome.HOLD


def test_missing_facts_look_inside_the_elements_of_a_list() -> None:
    condition = Exists("account.red_flags", All((RESOLVED, _leaf("red_flag.number", "is", 21))))
    flags = (ELEMENTS[True], ELEMENTS[False])
    assert set(missing_facts(condition, {"account.red_flags": flags})) == {"red_flag.number"}
    assert set(missing_facts(condition, {})) == {"account.red_flags"}


# ------------------------------------------------------------------------------------------ ownership


def _edge(owner: str, owned: str, percent: str | None, kind: str = "equity") -> Edge:
    return Edge(owner=owner, owned=owned, percent=None if percent is None else Decimal(percent), kind=kind)


@pytest.mark.parametrize(
    "edges, state",
    [
        ([_edge("a", "b", "60"), _edge("c", "b", "40")], "consistent"),
        ([_edge("a", "b", "60"), _edge("c", "b", "40.01")], "inconsistent"),
        ([_edge("a", "b", "60"), _edge("c", "b", "60", "voting")], "consistent"),
        ([_edge("a", "b", "100.01")], "inconsistent"),
        ([_edge("a", "b", "-1")], "inconsistent"),
        ([_edge("a", "b", None), _edge("c", "b", "100")], "consistent"),
        ([_edge("a", "b", "50"), _edge("b", "a", "50")], "cyclic"),
        ([_edge("a", "a", "50")], "cyclic"),
        ([_edge(str(n), str(n + 1), "100") for n in range(41)], "too_complex"),
        ([_edge(str(n), "x", "0") for n in range(2001)], "too_complex"),
    ],
)
def test_ownership_that_does_not_add_up_says_so(edges: list[Edge], state: str) -> None:
    assert examine(edges).state == state


def test_the_ends_of_a_chain_are_those_nobody_owns() -> None:
    found = examine([_edge("person", "holding", "100"), _edge("holding", "shell", "100"), _edge("shell", "us", "100")])
    assert (found.layers, found.ends) == (3, frozenset({"person"}))
