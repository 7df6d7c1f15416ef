"""The form of a case in a policy document: what is given, and what must come out."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from service.decide.values import read_value
from service.decide.vocabulary import VOCABULARY
from service.policies.model import Form, Instant, Text


def _decimal(raw: object) -> Decimal:
    value = read_value(VOCABULARY["item.volume"], raw)
    if not isinstance(value, Decimal):
        raise TypeError("a decimal fact holds a decimal")
    return value


def _closed(name: str) -> Callable[[str], str]:
    def check(word: str) -> str:
        return str(read_value(VOCABULARY[name], word))

    return check


Delivery = Annotated[str, AfterValidator(_closed("item.delivery"))]
Release = Annotated[str, AfterValidator(_closed("item.release"))]


class ItemForm(Form):
    """An item asked for."""

    model: Text
    delivery: Delivery = "api"
    release: Release | None = None
    volume: Annotated[Decimal, BeforeValidator(_decimal)] | None = None


class AuthorizationForm(Form):
    """A registered authorization; a key left out does not limit it."""

    kind: Annotated[str, StringConstraints(pattern="^(license|exception|general_license|carve_out)$")]
    number: Text
    models: list[Text] | None = None
    deliveries: list[Delivery] | None = None
    destinations: list[Text] | None = None
    end_uses: list[Text] | None = None
    valid_from: Instant
    valid_until: Instant
    parties: list[Text] | None = None
    quantity: Annotated[Decimal, BeforeValidator(_decimal)] | None = None
    revoked_at: Instant | None = None


class AuthorityForm(Form):
    """What an approval rests on."""

    kind: Text
    number: Text | None = None


class ExpectForm(Form):
    """What must come out. A key left out is not looked at; rule lists are complete."""

    outcome: Annotated[str, StringConstraints(pattern="^(approve|hold|deny)$")]
    access: Annotated[str, StringConstraints(pattern="^(full|partial|none)$")] | None = None
    hits: list[str] | None = None
    unknown: list[str] | None = None
    waived: list[str] | None = None
    missing: list[str] | None = None
    hold_kinds: list[str] | None = None
    items: dict[str, str] | None = None
    authority: AuthorityForm | None = None
    limits: dict[str, list[str]] | None = None
    not_enforced: list[str] | None = None
    no_unknown: bool = False


Waiting = Literal["lists", "authorizations", "facts"]
"""What this release lacks for a case to come about by itself: screening, a register, events with the fact."""


class CaseForm(Form):
    """One case as written. `golden` are numbers of the reference's golden cases that it answers."""

    case: Text
    source: Text | None = None
    golden: int | list[int] = Field(default_factory=list)
    waits_for: Waiting | list[Waiting] = Field(default_factory=list)
    given: dict[str, object] = Field(default_factory=dict)
    expect: ExpectForm
