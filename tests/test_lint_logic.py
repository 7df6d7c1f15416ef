"""The search for what conditions can be, held against conditions that are evaluated."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not, compile_condition
from service.decide.vocabulary import VOCABULARY
from service.policies.lint_logic import FALSE, TRUE, can_be_false, can_be_true, can_be_unknown, implies, possible

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
_ASSURED = Leaf(fact="customer.type", operator="is", operand="government", assured=2)
_TEXTS = Leaf(fact="customer.end_uses", operator="overlaps", operand=frozenset({"chat", "military"}), assured=1)
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
CONDITIONS = _trees(st.one_of(_LEAVES, _LISTS, st.sampled_from([_ASSURED, _TEXTS])))
_ELEMENTS = st.fixed_dictionaries(
    {"flag.severity": st.sampled_from(["low", "high", "severe"])}, optional={"flag.id": st.sampled_from("abc")}
)
VALUES = st.fixed_dictionaries(
    {"account.flags": st.lists(_ELEMENTS, max_size=3).map(tuple)},
    optional={
        "customer.type": st.sampled_from(_TYPES),
        "assured:customer.type": st.integers(1, 3),
        "customer.end_uses": st.lists(st.sampled_from(["chat", "military", "other"]), max_size=2).map(tuple),
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


def test_a_condition_of_thousands_of_parts_is_answered_and_where_that_takes_too_long_it_is_possible() -> None:
    leaves = tuple(_leaf("account.id", "is", f"acct-{number}") for number in range(3000))
    assert can_be_true(AnyOf(leaves))
    assert can_be_false(AnyOf(leaves))
    deep: Condition = leaves[0]
    for _ in range(2000):
        deep = Not(deep)
    assert can_be_true(deep)
    wide = All(
        tuple(
            AnyOf((_leaf("account.id", "is", f"a{number}"), _leaf("account.id", "is", f"b{number}")))
            for number in range(40)
        )
    )
    assert not can_be_true(All(wide.parts[:8]))


def test_a_fact_that_follows_from_another_is_not_free_of_it() -> None:
    known = _leaf("evidence.place", "known", operand=True)
    place = _leaf("evidence.place", "in_places", frozenset({"UA-43"}))
    told = All((known, _leaf("evidence.region_known", "is", operand=True), place))
    assert can_be_true(told)
    assert not can_be_unknown(told)
    assert can_be_unknown(All((known, place)))
