"""The form of a policy document: which keys there are and what each may hold. What they mean is checked in build.py."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from service.policies.document import Document, Path
from service.policies.refusal import PolicyRefused, suggestion
from service.policies.wording import wording

Text = Annotated[str, StringConstraints(pattern=r"\S", max_length=4000)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
KEY = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""The form of what names a policy or a version."""
Key = Annotated[str, StringConstraints(pattern=KEY)]

GENERIC_CUSTOMER_MESSAGE = "We have to check your account under export control law before it can be used."

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_DAYS = re.compile(r"P([1-9][0-9]{0,4})D")


def read_instant(raw: object) -> datetime:
    """An RFC 3339 time with its zone, in UTC. ValueError for anything else, a bare date too: law starts at a minute."""
    if not isinstance(raw, str) or not _INSTANT.fullmatch(raw):
        raise ValueError(f'expected a time such as "2026-06-12T21:21:00Z", got {raw!r}')
    try:
        return datetime.fromisoformat(raw).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"expected a time that lies between the years 1 and 9999 in UTC, got {raw!r}") from None


def read_days(raw: str) -> timedelta:
    """A duration of whole days in ISO 8601, such as `P180D`. ValueError otherwise."""
    found = _DAYS.fullmatch(raw)
    if found is None:
        raise ValueError(f"expected days such as P180D, got {raw!r}")
    return timedelta(days=int(found[1]))


def _check_days(raw: str) -> str:
    read_days(raw)
    return raw


