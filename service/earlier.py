"""What was known of a subject before, and what an event leaves of it. Pure: only words take back what was told."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC

from schemas.accounts import AccountData, AccountFlagged, RedFlag, UserData
from schemas.contracts import ContractData
from schemas.parties import Party
from service.assured import FACT_OF_FIELD
from service.decide.facts import Element, Value
from service.decide.ownership import Edge, examine
from service.spelling import read_word

_Values = Mapping[str, Value]
_ENDS = ("individual", "government")
"""Kinds of parties that nobody owns."""

_TOLD = {kind: {fact: field for field, fact in facts.items()} for kind, facts in FACT_OF_FIELD.items()}

ACCOUNT_FIELDS = {
    **{fact: field for fact, field in _TOLD["account"].items() if field != "ownership"},  # See `ownership_after`.
    "account.channel": "channel",
    "account.payment_terms_days": "payment_terms_days",
    "customer.name_given": "legal_name",
    "customer.wholly_owned_by_parent": "relation_to_parent",
    "location.evidence": "location_evidence",
    "parties": "parties",
}
"""Fact of an account -> the field of its events that tells it."""
USER_FIELDS = _TOLD["user"]
"""Fact of a user -> the field that tells it."""
CONTRACT_FIELDS = {
    **_TOLD["contract"],
    "contract.statement_countries": "end_use_statement.countries",
    "contract.statement_end_uses": "end_use_statement.end_uses",
}
"""Fact of a contract -> the field that tells it."""
CONTRACT_PARTIES = ("end_users", "intermediaries")
"""The lists of parties of a contract, each of which stands until it is told anew."""


def silent_fields(data: AccountData | UserData | ContractData, fields: Iterable[str]) -> set[str]:
    """Which of these fields say nothing. End uses without a word say nothing: they take no declared use back."""
    return {field for field in fields if not _speaks(field.rpartition(".")[2], _said(data, field))}


def _said(data: AccountData | UserData | ContractData, field: str) -> object:
    outer, _, inner = field.partition(".")
    said = getattr(data, outer)
    return said if not inner or said is None else getattr(said, inner)


def _speaks(name: str, said: object) -> bool:
    if name == "end_uses" and isinstance(said, list):
        return any(read_word(word) for word in said)
    return said is not None


def told_before(earlier: _Values, fields: Mapping[str, str], silent: Collection[str]) -> dict[str, Value]:
    """The earlier facts whose fields say nothing now."""
    return {fact: earlier[fact] for fact, field in fields.items() if field in silent and fact in earlier}


def unreadable_before(earlier: _Values, silent: Collection[str]) -> tuple[str, ...]:
    """The fields with something unreadable that say nothing now: it may have said anything."""
    return tuple(name for name in _marks(earlier) if name in silent)


def untold_since(older: _Values, known: _Values, fields: Mapping[str, str]) -> list[str]:
    """What an older event tells that no newer one did: its facts that are not known, and fields it made doubtful.

    Of what stands until each part of it is told anew, it is the parts that count: lists of parties, and red flags.
    """
    told = {field for fact, field in fields.items() if fact in known}
    facts = [fact for fact, value in older.items() if fact not in known and value != ()]
    lists = _lists_of_parties(older) - _lists_of_parties(known)
    spoken = {_number(flag) for flag in _elements(known, "account.red_flags")}
    flags = [one for one in _elements(older, "account.red_flags") if not one.get("red_flag.resolved")]
    more = {"account.red_flags"} if any(_number(flag) not in spoken for flag in flags) else set()
    return sorted({*facts, *lists, *more, *(_marks(older) - _marks(known) - told)} - _OF_NO_FIELD)


def _lists_of_parties(values: _Values) -> set[str]:
    return {str(one["party.named_in"]) for one in _elements(values, "parties") if "party.named_in" in one}


_OF_NO_FIELD = {"account.flags", "account.from_future", "customer.unreadable_places", "items"}
"""What events carry of themselves, or what is told anew by each."""


def _marks(values: _Values) -> set[str]:
    named = values.get("customer.unreadable_places")
    return {str(name) for name in named} if isinstance(named, tuple) else set()


def flags_after(data: AccountFlagged, earlier: _Values) -> tuple[Element, ...]:
    """The reports of the provider's monitoring that stand after one more, or after the withdrawal of one.

    A withdrawal takes back reports that were not raised after it: one that comes late leaves a newer report alone.
    """
    at = f"{data.raised_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    flags = [flag for flag in _elements(earlier, "account.flags") if not _takes_back(data, at, flag)]
    if data.withdraws is not None:
        return tuple(flags)
    # A second report under the same id does not replace the first: only a withdrawal takes one back.
    told: Element = {"flag.id": data.flag_id, "flag.category": data.category, "flag.severity": data.severity}
    same = [flag for flag in flags if {**flag, **told} == flag]
    latest = max([at, *(str(flag.get("flag.raised_at", at)) for flag in same)])
    return (*[flag for flag in flags if flag not in same], {**told, "flag.raised_at": latest})


def _takes_back(data: AccountFlagged, at: str, flag: Element) -> bool:
    return flag.get("flag.id") == data.withdraws and str(flag.get("flag.raised_at", at)) <= at


def red_flags_after(stated: Sequence[RedFlag] | None, earlier: _Values) -> tuple[Element, ...] | None:
    """The red flags stated, and all that were open and that no flag of the same edition and number speaks of.

    None when none were ever stated.
    """
    if stated is None and "account.red_flags" not in earlier:
        return None
    known = tuple(_elements(earlier, "account.red_flags"))
    if stated is None:
        return known
    told = tuple([_red_flag(flag) for flag in stated])
    spoken = {_number(flag) for flag in told}
    return (*told, *[flag for flag in known if not flag.get("red_flag.resolved") and _number(flag) not in spoken])


def _red_flag(flag: RedFlag) -> Element:
    return {
        "red_flag.edition": flag.edition,
        "red_flag.number": flag.number,
        "red_flag.resolved": flag.resolution is not None,
    }


def _number(flag: Element) -> tuple[object, object]:
    return flag.get("red_flag.edition"), flag.get("red_flag.number")


def ownership_after(data: AccountData, earlier: _Values) -> dict[str, Value | None]:
    """What the ownership edges come to. Those of earlier stand where the event says nothing of them."""
    if data.ownership is None:
        return _earlier_ownership(data, earlier)
    if not data.ownership:
        return {}
    found = examine([Edge(owner=e.owner, owned=e.owned, percent=e.percent, kind=e.kind) for e in data.ownership])
    if found.state != "consistent":
        return {"ownership.state": found.state}
    return {
        "ownership.state": found.state,
        "ownership.layers": found.layers,
        "ownership.ends_known": found.ends <= _ends(data.parties, earlier),
    }


def _earlier_ownership(data: AccountData, earlier: _Values) -> dict[str, Value | None]:
    known = {name: earlier.get(name) for name in ("ownership.state", "ownership.layers", "ownership.ends_known")}
    # The edges are not kept, so whether the parties named now are their ends cannot be told.
    if data.parties is not None and known["ownership.ends_known"]:
        known["ownership.ends_known"] = None
    return known


def _ends(parties: Sequence[Party] | None, earlier: _Values) -> set[object]:
    """Handles and names at which a chain of owners may end. Of parties told of earlier, no names are kept."""
    if parties is None:
        kept = _elements(earlier, "parties")
        return {party.get("party.id") for party in kept if party.get("party.kind") in _ENDS}
    return {handle for party in parties if party.kind in _ENDS for handle in (party.party_id, party.name)}


def _elements(values: _Values, name: str) -> Iterator[Element]:
    found = values.get(name)
    return (one for one in found if isinstance(one, Mapping)) if isinstance(found, tuple) else iter(())
