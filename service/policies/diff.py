"""What differs between two policy versions as they are written: rules, thresholds, groups, models, terms. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

Tree = Mapping[str, Any]
_NAMED_APART = frozenset({"rules", "groups", "catalogue", "version", "title", "format"})
_COMPARISONS = frozenset(
    {"is", "in", "in_group", "differs_from", "at_least", "above", "at_most", "below", "overlaps", "known"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that differs. `kind` is rule, threshold, group, model or term.

    `before` is None for what was added, `after` for what was removed.
    """

    kind: str
    name: str
    what: str
    before: object
    after: object


def changes(before: Tree, after: Tree) -> list[Change]:
    """Everything that differs between two resolved forms, in the order in which a reader wants it."""
    return [
        *_rules(_by_name(before), _by_name(after)),
        *_groups(before["groups"], after["groups"]),
        *_models(before["catalogue"], after["catalogue"]),
        *_terms(before, after),
    ]


def altered(before: object, after: object) -> list[str]:
    """The clauses, members or keys in which two values differ, a line each, and the lines that enclose them.

    A line begins with "-" when it stands in `before` only, with "+" in `after` only, else with a space; then comes its
    indentation.
    """
    old, new = list(_outline(before, 0)), list(_outline(after, 0))
    signed = list[tuple[str, int, str]]()
    for what, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            signed += [(" ", *line) for line in old[first:last]]
        else:
            signed += [("-", *line) for line in old[first:last]] + [("+", *line) for line in new[start:end]]
    kept, below = list[str](), 0
    for sign, depth, text in reversed(signed):
        if sign != " " or depth < below:
            kept.append(f"{sign} {'  ' * depth}{text}")
            below = depth
    return kept[::-1]


def written(value: object) -> str:
    """A value on one line, as a document may write it; a dash for None."""
    return "-" if value is None else _flow(value)


def changed_rules(before: Tree, after: Tree) -> set[str]:
    """The rules that may find something else: changed themselves, or by a group or what a model is that they name."""
    old, new = _by_name(before), _by_name(after)
    groups = {one.name for one in _groups(before["groups"], after["groups"])}
    touched = {name for name in old | new if old.get(name) != new.get(name)}
    models_differ = before["catalogue"] != after["catalogue"]
    for tree in (old, new):
        for name, rule in tree.items():
            words = set(_words([rule["when"], rule.get("required_facts", [])]))
            if groups & words or (models_differ and any(word.startswith("item.") for word in words)):
                touched.add(name)
    return touched


def unsearched(before: Tree, after: Tree) -> list[str]:
    """The terms that differ and count, and that no facts of a customer could show."""
    return [name for name in ("valid_for", "lists", "legal_status") if before.get(name) != after.get(name)]


def _by_name(tree: Tree) -> dict[str, Tree]:
    return {rule["rule"]: rule for rule in tree["rules"]}


def _rules(old: Mapping[str, Tree], new: Mapping[str, Tree]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield Change(kind="rule", name=name, what="added", before=None, after=new[name]["title"])
        elif name not in new:
            yield Change(kind="rule", name=name, what="removed", before=old[name]["title"], after=None)
        elif old[name] != new[name]:
            yield from _rule(name, old[name], new[name])


def _rule(name: str, old: Tree, new: Tree) -> Iterator[Change]:
    for part in sorted(old.keys() | new.keys()):
        one, two = old.get(part), new.get(part)
        if one == two:
            continue
        leaves = list(_leaves(one, two)) if part == "when" else []
        if leaves:
            yield from (
                Change(kind="threshold", name=name, what=what, before=before, after=after)
                for what, before, after in leaves
            )
        else:
            yield Change(kind="rule", name=name, what=part, before=one, after=two)


def _leaves(old: object, new: object) -> Iterator[tuple[str, object, object]]:
    """The operands that differ where two conditions have the same shape; nothing where they have not."""
    found = list[tuple[str, object, object]]()
    if _same_shape(old, new, found):
        yield from found


def _same_shape(old: object, new: object, found: list[tuple[str, object, object]]) -> bool:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if old.keys() != new.keys() or old.get("fact") != new.get("fact"):
            return False
        for key in old:
            if key in _COMPARISONS and not isinstance(old[key], Mapping):
                if old[key] != new[key]:
                    found.append((f"{old.get('fact')} {key}", old[key], new[key]))
            elif not _same_shape(old[key], new[key], found):
                return False
        return True
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same_shape(one, two, found) for one, two in zip_longest(old, new))
    return old == new


def _groups(old: Mapping[str, list[Tree]], new: Mapping[str, list[Tree]]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        one, two = _members(old.get(name, [])), _members(new.get(name, []))
        if one != two:
            gone, come = sorted(one - two), sorted(two - one)
            told = [f"without {', '.join(gone)}"] * bool(gone) + [f"with {', '.join(come)}"] * bool(come)
            what = "added" if name not in old else "removed" if name not in new else "; ".join(told)
            yield Change(kind="group", name=name, what=what, before=gone or None, after=come or None)


def _members(members: list[Tree]) -> set[str]:
    return {_member(one) for one in members}


def _member(one: Tree) -> str:
    if one["from"] is None and one["to"] is None:
        return str(one["value"])
    return f"{one['value']} ({one['from'] or 'ever'} to {one['to'] or 'now'})"


def _models(old: Mapping[str, Tree], new: Mapping[str, Tree]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        one, two = old.get(name), new.get(name)
        if one != two:
            what = "added" if one is None else "removed" if two is None else "changed"
            yield Change(kind="model", name=name, what=what, before=one, after=two)


def _terms(old: Tree, new: Tree) -> Iterator[Change]:
    for name in sorted((old.keys() | new.keys()) - _NAMED_APART):
        if old.get(name) != new.get(name):
            yield Change(kind="term", name=name, what="changed", before=old.get(name), after=new.get(name))


def _words(tree: object) -> Iterator[str]:
    """Every text in a condition: a group is named by one of them."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for part in tree.values():
            yield from _words(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _words(part)


def _outline(value: object, depth: int) -> Iterator[tuple[int, str]]:
    """What `value` is made of, with how deep it lies: each leaf of a condition is one line."""
    match value:
        case None:
            return
        case Mapping() if "fact" not in value:
            for key in sorted(value, key=lambda name: (name == "where", name)):
                if isinstance(value[key], Mapping | list):
                    yield depth, f"{key}:"
                    yield from _outline(value[key], depth + 1)
                else:
                    yield depth, f"{key}: {_flow(value[key])}"
        case list():
            for part in value:
                yield from _outline(part, depth)
        case _:
            yield depth, _flow(value)


def _flow(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Mapping():
            keys = sorted(value, key=lambda name: (name != "fact", name == "assured", name))
            return f"{{{', '.join(f'{key}: {_flow(value[key])}' for key in keys)}}}"
        case list():
            return f"[{', '.join(_flow(part) for part in value)}]"
        case _:
            return str(value)
