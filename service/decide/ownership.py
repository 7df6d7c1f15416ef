"""What the disclosed ownership edges say about themselves: do they add up, and where do the chains end."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

MOST_EDGES = 2_000
MOST_LAYERS = 40
_WHOLE = Decimal(100)


class Edge(NamedTuple):
    """`owner` holds `percent` of `owned`; None means the share is not known."""

    owner: str
    owned: str
    percent: Decimal | None
    kind: str


class Ownership(NamedTuple):
    """`state` is consistent, inconsistent, cyclic or too_complex.

    `layers` and `ends` only mean something when consistent.
    """

    state: str
    layers: int
    ends: frozenset[str]


def examine(edges: Sequence[Edge]) -> Ownership:
    """Walk the graph once.

    Terminates on cycles; more than `MOST_EDGES` edges or `MOST_LAYERS` layers are too complex.
    """
    if len(edges) > MOST_EDGES:
        return Ownership(state="too_complex", layers=0, ends=frozenset())
    if _shares_contradict(edges):
        return Ownership(state="inconsistent", layers=0, ends=frozenset())
    layers = _layers(edges)
    if layers is None:
        return Ownership(state="cyclic", layers=0, ends=frozenset())
    if layers > MOST_LAYERS:
        return Ownership(state="too_complex", layers=layers, ends=frozenset())
    owned = {edge.owned for edge in edges}
    return Ownership(state="consistent", layers=layers, ends=frozenset([edge.owner for edge in edges]) - owned)


def _shares_contradict(edges: Iterable[Edge]) -> bool:
    sums: dict[tuple[str, str], Decimal] = {}
    for edge in set(edges):  # Two sources may tell the same edge.
        if edge.percent is None:
            continue
        if not 0 <= edge.percent <= _WHOLE:
            return True
        shared = edge.owned, edge.kind
        sums[shared] = sums[shared] + edge.percent if shared in sums else edge.percent
    return any(total > _WHOLE for total in sums.values())


def _layers(edges: Iterable[Edge]) -> int | None:
    """Length of the longest chain, by peeling off what nobody owns; None when a cycle remains."""
    pairs = {(edge.owner, edge.owned) for edge in edges}
    owns: dict[str, list[str]] = {}
    waiting: dict[str, int] = {}
    for owner, owned in pairs:
        owns.setdefault(owner, []).append(owned)
        waiting.setdefault(owner, 0)
        waiting[owned] = waiting.get(owned, 0) + 1
    front = [node for node, count in waiting.items() if count == 0]
    layers, seen = 0, len(front)
    while front:
        following = []
        for node in front:
            for below in owns.get(node, ()):
                waiting[below] -= 1
                if waiting[below] == 0:
                    following.append(below)
        seen += len(following)
        layers += bool(following)
        front = following
    return layers if seen == len(waiting) else None


_HALF = Decimal(50)


def held_by(listed: frozenset[str], owned: str, edges: Iterable[Edge]) -> Decimal | None:
    """Percent of `owned` that `listed` hold in aggregate, by OFAC's 50 percent rule (FAQ 398 to 402).

    What they hold half or more of counts as one of them, so its own holdings count in full and are not multiplied.
    Kinds are not added together; the one with most counts. None where what is not known could make it half or more.
    """
    known = set(edges)
    least, counted = _aggregate(listed, owned, known, unknown=Decimal(0))
    if least >= _HALF:
        return least
    most, _ = _aggregate(listed, owned, known, unknown=_WHOLE)
    told = counted <= {edge.owner for edge in known}
    return least if told and most < _HALF else None


def _aggregate(listed: frozenset[str], owned: str, edges: set[Edge], *, unknown: Decimal) -> tuple[Decimal, set[str]]:
    """The share, and everybody whose holdings count."""
    counted = set(listed)
    while True:
        sums: dict[tuple[str, str], Decimal] = {}
        for edge in edges:
            if edge.owner in counted:
                percent = unknown if edge.percent is None else edge.percent
                sums[edge.owned, edge.kind] = sums.get((edge.owned, edge.kind), Decimal(0)) + percent
        found = {body for (body, _), total in sums.items() if total >= _HALF} - counted - {owned}
        if not found:
            return max([total for (body, _), total in sums.items() if body == owned], default=Decimal(0)), counted
        counted |= found
