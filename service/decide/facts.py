"""The vocabulary: every fact a policy may ask for, and the frozen value that carries what is known.

Facts are a flat mapping from a name (`customer.organized_in`) to a value. A name that is absent is unknown; there are
no defaults. `VOCABULARY` is the only list of names: the policy loader checks documents against it, `normalise` fills
it, `exportgate policy facts` prints it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import assert_never

Element = Mapping[str, "Scalar"]
Scalar = str | bool | int | Decimal | tuple[str, ...]
Value = Scalar | tuple[Element, ...]


class FactType(Enum):
    """What a fact's value looks like. A place is ISO 3166-1 alpha-2, optionally with an ISO 3166-2 region (`UA-43`)."""

    TEXT = "text"
    PLACE = "place"
    BOOLEAN = "boolean"
    WHOLE = "whole number"
    DECIMAL = "decimal"
    TEXTS = "set of texts"
    PLACES = "set of places"
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
    """

    name: str
    type: FactType
    doc: str
    absent: str
    derived: bool
    values: frozenset[str]
    elements: Mapping[str, "FactSpec"]


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

    An empty tuple authorizes nothing of its kind; None means the authorization does not limit it.
    """

    kind: str
    number: str
    models: tuple[str, ...] | None
    deliveries: tuple[str, ...] | None
    destinations: tuple[str, ...] | None
    end_uses: tuple[str, ...] | None
    valid_from: datetime
    valid_until: datetime


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


_NONE: Mapping[str, FactSpec] = MappingProxyType({})


def _spec(
    name: str,
    kind: FactType,
    doc: str,
    absent: str = "not stated",
    *,
    derived: bool = False,
    values: str = "",
    elements: Mapping[str, FactSpec] = _NONE,
) -> FactSpec:
    return FactSpec(
        name=name,
        type=kind,
        doc=doc,
        absent=absent,
        derived=derived,
        values=frozenset(values.split()),
        elements=elements,
    )


def _table(*specs: FactSpec) -> Mapping[str, FactSpec]:
    return MappingProxyType({spec.name: spec for spec in specs})


_T = FactType

EVIDENCE = _table(
    _spec("evidence.place", _T.PLACE, "where the customer was observed", "place not resolvable"),
    _spec(
        "evidence.kind",
        _T.TEXT,
        "kind of network; `cloud` says where a server is, not where the user is",
        values="residential business mobile anonymizer cloud",
    ),
    _spec("evidence.region_known", _T.BOOLEAN, "whether `evidence.place` names a region", "no place", derived=True),
    _spec("evidence.days", _T.WHOLE, "days on which it was seen"),
    _spec("evidence.share", _T.DECIMAL, "share of the traffic, in percent"),
)
PARTY = _table(
    _spec("party.role", _T.TEXT, "role of the party: 15 CFR 748.5, or owner, director, beneficial owner"),
    _spec("party.kind", _T.TEXT, "what the party is", values="individual organization government"),
    _spec("party.countries", _T.PLACES, "countries the party is connected with"),
)
FLAG = _table(
    _spec("flag.id", _T.TEXT, "the reporter's id of the report, by which it can be withdrawn"),
    _spec(
        "flag.category",
        _T.TEXT,
        "what the provider's own monitoring reported",
        "never",
        values="military_use cyber_operations mass_surveillance resale location_masking "
        "weapons_of_mass_destruction other",
    ),
    _spec("flag.severity", _T.TEXT, "how grave the report is", "never", values="low medium high severe"),
)
RED_FLAG = _table(
    _spec("red_flag.edition", _T.TEXT, "edition of Supplement No. 3 to 15 CFR part 732"),
    _spec("red_flag.number", _T.WHOLE, "number of the flag in that edition"),
    _spec("red_flag.resolved", _T.BOOLEAN, "whether an inquiry resolved it, by whom and when being recorded"),
)

