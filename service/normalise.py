"""Other people's words -> our facts. Pure: what an event says of its own subject, in the vocabulary of the policy."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

from schemas.accounts import AccountData, AccountFlagged, LocationEvidence, UserData
from schemas.contracts import ContractData
from schemas.parties import Item as WireItem
from schemas.parties import Party, Residence
from service.assured import ACCOUNT_PLACES, read_assurance
from service.decide.facts import Assurance, Element, Facts, Item, Scalar, Value
from service.doubts import asks_for_nothing, odd_codes, odd_evidence, odd_parties, odd_ties, odd_words
from service.earlier import (
    ACCOUNT_FIELDS,
    CONTRACT_FIELDS,
    CONTRACT_PARTIES,
    USER_FIELDS,
    flags_after,
    ownership_after,
    red_flags_after,
    silent_fields,
    told_before,
    unreadable_before,
)
from service.places import read_place
from service.spelling import read_word

_LETTER = re.compile(r"[^\W\d_\u115F\u1160\u3164\uFFA0]")  # Unicode calls the Hangul fillers letters; they are blank.


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFacts:
    """What is known of one subject by itself.

    `items` empty: none were named. `assurance`: what is better than declared.
    """

    values: Mapping[str, Value]
    items: tuple[Item, ...]
    assurance: Mapping[str, Assurance]


NOTHING = OwnFacts(values={}, items=(), assurance={})
"""What is known of a subject nobody has told us about."""


def account_facts(data: AccountData, *, earlier: OwnFacts, from_future: bool) -> OwnFacts:
    """The facts of an account.

    What was told earlier stands where the event says nothing of it: silence takes nothing back. The monitoring's flags
    stay as well, since the account's own events do not carry them.
    """
    silent = silent_fields(data, ACCOUNT_FIELDS.values())
    if data.relation_to_parent == "none":
        silent.discard("ultimate_parent_in")  # Who has no parent has none anywhere.
    kept = told_before(earlier.values, ACCOUNT_FIELDS, silent)
    places, unreadable = _read_places([(name, fact, getattr(data, name)) for name, fact in ACCOUNT_PLACES])
    unreadable += odd_evidence(data.location_evidence or ()) + odd_parties(data.parties or ())
    unreadable += asks_for_nothing(data.items) + odd_words(data.end_uses)
    unreadable += unreadable_before(earlier.values, silent)
    is_branch = data.relation_to_parent == "branch" or "customer.wholly_owned_by_parent" in kept
    parent = places.get("customer.ultimate_parent_in") or kept.get("customer.ultimate_parent_in")
    stated: dict[str, Value | None] = {
        **places,
        "account.flags": earlier.values.get("account.flags", ()),
        "account.red_flags": red_flags_after(data.red_flags, earlier.values),
        "account.from_future": from_future,
        "account.channel": data.channel,
        "account.payment_terms_days": data.payment_terms_days,
        "customer.name_given": None if data.legal_name is None else bool(_LETTER.search(data.legal_name)),
        "customer.type": data.type,
        "customer.government_function": data.government_function,
        "customer.unreadable_places": _each_once(unreadable),
        "customer.users_population": data.users_population,
        "customer.end_uses": _words(data.end_uses),
        "customer.owners_disclosed": data.owners_disclosed,
        "location.evidence": None
        if data.location_evidence is None
        else tuple([_evidence(one) for one in data.location_evidence]),
        "parties": _parties(data.parties),
        # Who else owns the whole cannot be tied to the parent by names, and a guess would soften a rule.
        "customer.wholly_owned_by_parent": True if is_branch else None,
        "customer.branch_of_in": parent if is_branch else None,
        **ownership_after(data, earlier.values),
    }
    return _own(data, "account", {**kept, **_known(stated)}, earlier, kept)


def flagged_facts(data: AccountFlagged, *, earlier: OwnFacts, from_future: bool) -> OwnFacts:
    """The facts of an account after a report of the provider's monitoring, or the withdrawal of one.

    A withdrawal takes back reports not raised after it: one that comes late leaves a newer report alone.
    """
    values = {**earlier.values, "account.flags": flags_after(data, earlier.values)}
    if from_future:
        values["account.from_future"] = True  # Until the account tells of itself anew: a withdrawal must not release.
    return OwnFacts(values=values, items=earlier.items, assurance=earlier.assurance)


def user_facts(data: UserData, *, earlier: OwnFacts, said_on: date, from_future: bool) -> OwnFacts:
    """The facts of a user. The deemed-export country is the most recent citizenship or residency (15 CFR 734.13(b)).

    What was told earlier stands where the event says nothing of it; both kinds of ties are needed to tell the most
    recent anew. `said_on`: the day of the event. A citizenship that begins later has not begun, and is unreadable.
    """
    silent = silent_fields(data, (*USER_FIELDS.values(), "permanent_residencies"))
    kept = told_before(earlier.values, USER_FIELDS, silent)
    if {"citizenships", "permanent_residencies"} <= silent:
        kept |= told_before(earlier.values, {"person.deemed_export_country": "citizenships"}, silent)
    places, unreadable = _read_places([("located_in", "person.located_in", data.located_in)])
    ties = [*(data.citizenships or ()), *(data.permanent_residencies or ())]
    begun = all(tie.since is None or tie.since <= said_on for tie in ties)
    unreadable += odd_ties("citizenships", data.citizenships, said_on)
    unreadable += odd_ties("permanent_residencies", data.permanent_residencies, said_on)
    unreadable += asks_for_nothing(data.items) + unreadable_before(earlier.values, silent)
    stated: dict[str, Value | None] = {
        "person.us_status": data.us_status,
        "person.citizenships": _places(residence.country for residence in data.citizenships)
        if data.citizenships is not None
        else None,
        # Which is the most recent cannot be told while only one of the two was stated.
        "person.deemed_export_country": None
        if data.citizenships is None or data.permanent_residencies is None or not begun
        else _most_recent(ties),
        "person.located_in": places.get("person.located_in"),
        "person.employer_relation": data.employer_relation,
        "customer.unreadable_places": unreadable or None,
        "account.from_future": from_future or None,
    }
    return _own(data, "user", {**kept, **_known(stated)}, earlier, kept)


def contract_facts(data: ContractData, *, earlier: OwnFacts, from_future: bool) -> OwnFacts:
    """The facts of a contract, its end users and intermediaries included (15 CFR 748.5).

    What was told earlier stands where the event says nothing of it: of its fields, its statement, its lists of parties.
    """
    silent = silent_fields(data, (*CONTRACT_FIELDS.values(), *CONTRACT_PARTIES))
    kept = told_before(earlier.values, CONTRACT_FIELDS, silent)
    statement = data.end_use_statement
    countries = None if statement is None else statement.countries
    end_uses = None if statement is None else statement.end_uses
    unreadable = asks_for_nothing(data.items) + unreadable_before(earlier.values, silent)
    unreadable += odd_codes("deliver_to", data.deliver_to)
    unreadable += odd_codes("end_use_statement.countries", countries)
    unreadable += odd_words(data.end_uses) + odd_words(end_uses, "end_use_statement.end_uses")
    unreadable += odd_parties(data.end_users or (), "end_users")
    unreadable += odd_parties(data.intermediaries or (), "intermediaries")
    stated: dict[str, Value | None] = {
        "contract.deliver_to": None if data.deliver_to is None else _places(data.deliver_to),
        "contract.statement_countries": None if countries is None else _places(countries),
        "contract.value_usd": data.value if data.currency == "USD" else None,
        "contract.end_uses": _words(data.end_uses),
        "contract.statement_end_uses": _words(end_uses),
        "parties": _contract_parties(data, earlier),
        "customer.unreadable_places": _each_once(unreadable) or None,
        "account.from_future": from_future or None,
    }
    return _own(data, "contract", {**kept, **_known(stated)}, earlier, kept)


def _contract_parties(data: ContractData, earlier: OwnFacts) -> tuple[Element, ...] | None:
    """The parties of both lists, each named with its list. A list that is not told stands as it was."""
    before = cast("tuple[Element, ...]", _list(earlier.values.get("parties")))
    parties: list[Element] = []
    for name in CONTRACT_PARTIES:
        told = getattr(data, name)
        parties += (
            [one for one in before if one.get("party.named_in", name) == name]
            if told is None
            else [{**one, "party.named_in": name} for one in _parties(told) or ()]
        )
    is_known = "parties" in earlier.values or data.end_users is not None or data.intermediaries is not None
    return tuple(parties) if is_known else None


def _own(
    data: AccountData | UserData | ContractData,
    kind: str,
    values: Mapping[str, Value],
    earlier: OwnFacts,
    kept: Collection[str],
) -> OwnFacts:
    """What is kept is kept with its assurance; what an event says of the assurance is of its own fields."""
    stated = read_assurance(data.assurance, kind)
    assurance = {fact: level for fact, level in earlier.assurance.items() if fact in kept}
    assurance |= {fact: level for fact, level in stated.items() if fact not in kept}
    return OwnFacts(values=values, items=_items(data.items), assurance=assurance)


def with_account(account: OwnFacts, own: OwnFacts) -> OwnFacts:
    """A user's or contract's facts: the account's, plus its own. Lists that both give are joined, doubts add up."""
    values = {**account.values, **own.values}
    for fact, of_statement in _JOINED.items():
        if of_statement in values:
            values[fact] = _each_once((*_list(values.get(fact)), *_list(values[of_statement])))
    values.update(
        {
            name: cast("Value", (*_list(account.values.get(name)), *_list(own.values.get(name))))
            for name in ("customer.unreadable_places", "parties")
            if name in values
        }
    )
    return OwnFacts(
        values=values,
        items=own.items or account.items,
        assurance={**account.assurance, **own.assurance},
    )


