"""Which fields of an event say something that nobody can read: each is named, and what is named holds. Pure."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from schemas.accounts import LocationEvidence
from schemas.parties import Item, Party, Residence
from service.places import read_place
from service.spelling import mixes_scripts, read_word

_WHOLE = Decimal(100)


def odd_words(words: Sequence[str] | None, field: str = "end_uses") -> tuple[str, ...]:
    """Named when a word mixes letters of several scripts: it may be another one than it looks."""
    return (field,) if any(mixes_scripts(read_word(word)) for word in words or ()) else ()


def asks_for_nothing(items: Sequence[Item] | None) -> tuple[str, ...]:
    """Named when the list is there and empty. Not naming items asks for every item; this must not pass for it."""
    return ("items",) if items is not None and not items else ()


def odd_evidence(evidence: Sequence[LocationEvidence]) -> tuple[str, ...]:
    """Named once, when an observation has no ISO code for its place or a share that is no share."""
    odd = any(
        read_place(one.place) is None or (one.share is not None and not 0 <= one.share <= _WHOLE) for one in evidence
    )
    return ("location_evidence",) if odd else ()


def odd_codes(field: str, codes: Sequence[str] | None) -> tuple[str, ...]:
    """Named when a code is no place."""
    return (field,) if any(read_place(code) is None for code in codes or ()) else ()


def odd_ties(field: str, ties: Sequence[Residence] | None, said_on: date) -> tuple[str, ...]:
    """Named when a country is none, or when a tie begins after the day on which it is told."""
    odd = any(read_place(tie.country) is None or (tie.since is not None and tie.since > said_on) for tie in ties or ())
    return (field,) if odd else ()


def odd_parties(parties: Sequence[Party], field: str = "parties") -> tuple[str, ...]:
    """Named when a country or place of a party is none."""
    stated = [place for party in parties for place in (*(party.countries or ()), party.located_in) if place is not None]
    odd = any(read_place(place) is None for place in stated)
    return (field,) if odd else ()
