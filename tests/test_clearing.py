"""What is cleared without its closures is clear: any conditions, any values."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.decide.clearing import compile_clearing
from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not, compile_condition
from tests.test_lint_logic import CONDITIONS, VALUES


@settings(max_examples=400, deadline=None)
@given(conditions=st.lists(CONDITIONS, max_size=4), values=VALUES)
def test_what_is_cleared_is_false_and_what_is_left_stands_in_order(
    conditions: list[Condition], values: dict[str, Any]
) -> None:
    left = compile_clearing(conditions)(values)
    assert left == sorted(set(left))
    for index in set(range(len(conditions))) - set(left):
        assert compile_condition(conditions[index])(values) is False


SEVERE = Leaf(fact="flag.severity", operator="in", operand=frozenset({"severe"}), assured=1)
ABROAD = Leaf(fact="customer.places", operator="overlaps_places", operand=frozenset({"IR", "UA-43"}), assured=1)
KNOWN = Leaf(fact="customer.places", operator="known", operand=True, assured=1)


def test_a_rule_that_an_ordinary_customer_does_not_meet_is_cleared() -> None:
    rules: list[Condition] = [
        All((KNOWN, ABROAD)),
        Exists("account.flags", SEVERE),
        Not(ForAll("account.flags", Not(SEVERE))),
        AnyOf(()),
        Exists("matches", Leaf(fact="match.verdict", operator="is", operand="same", assured=1)),
    ]
    clearing = compile_clearing(rules)
    ordinary: dict[str, Any] = {"customer.places": ("GB", "FR"), "account.flags": ({"flag.severity": "low"},)}
    assert clearing({**ordinary, "matches": ()}) == []
    assert clearing(ordinary) == [4]
    assert clearing({**ordinary, "customer.places": ("GB", "UA"), "matches": ()}) == [0]
    assert clearing({**ordinary, "account.flags": ({"flag.severity": "severe"},), "matches": ()}) == [1, 2]


def test_a_text_of_a_document_never_becomes_source() -> None:
    odd = '"]) or exit("'
    leaf = Leaf(fact="account.id", operator="is", operand=odd, assured=1)
    group = Leaf(fact="customer.end_uses", operator="overlaps", operand=frozenset({odd}), assured=1)
    clearing = compile_clearing([leaf, group])
    assert clearing({"account.id": "acct-1", "customer.end_uses": ("chat",)}) == []
    assert clearing({"account.id": odd, "customer.end_uses": (odd,)}) == [0, 1]
