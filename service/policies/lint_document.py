"""What a document says about itself that does not fit together: status, dates, catalogue, cases. Pure."""

from collections.abc import Iterator
from datetime import datetime

from service.policies.document import Tree
from service.policies.lint_finding import Finding
from service.policies.lint_leaves import own_rules
from service.policies.load import LoadedPolicy
from service.policies.model import read_instant
from service.policies.must_hold import approved_in_doubt


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """Contradictions between the parts of a document."""
    yield from _status(loaded)
    yield from _past_rules(loaded)
    yield from _catalogue(loaded)
    yield from _must_hold(loaded)
    yield from _cases(loaded)


def _status(loaded: LoadedPolicy) -> Iterator[Finding]:
    tree = loaded.source.tree
    status = tree["legal_status"]
    if status != "in_force" and tree["enforcement"] == "enforced":
        yield Finding(
            level="warning",
            check="status",
            place=loaded.source.where(("enforcement",)),
            about="policy",
            what=f"its law is {status}, and yet it is said to be enforced",
            todo="say enforcement: not_enforced, or why it is enforced under notes",
        )


def _past_rules(loaded: LoadedPolicy) -> Iterator[Finding]:
    received = _received_at(loaded.source.tree)
    if received is None:
        return
    for index, name in enumerate(own_rules(loaded.source)):
        rule = loaded.policy.rule(name)
        over = all(interval.end is not None and interval.end <= received for interval in rule.in_force)
        tried = any(interval.holds(case.as_of) for interval in rule.in_force for case in loaded.cases)
        if over and not tried:
            yield Finding(
                level="warning",
                check="past_rule",
                place=loaded.source.where(("rules", index, "in_force")),
                about=f"rule {name}",
                what="it had ended before this version was received, and no case is decided while it held",
                todo="drop it, or add a case of that time",
            )


def _received_at(tree: dict[str, Tree]) -> datetime | None:
    instrument = tree["instrument"]
    stated = instrument.get("received_at") if isinstance(instrument, dict) else None
    return None if stated is None else read_instant(stated)


def _catalogue(loaded: LoadedPolicy) -> Iterator[Finding]:
    if not loaded.policy.catalogue:
        yield Finding(
            level="error",
            check="no_models",
            place=loaded.source.where(("catalogue",)),
            about="catalogue",
            what="it is empty, so the version is about no model",
            todo="name the models, each with what is known of it",
        )


def _must_hold(loaded: LoadedPolicy) -> Iterator[Finding]:
    for told in approved_in_doubt(loaded.policy):
        yield Finding(
            level="error",
            check="must_hold",
            place=loaded.source.where(("rules",)),
            about="policy",
            what=f"it does not hold {told}",
            todo="add a rule that does and names no waivable_by, or extend a version that has it",
        )


def _cases(loaded: LoadedPolicy) -> Iterator[Finding]:
    seen: set[str] = set()
    for case in loaded.cases:
        if case.name in seen:
            yield Finding(
                level="warning",
                check="case_twice",
                place=case.place,
                about=f"case '{case.name}'",
                what="another case has this name",
                todo="rename one, so that a failure can be told",
            )
        seen.add(case.name)
        for one in case.facts.authorizations:
            if one.valid_until <= one.valid_from:
                yield Finding(
                    level="error",
                    check="dates",
                    place=case.place,
                    about=f"case '{case.name}'",
                    what=f"authorization {one.number} ends before it begins",
                    todo="mend its dates",
                )