VOCABULARY: Mapping[str, FactSpec] = _table(
    _spec("subject.kind", _T.TEXT, "what is decided", values="account user contract"),
    _spec("account.known", _T.BOOLEAN, "whether a signup of the account was read", "never"),
    _spec("account.id", _T.TEXT, "the provider's id of the account; a carve-out names partners by it", "never"),
    _spec(
        "account.unread_events",
        _T.WHOLE,
        "records of the account that could not be read and are still open",
        "never",
    ),
    _spec(
        "account.from_future",
        _T.BOOLEAN,
        "the event's own time lies more than 5 minutes ahead of ours",
        "never",
    ),
    _spec(
        "account.flags",
        _T.ELEMENTS,
        "reports of the provider's monitoring, not withdrawn",
        "never",
        elements=FLAG,
    ),
    _spec("account.red_flags", _T.ELEMENTS, "red flags, 15 CFR 732 Supp. 3", elements=RED_FLAG),
    _spec("account.channel", _T.TEXT, "how the customer came", values="direct marketplace reseller"),
    _spec("account.payment_terms_days", _T.WHOLE, "days of credit; 0 is prepaid"),
    _spec("customer.name_given", _T.BOOLEAN, "whether a legal name with a letter in it was given", "never"),
    _spec("customer.type", _T.TEXT, "what the customer is", values="individual organization government"),
    _spec(
        "customer.government_function",
        _T.TEXT,
        "function of a government customer",
        values="armed_forces police intelligence state_owned",
    ),
    _spec("customer.registered_in", _T.PLACE, "country of registration"),
    _spec("customer.organized_in", _T.PLACE, "country under whose law it is organized (15 CFR 772.1)"),
    _spec("customer.headquartered_in", _T.PLACE, "country of headquarters"),
    _spec("customer.principal_place_in", _T.PLACE, "principal place of business"),
    _spec("customer.ultimate_parent_in", _T.PLACE, "country of the ultimate parent's headquarters"),
    _spec(
        "customer.wholly_owned_by_parent",
        _T.BOOLEAN,
        "the ultimate parent holds all of it; a branch is its parent (15 CFR 746.8(a)(12)(ii))",
    ),
    _spec("customer.billing_in", _T.PLACE, "billing country"),
    _spec("customer.payment_in", _T.PLACE, "country the payment comes from"),
    _spec("customer.declared_in", _T.PLACE, "where the customer says it is"),
    _spec("customer.unreadable_places", _T.TEXTS, "fields that held no ISO 3166 code", "never"),
    _spec("customer.users_population", _T.TEXT, "who its users are", values="us_only mixed unknown"),
    _spec("customer.end_uses", _T.TEXTS, "declared end uses"),
    _spec("customer.owners_disclosed", _T.BOOLEAN, "whether the owners were disclosed"),
    _spec(
        "ownership.state",
        _T.TEXT,
        "whether the ownership edges add up",
        "no edges given",
        values="consistent inconsistent cyclic too_complex",
    ),
    _spec("ownership.layers", _T.WHOLE, "owners above one another in the longest chain", "no edges given"),
    _spec(
        "ownership.ends_known",
        _T.BOOLEAN,
        "every chain ends in a person or government named as a party",
        "no edges given",
    ),
    _spec("location.evidence", _T.ELEMENTS, "observed network locations", elements=EVIDENCE),
    _spec("parties", _T.ELEMENTS, "other parties to the transaction, 15 CFR 748.5", elements=PARTY),
    _spec("person.us_status", _T.TEXT, "8 USC 1324b(a)(3)", values="citizen permanent_resident protected none"),
    _spec("person.citizenships", _T.PLACES, "citizenships"),
    _spec(
        "person.deemed_export_country",
        _T.PLACE,
        "most recent citizenship or permanent residency (15 CFR 734.13(b))",
    ),
    _spec("person.located_in", _T.PLACE, "where the person is"),
    _spec("person.employer_relation", _T.TEXT, "relation to the account", values="employee contractor other"),
    _spec("contract.deliver_to", _T.PLACES, "delivery destinations"),
    _spec("contract.value_usd", _T.DECIMAL, "value of the contract, when it is in USD"),
    _spec("contract.end_uses", _T.TEXTS, "end uses of the signed end-use statement"),
    _spec("item.model", _T.TEXT, "model id", "never"),
    _spec("item.delivery", _T.TEXT, "how it is delivered", "never", values="api weights fine_tuning compute"),
    _spec("item.release", _T.TEXT, "what is released to persons", values="none source_code technology"),
    _spec("item.volume", _T.DECIMAL, "quantity asked for, in the contract's unit"),
    _spec(
        "item.in_catalogue",
        _T.BOOLEAN,
        "whether the provider has classified the model",
        "never",
        derived=True,
    ),
    _spec(
        "item.eccn",
        _T.TEXT,
        "classification by the provider, `EAR99` included",
        "not classified",
        derived=True,
    ),
    _spec(
        "item.training_operations",
        _T.DECIMAL,
        "operations used in training (ECCN 4E091)",
        "not known",
        derived=True,
    ),
    _spec("item.published", _T.BOOLEAN, "published in the sense of 15 CFR 734.7", "not known", derived=True),
    _spec("person.foreign", _T.BOOLEAN, "foreign person, 15 CFR 772.1", "not known", derived=True),
    _spec(
        "person.us",
        _T.BOOLEAN,
        "U.S. person, 15 CFR 772.1: not the opposite of foreign",
        "not known",
        derived=True,
    ),
    _spec(
        "customer.places_readable",
        _T.BOOLEAN,
        "every place given was an ISO 3166 code",
        "never",
        derived=True,
    ),
    _spec(
        "customer.places",
        _T.PLACES,
        "all places the customer is connected with, its parent's apart",
        derived=True,
    ),
)
"""Every fact by name."""

