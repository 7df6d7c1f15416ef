"""Groups that nothing uses, and published lists that are demanded although no rule looks at them. Pure."""

from collections.abc import Iterator

from service.decide.policy import GROUP_PREFIX, Policy
from service.policies.document import Path
from service.policies.lint_finding import Finding
from service.policies.lint_leaves import leaves
from service.policies.load import LoadedPolicy


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """What the document defines or demands in vain."""
    yield from _groups(loaded)
    yield from _lists(loaded)


def _groups(loaded: LoadedPolicy) -> Iterator[Finding]:
    own = loaded.source.tree.get("groups")
    used = {
        leaf.operand.removeprefix(GROUP_PREFIX)
        for rule in loaded.policy.rules
        for leaf, _ in leaves(rule.when)
        if isinstance(leaf.operand, str) and leaf.operand.startswith(GROUP_PREFIX)
    }
    for name in own if isinstance(own, dict) else ():
        if name not in used:
            yield Finding(
                level="warning",
                check="unused_group",
                place=loaded.where("group", name, ()),
                about=f"group {name}",
                what="no rule uses it",
                todo="remove it, or write the rule",
            )


def _lists(loaded: LoadedPolicy) -> Iterator[Finding]:
    path: Path = ("lists", "required")
    for name in loaded.policy.required_lists:
        if name not in _words(loaded.policy):
            yield Finding(
                level="error",
                check="unused_list",
                place=loaded.source.where(path),
                about=f"list {name}",
                what="it is required, and no rule asks about it",
                todo="write the rule that does, or do not require it",
            )


def _words(policy: Policy) -> set[str]:
    """Every word that some rule compares with, by itself or through a group."""
    found = {member.value for group in policy.groups.values() for member in group.members}
    for rule in policy.rules:
        for leaf, _ in leaves(rule.when):
            if isinstance(leaf.operand, frozenset):
                found |= leaf.operand
            elif isinstance(leaf.operand, str):
                found.add(leaf.operand)
    return found
