"""What is known of a subject, as frozen values, and the types that a fact may have.

Facts are a flat mapping from a name (`customer.organized_in`) to a value. A name that is absent is unknown; there are
no defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum

Element = Mapping[str, "Scalar"]
Scalar = str | bool | int | Decimal | tuple[str, ...]
Value = Scalar | tuple[Element, ...]


class FactType(Enum):
    """What a fact's value looks like.

    A place is ISO 3166-1 alpha-2, optionally with an ISO 3166-2 region (`UA-43`); an instant is RFC 3339 in UTC.
    """

    TEXT = "text"
    PLACE = "place"
    BOOLEAN = "boolean"
    WHOLE = "whole number"
    DECIMAL = "decimal"
    TEXTS = "set of texts"
    PLACES = "set of places"
    INSTANT = "instant"
    ELEMENTS = "list of elements"


class Assurance(IntEnum):
    """How a fact is known: the customer says so, a document shows it, somebody has verified it."""

    DECLARED = 1
    DOCUMENTED = 2
    VERIFIED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSpec:
    """One entry of the vocabulary.

    `absent` says what it means that the fact is missing; `derived` facts are computed by `derive.py` and never stored.
    `values` is the closed set of a text fact, empty when it is open. `elements` names the facts of one list element.
    `unit` is what a number counts, empty for what is no number.
    """

    name: str
    type: FactType
    doc: str
    absent: str
    derived: bool
    values: frozenset[str]
    elements: Mapping[str, "FactSpec"]
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What is asked for: a model by one way of delivery. `volume` is in units of the contract, None when not stated."""

    model: str
    delivery: str
    release: str | None
    volume: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A licence, exception, general licence or carve-out that a person has registered and verified.

    An empty tuple authorizes nothing of its kind; None means the authorization does not limit it. `parties` are account
    ids and the handles of parties (15 CFR 750.7(a)). `quantity` is what is left of a limit, in the unit of the items'
    volume (750.7(f)). `revoked_at`: from then on it authorizes nothing (750.8); a void one is revoked as of
    `valid_from`.
    """

    kind: str
    number: str
    models: tuple[str, ...] | None
    deliveries: tuple[str, ...] | None
    destinations: tuple[str, ...] | None
    end_uses: tuple[str, ...] | None
    valid_from: datetime
    valid_until: datetime
    parties: tuple[str, ...] | None = None
    quantity: Decimal | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known about one subject when it is decided.

    `items` empty means the event named none: every model of the policy's catalogue is meant.
    `assurance` holds only what is better than declared.
    """

    values: Mapping[str, Value]
    items: tuple[Item, ...]
    assurance: Mapping[str, Assurance]
    authorizations: tuple[Authorization, ...]
