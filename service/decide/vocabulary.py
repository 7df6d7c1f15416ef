"""The vocabulary: every fact a policy may ask for. The loader checks against it, `normalise` fills it, people read it.

`exportgate policy facts` prints it. A fact that is not in the list does not exist.
"""

from collections.abc import Mapping
from types import MappingProxyType

from service.decide.facts import FactSpec, FactType

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
PRESENCE = _table(
    _spec(
        "presence.place",
        _T.PLACE,
        "where the customer was observed by residential, business, mobile or unknown networks",
    ),
    _spec("presence.days", _T.WHOLE, "most days that one of these networks tells", "no days measured"),
    _spec("presence.share", _T.DECIMAL, "their share of the traffic together, in percent", "no share measured"),
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
        "1 while a record of the account that could not be read is open, else 0",
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
    _spec("customer.branch_of_in", _T.PLACE, "of a branch: where its parent is, since it is its parent"),
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
    _spec("location.presence", _T.ELEMENTS, "the same, summed up by place", derived=True, elements=PRESENCE),
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
        "customer.home_places",
        _T.PLACES,
        "the places the account itself is connected with, its users' and contracts' apart",
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
