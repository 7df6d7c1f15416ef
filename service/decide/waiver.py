"""Whether a registered authorization lifts a hit. Every condition of it must match and be known (15 CFR 750.7)."""

from collections.abc import Mapping
from datetime import datetime

from service.decide.comparison import same_place
from service.decide.facts import Authorization, Value


def waives(authorization: Authorization, values: Mapping[str, Value], as_of: datetime) -> bool:
    """True only when validity, item, destination and end use all match and are known; an unknown one waives nothing."""
    return (
        authorization.valid_from <= as_of < authorization.valid_until
        and _item_matches(authorization.models, values.get("item.model"))
        and _item_matches(authorization.deliveries, values.get("item.delivery"))
        and _all_within(authorization.destinations, values.get("customer.places"))
        and _end_uses_match(authorization.end_uses, values)
    )


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
