"""Rules that can never hit or always hit, and parts of conditions that say nothing. Pure."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not
from service.decide.decision import Outcome
from service.decide.policy import Rule
from service.policies.conditions import required_in
from service.policies.document import Path
from service.policies.lint_finding import Finding
from service.policies.lint_logic import NOT_TRUE, TRUE, can_be_false, can_be_true, can_be_unknown, possible
from service.policies.lint_times import conditions
from service.policies.load import LoadedPolicy

Place = Callable[[Path], str]
_WHEN: Path = ("when",)
MOST_PAIRED = 40
"""Parts of which each is held against each to say which two exclude each other; people write a handful."""


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """What is wrong with the condition of a rule by itself, at every time at which the rule is in force."""
    for rule in loaded.policy.rules:
        asked = [_own_part(rule, condition) for condition in conditions(loaded.policy, rule)]
        yield from _of_rule(rule, asked, partial(loaded.where, "rule", rule.name))


def _own_part(rule: Rule, condition: Condition) -> Condition:
    """What stands under `when`; what `required_facts` adds to it never hits by intention."""
    return condition.parts[0] if required_in(rule.when) and isinstance(condition, All) else condition


def _of_rule(rule: Rule, asked: list[Condition], place: Place) -> Iterator[Finding]:
    if not any(can_be_true(condition) for condition in asked):
        yield _never(rule, asked, place)
    elif not required_in(rule.when) and not any(can_be_false(condition) for condition in asked):
        yield Finding(
            level="error" if rule.outcome is not Outcome.APPROVE else "warning",
            check="always_hits",
            place=place(_WHEN),
            about=f"rule {rule.name}",
            what="nobody can be clear of it, whatever the facts are",
            todo="say whom it is about",
        )
    else:
        for path, what, todo in _idle_parts(asked, _WHEN):
            yield Finding(
                level="warning", check="idle_part", place=place(path), about=f"rule {rule.name}", what=what, todo=todo
            )


def _never(rule: Rule, asked: list[Condition], place: Place) -> Finding:
    return Finding(
        level="error",
        check="never_hits",
        place=place(_WHEN),
        about=f"rule {rule.name}",
        what="it can never hit" + "".join(_contradiction(asked[0], place) if asked else ""),
        todo="mend the condition, or drop the rule",
    )


def _contradiction(condition: Condition, place: Place) -> Iterator[str]:
    """The first two parts of an `all` that exclude each other."""
    if not isinstance(condition, All):
        return
    numbered = list(enumerate(condition.parts))[:MOST_PAIRED]
    for (first, one), (second, two) in combinations(numbered, 2):
        if not possible((one, TRUE), (two, TRUE)):
            lines = [place((*_WHEN, "all", number)).rpartition(":")[2] for number in (first, second)]
            yield f": what line {lines[0]} asks and what line {lines[1]} asks exclude each other"
            return


def _idle_parts(asked: list[Condition], path: Path) -> Iterator[tuple[Path, str, str]]:
    """Parts that change nothing at any time. `asked` is one condition as it reads at different times."""
    match asked[0]:
        case All(parts) | AnyOf(parts):
            head = "all" if isinstance(asked[0], All) else "any"
            for number, part in enumerate(parts):
                inside = (*path, head, number)
                if part in parts[:number]:
                    yield inside, "the same stands there twice", "remove one"
                    continue
                versions = [one.parts[number] for one in asked if isinstance(one, All | AnyOf)]
                yield from _idle(versions, inside, in_all=head == "all")
        case Not(_):
            yield from _idle_parts([one.part for one in asked if isinstance(one, Not)], (*path, "not"))
        case Exists(_, _) | ForAll(_, _):
            wheres = [one.where for one in asked if isinstance(one, Exists | ForAll)]
            yield from _idle_parts(wheres, (*path, "where"))
        case Leaf():
            return


def _idle(versions: list[Condition], path: Path, *, in_all: bool) -> Iterator[tuple[Path, str, str]]:
    if not any(can_be_true(one) for one in versions):
        yield path, "this part can never be true", "mend or remove it"
    elif in_all and not any(possible((one, NOT_TRUE)) for one in versions):
        yield path, "this part is always true", "remove it"
    elif not any(can_be_false(one) or can_be_unknown(one) for one in versions):
        yield path, "this part is always true, and with it all that stands beside it says nothing", "mend it"
    else:
        yield from _idle_parts(versions, path)
