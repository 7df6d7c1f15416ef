"""How sure we are of facts: what a producer says of its fields, in the vocabulary of the policy. Pure."""

from collections.abc import Mapping

from service.decide.facts import Assurance

_ACCOUNT_FIELDS = (
    "registered_in",
    "organized_in",
    "headquartered_in",
    "principal_place_in",
    "ultimate_parent_in",
    "billing_in",
    "payment_in",
    "declared_in",
)
ACCOUNT_PLACES = tuple((name, f"customer.{name}") for name in _ACCOUNT_FIELDS)
"""Fields that say a place, with the fact that each becomes."""

FACT_OF_FIELD: Mapping[str, Mapping[str, str]] = {
    "account": {
        **dict(ACCOUNT_PLACES),
        "type": "customer.type",
        "government_function": "customer.government_function",
        "users_population": "customer.users_population",
        "end_uses": "customer.end_uses",
        "owners_disclosed": "customer.owners_disclosed",
        "ownership": "ownership.ends_known",
    },
    "user": {
        "us_status": "person.us_status",
        "citizenships": "person.citizenships",
        "located_in": "person.located_in",
        "employer_relation": "person.employer_relation",
    },
    "contract": {"deliver_to": "contract.deliver_to", "value": "contract.value_usd", "end_uses": "contract.end_uses"},
}
"""Account, user or contract -> field of its events whose assurance may be stated -> the fact that it tells."""


def read_assurance(stated: Mapping[str, str] | None, subject: str) -> dict[str, Assurance]:
    """The facts of an account, user or contract that are known better than by declaration; None: none were named."""
    facts = FACT_OF_FIELD[subject]
    return {
        facts[field]: Assurance[level.upper()]
        for field, level in (stated or {}).items()
        if field in facts and level != "declared"
    }
