"""Every shipped rule says the same to an engine that is not ours, on thousands of customers with facts missing."""

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not, compile_condition
from service.decide.derive import derive, with_item
from service.decide.facts import Assurance, Facts, Item, Value
from service.decide.policy import ActiveRule, Policy
from service.policies import load_file, policy_files
from service.policies.boundaries import domain
from service.policies.counterexample import PLAIN
from tests.oracle import Oracle

POLICIES = [
    load_file(path).policy for path in policy_files(Path(__file__).resolve().parents[1] / "deploy" / "policies")
]
NOW = datetime(2026, 6, 20, tzinfo=UTC)
SETS = int(os.environ.get("EXPORTGATE_ORACLE_SETS", "5000"))
"""Fact sets in all; `make bench` asks for more."""
_ABSENT, _PLAIN = 0.25, 0.6


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def _rules(policy: Policy) -> tuple[ActiveRule, ...]:
    plan = policy.at(NOW)
    return plan.subject_rules + plan.item_rules


def _customers(policy: Policy, number: int, seed: int) -> Iterator[Mapping[str, Value]]:
    """Facts at the boundaries that the rules name, many of them missing, each with one item that is asked for."""
    chance = random.Random(seed)
    values, _ = domain(active.when for active in _rules(policy))
    for _ in range(number):
        told: dict[str, Value | None] = dict(PLAIN)
        for name, several in values.items():
            dice = chance.random()
            if dice < _ABSENT:
                told[name] = None
            elif dice > _PLAIN or name not in PLAIN:
                told[name] = chance.choice(several)
        known = {name: value for name, value in told.items() if value is not None}
        assurance = {name: chance.choice(list(Assurance)) for name in known if chance.random() < _ABSENT}
        facts = Facts(values=known, items=(), assurance=assurance, authorizations=())
        item = Item(
            model=chance.choice([*policy.catalogue, "not-in-the-catalogue"]),
            delivery=chance.choice(["api", "weights", "fine_tuning", "compute"]),
            release=chance.choice([None, "none", "source_code", "technology"]),
            volume=None,
        )
        yield with_item(derive(facts), item, policy.catalogue)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.version)
def test_an_engine_that_is_not_ours_finds_the_same(policy: Policy, oracle: Oracle) -> None:
    seen = {True: 0, False: 0, None: 0}
    for number, values in enumerate(_customers(policy, SETS // len(POLICIES), seed=1)):
        customer = oracle.customer(values)
        for active in _rules(policy):
            ours = active.test(values)
            assert oracle.truth(active.when, customer) is ours, (number, active.rule.name)
            seen[ours] += 1
    # All three truths were met, each often enough to mean something.
    assert min(seen.values()) > SETS / len(POLICIES)


def test_a_mutation_of_either_reading_is_caught(oracle: Oracle) -> None:
    """Conditions are changed in one place each: the two readings must fall apart for most of them."""
    policy = POLICIES[0]
    customers = [(values, oracle.customer(values)) for values in _customers(policy, 200, seed=2)]
    caught = missed = 0
    for active in _rules(policy):
        truths = [oracle.truth(active.when, customer) for _, customer in customers]
        for mutant in _mutants(active.when):
            test = compile_condition(mutant)
            differs = any(test(values) is not truth for (values, _), truth in zip(customers, truths, strict=True))
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
