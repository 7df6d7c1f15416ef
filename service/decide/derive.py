"""Facts that follow from other facts, by definitions of the regulation."""

from collections.abc import Mapping
from decimal import Decimal

from service.decide.dealings import contract_foreign, dealt_with, placed_parties, places_of
from service.decide.facts import Assurance, Element, Facts, Item, Scalar, Value

COUNTRY_FACTS = ("customer.registered_in", "customer.organized_in", "customer.billing_in", "customer.payment_in")
"""They usually tell a country without a region: registers, laws and cards know none."""

SITE_FACTS = (
    "customer.headquartered_in",
    "customer.principal_place_in",
    "customer.declared_in",
    "customer.branch_of_in",
)
"""They tell where the customer is."""

_HOME_FACTS = (*COUNTRY_FACTS, *SITE_FACTS)


def derive(facts: Facts) -> dict[str, Value]:
    """All values of `facts` with the derived ones added, and `assured:<fact>` for what is better than declared.

    A derived fact whose sources are unknown is absent. Its assurance is that of its weakest source.
    """
    values: dict[str, Value] = dict(facts.values)
    for name, level in facts.assurance.items():
        values["assured:" + name] = int(level)
    unreadable = values.get("customer.unreadable_places")
    if isinstance(unreadable, tuple):
        values["customer.places_readable"] = not unreadable
    home = _home_places(values)
    if home:
        values["customer.home_places"] = home
    parties = values.get("parties")
    dealing: tuple[Element, ...] = ()
    if isinstance(parties, tuple):
        placed = placed_parties(parties, values.get("account.id"))
        values["parties"] = placed
        dealing = dealt_with(placed)
    foreign_deal = contract_foreign(values, dealing)
    if foreign_deal is not None:
        values["contract.foreign"] = foreign_deal
    places = _all_places(places_of(dealing).union(home), values)
    if places:
        values["customer.places"] = places
        values["customer.abroad"] = {place[:2] for place in places} != {"US"}
    evidence = values.get("location.evidence")
    if isinstance(evidence, tuple):
        seen, presence = _sightings(evidence, values.get("customer.headquartered_in"))
        values["location.evidence"] = seen
        values["location.presence"] = presence
    foreign = _person_foreign(values) if values.get("subject.kind") == "user" else _customer_foreign(values)
    if foreign is not None:
        values["person.foreign"], assured = foreign
        values["assured:person.foreign"] = assured
    us_person = _us_person(values)
    if us_person is not None:
        values["person.us"] = us_person
    return values


def with_item(
    values: Mapping[str, Value], item: Item, catalogue: Mapping[str, Mapping[str, Value]]
) -> dict[str, Value]:
    """`values` seen for one item: what was asked for, and what the provider's catalogue says it is."""
    seen = dict(values)
    seen["item.model"] = item.model
    seen["item.delivery"] = item.delivery
    if item.release is not None:
        seen["item.release"] = item.release
    if item.volume is not None:
        seen["item.volume"] = item.volume
    entry = catalogue.get(item.model)
    seen["item.in_catalogue"] = entry is not None
    if entry is not None:
        seen.update(entry)
    return seen


def _home_places(values: Mapping[str, Value]) -> tuple[str, ...]:
    """The account's own places. A bare country is left out where a site of the customer names a region of it."""
    named = [place for place in set(map(values.get, _HOME_FACTS)) if isinstance(place, str)]
    if len(named) < 2:  # noqa: PLR2004 -- one is most customers' answer, and leaves nothing out
        return tuple(named)
    sites = [place for name in SITE_FACTS if isinstance(place := values.get(name), str)]
    named_closer = {site.partition("-")[0] for site in sites if "-" in site}
    return tuple(sorted(set(named) - named_closer))


def _all_places(others: frozenset[str], values: Mapping[str, Value]) -> tuple[str, ...]:
    found = set(others)
    located = values.get("person.located_in")
    if isinstance(located, str):
        found.add(located)
    deliveries = values.get("contract.deliver_to")
    if isinstance(deliveries, tuple):
        found.update([place for place in deliveries if isinstance(place, str)])
    return tuple(sorted(found))


_NOT_A_USER = ("cloud", "anonymizer")
"""A server's address is not the user's place, and an anonymizer hides it."""


_TOLD_APART = ("UA",)
"""Countries whose regions the law tells apart (15 CFR 746.6). Any other country is one place, its regions added up."""


