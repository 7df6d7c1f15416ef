"""What was known of an account before, and what an event leaves of it. Pure: only words take back what was told."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC

from schemas.accounts import AccountData, AccountFlagged, RedFlag
from schemas.parties import Party
from service.decide.facts import Element, Value
from service.decide.ownership import Edge, examine

_Values = Mapping[str, Value]
_ENDS = ("individual", "government")
"""Kinds of parties that nobody owns."""


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
