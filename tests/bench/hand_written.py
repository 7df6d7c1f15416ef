"""The 25 rules of the bench as a good engineer writes them by hand: no policy document, no engine, no findings of law.

It is given the facts that follow from others by the function the engine has them from, since whoever writes by hand
needs them as well. It knows no authorizations and no dates: nothing waives a rule, and the groups are those of one
instant. None stands for UNKNOWN, which is a finding too, and holds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from service.decide.comparison import Truth
from service.decide.decision import Outcome
from service.decide.facts import Item

Values = Mapping[str, Any]

_GRAVE = ("medium", "high", "severe")
_BEHIND = ("owner", "beneficial_owner", "director")
_SOLDIERS = ("armed_forces", "police", "intelligence")
_OUTCOMES = dict.fromkeys(
    ("cuba_embargo", "iran_embargo", "north_korea_embargo", "covered_region_of_ukraine"), Outcome.DENY
) | dict.fromkeys(("embargoed_sighting", "anonymizer_seen"), Outcome.APPROVE)
"""Of a hit; every other rule holds."""


class Found(NamedTuple):
    """`item` is an index, None for the subject."""

    rule: str
    item: int | None
    hit: bool


class _Places:
    """A set of places; a country may be any of its regions."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._wanted = frozenset(wanted)
        self._countries = frozenset(place[:2] for place in self._wanted)
        self._parents = frozenset(place[:2] for place in self._wanted if "-" in place)

    def hold(self, place: str) -> Truth:
        if place[:2] not in self._countries:
            return False
        if place in self._wanted or place[:2] in self._wanted:
            return True
        return None if place in self._parents else False

    def meet(self, places: Sequence[str]) -> Truth:
        truth: Truth = False
        for place in places:
            one = self.hold(place)
            if one:
                return True
            if one is None:
                truth = None
        return truth


