"""Where the parties of a transaction are, and whether it goes to foreign persons."""

from collections.abc import Mapping, Sequence

from service.decide.facts import Element, Scalar, Value

BEHIND_THE_CUSTOMER = frozenset({"owner", "beneficial_owner", "director"})
"""Roles of who stands behind the customer. Every other party has a part in the transaction (15 CFR 748.5)."""

_AMERICAN = {"US"}
_KIND_BY_ROLE: Mapping[object, str] = {"beneficial_owner": "individual", "director": "individual"}


def placed_parties(parties: Sequence[Element | str], account: Value | None) -> tuple[Element, ...]:
    """The parties with `party.places` where they are known, and with `party.is_customer` by the id of the account."""
    return tuple([_placed(party, account) for party in parties if not isinstance(party, str)])


def dealt_with(parties: Sequence[Element]) -> tuple[Element, ...]:
    """Those of `parties` to whom goods or access may go: all but owners and directors."""
    return tuple([party for party in parties if party.get("party.role") not in BEHIND_THE_CUSTOMER])


def places_of(parties: Sequence[Element]) -> frozenset[str]:
    """All places of those whose places are known."""
    return frozenset([place for party in parties for place in _texts(party.get("party.places"))])


def contract_foreign(values: Mapping[str, Value], parties: Sequence[Element]) -> bool | None:
    """Whether a delivery leaves the United States, or one of `parties` is not of the US.

    False where nothing was said of either; None while it hangs on a party of whom too little is known.
    """
    deliveries = values.get("contract.deliver_to")
    found = [_foreign(party) for party in parties]
    if True in found:
        return True
    if isinstance(deliveries, tuple) and any(isinstance(place, str) and place[:2] != "US" for place in deliveries):
        return True
    return None if None in found else False


def _foreign(party: Element) -> bool | None:
    places = _texts(party.get("party.places"))
    if places and {place[:2] for place in places} != _AMERICAN:
        return True
    if party.get("party.kind") == "individual":
        # Another nationality does not say that somebody is no permanent resident.
        return False if "US" in [place[:2] for place in _texts(party.get("party.countries"))] else None
    return False if places else None


def _placed(party: Element, account: Value | None) -> Element:
    handle = party.get("party.id")
    placed = {**party, "party.is_customer": handle is not None and handle == account}
    places = _places(party)
    if places:
        placed["party.places"] = places
    return placed


def _places(party: Element) -> tuple[str, ...]:
    """An individual's countries are nationalities and no places (15 CFR 746.8(a)(12)(i)); a body's are."""
    located = party.get("party.located_in")
    # A beneficial owner or director of whom nothing else is said is a person.
    person = (party.get("party.kind") or _KIND_BY_ROLE.get(party.get("party.role"))) == "individual"
    if not isinstance(located, str):
        return () if person else _texts(party.get("party.countries"))
    if person:
        return (located,)
    country = located.partition("-")[0]
    others = [place for place in _texts(party.get("party.countries")) if place != country]
    return tuple(sorted({located, *others}))


def _texts(value: Scalar | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
