"""The rules that stand in a document itself, and the leaves of a condition with the lines they stand in. Pure."""

from collections.abc import Iterator

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not
from service.policies.document import Document, Path

_WHEN: Path = ("when",)


def own_rules(document: Document) -> list[str]:
    """The names of the rules that stand in the document, in its order."""
    rules = document.tree.get("rules") or []
    return [str(rule["rule"]) for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def leaves(condition: Condition, path: Path = _WHEN) -> Iterator[tuple[Leaf, Path]]:
    """Every leaf with the path at which it stands."""
    match condition:
        case All(parts) | AnyOf(parts):
            head = "all" if isinstance(condition, All) else "any"
            for number, part in enumerate(parts):
                yield from leaves(part, (*path, head, number))
        case Not(part):
            yield from leaves(part, (*path, "not"))
        case Exists(_, where) | ForAll(_, where):
            yield from leaves(where, (*path, "where"))
        case Leaf():
            yield condition, path
