"""What somebody may have meant who asked for a decision by an id that nobody knows."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from uuid import UUID

from service.cli.words import joined
from service.ledger.engine import Tx
from service.ledger.near import decisions_between, near_accounts, near_events

_MOST_LOOKED_AT = 20
_MOST_NAMED = 3
_SHORTEST = 4
"""Digits of a decision's id by which it is looked for."""
_DIGITS = 32


async def unknown(tx: Tx, given: str) -> str:
    """One line: that nothing has this id, which kinds of ids there are, what is near, and where to look."""
    events = await near_events(tx, given, _MOST_LOOKED_AT)
    if given in events:
        return f"'{given}' is an event; what it led to: exportgate decisions explain {events[given]}"
    accounts = await near_accounts(tx, _beginnings(given), _MOST_LOOKED_AT)
    near = [*await _decisions(tx, given), *(f"'{one}'" for one in _close(given, accounts))]
    near += [f"{events[one]} (of event '{one}')" for one in _close(given, events)]
    meant = f" (did you mean {joined(near[:_MOST_NAMED], 'or')}?)" if near else ""
    return (
        f"'{given}' is neither a decision nor an account that was decided{meant}; expected the id of a decision, or of "
        "an account; see: exportgate decisions tail"
    )


def _beginnings(given: str) -> list[str]:
    """Names beside which the one that was meant may lie: a slip in the middle parts it from its neighbours."""
    parts = (given, given[: len(given) * 3 // 4], given[: len(given) // 2])
    return list(dict.fromkeys([*parts, *(part.lower() for part in parts)]))


def _close(given: str, known: Iterable[str]) -> list[str]:
    folded = {one.casefold(): one for one in known}
    return [folded[one] for one in get_close_matches(given.casefold(), folded, n=_MOST_NAMED, cutoff=0.8)]


async def _decisions(tx: Tx, given: str) -> list[str]:
    """Decisions whose ids begin as the one given does."""
    digits = given.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},{_DIGITS}}}", digits):
        return []
    begins = digits[:8]
    lowest, highest = UUID(begins.ljust(_DIGITS, "0")), UUID(begins.ljust(_DIGITS, "f"))
    return [str(one) for one in await decisions_between(tx, lowest, highest, _MOST_NAMED)]
