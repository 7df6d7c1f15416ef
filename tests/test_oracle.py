"""Every shipped rule says the same to an engine that is not ours, on thousands of customers with facts missing."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not, compile_condition
from service.decide.policy import Policy
from tests.oracle import NOW, Oracle, compare, customers, policies, rules_in_force

POLICIES = policies()
SETS = int(os.environ.get("ORACLE_SETS", "5000"))
"""Fact sets in all; `make bench` asks for more."""


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.version)
def test_an_engine_that_is_not_ours_finds_the_same(policy: Policy, oracle: Oracle) -> None:
    number = SETS // len(POLICIES)
    compared = compare(policy, number, seed=1, oracle=oracle)
    assert compared.disagreements == []
    # All three truths were met, each often enough to mean something.
    assert min(compared.truths[truth] for truth in (True, False, None)) > number


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.version)
def test_no_rule_is_cleared_that_is_not_clear_and_few_are_looked_at_twice(policy: Policy) -> None:
    plan, looked_at = policy.at(NOW), 0
    for values in customers(policy, 300, seed=3):
        suspects = {active.rule.name for active in (*plan.subject_suspects(values), *plan.item_suspects(values))}
        found = {active.rule.name for active in rules_in_force(policy) if active.test(values) is not False}
        assert found <= suspects
        looked_at += len(suspects - found)
    assert looked_at < 300 * 10


def test_a_mutation_of_either_reading_is_caught(oracle: Oracle) -> None:
    """Conditions are changed in one place each: the two readings must fall apart for most of them."""
    policy = POLICIES[0]
    asked = [(values, oracle.customer(values)) for values in customers(policy, 200, seed=2)]
    caught = missed = 0
    for active in rules_in_force(policy):
        program = oracle.program(active.when)
        truths = [oracle.truth(program, customer) for _, customer in asked]
        for mutant in _mutants(active.when):
            test = compile_condition(mutant)
            differs = any(test(values) is not truth for (values, _), truth in zip(asked, truths, strict=True))
            caught, missed = caught + differs, missed + (not differs)
    assert caught > 4 * missed, (caught, missed)


_OPPOSITE = {"at_least": "above", "above": "at_least", "at_most": "below", "below": "at_most"}


def _mutants(condition: Condition) -> Iterator[Condition]:
    """The condition with one thing changed: an operator, an operand, or how its parts are joined."""
    match condition:
        case All(parts) | AnyOf(parts):
            if len(parts) > 1:
                yield AnyOf(parts) if isinstance(condition, All) else All(parts)
            for index, part in enumerate(parts):
                for mutant in _mutants(part):
                    yield type(condition)((*parts[:index], mutant, *parts[index + 1 :]))
        case Not(part):
            yield part
        case Exists(fact, where):
            yield ForAll(fact, where)
        case ForAll(fact, where):
            yield Exists(fact, where)
        case Leaf():
            yield _other(condition)


def _other(leaf: Leaf) -> Condition:
    if leaf.operator == "known":
        return replace(leaf, operand=not leaf.operand)
    return replace(leaf, operator=_OPPOSITE[leaf.operator]) if leaf.operator in _OPPOSITE else Not(leaf)