ITEM_FACTS = frozenset(name for name in VOCABULARY if name.startswith("item."))
CATALOGUE_FACTS = {
    "eccn": VOCABULARY["item.eccn"],
    "training_operations": VOCABULARY["item.training_operations"],
    "published": VOCABULARY["item.published"],
}
"""What a catalogue may say about a model, by the key used there."""


_PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


def read_value(spec: FactSpec, raw: object) -> Value:
    """`raw`, as JSON or YAML carry it, as a value of the fact; decimals come as strings. ValueError when it is none.

    A list keeps its order, and a list of elements is a list of objects with full fact names (`evidence.place`).
    """
    match spec.type:
        case FactType.TEXT | FactType.PLACE:
            return _read_text(spec, raw)
        case FactType.BOOLEAN | FactType.WHOLE:
            return _read_plain(spec, raw)
        case FactType.DECIMAL:
            return _read_decimal(spec, raw)
        case FactType.TEXTS | FactType.PLACES:
            return tuple(_read_text(spec, one) for one in _read_list(spec, raw))
        case FactType.ELEMENTS:
            return tuple(_read_element(spec, one) for one in _read_list(spec, raw))
        case _:
            assert_never(spec.type)


def _read_plain(spec: FactSpec, raw: object) -> bool | int:
    """True and 1 are not the same here, although Python says so."""
    if isinstance(raw, int) and isinstance(raw, bool) is (spec.type is FactType.BOOLEAN):
        return raw
    raise _not_a(spec, raw)


def _read_list(spec: FactSpec, raw: object) -> list[object] | tuple[object, ...]:
    if isinstance(raw, list | tuple):
        return raw
    raise _not_a(spec, raw)


def _not_a(spec: FactSpec, raw: object) -> ValueError:
    return ValueError(f"'{spec.name}': expected a {spec.type.value}, got {raw!r}")


def _read_text(spec: FactSpec, raw: object) -> str:
    if not isinstance(raw, str):
        raise _not_a(spec, raw)
    if spec.type in (FactType.PLACE, FactType.PLACES) and not _PLACE.fullmatch(raw):
        raise ValueError(f"'{spec.name}': expected ISO 3166 codes such as GB or UA-43, got {raw!r}")
    if spec.values and raw not in spec.values:
        raise ValueError(f"'{spec.name}': expected one of {', '.join(sorted(spec.values))}, got {raw!r}")
    return raw


def _read_decimal(spec: FactSpec, raw: object) -> Decimal:
    try:
        number = Decimal(raw) if isinstance(raw, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise _not_a(spec, raw)
    return number


def _read_element(spec: FactSpec, raw: object) -> Element:
    if not isinstance(raw, Mapping):
        raise _not_a(spec, raw)
    element: dict[str, Scalar] = {}
    for name, part in raw.items():
        known = spec.elements.get(name)
        if known is None:
            raise ValueError(f"'{spec.name}': expected {', '.join(spec.elements)}, got {name!r}")
        value = read_value(known, part)
        if isinstance(value, str | bool | int | Decimal):
            element[name] = value
        else:
            element[name] = tuple(str(one) for one in value)
    return element
