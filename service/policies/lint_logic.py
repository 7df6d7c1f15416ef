"""Whether conditions can be true, false or unknown together, by a search through their alternatives. Pure.

Facts are taken to be free of each other, so what is said to be impossible is impossible; some of what is said to be
possible may never come, because one fact follows from another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not
from service.policies.lint_values import HAS_REGION, Literal, Wanted, leaves_fit

TRUE: Wanted = frozenset({True})
FALSE: Wanted = frozenset({False})
NOT_TRUE: Wanted = frozenset({False, None})
NOT_FALSE: Wanted = frozenset({True, None})

Demand = tuple[Condition, Wanted]

KNOWN_WITH: Mapping[str, str] = {"location.presence": "location.evidence"}
"""Derived facts that are known whenever another one is."""

MOST_WORK = 200_000
"""Where the search takes more, the condition is taken to be possible. The shipped rules take a few hundred."""


@dataclass(slots=True)
class _Budget:
    left: int = MOST_WORK

    def spent(self, work: int) -> bool:
        self.left -= work
        return self.left < 0


def possible(*demands: Demand) -> bool:
    """Whether some facts give every condition one of its wanted truths; True also where that cannot be decided."""
    return _search(demands, _Budget())


def can_be_true(condition: Condition, *given: Demand) -> bool:
    """Whether some facts make it true, where what is given holds."""
    return possible(*given, (condition, TRUE))


def can_be_false(condition: Condition, *given: Demand) -> bool:
    """Whether some facts make it false, where what is given holds."""
    return possible(*given, (condition, FALSE))


def can_be_unknown(condition: Condition, *given: Demand) -> bool:
    """Whether some facts leave it open, where what is given holds."""
    return possible(*given, (condition, NOT_TRUE), (condition, NOT_FALSE))


def implies(one: Condition, other: Condition) -> bool:
    """Whether `other` is true wherever `one` is."""
    return not possible((one, TRUE), (other, NOT_TRUE))


Held = Mapping[str, tuple[Literal, ...]]
Pending = tuple[Demand, "Pending"] | None
"""Demands still to be met, as a chain: alternatives share what they have in common."""


def _search(demands: Sequence[Demand], budget: _Budget) -> bool:
    """Depth first over the alternatives that are left; without recursion, since a condition may have thousands."""
    alternatives: list[tuple[Pending, Held]] = [(_before(demands, None), {})]
    while alternatives:
        pending, held = alternatives.pop()
        if pending is None:
            return True
        (condition, wanted), rest = pending
        match condition:
            case Not(part):
                alternatives.append((((part, _opposite(wanted)), rest), held))
            case ForAll(fact, where):
                alternatives.append((((Exists(fact, Not(where)), _opposite(wanted)), rest), held))
            case All(parts) | AnyOf(parts):
                inside = [(part, wanted) for part in sorted(parts, key=_branches)]
                if isinstance(condition, All) is (True in wanted):
                    alternatives.append((_before(inside, rest), held))
                else:
                    alternatives += [((demand, rest), held) for demand in reversed(inside)]
            case Leaf() | Exists():
                literals = (*held.get(condition.fact, ()), Literal(condition, wanted))
                if budget.spent(len(literals) ** 2):
                    return True
                if _fits(condition.fact, literals, budget):
                    others = _before(_others(condition, wanted), rest)
                    alternatives.append((others, {**held, condition.fact: literals}))
    return False


def _before(demands: Sequence[Demand], rest: Pending) -> Pending:
    for demand in reversed(demands):
        rest = (demand, rest)
    return rest


def _opposite(wanted: Wanted) -> Wanted:
    return frozenset(None if truth is None else not truth for truth in wanted)


def _branches(condition: Condition) -> int:
    """Leaves first: they cut alternatives off."""
    return 0 if isinstance(condition, Leaf) else 1


def _others(condition: Leaf | Exists, wanted: Wanted) -> list[Demand]:
    """What else must hold: a fact that follows from another is known with it; of a difference both sides are."""
    if isinstance(condition, Leaf) and condition.operator == "known":
        return []
    demands: list[Demand] = []
    source = KNOWN_WITH.get(condition.fact)
    if source is not None and None in wanted:
        demands.append((AnyOf((_known(condition.fact, known=True), _known(source, known=False))), TRUE))
    if isinstance(condition, Leaf) and condition.fact == "evidence.region_known" and condition.operator == "is":
        region = Leaf(fact="evidence.place", operator=HAS_REGION, operand=condition.operand, assured=1)
        demands.append((region, wanted))
    if isinstance(condition, Leaf) and condition.operator == "differs_from" and None not in wanted:
        demands.append((_known(str(condition.operand), known=True), TRUE))
    return demands


def _known(fact: str, *, known: bool) -> Leaf:
    return Leaf(fact=fact, operator="known", operand=known, assured=1)


def _fits(fact: str, literals: tuple[Literal, ...], budget: _Budget) -> bool:
    asked = [(literal.test, literal.wanted) for literal in literals if isinstance(literal.test, Exists)]
    if not asked:
        return leaves_fit(fact, literals)
    known = _known(fact, known=True)
    others = tuple(literal for literal in literals if isinstance(literal.test, Leaf))
    absent = Literal(known, FALSE)
    if all(None in wanted for _, wanted in asked) and leaves_fit(fact, (*others, absent)):
        return True
    if not leaves_fit(fact, (*others, Literal(known, TRUE))):
        return False
    limits = [(test.where, wanted) for test, wanted in asked if True not in wanted]
    wishes = [(test.where, wanted) for test, wanted in asked if True in wanted]
    # An element for each wish; none of them, and there need be no more, may break a limit.
    return all(_search([wish, *limits], budget) for wish in wishes)
