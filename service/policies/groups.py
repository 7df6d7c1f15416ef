"""Groups that stand in a file of their own: country groups and the like, each with the law that names it."""

from collections.abc import Callable, Iterator

from service.policies.document import Document, read_document
from service.policies.model import GroupForm, MemberForm, PolicyForm, read_form
from service.policies.refusal import PolicyRefused


def included(
    document: Document, form: PolicyForm, file: Callable[[str], bytes]
) -> tuple[dict[str, list[MemberForm]], Document]:
    """The groups of the document's file that its rules refer to, and that file; none and itself where it names none.

    PolicyRefused where the file is not there, is malformed, or has a group the document defines too.
    """
    if form.groups_from is None:
        return {}, document
    name = form.groups_from.file
    where = document.where(("groups_from",))
    try:
        beside = read_document(file(name), name)
    except LookupError:
        raise PolicyRefused(f"{where}: expected the file '{name}' beside the document; it is not there") from None
    twice = next((group for group in form.groups if group in beside.tree), None)
    if twice is not None:
        where = document.where(("groups", twice))
        raise PolicyRefused(f"{where}: group {twice}: stands in {name} too; use another name")
    groups = {group: read_form(GroupForm, tree, beside, (group,)).members for group, tree in beside.tree.items()}
    named = {name for rule in form.rules for name in mentioned(rule.when)}
    return {group: members for group, members in groups.items() if group in named}, beside


def mentioned(tree: object) -> Iterator[str]:
    """What a condition, as it is written, refers to as a group. May repeat a name."""
    if isinstance(tree, dict):
        for key, part in tree.items():
            if isinstance(part, str):
                if key in ("in", "in_group", "overlaps"):
                    yield part
            else:
                yield from mentioned(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from mentioned(part)
