"""Thresholds without a unit, models that are in no catalogue, and holds that tell nobody what to do. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from service.decide.comparison import Operand
from service.decide.condition import Leaf
from service.decide.decision import Outcome
from service.decide.policy import GROUP_PREFIX, Policy, Rule
from service.policies.conditions import ORDERINGS
from service.policies.document import Document, Path
from service.policies.lint_finding import Finding
from service.policies.lint_leaves import leaves, own_rules
from service.policies.lint_values import SPECS
from service.policies.load import LoadedPolicy
from service.policies.model import GENERIC_CUSTOMER_MESSAGE
from service.policies.refusal import suggestion


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """What the document itself leaves unsaid. A parent's rules are not looked at: it is published and stays."""
    for index, name in enumerate(own_rules(loaded.source)):
        rule = loaded.policy.rule(name)
        base: Path = ("rules", index)
        yield from _units(rule, loaded.source, base)
        yield from _models(rule, loaded.policy, loaded.source, base)
        yield from _next_steps(rule, loaded.source, base)


def _units(rule: Rule, source: Document, base: Path) -> Iterator[Finding]:
    for leaf, path in leaves(rule.when):
        unit = SPECS[leaf.fact].unit
        if leaf.operator not in ORDERINGS or not needs_unit(leaf) or _says_unit(source, (*base, *path)):
            continue
        yield Finding(
            level="error",
            check="no_unit",
            place=source.where((*base, *path)),
            about=f"rule {rule.name}",
            what=f"'{leaf.fact}' is held against {leaf.operand} without a unit",
            todo=f"add unit: {unit}",
        )


def needs_unit(leaf: Leaf) -> bool:
    """Whether a number has to say what it counts: nought needs no unit, nor does a fact whose name tells it."""
    told = SPECS[leaf.fact].unit.lower() in leaf.fact.replace(".", "_").split("_")
    return not told and not (isinstance(leaf.operand, int | Decimal) and leaf.operand == 0)


def _says_unit(source: Document, path: Path) -> bool:
    return (*path, "unit") in source.lines


def _models(rule: Rule, policy: Policy, source: Document, base: Path) -> Iterator[Finding]:
    for leaf, path in leaves(rule.when):
        if leaf.fact != "item.model" or leaf.operator == "known":
            continue
        for model in sorted(_named(leaf.operand, policy) - set(policy.catalogue)):
            yield Finding(
                level="warning",
                check="unknown_model",
                place=source.where((*base, *path)),
                about=f"rule {rule.name}",
                what=f"the catalogue has no model '{model}'{suggestion(model, policy.catalogue)}",
                todo="correct it, or go on if the model is still to come",
            )


def _named(operand: Operand, policy: Policy) -> set[str]:
    match operand:
        case str() if operand.startswith(GROUP_PREFIX):
            return {member.value for member in policy.groups[operand.removeprefix(GROUP_PREFIX)].members}
        case frozenset():
            return set(operand)
        case _:
            return {str(operand)}


def _next_steps(rule: Rule, source: Document, base: Path) -> Iterator[Finding]:
    if rule.outcome is Outcome.APPROVE:
        return
    verb = rule.outcome.name.lower()
    missing = []
    if not rule.clears:
        missing.append(("no_clears", f"it would {verb}, and nothing says what clears it", "add clears"))
    if rule.customer_message == GENERIC_CUSTOMER_MESSAGE:
        missing.append(
            ("no_customer_message", "the customer would read the general sentence only", "add a customer_message")
        )
    if rule.hold_kind == "license_required" and not rule.waivable_by:
        missing.append(
            ("no_waiver", "it requires a license, and no authorization lifts it", "say waivable_by: [license]")
        )
    for check, what, todo in missing:
        yield Finding(
            level="warning", check=check, place=source.where(base), about=f"rule {rule.name}", what=what, todo=todo
        )
