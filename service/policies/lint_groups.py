"""Groups that take the place of a parent's group, and leave out what rules of the parent are about. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from service.policies.groups import mentioned
from service.policies.lint_finding import Finding
from service.policies.lint_leaves import own_rules
from service.policies.load import LoadedPolicy

_MOST_NAMED = 5


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """A warning for each group that an inherited rule names and that has lost members, or some of their time."""
    resolved = orjson.loads(loaded.resolved)
    own = set(own_rules(loaded.source))
    for name, before in loaded.inherited_groups.items():
        gone = _gone(before, resolved["groups"][name])
        using = [
            rule["rule"] for rule in resolved["rules"] if rule["rule"] not in own and name in mentioned(rule["when"])
        ]
        if gone and using:
            yield Finding(
                level="warning",
                check="group_shrinks",
                place=loaded.where("group", name, ()),
                about=f"group {name}",
                what=f"it replaces the parent's group of this name, without {_few(gone)}, and {_few(using)} of the "
                "parent asks for it",
                todo="use another name, or list all members that are to stay; go on if that is meant",
            )


def _gone(before: Sequence[Any], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """Members that are there no more, or only for a time that may be shorter."""
    always = {one["value"] for one in after if one["from"] is None and one["to"] is None}
    return sorted({str(one["value"]) for one in before if one not in after and one["value"] not in always})


def _few(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