def _sightings(
    evidence: tuple[Element | str, ...], seat: Value | None
) -> tuple[tuple[Element, ...], tuple[Element, ...]]:
    """`location.evidence` with `evidence.region_known`, and `location.presence`.

    The latter sums up by place, so that many small observations weigh what they weigh together. What was not measured
    has an element of its own, which no measured sighting outweighs.
    """
    seen: list[Element] = []
    by_place: dict[str, list[Element]] = {}
    for one in evidence:
        if isinstance(one, str):
            continue
        place = one.get("evidence.place")
        if not isinstance(place, str):
            seen.append(one)
            continue
        # Whether the region can be told from the rest of its country.
        seen.append({**one, "evidence.region_known": "-" in place})
        if one.get("evidence.kind") not in _NOT_A_USER:
            counted = place[:2]
            if counted in _TOLD_APART:
                counted = _place_of(place, seat)
            by_place.setdefault(counted, []).append(one)
    presence: list[Element] = []
    for place, found in sorted(by_place.items()):
        if "-" in place:
            # Who was seen somewhere in the country may have been in this region of it.
            found = [*found, *by_place.get(place[:2], ())]  # noqa: PLW2901 -- the same, and more of it
        if len(found) == 1:
            presence.append(_measured(place, found[0]))
        else:
            presence += _summed(place, found)
    return tuple(seen), tuple(presence)


def _place_of(seen: str, seat: Value | None) -> str:
    """The place a sighting counts for. Where the seat names a region of it, a bare country is that region."""
    return seat if isinstance(seat, str) and seat.startswith(seen + "-") else seen


def _summed(place: str, seen: list[Element]) -> list[Element]:
    together: dict[str, Scalar] = {}
    days = _days(seen)
    shares = [share for one in seen if isinstance(share := one.get("evidence.share"), Decimal)]
    if days is not None:
        together["evidence.days"] = days
    if shares:
        together["evidence.share"] = sum(shares[1:], shares[0])
    summed = _measured(place, together)
    unmeasured = any("evidence.days" not in one and "evidence.share" not in one for one in seen)
    return [{"presence.place": place}, summed] if unmeasured and len(summed) > 1 else [summed]


def _measured(place: str, seen: Element) -> Element:
    measured: dict[str, Scalar] = {"presence.place": place}
    days, share = seen.get("evidence.days"), seen.get("evidence.share")
    if isinstance(days, int):
        measured["presence.days"] = max(days, 0)
    if share is not None:
        measured["presence.share"] = share
    return measured


def _days(seen: list[Element]) -> int | None:
    """Days by what was written as the place: networks of one place may tell of the same days, regions need not."""
    most: dict[object, int] = {}
    for one in seen:
        days = one.get("evidence.days")
        if isinstance(days, int):
            written = one.get("evidence.place")
            most[written] = max(days, most.get(written, 0))
    return sum(most.values()) if most else None


def _assured(values: Mapping[str, Value], name: str) -> int:
    level = values.get("assured:" + name)
    return level if isinstance(level, int) else int(Assurance.DECLARED)


def _person_foreign(values: Mapping[str, Value]) -> tuple[bool, int] | None:
    """15 CFR 772.1: not a citizen, lawful permanent resident or protected individual."""
    status = values.get("person.us_status")
    if status is None:
        return None
    return status == "none", _assured(values, "person.us_status")


def _customer_foreign(values: Mapping[str, Value]) -> tuple[bool, int] | None:
    """An entity is foreign when not organized in the US; one of the US counts as foreign when its users may be.

    The letter of June 2026 bound access by persons, so a US company is only not foreign when all its users are US
    persons.
    """
    organized = values.get("customer.organized_in")
    if not isinstance(organized, str) or values.get("customer.type") == "individual":
        return None
    if organized[:2] != "US":
        return True, _assured(values, "customer.organized_in")
    population = values.get("customer.users_population")
    if population not in ("us_only", "mixed"):
        return None
    weakest = min(_assured(values, "customer.organized_in"), _assured(values, "customer.users_population"))
    return population == "mixed", weakest


def _us_person(values: Mapping[str, Value]) -> bool | None:
    """15 CFR 772.1: citizens, permanent residents, protected individuals, U.S. entities, and any person in the U.S."""
    located = values.get("person.located_in")
    if isinstance(located, str) and located[:2] == "US":
        return True
    if values.get("subject.kind") == "user":
        status = values.get("person.us_status")
        return None if status is None or (status == "none" and located is None) else status != "none"
    organized = values.get("customer.organized_in")
    return organized[:2] == "US" if isinstance(organized, str) else None