class HandWritten:
    """The rules, with the groups and the catalogue they look into."""

    def __init__(self, groups: Mapping[str, frozenset[str]], catalogue: Mapping[str, Values]) -> None:
        self._groups = groups
        self._catalogue = catalogue
        self._embargoed = _Places(groups["embargoed_places"])
        self._comprehensive = _Places(groups["comprehensive_embargoes"])
        self._occupied = _Places(groups["covered_regions_of_ukraine"])
        self._asked_for_address = _Places([*groups["macau_or_d5"], "UA"])
        self._cuba, self._iran, self._korea = _Places(["CU"]), _Places(["IR"]), _Places(["KP"])
        self._russia, self._syria = _Places(["RU", "BY"]), _Places(["SY"])
        self._partners = _Places(groups["partner_countries"])
        self._military = _Places(groups["military_end_use_countries"])
        self._all_items = _Places(groups["all_items_military_countries"])
        self._intelligence = _Places(groups["military_intelligence_countries"])

    def decide(self, values: Values, items: Sequence[Item]) -> tuple[Outcome, list[Found]]:
        """The worst outcome, and what was found: of the subject, then of each item, by the rules' names."""
        found = sorted(Found(rule, None, bool(truth)) for rule, truth in self._subject(values) if truth is not False)
        outcome = Outcome.APPROVE if items else Outcome.HOLD
        for index, item in enumerate(items):
            truths = self._item(values, item, self._catalogue.get(item.model, {}))
            found += sorted(Found(rule, index, bool(truth)) for rule, truth in truths if truth is not False)
        for one in found:
            outcome = max(outcome, _OUTCOMES.get(one.rule, Outcome.HOLD) if one.hit else Outcome.HOLD)
        return outcome, found

    def _subject(self, values: Values) -> Iterator[tuple[str, Truth]]:
        yield "unknown_account", _is(values.get("account.known"), wanted=False)
        unread = values.get("account.unread_events")
        yield "unread_events", None if unread is None else unread > 0
        yield "event_from_the_future", _is(values.get("account.from_future"), wanted=True)
        yield "name_missing", _is(values.get("customer.name_given"), wanted=False)
        homeless = "customer.home_places" not in values
        yield "country_unknown", homeless or _is(values.get("customer.places_readable"), wanted=False)
        yield from self._parties(values.get("parties", ()))
        parent = values.get("customer.ultimate_parent_in")
        if parent is not None:
            yield "parent_in_embargoed_place", self._embargoed.hold(parent)
            yield "cuban_parent", self._cuba.hold(parent)
        elif values.get("customer.wholly_owned_by_parent"):
            yield "branch_of_whom", None
        yield "location_conflict", self._conflict(values)
        yield from self._sightings(values.get("location.evidence", ()))
        yield "weapons_of_mass_destruction", self._use(values, "weapons_of_mass_destruction")
        places = values.get("customer.places")
        if places is not None:
            intelligence = _any(
                _government(values, ("intelligence",)),
                self._stated(values, "customer.end_uses", "military_intelligence_uses"),
                self._stated(values, "contract.end_uses", "military_intelligence_uses"),
            )
            if intelligence is not False:
                yield "military_intelligence_end_use", _all(self._intelligence.meet(places), intelligence)

    def _parties(self, parties: Iterable[Values]) -> Iterator[tuple[str, Truth]]:
        embargoed: Truth = False
        nowhere: Truth = False
        government: Truth = False
        for party in parties:
            role, places = party.get("party.role"), party.get("party.places")
            behind = None if role is None else role in _BEHIND
            if places is not None and role != "director":
                embargoed = _any(embargoed, _all(_not(_is(role, wanted="director")), self._embargoed.meet(places)))
            if behind:
                continue
            if places is None:
                countries = party.get("party.countries")
                asked = countries is None or self._asked_for_address.meet(countries)
                nowhere = _any(nowhere, _all(_not(behind), asked))
            elif party.get("party.kind") == "government":
                theirs = _any(self._intelligence.meet(places), self._military.meet(places))
                government = _any(government, _all(_not(behind), theirs))
        yield "party_in_embargoed_place", embargoed
        yield "party_whereabouts", nowhere
        yield "government_end_user", government

    def _conflict(self, values: Values) -> Truth:
        seat, truth = values.get("customer.headquartered_in"), False
        doubt = False
        for seen in values.get("location.presence", ()):
            place = seen["presence.place"]
            embargoed = self._embargoed.hold(place)
            days, share = seen.get("presence.days"), seen.get("presence.share")
            often = (days is not None and days >= 3) or (share is not None and share >= 10)
            if embargoed is False or not (often or (days is None and share is None)):
                continue
            elsewhere = _all(embargoed, seat is None or _differ(seat, place))
            truth, doubt = truth or elsewhere is True, doubt or elsewhere is None
        return truth or (None if doubt else False)

    def _sightings(self, evidence: Iterable[Values]) -> Iterator[tuple[str, Truth]]:
        embargoed: Truth = False
        hidden = plain = False
        for seen in evidence:
            place, kind = seen.get("evidence.place"), seen.get("evidence.kind")
            hidden = hidden or kind == "anonymizer"
            plain = plain or kind in ("residential", "business", "mobile")
            if place is not None:
                region = "-" in place and self._occupied.hold(place)
                embargoed = _any(embargoed, self._comprehensive.hold(place), region)
        yield "embargoed_sighting", embargoed
        yield "anonymizer_seen", hidden
        yield "anonymizer_only", hidden and not plain

    def _item(self, values: Values, item: Item, entry: Values) -> Iterator[tuple[str, Truth]]:
        yield "implausible_quantity", item.volume is not None and item.volume <= 0
        places = values.get("customer.places")
        if places is None:
            return
        yield "cuba_embargo", self._cuba.meet(places)
        yield "iran_embargo", self._iran.meet(places)
        yield "north_korea_embargo", self._korea.meet(places)
        yield "covered_region_of_ukraine", self._occupied.meet(places)
        unpublished = _not(_is(entry.get("item.published"), wanted=True))
        if unpublished is False:
            return
        eccn = entry.get("item.eccn")
        if self._russia.meet(places):
            excluded = item.model in self._groups["business_software"] and _all(
                _is(eccn, wanted="EAR99"), self._of_a_partner(values)
            )
            yield "russia_belarus_license", _all(unpublished, _not(excluded))
        if self._syria.meet(places):
            yield "syria_license", _all(unpublished, _not(_is(eccn, wanted="EAR99")))
        military = self._military.meet(places)
        if military is not False:
            used = _any(_government(values, _SOLDIERS), self._use(values, "military_uses", "military_use"))
            listed = None if eccn is None else eccn in self._groups["military_end_use_items"]
            reached = _any(self._all_items.meet(places), listed)
            yield "military_end_use", _all(military, used, unpublished, reached)

    def _of_a_partner(self, values: Values) -> Truth:
        """A subsidiary wholly owned from a partner country, for civil use, that serves nobody else in Russia."""
        parent, uses = values.get("customer.ultimate_parent_in"), values.get("customer.end_uses")
        if not values.get("customer.wholly_owned_by_parent") or parent is None or uses is None:
            return False
        if self._stated(values, "customer.end_uses", "military_uses"):
            return False
        others: Truth = False
        for party in values.get("parties", ()):
            role, places = party.get("party.role"), party.get("party.places")
            if places is not None and role not in _BEHIND:
                others = _any(others, _all(None if role is None else True, self._russia.meet(places)))
        return _all(self._partners.hold(parent), _not(others))

    def _use(self, values: Values, group: str, category: str | None = None) -> Truth:
        flags = values.get("account.flags")
        flagged = None if flags is None else _any(*[_grave(flag, category or group) for flag in flags])
        return _any(
            self._stated(values, "customer.end_uses", group), self._stated(values, "contract.end_uses", group), flagged
        )

    def _stated(self, values: Values, fact: str, group: str) -> bool:
        uses = values.get(fact)
        return uses is not None and not self._groups[group].isdisjoint(uses)


def _government(values: Values, functions: Sequence[str]) -> Truth:
    function = values.get("customer.government_function")
    if function is not None:
        return function in functions
    return None if values.get("customer.type") == "government" else False


def _grave(flag: Values, category: str) -> Truth:
    severity = flag.get("flag.severity")
    return _all(_is(flag.get("flag.category"), wanted=category), None if severity is None else severity in _GRAVE)


def _differ(place: str, other: str) -> Truth:
    if place == other:
        return False
    return None if place.startswith(other + "-") or other.startswith(place + "-") else True


def _is(value: object, *, wanted: object) -> Truth:
    return None if value is None else value == wanted


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _all(*truths: Truth) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


def _any(*truths: Truth) -> Truth:
    if True in truths:
        return True
    return None if None in truths else False