def _check_decimal(raw: object) -> str:
    try:
        number = Decimal(raw) if isinstance(raw, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise ValueError(f'expected a quoted number such as "1E26", got {raw!r}')
    return str(number)


def _member(raw: object) -> object:
    return {"value": raw} if isinstance(raw, str) else raw


Instant = Annotated[datetime, BeforeValidator(read_instant)]
Days = Annotated[str, AfterValidator(_check_days)]


class Form(BaseModel):
    """Strict: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class IntervalForm(Form):
    """From an instant, included, to an instant, excluded; null is without a bound."""

    start: Instant | None = Field(default=None, alias="from")
    end: Instant | None = Field(default=None, alias="to")


class MemberForm(IntervalForm):
    """A member of a group, and when it is one."""

    value: Text


class CitationForm(Form):
    """The law a rule rests on."""

    text: Text
    href: Text | None = None


class ReleaseForm(Form):
    """People who may correct a fact or clear a possible match. Never a true finding that a license is required."""

    by: Literal["review"]
    reviewers: int = Field(default=1, ge=1, le=5)


class RuleForm(Form):
    """One rule. `when` is checked in build.py, against the vocabulary.

    With `required_facts` the rule asks for facts: where `when` fits, each that is absent makes it unknown, and it never
    hits.
    """

    rule: Word
    outcome: Literal["approve", "hold", "deny"]
    hold_kind: str | None = None
    scope: Literal["subject", "item"] = "subject"
    title: Text
    citation: CitationForm
    in_force: list[IntervalForm] = [IntervalForm()]
    enforcement: Literal["enforced", "not_enforced"] | None = None
    when: dict[str, object]
    required_facts: Annotated[list[Text], Field(min_length=1)] | None = None
    unknown: Literal["hold", "deny"] = "hold"
    waivable_by: list[str] = []
    droppable: bool = True
    release: ReleaseForm | None = None
    clears: list[Text] = []
    message: Text | None = None
    customer_message: Text = GENERIC_CUSTOMER_MESSAGE
    limit: dict[str, str] | None = None


class InstrumentForm(Form):
    """The paper the version rests on. `received_at` is when it bound the provider."""

    kind: Word
    issuer: Text
    claimed_authority: Text | None = None
    received_at: Instant | None = None
    document_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class ListsForm(Form):
    """Published lists the version demands, and how old they may be."""

    required: list[str] = []
    max_age: Days | None = None


class ModelForm(Form):
    """What one model is, stated by the provider. A key that is left out is not known."""

    eccn: Text | None = None
    training_operations: Annotated[str, BeforeValidator(_check_decimal)] | None = None
    published: bool | None = None


class FileForm(Form):
    """A file beside the document."""

    file: Text


class GroupForm(Form):
    """One group of a file of groups: its members, the law that names them, and as of when they were read.

    `uncertain` names those whose place in it could not be verified; `notes` say how they are treated.
    """

    title: Text
    citation: CitationForm
    as_of: Instant
    uncertain: list[Text] = []
    notes: list[Text] = []
    members: list[Annotated[MemberForm, BeforeValidator(_member)]]


class PolicyForm(Form):
    """A whole document.

    `enforcement` is that of the rules it states; those it inherits keep their own. `groups_from` names a file of
    groups; those that its rules refer to become groups of the document.
    """

    policy: Key
    version: Key
    title: Text
    instrument: InstrumentForm
    legal_status: Literal["proposed", "in_force", "suspended", "rescinded"]
    enforcement: Literal["enforced", "not_enforced"]
    notes: list[Text] = []
    extends: Key | None = None
    groups_from: FileForm | None = None
    groups: dict[Word, list[Annotated[MemberForm, BeforeValidator(_member)]]] = {}
    catalogue: dict[str, object] = {}
    lists: ListsForm = ListsForm()
    valid_for: Days | None = None
    drop: list[Word] = []
    rules: list[RuleForm] = []
    cases: list[dict[str, object]] = []


AnyForm = TypeVar("AnyForm", bound=Form)


def read_form(form: type[AnyForm], tree: object, document: Document, path: Path = ()) -> AnyForm:
    """`tree`, which stands at `path` of `document`, in its form. PolicyRefused at the first thing that does not fit."""
    try:
        return form.model_validate(tree)
    except ValidationError as error:
        raise PolicyRefused(_explain(error, form, tree, document, path)) from None


def _explain(error: ValidationError, form: type[Form], tree: object, document: Document, path: Path) -> str:
    first = error.errors(include_url=False)[0]
    inside = _written(tree, first["loc"])
    where = document.where((*path, *inside))
    about = _about(tree, inside)
    name = inside[-1] if inside else "document"
    match first["type"]:
        case "extra_forbidden":
            known = sorted(_names(form, inside))
            text = f"unknown key '{name}'{suggestion(str(name), known)}; known here: {', '.join(known)}"
        case "missing":
            text = f"expected '{name}', which is missing; add it"
        case _:
            text = f"{_key(path, inside)}: {wording(first)}"
    return f"{where}: {about}{text}"


def _written(tree: object, found: Path) -> Path:
    """The path without what pydantic adds to it: which of several forms a value was tried in."""
    node, path = tree, list[str | int]()
    for number, part in enumerate(found):
        if isinstance(node, dict) and (part in node or number == len(found) - 1):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _about(tree: object, inside: Path) -> str:
    """`rule x: ` when the path leads into a rule that has a name, `case 'x': ` when the form is a case."""
    if not isinstance(tree, dict):
        return ""
    if len(inside) > 1 and inside[0] == "rules" and isinstance(inside[1], int):
        rule = tree["rules"][inside[1]]
        return f"rule {rule['rule']}: " if isinstance(rule, dict) and "rule" in rule else ""
    return f"case '{tree['case']}': " if isinstance(tree.get("case"), str) else ""


def _key(path: Path, inside: Path) -> str:
    """What the author wrote before the value, as `release.reviewers`; of a rule or case, what is inside it."""
    whole = [str(part) for part in (*path, *inside)]
    if whole[:1] == ["rules"] or whole[:1] == ["cases"]:
        whole = whole[2:] or whole
    return ".".join(whole) or "document"


def _names(form: type[Form], inside: Path) -> set[str]:
    """The keys known where `inside` points to: those of the innermost form the path leads through."""
    known: type[BaseModel] = form
    for part in inside[:-1]:
        field = known.model_fields.get(str(part))
        inner = _form_in(field.annotation) if field is not None else None
        known = inner or known
    return {field.alias or name for name, field in known.model_fields.items()}


def _form_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((form for part in get_args(annotation) if (form := _form_in(part)) is not None), None)
