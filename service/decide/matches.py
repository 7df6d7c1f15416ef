"""Facts that follow from matches with published lists: which still stand, and how much listed owners hold together."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from service.decide.facts import Authorization, Element, Value
from service.decide.ownership import Edge, held_by
from service.decide.waiver import valid

_OWNERS = ("owner", "beneficial_owner")
_SDN = frozenset({"ofac-sdn"})
_AFFILIATES = frozenset({"bis-entity", "bis-meu", "ofac-sdn"})
"""Whose shares the BIS Affiliates rule adds up."""


def weigh_matches(values: dict[str, Value], authorizations: Iterable[Authorization], as_of: datetime) -> None:
    """Leave out of `matches` what has ended, and add the facts that rest on the others."""
    matches = tuple([one for one in _elements(values.get("matches")) if not _ended(one, as_of)])
    values["matches"] = matches
    if not matches:
        return
    values["authorization.kinds"] = tuple(sorted({one.kind for one in authorizations if valid(one, as_of)}))
    for name, lists in (("ownership.sdn_percent", _SDN), ("ownership.listed_percent", _AFFILIATES)):
        share = _share(values, matches, lists)
        if share is not None:
            values[name] = share


def _ended(match: Element, as_of: datetime) -> bool:
    until = match.get("match.until")
    return isinstance(until, str) and datetime.fromisoformat(until) <= as_of


def _share(values: Mapping[str, Value], matches: Iterable[Element], lists: frozenset[str]) -> Decimal | None:
    """What listed owners hold of the account; None where there is none, or one whose share nobody can tell."""
    owners = [one.get("match.party") for one in matches if _is_listed_owner(one, lists)]
    listed = frozenset([owner for owner in owners if isinstance(owner, str)])
    if len(listed) < len(set(owners)) or not owners:
        return None
    edges = [edge for one in _elements(values.get("ownership.edges")) if (edge := _edge(one)) is not None]
    return held_by(listed, str(values.get("account.id")), edges)


def _is_listed_owner(match: Element, lists: frozenset[str]) -> bool:
    return (
        match.get("match.of") in _OWNERS and match.get("match.list") in lists and match.get("match.verdict") == "same"
    )


def _edge(element: Element) -> Edge | None:
    owner, owned, percent = (element.get(f"edge.{name}") for name in ("owner", "owned", "percent"))
    if not isinstance(owner, str) or not isinstance(owned, str):
        return None
    return Edge(
        owner, owned, percent if isinstance(percent, Decimal) else None, str(element.get("edge.kind", "equity"))
    )


def _elements(value: Value | None) -> list[Element]:
    return [one for one in value if not isinstance(one, str)] if isinstance(value, tuple) else []
