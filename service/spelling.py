"""Words of one spelling: what only looks different, or only looks the same, must not hide a weapon."""

import re
from functools import lru_cache
from unicodedata import category, normalize

_UNSEEN = ("Cf", "Mn", "Me")
"""Unicode categories of characters that only change how others look."""
_FILLERS = str.maketrans("\u3164\uffa0", "  ", "\u115f\u1160")
"""Hangul fillers: letters to Unicode, and to the eye a gap or nothing."""
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_CAPITALS = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕЅІЈКМНОРСТУХӀԌԚԜ", "ABEZHIKMNOPTYXABESIJKMHOPCTYXIGQW")
_SMALL = str.maketrans(
    "авеһіјкӏмнорԛсѕтуԝхԁгѵьαβεγηικνορτυχωϳıłøđħŧɑɡɩʟʀɪᴀᴄᴅᴇᴊᴋᴍɴᴏᴘᴛᴜᴠᴡʏᴢ",
    "abehijklmhopqcstywxdrvbabeynikvoptuxwjilodhtagilriacdejkmnoptuvwyz",
)
"""Letters of other scripts that are read as Latin ones. The two cases of a letter need not look like the same one."""
_MIXED = re.compile(r"[a-z][^_]*[\u0370-\u052f]|[\u0370-\u052f][^_]*[a-z]")
"""Latin with Greek or Cyrillic in one word."""


@lru_cache(maxsize=10_000)
def read_word(word: str) -> str:
    """`Nuclear weapons` and `nuclear_weapons` are the same; empty when there is no letter or digit.

    A word that wholly looks Latin is read as Latin; one that does not keeps its letters, accents left out.
    """
    apart = normalize("NFKD", word.translate(_FILLERS))
    latin = _seen(apart.translate(_CAPITALS)).translate(_SMALL)
    return _BETWEEN_WORDS.sub("_", latin if _is_latin(latin) else _seen(apart)).strip("_")


def _seen(word: str) -> str:
    small = normalize("NFKD", word.casefold())
    return "".join(one for one in small if category(one) not in _UNSEEN)


def mixes_scripts(word: str) -> bool:
    """Whether one of the words that `read_word` gives is of two scripts, so that nobody can tell how it is meant."""
    return not word.isascii() and _MIXED.search(word) is not None


def _is_latin(word: str) -> bool:
    return all(one.isascii() or not one.isalnum() for one in word)