def standing_facts(
    subject: tuple[str, str], *, account: OwnFacts, own: OwnFacts | None, known: bool, held: bool
) -> Facts:
    """All facts of a subject, (account id, subject id), as it stands.

    `own` is None for the account itself. `known`: the account signed up and is open. `held`: a record of it that could
    not be read is open; how many there are says no more, and would have everything decided again for each.
    """
    account_id, subject_id = subject
    merged = account if own is None else with_account(account, own)
    values: dict[str, Value] = {
        "account.flags": (),
        "account.from_future": False,
        "customer.name_given": False,
        "customer.unreadable_places": (),
        **merged.values,
        "account.id": account_id,
        "account.known": known,
        "account.unread_events": int(held),
        "subject.kind": subject_id.partition(":")[0],
    }
    return Facts(values=values, items=merged.items, assurance=merged.assurance, authorizations=())


_JOINED = {
    "contract.deliver_to": "contract.statement_countries",
    "contract.end_uses": "contract.statement_end_uses",
}
"""Facts of a contract -> what its end-use statement adds to them."""


def _each_once(several: Iterable[object]) -> tuple[str, ...]:
    return tuple(sorted({str(one) for one in several}))


def _list(value: Value | None) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def _known(stated: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in stated.items() if value is not None}


def _read_places(stated: Iterable[tuple[str, str, str | None]]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Of fields, each with its fact and code: the facts that are places, and the fields that hold something else."""
    readable: dict[str, str] = {}
    unreadable: list[str] = []
    for name, fact, code in stated:
        if code is not None:
            place = read_place(code)
            if place is None:
                unreadable.append(name)
            else:
                readable[fact] = place
    return readable, tuple(sorted(unreadable))


def _places(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({place for code in codes if (place := read_place(code)) is not None}))


def _words(words: Sequence[str] | None) -> tuple[str, ...] | None:
    """Words of one spelling. None when there is none: an empty list of end uses does not say that all is civil."""
    return tuple(sorted({spelt for word in words or () if (spelt := read_word(word))})) or None


def _evidence(seen: LocationEvidence) -> Element:
    return _told(
        ("evidence.place", read_place(seen.place)),
        ("evidence.kind", seen.kind),
        ("evidence.days", seen.days_seen),
        ("evidence.share", seen.share),
    )


def _told(*stated: tuple[str, Scalar | None]) -> Element:
    return {name: value for name, value in stated if value is not None}


def _parties(parties: Sequence[Party] | None) -> tuple[Element, ...] | None:
    return None if parties is None else tuple([_party(party) for party in parties])


def _party(party: Party) -> Element:
    countries = party.countries
    return _told(
        ("party.role", party.role),
        ("party.id", party.party_id),
        ("party.kind", party.kind),
        ("party.countries", _places(countries) if countries else None),
        ("party.located_in", None if party.located_in is None else read_place(party.located_in)),
    )


def _items(items: Sequence[WireItem] | None) -> tuple[Item, ...]:
    wanted = {
        (item.model, item.delivery, item.release or "", item.volume is not None, item.volume or 0): Item(
            model=item.model, delivery=item.delivery, release=item.release, volume=item.volume
        )
        for item in items or ()
    }
    return tuple([wanted[key] for key in sorted(wanted)])


def _most_recent(ties: Sequence[Residence]) -> str | None:
    """None when there are several and one has no date: which is the most recent cannot be told."""
    if not ties or (len(ties) > 1 and any(tie.since is None for tie in ties)):
        return None
    latest = max(ties, key=lambda tie: tie.since or date.min)
    if sum(tie.since == latest.since for tie in ties) > 1 and len({tie.country for tie in ties}) > 1:
        return None
    return read_place(latest.country)
