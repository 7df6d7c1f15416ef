"""Whether a registered authorization lifts a hit. Every condition of it must match and be known (15 CFR 750.7)."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from service.decide.comparison import same_place
from service.decide.facts import Authorization, Value


def waives(authorization: Authorization, values: Mapping[str, Value], as_of: datetime) -> bool:
    """True only when validity, parties, item, quantity, destination and end use all match and are known.

    What is unknown of one of them waives nothing.
    """
    return (
        valid(authorization, as_of)
        and _item_matches(authorization.models, values.get("item.model"))
        and _item_matches(authorization.deliveries, values.get("item.delivery"))
        and _all_within(authorization.destinations, values.get("customer.places"))
        and _end_uses_match(authorization.end_uses, values)
        and _parties_match(authorization.parties, values)
        and _enough_left(authorization.quantity, values.get("item.volume"))
    )


def valid(authorization: Authorization, as_of: datetime) -> bool:
    """Whether it has begun, and neither ended nor been revoked."""
    return authorization.valid_from <= as_of < end_of(authorization)


def end_of(authorization: Authorization) -> datetime:
    """When it ends, or ended: by its term or by revocation, whichever is first."""
    revoked = authorization.revoked_at
    return authorization.valid_until if revoked is None else min(authorization.valid_until, revoked)


def _item_matches(authorized: tuple[str, ...] | None, asked: Value | None) -> bool:
    return authorized is None or (isinstance(asked, str) and asked in authorized)


def _all_within(authorized: tuple[str, ...] | None, places: Value | None) -> bool:
    if authorized is None:
        return True
    if not isinstance(places, tuple) or not places:
        return False
    return all(isinstance(place, str) and _within(place, authorized) for place in places)


def _within(place: str, authorized: tuple[str, ...]) -> bool:
    return any(same_place(place, other) is True for other in authorized)


def _end_uses_match(authorized: tuple[str, ...] | None, values: Mapping[str, Value]) -> bool:
    if authorized is None:
        return True
    stated = values.get("contract.end_uses", values.get("customer.end_uses"))
    return isinstance(stated, tuple) and bool(stated) and all(use in authorized for use in stated)


def _parties_match(authorized: tuple[str, ...] | None, values: Mapping[str, Value]) -> bool:
    """15 CFR 750.7(a), (c): the account is named, and so is every party of it: a new owner or intermediary is not.

    A user is covered as a regular employee of the account (750.7(a)(3)), a contractor is not.
    """
    if authorized is None:
        return True
    if values.get("account.id") not in authorized:
        return False
    if values.get("subject.kind") == "user" and values.get("person.employer_relation") != "employee":
        return False
    parties = values.get("parties", ())
    return isinstance(parties, tuple) and all(
        isinstance(party, Mapping) and (party.get("party.role") == "director" or party.get("party.id") in authorized)
        for party in parties
    )


def _enough_left(quantity: Decimal | None, asked: Value | None) -> bool:
    """A limit of quantity stands in licenses for commodities; where there is one, what is asked for must be known."""
    return quantity is None or (isinstance(asked, Decimal) and asked <= quantity)
