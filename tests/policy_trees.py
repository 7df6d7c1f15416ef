"""Policy documents as trees, damaged in many ways and written down in many ways; what is meant is known beforehand."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

Path = tuple[str | int, ...]

_RULE: dict[str, Any] = {
    "rule": "embargo",
    "outcome": "deny",
    "scope": "item",
    "title": "Embargoed destination",
    "citation": {"text": "15 CFR 746.7", "href": None},
    "in_force": [{"from": "2025-01-01T00:00:00Z", "to": None}],
    "when": {
        "all": [
            {"fact": "customer.places", "known": True},
            {"fact": "customer.places", "overlaps": "embargoes"},
            {"any": [{"fact": "item.model", "in": ["fable-5", "NO"]}, {"not": {"fact": "item.eccn", "is": "4E091"}}]},
        ]
    },
    "unknown": "deny",
    "waivable_by": ["license", "carve_out"],
    "clears": ["A license"],
    "message": "It is in an embargoed place.",
    "customer_message": "We cannot offer this.",
}
_SEEN: dict[str, Any] = {
    "rule": "sighting",
    "outcome": "approve",
    "title": "Seen there",
    "citation": {"text": "15 CFR 746.2"},
    "when": {
        "all": [
            {"fact": "location.evidence", "known": True},
            {
                "exists": "location.evidence",
                "where": {
                    "all": [
                        {"fact": "evidence.place", "in_group": "embargoes"},
                        {"fact": "evidence.days", "at_least": 3},
                        {"fact": "evidence.share", "above": "9.5", "unit": "percent"},
                    ]
                },
            },
        ]
    },
    "limit": {"geo_block": "location.evidence"},
}
_ASKED: dict[str, Any] = {
    "rule": "owners_wanted",
    "outcome": "hold",
    "hold_kind": "fact_missing",
    "title": "Owners wanted",
    "citation": {"text": "15 CFR part 732"},
    "when": {"fact": "customer.home_places", "overlaps": ["AE", "NO"]},
    "required_facts": ["customer.owners_disclosed"],
    "release": {"by": "review", "reviewers": 2},
}
_CASE: dict[str, Any] = {
    "case": "Tehran",
    "source": "golden case 1",
    "given": {
        "at": "2026-03-01T00:00:00Z",
        "customer.billing_in": "IR",
        "customer.type": "organization",
        "contract.value_usd": "10.50",
        "location.evidence": [{"place": "IR", "kind": "mobile", "days": 4, "share": "12"}],
        "assured": {"customer.type": "documented"},
        "items": [{"model": "fable-5", "delivery": "api", "volume": "3"}],
        "authorizations": [
            {
                "kind": "license",
                "number": "D-1",
                "models": ["fable-5"],
                "valid_from": "2026-01-01T00:00:00Z",
                "valid_until": "2027-01-01T00:00:00Z",
            }
        ],
    },
    "expect": {"outcome": "approve", "access": "full", "waived": ["embargo"], "hits": ["sighting"], "no_unknown": True},
}
PARENT: dict[str, Any] = {
    "policy": "small",
    "version": "base",
    "title": "A parent",
    "instrument": {"kind": "rule", "issuer": "BIS"},
    "legal_status": "in_force",
    "enforcement": "enforced",
    "groups": {"firm_places": ["CU"]},
    "lists": {"required": ["ofac-sdn"], "max_age": "P3D"},
    "rules": [
        {
            "rule": "firm",
            "outcome": "deny",
            "droppable": False,
            "title": "Firm",
            "citation": {"text": "law"},
            "when": {"fact": "customer.places", "overlaps": "firm_places"},
        },
        {
            "rule": "soft",
            "outcome": "deny",
            "title": "Soft",
            "citation": {"text": "law"},
            "when": {"fact": "account.known", "is": False},
        },
    ],
}
CATALOGUE = {"fable-5": {"eccn": "4E091", "training_operations": "1E26", "published": False}}
WHOLE: dict[str, Any] = {
    "policy": "small",
    "version": "1.0",
    "title": "On the norms of NO, 'quoted' and: punctuated # not a comment",
    "instrument": {
        "kind": "rule",
        "issuer": "BIS",
        "claimed_authority": "15 CFR 744.22(b)",
        "received_at": "2026-01-01T00:00:00Z",
        "document_sha256": "ab" * 32,
    },
    "legal_status": "in_force",
    "enforcement": "enforced",
    "extends": "base",
    "drop": ["soft"],
    "notes": ["It is uncertain.", "yes"],
    "groups": {"embargoes": ["IR", {"value": "KP", "from": "2025-01-01T00:00:00Z", "to": None}, "UA-43"]},
    "catalogue": {"file": "catalogue.yaml"},
    "lists": {"required": ["bis-entity"], "max_age": "P2D"},
    "valid_for": "P180D",
    "rules": [_RULE, _SEEN, _ASKED],
    "cases": [_CASE],
}


@dataclass(frozen=True)
class Plain:
    """A scalar that is written without quotes. YAML 1.1, YAML 1.2 and we may disagree about some of them."""

    text: str


_INT = re.compile(r"0|-?[1-9][0-9]{0,17}")
_SAFE = re.compile(r"[A-Za-z][A-Za-z0-9_./() -]*[A-Za-z0-9_.)]|[A-Za-z]")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}

ODD_PLAIN = (
    *(
        "NO",
        "no",
        "on",
        "off",
        "yes",
        "Y",
        "n",
        "True",
        "FALSE",
        "Null",
        "~",
        "1e3",
        "1E5",
        "4E091",
        "3A090",
        "0x1F",
        "0o17",
    ),
    *("017", "1_000", "1:30", "190:20:30", "-0", "+1", ".5", "5.", "1.5", ".inf", "-.INF", ".NaN", "=", "<<"),
    *(
        "2026-06-12",
        "2026-06-12T21:21:00Z",
        "2026-06-12 21:21:00",
        "99999999999999999999",
        "9007199254740993",
        "-7",
        "0",
    ),
    *("null", "true", "false", "UA-09", "09", "1.", "0b11", "0.0", "1e-7", "inf", "nan", "5", "12"),
)
ODD_VALUES: tuple[Any, ...] = (
    *map(Plain, ODD_PLAIN),
    *(
        "",
        " ",
        "\n",
        "a\nb",
        "\t",
        "\u2028",
        "\x7f",
        "\ufeff",
        "é",
        "\U0001f600",
        "group:embargoes",
        "group:",
        "IR",
        "HK",
        "ir",
    ),
    *(
        "x" * 5000,
        "embargo",
        "customer.places",
        "item.model",
        "person.us",
        "evidence.place",
        "account.known",
        "account.id",
    ),
    *(
        None,
        True,
        False,
        0,
        -1,
        10**17,
        [],
        {},
        [[]],
        [{}],
        {"fact": "account.known", "is": False},
        {"all": []},
        ["IR"],
    ),
    *({"from": None, "to": None}, {"value": "IR"}, {"not": {"not": {"fact": "account.known", "is": True}}}),
    *("deny", "hold", "approve", "license_required", "P1D", "P0D", "1E26", "NaN", "Infinity", "1E999999", "-0", "0.10"),
)
ODD_KEYS = (
    *("when", "where", "fact", "is", "in", "all", "any", "not", "exists", "forall", "known", "unit", "assured", "rule"),
    *("required_facts", "extends", "drop", "groups", "cases", "file", "value", "x", "", " ", "<<", "true", "null", "1"),
)


def paths(tree: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a tree but its root."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, part in parts:
        yield (*path, name)
        yield from paths(part, (*path, name))


def damaged(tree: Any, chance: Random) -> Any:
    """A copy with one to four changes at any place."""
    copy = _copy(tree)
    for _ in range(chance.randint(1, 4)):
        places = list(paths(copy))
        if places:
            _damage(copy, chance.choice(places), chance, places)
    return copy


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _copy(part) for name, part in tree.items()}
    return [_copy(part) for part in tree] if isinstance(tree, list) else tree


def _at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _damage(tree: Any, path: Path, chance: Random, places: list[Path]) -> None:
    around, name = _at(tree, path[:-1]), path[-1]
    match chance.randrange(6):
        case 0 | 1:
            around[name] = _copy(chance.choice(ODD_VALUES))
        case 2:
            del around[name]
        case 3:
            around[name] = _copy(_at(tree, chance.choice(places)))
        case 4 if isinstance(around, dict):
            around[chance.choice(ODD_KEYS)] = around.pop(name)
        case 5 if isinstance(around, list):
            around.append(_copy(around[int(name)]))
        case _:
            around[name] = [_copy(around[name])]


def meant(tree: Any) -> Any:
    """The tree as it is to be read: unquoted, only `true`, `false`, `null` and short whole numbers are no texts."""
    if isinstance(tree, dict):
        return {name: meant(part) for name, part in tree.items()}
    if isinstance(tree, list):
        return [meant(part) for part in tree]
    if isinstance(tree, Plain):
        return int(tree.text) if _INT.fullmatch(tree.text) else _WORDS.get(tree.text, tree.text)
    return tree


def written(tree: Any, chance: Random, depth: int = 0) -> str:
    """The tree as YAML, in block or flow style and with quotes of either kind, by chance."""
    if isinstance(tree, dict | list) and tree and depth < 12 and chance.random() < 0.8:
        return _block(tree, chance, depth)
    return _flow(tree, chance)


def _block(tree: Any, chance: Random, depth: int) -> str:
    pad = "  " * depth
    lines = []
    parts = [(f"{_scalar(name, chance)}:", part) for name, part in tree.items()] if isinstance(tree, dict) else [
        ("-", part) for part in tree
    ]  # fmt: skip
    for head, part in parts:
        inner = written(part, chance, depth + 1)
        comment = "  # why" if chance.random() < 0.05 else ""
        lines.append(f"{pad}{head}{comment}\n{inner}" if "\n" in inner else f"{pad}{head} {inner}{comment}\n")
    return "".join(lines)


def _flow(tree: Any, chance: Random) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{_scalar(name, chance)}: {_flow(part, chance)}" for name, part in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(_flow(part, chance) for part in tree) + "]"
    return _scalar(tree, chance)


def _scalar(value: Any, chance: Random) -> str:
    if isinstance(value, Plain):
        return value.text
    if not isinstance(value, str):
        return json.dumps(value)
    if value not in _WORDS and _SAFE.fullmatch(value) and chance.random() < 0.6:
        return value
    if value.isprintable() and value and chance.random() < 0.3:
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value, ensure_ascii=False) if value.isprintable() else json.dumps(value)
