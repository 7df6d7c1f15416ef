"""A document with its parents, groups and catalogue written out: the form that is hashed and needs no other file.

Golden cases and notes are no part of it, since they change nothing that is decided. They stay in the document,
which is stored beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.policies.document import Document, Path, read_document
from service.policies.groups import included, mentioned
from service.policies.model import (
    IntervalForm,
    ListsForm,
    MemberForm,
    ModelForm,
    PolicyForm,
    RuleForm,
    read_days,
    read_form,
)
from service.policies.refusal import PolicyRefused, suggestion

FORMAT = 1
"""Raised when the resolved form changes; `build.py` keeps reading the older ones."""
FORMAT_WITH_REQUIRED_FACTS = 2
"""As 1, and rules may have `required_facts`, which whoever knows only 1 would read past."""

MOST_PARENTS = 10

Read = Callable[[str], bytes]
"""The text of a parent (by its version) or of a file (by its name). Raises LookupError where there is none."""

Json = str | bool | int | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """`tree` is the resolved form; `places` says which document each rule and group comes from, for messages.

    `inherited` is the catalogue of the parent, `inherited_groups` are its groups; empty where there is none.
    """

    tree: dict[str, Json]
    places: Mapping[tuple[str, str], tuple[Document, Path]]
    inherited: Mapping[str, Json]
    inherited_groups: Mapping[str, list[Json]]

    def where(self, kind: str, name: str, inside: Path = ()) -> str:
        """`file:line` of a part of a rule or group."""
        document, path = self.places[kind, name]
        return document.where((*path, *inside))


@dataclass(frozen=True, slots=True)
class _Parts:
    form: PolicyForm
    rules: dict[str, RuleForm]
    groups: dict[str, list[Json]]
    catalogue: dict[str, Json]
    lists: ListsForm
    valid_for: str | None
    places: dict[tuple[str, str], tuple[Document, Path]]
    inherited: Mapping[str, Json]
    inherited_groups: Mapping[str, list[Json]]


def resolve(document: Document, parent: Read, file: Read) -> Resolution:
    """The resolved form of `document`. PolicyRefused where it or a parent is malformed or may not be combined."""
    parts = _parts(document, parent, file, ())
    form = parts.form
    tree: dict[str, Json] = {
        "format": _format(parts.rules),
        "policy": form.policy,
        "version": form.version,
        "title": form.title,
        "instrument": _plain(form.instrument.model_dump()),
        "legal_status": form.legal_status,
        "enforcement": form.enforcement,
        "groups": _plain(parts.groups),
        "catalogue": parts.catalogue,
        "lists": _plain(parts.lists.model_dump()),
        "valid_for": parts.valid_for,
        "rules": [_rule(parts.rules[name]) for name in sorted(parts.rules)],
    }
    return Resolution(tree, parts.places, parts.inherited, parts.inherited_groups)


def _format(rules: Mapping[str, RuleForm]) -> int:
    asked = any(rule.required_facts is not None for rule in rules.values())
    return FORMAT_WITH_REQUIRED_FACTS if asked else FORMAT


def _parts(document: Document, parent: Read, file: Read, children: tuple[str, ...]) -> _Parts:
    form = read_form(PolicyForm, document.tree, document)
    if form.version in children or len(children) >= MOST_PARENTS:
        chain = " -> ".join((*children, form.version))
        raise PolicyRefused(f"{document.where(('extends',))}: extends runs in a circle or too deep: {chain}")
    if form.extends is None:
        if form.drop:
            raise PolicyRefused(f"{document.where(('drop',))}: nothing to drop: the document extends no other")
        base = _Parts(form, {}, {}, {}, ListsForm(), None, {}, {}, {})
    else:
        above = _parent_document(document, form, parent)
        base = _parts(above, parent, file, (*children, form.version))
        _check_parent(document, form, base)
    rules, places = _rules(document, form, base)
    return _Parts(
        form=form,
        rules=rules,
        groups=_groups(document, form, base, file, places),
        catalogue={**base.catalogue, **_catalogue(document, form, file)},
        lists=ListsForm(
            required=sorted({*base.lists.required, *form.lists.required}),
            max_age=_max_age(document, form, base),
        ),
        valid_for=form.valid_for or base.valid_for,
        places=places,
        inherited=base.catalogue,
        inherited_groups=base.groups,
    )


def _max_age(document: Document, form: PolicyForm, base: _Parts) -> str | None:
    asked, above = form.lists.max_age, base.lists.max_age
    if asked is not None and above is not None and read_days(asked) > read_days(above):
        where = document.where(("lists", "max_age"))
        raise PolicyRefused(f"{where}: expected at most {above}, as the parent has it, got {asked}; shorten it")
    return asked or above


def _parent_document(document: Document, form: PolicyForm, parent: Read) -> Document:
    name = str(form.extends)
    try:
        return read_document(parent(name), f"{name}.yaml")
    except LookupError:
        where = document.where(("extends",))
        raise PolicyRefused(
            f"{where}: expected a version to extend, but '{name}' is not known; publish it first"
        ) from None


def _check_parent(document: Document, form: PolicyForm, base: _Parts) -> None:
    where = document.where(("extends",))
    if base.form.version != form.extends:
        raise PolicyRefused(f"{where}: '{form.extends}' calls itself version '{base.form.version}'; use one name")
    if base.form.policy != form.policy:
        raise PolicyRefused(
            f"{where}: expected the policy line of the parent, '{base.form.policy}', got '{form.policy}'; keep one"
        )


def _rules(
    document: Document, form: PolicyForm, base: _Parts
) -> tuple[dict[str, RuleForm], dict[tuple[str, str], tuple[Document, Path]]]:
    rules, places = dict(base.rules), dict(base.places)
    for index, name in enumerate(form.drop):
        where = document.where(("drop", index))
        if name not in rules:
            raise PolicyRefused(f"{where}: expected a rule of '{form.extends}', got '{name}'{suggestion(name, rules)}")
        _check_droppable(rules[name], where, "dropped")
        del rules[name]
    seen: set[str] = set()
    for index, rule in enumerate(form.rules):
        where = document.where(("rules", index))
        if rule.rule in seen:
            raise PolicyRefused(f"{where}: rule {rule.rule}: the name stands twice in this document; rename one")
        if rule.rule in rules:
            _check_droppable(rules[rule.rule], where, "replaced")
        seen.add(rule.rule)
        rules[rule.rule] = rule.model_copy(update={"enforcement": rule.enforcement or form.enforcement})
        places["rule", rule.rule] = (document, ("rules", index))
    return rules, places


def _check_droppable(rule: RuleForm, where: str, what: str) -> None:
    if not rule.droppable:
        raise PolicyRefused(f"{where}: rule {rule.rule}: is not droppable, so it cannot be {what}; use another name")


def _groups(
    document: Document, form: PolicyForm, base: _Parts, file: Read, places: dict[tuple[str, str], tuple[Document, Path]]
) -> dict[str, list[Json]]:
    groups = dict(base.groups)
    from_file, beside = included(document, form, file)
    for name, members in form.groups.items():
        _check_firm(base, name, document.where(("groups", name)))
        groups[name] = _members(members)
        places["group", name] = (document, ("groups", name))
    for name, members in from_file.items():
        if base.groups.get(name) != _members(members):
            _check_firm(base, name, beside.where((name,)))
            groups[name] = _members(members)
            places["group", name] = (beside, (name,))
    return groups


def _check_firm(base: _Parts, name: str, where: str) -> None:
    """Otherwise an emptied group would drop the rule that must not be dropped."""
    firm = next((rule for rule in base.rules.values() if not rule.droppable and name in mentioned(rule.when)), None)
    if firm is not None and name in base.groups:
        raise PolicyRefused(f"{where}: group {name}: rule {firm.rule} is not droppable and uses it; use another name")


def _members(members: Sequence[MemberForm]) -> list[Json]:
    return sorted((_plain({"value": one.value, "from": one.start, "to": one.end}) for one in members), key=str)


def _catalogue(document: Document, form: PolicyForm, file: Read) -> dict[str, Json]:
    given = form.catalogue
    path: Path = ("catalogue",)
    if set(given) == {"file"} and isinstance(given["file"], str):
        name = given["file"]
        try:
            text = file(name)
        except LookupError:
            where = document.where(path)
            raise PolicyRefused(f"{where}: expected the file '{name}' beside the document; it is not there") from None
        document, path = read_document(text, name), ()
        given = dict(document.tree)
    models: dict[str, Json] = {}
    for model, entry in given.items():
        read = read_form(ModelForm, entry, document, (*path, model))
        models[model] = _plain(read.model_dump(exclude_none=True))
    return models


def _rule(form: RuleForm) -> Json:
    tree = form.model_dump()
    if form.required_facts is None:
        del tree["required_facts"]
    else:
        tree["required_facts"] = sorted(set(form.required_facts))
    if form.enforcement in (None, "enforced"):
        del tree["enforcement"]
    tree["in_force"] = [_interval(interval) for interval in form.in_force]
    tree["waivable_by"] = sorted(set(form.waivable_by))
    tree["message"] = form.message or form.title
    return _plain(tree)


def _interval(form: IntervalForm) -> dict[str, datetime | None]:
    return {"from": form.start, "to": form.end}


def _plain(value: object) -> Json:
    """`value` in the types of JSON; instants as RFC 3339 in UTC."""
    match value:
        case dict():
            return {str(key): _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case str() | bool() | int() | None:
            return value
        case _:
            raise TypeError(f"no JSON form for {type(value).__name__}")
