"""Which codes are places: ISO 3166-1 alpha-2, upper case, optionally with an ISO 3166-2 region."""

import re
from functools import lru_cache

COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
    SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()
)
_UKRAINE = frozenset("05 07 09 12 14 18 21 23 26 30 32 35 40 43 46 48 51 53 56 59 61 63 65 68 71 74 77".split())
"""ISO 3166-2:UA. The law tells its regions apart (15 CFR 746.6): an invented one must not pass for a harmless one."""
_REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_PART_OF_CHINA = {"HK": "CN-HK"}
"""Hong Kong is treated as China (85 FR 83765); Macau is named beside Country Group D:5 and stays apart."""


@lru_cache(maxsize=10_000)
def read_place(code: str) -> str | None:
    """The place a code names, or None when it names none: lower case, names, `UK`, withdrawn and invented codes.

    There are no aliases: guessing what a customer meant would decide on a place nobody stated.
    """
    if code in COUNTRIES:
        return _PART_OF_CHINA.get(code, code)
    if not _REGION.fullmatch(code) or code[:2] not in COUNTRIES:
        return None
    return code if code[:2] != "UA" or code[3:] in _UKRAINE else None
