"""The vocabulary: every fact a policy may ask for. The loader checks against it, `normalise` fills it, people read it.

`exportgate policy facts` prints it. A fact that is not in the list does not exist.
"""

from collections.abc import Mapping

from service.decide.elements import EDGE, EVIDENCE, FLAG, MATCH, PARTY, PRESENCE, RED_FLAG, spec, table
from service.decide.facts import FactSpec, FactType

_T = FactType

VOCABULARY: Mapping[str, FactSpec] = table(
    spec("subject.kind", _T.TEXT, "what is decided", values="account user contract"),
    spec("account.known", _T.BOOLEAN, "whether a signup of the account was read", "never"),
    spec("account.id", _T.TEXT, "the provider's id of the account; a carve-out names partners by it", "never"),
    spec(
        "account.unread_events",
        _T.WHOLE,
        "1 while a record of the account that could not be read is open, else 0",
        "never",
        unit="events",
    ),
    spec(
        "account.from_future",
        _T.BOOLEAN,
        "the event's own time lies more than 5 minutes ahead of ours",
        "never",
    ),
    spec(
        "account.flags",
        _T.ELEMENTS,
        "reports of the provider's monitoring, not withdrawn",
        "never",
        elements=FLAG,
    ),
    spec("account.red_flags", _T.ELEMENTS, "red flags, 15 CFR 732 Supp. 3", elements=RED_FLAG),
    spec("account.channel", _T.TEXT, "how the customer came", values="direct marketplace reseller"),
    spec("account.payment_terms_days", _T.WHOLE, "days of credit; 0 is prepaid", unit="days"),
    spec("customer.name_given", _T.BOOLEAN, "whether a legal name with a letter in it was given", "never"),
    spec("customer.type", _T.TEXT, "what the customer is", values="individual organization government"),
    spec(
        "customer.government_function",
        _T.TEXT,
        "function of a government customer",
        values="armed_forces police intelligence state_owned none",
    ),
    spec("customer.registered_in", _T.PLACE, "country of registration"),
    spec("customer.organized_in", _T.PLACE, "country under whose law it is organized (15 CFR 772.1)"),
    spec("customer.headquartered_in", _T.PLACE, "country of headquarters"),
    spec("customer.principal_place_in", _T.PLACE, "principal place of business"),
    spec("customer.ultimate_parent_in", _T.PLACE, "country of the ultimate parent's headquarters"),
    spec(
        "customer.wholly_owned_by_parent",
        _T.BOOLEAN,
        "the ultimate parent holds all of it; a branch is its parent (15 CFR 746.8(a)(12)(ii))",
    ),
    spec("customer.branch_of_in", _T.PLACE, "of a branch: where its parent is, since it is its parent"),
    spec("customer.billing_in", _T.PLACE, "billing country"),
    spec("customer.payment_in", _T.PLACE, "country the payment comes from"),
    spec("customer.declared_in", _T.PLACE, "where the customer says it is"),
    spec(
        "customer.unreadable_places",
        _T.TEXTS,
        "fields that could not be read, such as a place that is no ISO 3166 code",
        "never",
    ),
    spec("customer.users_population", _T.TEXT, "who its users are", values="us_only mixed unknown"),
    spec("customer.end_uses", _T.TEXTS, "declared end uses"),
    spec("customer.owners_disclosed", _T.BOOLEAN, "whether the owners were disclosed"),
    spec(
        "ownership.state",
        _T.TEXT,
        "whether the ownership edges add up",
        "no edges given",
        values="consistent inconsistent cyclic too_complex",
    ),
    spec(
        "ownership.layers",
        _T.WHOLE,
        "owners above one another in the longest chain",
        "no edges given",
        unit="layers",
    ),
    spec(
        "ownership.ends_known",
        _T.BOOLEAN,
        "every chain ends in a person or government named as a party",
        "no edges given",
    ),
    spec("ownership.edges", _T.ELEMENTS, "who owns how much of whom, as screening looks at it", elements=EDGE),
    spec(
        "ownership.sdn_percent",
        _T.DECIMAL,
        "share of the customer that listed SDNs hold together, by OFAC's 50 percent rule",
        "no owner is an SDN, or a share is not known",
        derived=True,
        unit="percent",
    ),
    spec(
        "ownership.listed_percent",
        _T.DECIMAL,
        "share that owners on the Entity List, the MEU List and SDNs hold together, counted likewise",
        "no owner is listed, or a share is not known",
        derived=True,
        unit="percent",
    ),
    spec(
        "ownership.unsupported_percent",
        _T.DECIMAL,
        "share held from regions the provider does not serve, as the provider counts it",
        unit="percent",
    ),
    spec(
        "screening.state",
        _T.TEXT,
        "how the screening of all parties against the demanded lists went",
        "nobody was screened",
        values="complete failed stale",
    ),
    spec("screening.demanded", _T.BOOLEAN, "true where the policy demands lists", "it demands none", derived=True),
    spec(
        "matches",
        _T.ELEMENTS,
        "entries of published lists that are or may be the customer or a party",
        "nobody was screened",
        elements=MATCH,
    ),
    spec("customer.uvl_statement", _T.BOOLEAN, "a signed UVL statement is on file (15 CFR 744.15(b))"),
    spec(
        "authorization.kinds",
        _T.TEXTS,
        "kinds of the registered authorizations that are valid",
        "nothing matched a list",
        derived=True,
    ),
    spec("location.evidence", _T.ELEMENTS, "observed network locations", elements=EVIDENCE),
    spec(
        "location.presence",
        _T.ELEMENTS,
        "the same, summed up by country, and in Ukraine by region",
        derived=True,
        elements=PRESENCE,
    ),
    spec("parties", _T.ELEMENTS, "other parties to the transaction, 15 CFR 748.5", elements=PARTY),
    spec("person.us_status", _T.TEXT, "8 USC 1324b(a)(3)", values="citizen permanent_resident protected none"),
    spec("person.citizenships", _T.PLACES, "citizenships"),
    spec(
        "person.deemed_export_country",
        _T.PLACE,
        "most recent citizenship or permanent residency (15 CFR 734.13(b))",
    ),
    spec("person.located_in", _T.PLACE, "where the person is"),
    spec("person.employer_relation", _T.TEXT, "relation to the account", values="employee contractor other"),
    spec("contract.deliver_to", _T.PLACES, "delivery destinations, those of the end-use statement among them"),
    spec("contract.statement_countries", _T.PLACES, "countries of use in the end-use statement"),
    spec("contract.value_usd", _T.DECIMAL, "value of the contract, when it is in USD", unit="USD"),
    spec("contract.end_uses", _T.TEXTS, "end uses of the contract, those of the end-use statement among them"),
    spec("contract.statement_end_uses", _T.TEXTS, "end uses in the end-use statement"),
    spec(
        "contract.foreign",
        _T.BOOLEAN,
        "a delivery leaves the United States, or a party (owners and directors apart) is not of the United States",
        "it hangs on a party whose place or nationality is not stated",
        derived=True,
    ),
    spec("item.model", _T.TEXT, "model id", "never"),
    spec("item.delivery", _T.TEXT, "how it is delivered", "never", values="api weights fine_tuning compute"),
    spec("item.release", _T.TEXT, "what is released to persons", values="none source_code technology"),
    spec("item.volume", _T.DECIMAL, "quantity asked for, in the contract's unit", unit="contract_units"),
    spec(
        "item.in_catalogue",
        _T.BOOLEAN,
        "whether the provider has classified the model",
        "never",
        derived=True,
    ),
    spec(
        "item.eccn",
        _T.TEXT,
        "classification by the provider, `EAR99` included",
        "not classified",
        derived=True,
    ),
    spec(
        "item.training_operations",
        _T.DECIMAL,
        "operations used in training (ECCN 4E091)",
        "not known",
        derived=True,
        unit="operations",
    ),
    spec("item.published", _T.BOOLEAN, "published in the sense of 15 CFR 734.7", "not known", derived=True),
    spec("person.foreign", _T.BOOLEAN, "foreign person, 15 CFR 772.1", "not known", derived=True),
    spec(
        "person.us",
        _T.BOOLEAN,
        "U.S. person, 15 CFR 772.1: not the opposite of foreign",
        "not known",
        derived=True,
    ),
    spec(
        "customer.places_readable",
        _T.BOOLEAN,
        "every place given was an ISO 3166 code",
        "never",
        derived=True,
    ),
    spec(
        "customer.home_places",
        _T.PLACES,
        "the places the account itself is connected with, its users' and contracts' apart",
        derived=True,
    ),
    spec(
        "customer.places",
        _T.PLACES,
        "all places the customer is connected with, its parent's apart: those of deliveries and of the parties to whom "
        "goods or access go are among them, owners' and directors' are not",
        derived=True,
    ),
    spec(
        "customer.abroad",
        _T.BOOLEAN,
        "one of these places is outside the United States",
        "no place is known",
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
WAITING: Mapping[str, str] = {
    "matches": "lists",
    "screening.state": "lists",
    "ownership.edges": "lists",
    "customer.uvl_statement": "lists",
    "ownership.unsupported_percent": "facts",
}
"""Facts that nothing fills yet, with what they wait for: screening against lists, or events that carry the fact."""
