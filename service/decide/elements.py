"""The facts of one element of a list, such as one match; `vocabulary.py` says which list has them."""

from collections.abc import Mapping
from types import MappingProxyType

from service.decide.facts import FactSpec, FactType

_NONE: Mapping[str, FactSpec] = MappingProxyType({})


def spec(
    name: str,
    kind: FactType,
    doc: str,
    absent: str = "not stated",
    *,
    derived: bool = False,
    values: str = "",
    elements: Mapping[str, FactSpec] = _NONE,
    unit: str = "",
) -> FactSpec:
    """An entry of the vocabulary; `values` are words apart by spaces."""
    return FactSpec(
        name=name,
        type=kind,
        doc=doc,
        absent=absent,
        derived=derived,
        values=frozenset(values.split()),
        elements=elements,
        unit=unit,
    )


def table(*specs: FactSpec) -> Mapping[str, FactSpec]:
    """Entries by their names."""
    return MappingProxyType({one.name: one for one in specs})


_T = FactType

EVIDENCE = table(
    spec("evidence.place", _T.PLACE, "where the customer was observed", "place not resolvable"),
    spec(
        "evidence.kind",
        _T.TEXT,
        "kind of network; `cloud` says where a server is, not where the user is",
        values="residential business mobile anonymizer cloud",
    ),
    spec("evidence.region_known", _T.BOOLEAN, "whether `evidence.place` names a region", "no place", derived=True),
    spec("evidence.days", _T.WHOLE, "days on which it was seen", unit="days"),
    spec("evidence.share", _T.DECIMAL, "share of the traffic, in percent", unit="percent"),
)
PRESENCE = table(
    spec(
        "presence.place",
        _T.PLACE,
        "where the customer was observed by residential, business, mobile or unknown networks",
    ),
    spec(
        "presence.days",
        _T.WHOLE,
        "most days that one of these networks tells, regions added up",
        "no days measured",
        unit="days",
    ),
    spec(
        "presence.share",
        _T.DECIMAL,
        "their share of the traffic together, in percent",
        "no share measured",
        unit="percent",
    ),
)
PARTY = table(
    spec("party.role", _T.TEXT, "role of the party: 15 CFR 748.5, or owner, director, beneficial owner"),
    spec(
        "party.named_in",
        _T.TEXT,
        "which list of a contract names it",
        "the account names it",
        values="end_users intermediaries",
    ),
    spec("party.kind", _T.TEXT, "what the party is", values="individual organization government"),
    spec(
        "party.countries", _T.PLACES, "of an individual: nationalities; of any other: where it is registered and sits"
    ),
    spec("party.located_in", _T.PLACE, "where the party is"),
    spec(
        "party.places",
        _T.PLACES,
        "where the party is or is registered; a nationality is no place",
        "of an individual: its address is not stated; of others: no country either",
        derived=True,
    ),
    spec("party.is_customer", _T.BOOLEAN, "its handle is the id of the account", "never", derived=True),
    spec("party.id", _T.TEXT, "handle by which owners and authorizations name the party"),
)
MATCH = table(
    spec(
        "match.of",
        _T.TEXT,
        "who is listed: the customer, the user, or a party by its role",
        values="customer user applicant other_authorized_party purchaser intermediate_consignee ultimate_consignee "
        "end_user reseller owner director beneficial_owner",
    ),
    spec("match.party", _T.TEXT, "handle of the party that is listed, as in `ownership.edges`", "it has none"),
    spec(
        "match.list",
        _T.TEXT,
        "the list, or the part of OFAC's consolidated list",
        values="bis-dpl bis-entity bis-meu bis-uvl ofac-sdn ofac-ssi ofac-fse ofac-capta ofac-cmic ofac-cons un-sc",
    ),
    spec("match.entry", _T.TEXT, "id of the entry within its list"),
    spec(
        "match.verdict",
        _T.TEXT,
        "whether the entry is this party; `same` only by an identifier or a reviewer's word",
        "nobody has decided",
        values="same possible different",
    ),
    spec("match.decided_by", _T.TEXT, "what the verdict rests on", values="name identifier reviewer"),
    spec("match.score", _T.DECIMAL, "likeness of the names, from 0 to 1", unit="likeness"),
    spec("match.programs", _T.TEXTS, "sanctions programs of the entry"),
    spec("match.order", _T.TEXT, "terms of a denial order (15 CFR 764.3(a)(2))", values="standard non_standard"),
    spec("match.until", _T.INSTANT, "when the listing ends; from then on there is no match", "no end is set"),
    spec("match.directive", _T.WHOLE, "directive of the sectoral sanctions, 1 to 4", unit="number"),
    spec(
        "match.license_requirement",
        _T.TEXT,
        "for what an entity's entry demands a license (15 CFR 744.11)",
        values="all_items ccl_items named_projects other",
    ),
    spec(
        "match.review_policy",
        _T.TEXT,
        "license review policy of the entry; it tells the odds of a license, not whether one is needed",
        values="approval presumption_of_approval case_by_case presumption_of_denial denial",
    ),
    spec(
        "match.project_concerned",
        _T.BOOLEAN,
        "what is asked for serves a project that the entry or directive names",
        "nobody has looked",
    ),
)
EDGE = table(
    spec("edge.owner", _T.TEXT, "handle of the owner"),
    spec("edge.owned", _T.TEXT, "handle of what is owned; the account itself by its id"),
    spec("edge.percent", _T.DECIMAL, "share in percent", "share not known", unit="percent"),
    spec("edge.kind", _T.TEXT, "what is owned; kinds are never added together", values="equity voting profit"),
)
FLAG = table(
    spec("flag.id", _T.TEXT, "the reporter's id of the report, by which it can be withdrawn"),
    spec(
        "flag.category",
        _T.TEXT,
        "what the provider's own monitoring reported",
        "never",
        values="military_use cyber_operations mass_surveillance resale location_masking "
        "weapons_of_mass_destruction other",
    ),
    spec("flag.severity", _T.TEXT, "how grave the report is", "never", values="low medium high severe"),
    spec("flag.raised_at", _T.INSTANT, "when it was last seen; an older withdrawal does not take it back"),
)
RED_FLAG = table(
    spec("red_flag.edition", _T.TEXT, "edition of Supplement No. 3 to 15 CFR part 732"),
    spec("red_flag.number", _T.WHOLE, "number of the flag in that edition", unit="number"),
    spec("red_flag.resolved", _T.BOOLEAN, "whether an inquiry resolved it, by whom and when being recorded"),
)
