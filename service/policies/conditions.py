"""The tree under `when` -> a condition of the core, checked against the vocabulary as it is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from service.decide.comparison import Operand
from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not
from service.decide.facts import Assurance, FactSpec, FactType
from service.decide.policy import GROUP_PREFIX
from service.decide.vocabulary import ITEM_FACTS, VOCABULARY
from service.places import read_place
from service.policies.document import Path
from service.policies.refusal import PolicyRefused, suggestion
from service.policies.wording import short

OPERATORS = frozenset(
    "is in in_group differs_from at_least above at_most below overlaps known".split()  # noqa: SIM905
)
ORDERINGS = frozenset({"at_least", "above", "at_most", "below"})

_T = FactType
ALLOWED: Mapping[FactType, frozenset[str]] = {
    _T.TEXT: frozenset({"is", "in", "in_group", "differs_from", "known"}),
    _T.PLACE: frozenset({"is", "in", "in_group", "differs_from", "known"}),
    _T.BOOLEAN: frozenset({"is", "differs_from", "known"}),
    _T.WHOLE: ORDERINGS | {"is", "differs_from", "known"},
    _T.DECIMAL: ORDERINGS | {"is", "differs_from", "known"},
    _T.TEXTS: frozenset({"overlaps", "known"}),
    _T.PLACES: frozenset({"overlaps", "known"}),
    _T.INSTANT: frozenset({"known"}),
    _T.ELEMENTS: frozenset({"known"}),
}
_PLACES_FORM = {"is": "is_place", "in": "in_places", "overlaps": "overlaps_places"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Where a condition is read: which facts and groups it may name, and how a place in it is told to a person."""

    rule: str
    per_item: bool
    groups: Mapping[str, frozenset[str]]
    where: Callable[[Path], str]
    elements: Mapping[str, FactSpec]
    in_list: str | None

    def refuse(self, path: Path, text: str) -> PolicyRefused:
        """The exception to raise."""
        return PolicyRefused(f"{self.where(path)}: rule {self.rule}: {text}")


def read_condition(tree: object, reader: Reader, path: Path) -> Condition:
    """The condition that `tree` states. PolicyRefused where it names, compares or nests what it may not."""
    if not isinstance(tree, dict):
        raise reader.refuse(path, f"expected a condition such as {{fact: ..., is: ...}}, got {short(tree)}")
    if "fact" in tree:
        return _leaf(tree, reader, path)
    heads = [key for key in tree if key in ("all", "any", "not", "exists", "forall")]
    if len(heads) != 1:
        known = "all, any, not, exists, forall or fact"
        raise reader.refuse(path, f"expected one of {known}, got {', '.join(map(str, tree)) or 'nothing'}")
    head = heads[0]
    extra = set(tree) - {head} - ({"where"} if head in ("exists", "forall") else set())
    if extra:
        raise reader.refuse(path, f"expected nothing beside '{head}', got '{min(map(str, extra))}'; put it inside")
    inside = (*path, head)
    match head:
        case "all" | "any":
            parts = _parts(tree[head], reader, inside)
            return All(parts) if head == "all" else AnyOf(parts)
        case "not":
            return Not(read_condition(tree[head], reader, inside))
        case _:
            return _quantified(tree, head, reader, path)


def read_required(names: Sequence[str], reader: Reader, path: Path) -> Condition:
    """A condition that is unknown while one of the facts is absent, and false otherwise: it asks, and never hits.

    A fact never differs from itself, and whether it does is unknown exactly while it is absent.
    """
    for name in names:
        spec = _spec(name, reader, path)
        if spec.absent == "never":
            raise reader.refuse(path, f"'{name}' is never absent, so there is nothing to ask for; remove it")
    return AnyOf(tuple(Leaf(fact=name, operator="differs_from", operand=name, assured=1) for name in names))


def required_in(condition: Condition) -> tuple[str, ...]:
    """The facts that a rule with this condition asks for by `required_facts`; empty when it asks for none."""
    match condition:
        case All((_, AnyOf(parts))) if all(isinstance(part, Leaf) and part.operand == part.fact for part in parts):
            return tuple(part.fact for part in parts if isinstance(part, Leaf))
        case _:
            return ()


def _parts(tree: object, reader: Reader, path: Path) -> tuple[Condition, ...]:
    if not isinstance(tree, list) or not tree:
        raise reader.refuse(path, f"expected a list with at least one condition, got {short(tree)}")
    return tuple(read_condition(part, reader, (*path, index)) for index, part in enumerate(tree))


def _quantified(tree: Mapping[str, object], head: str, reader: Reader, path: Path) -> Condition:
    name = tree[head]
    if reader.in_list is not None:
        raise reader.refuse(path, f"'{head}' stands inside a list already ({reader.in_list}); lists do not nest")
    if not isinstance(name, str):
        raise reader.refuse((*path, head), f"expected the name of a list after '{head}', got {short(name)}")
    spec = _spec(name, reader, (*path, head))
    if spec.type is not FactType.ELEMENTS:
        raise reader.refuse((*path, head), f"'{head}' needs a list of elements, '{name}' is a {spec.type.value}")
    if "where" not in tree:
        raise reader.refuse(path, f"expected 'where' beside '{head}', which is missing; say what an element must fit")
    inside = replace(reader, elements=spec.elements, in_list=name)
    where = read_condition(tree["where"], inside, (*path, "where"))
    return Exists(name, where) if head == "exists" else ForAll(name, where)


def _spec(name: str, reader: Reader, path: Path) -> FactSpec:
    spec = reader.elements.get(name) or VOCABULARY.get(name)
    if spec is None:
        owner = next((one.name for one in VOCABULARY.values() if name in one.elements), None)
        if owner is not None:
            raise reader.refuse(
                path, f"'{name}' is a fact of an element of {owner}; use it inside exists or forall of it"
            )
        known = (*VOCABULARY, *reader.elements)
        raise reader.refuse(path, f"unknown fact '{name}'{suggestion(name, known)}; see: exportgate policy facts")
    if name in ITEM_FACTS and not reader.per_item:
        raise reader.refuse(path, f"'{name}' is a fact of an item, but the rule is about the subject; say scope: item")
    return spec


def _leaf(tree: Mapping[str, object], reader: Reader, path: Path) -> Leaf:
    name = tree["fact"]
    if not isinstance(name, str):
        raise reader.refuse((*path, "fact"), f"expected the name of a fact, got {short(name)}")
    spec = _spec(name, reader, (*path, "fact"))
    operators = [key for key in tree if key not in ("fact", "assured", "unit")]
    if len(operators) != 1:
        raise reader.refuse(path, f"expected exactly one operator for '{name}', got {', '.join(operators) or 'none'}")
    operator = operators[0]
    here = (*path, operator)
    if operator not in OPERATORS:
        close = suggestion(operator, OPERATORS)
        raise reader.refuse(here, f"unknown operator '{operator}'{close}; known: {', '.join(sorted(OPERATORS))}")
    if operator not in ALLOWED[spec.type]:
        fitting = ", ".join(sorted(ALLOWED[spec.type]))
        raise reader.refuse(here, f"'{operator}' does not fit '{name}', a {spec.type.value}; use {fitting}")
    operand = _operand(tree[operator], operator, spec, reader, here)
    _check_unit(tree, operator, spec, reader, path)
    form = "in" if operator == "in_group" else operator
    if spec.type in (FactType.PLACE, FactType.PLACES):
        form = _PLACES_FORM.get(form, form)
    return Leaf(fact=name, operator=form, operand=operand, assured=_assured(tree, operator, spec, reader, path))


def _assured(tree: Mapping[str, object], operator: str, spec: FactSpec, reader: Reader, path: Path) -> int:
    if "assured" not in tree:
        return int(Assurance.DECLARED)
    here = (*path, "assured")
    levels = {level.name.lower(): int(level) for level in Assurance}
    word = tree["assured"]
    if not isinstance(word, str) or word not in levels:
        raise reader.refuse(here, f"expected one of {', '.join(levels)}, got {short(word)}")
    if operator in ("known", "differs_from"):
        raise reader.refuse(here, f"'{operator}' looks at no single value, so 'assured' says nothing; remove it")
    if not can_be_assured(spec):
        raise reader.refuse(
            here, f"nobody states how surely '{spec.name}' is known, so it would never be; remove 'assured'"
        )
    return levels[word]


def _check_unit(tree: Mapping[str, object], operator: str, spec: FactSpec, reader: Reader, path: Path) -> None:
    """A unit that is written is the fact's own. That one is written where the name does not tell it is for lint."""
    if "unit" not in tree:
        return
    here = (*path, "unit")
    if not spec.unit or operator not in ORDERINGS | {"is"}:
        raise reader.refuse(here, f"'{operator}' holds '{spec.name}' against no number; remove 'unit'")
    if tree["unit"] != spec.unit:
        raise reader.refuse(here, f"'{spec.name}' is counted in {spec.unit}, got {short(tree['unit'])}; convert it")


def can_be_assured(spec: FactSpec) -> bool:
    """Whether anybody states how surely the fact is known, so that a rule may demand it."""
    if spec.derived:
        return spec.name == "person.foreign"
    return spec.name.partition(".")[0] in ("customer", "person", "contract")


def _operand(raw: object, operator: str, spec: FactSpec, reader: Reader, path: Path) -> Operand:
    match operator:
        case "known":
            if not isinstance(raw, bool):
                raise reader.refuse(path, f"expected true or false after 'known', got {short(raw)}")
            return raw
        case "differs_from":
            return _other_fact(raw, spec, reader, path)
        case "in" | "in_group" | "overlaps":
            return _set(raw, operator, spec, reader, path)
        case "is" if spec.type is FactType.BOOLEAN:
            if not isinstance(raw, bool):
                raise reader.refuse(path, f"'{spec.name}' is true or false, got {short(raw)}")
            return raw
        case "is" if spec.type in (FactType.TEXT, FactType.PLACE):
            return _text(raw, spec, reader, path)
        case _:
            return _number(raw, spec, reader, path)


def _other_fact(raw: object, spec: FactSpec, reader: Reader, path: Path) -> str:
    if not isinstance(raw, str):
        raise reader.refuse(path, f"expected the name of another fact, got {short(raw)}")
    other = _spec(raw, reader, path)
    if other.type is not spec.type:
        raise reader.refuse(
            path, f"'{spec.name}' is a {spec.type.value}, '{raw}' a {other.type.value}; they cannot differ"
        )
    return raw


def _number(raw: object, spec: FactSpec, reader: Reader, path: Path) -> int | Decimal:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if spec.type is FactType.WHOLE:
        raise reader.refuse(path, f"'{spec.name}' is a whole number, got {short(raw)}; write it without quotes")
    try:
        number = Decimal(raw) if isinstance(raw, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise reader.refuse(path, f"'{spec.name}' is a decimal number, got {short(raw)}; write it like \"49.99\"")
    return number


def _set(raw: object, operator: str, spec: FactSpec, reader: Reader, path: Path) -> str | frozenset[str]:
    if isinstance(raw, str):
        if raw not in reader.groups:
            close = suggestion(raw, reader.groups)
            raise reader.refuse(path, f"unknown group '{raw}'{close}; define it under groups, or write a list")
        for value in sorted(reader.groups[raw]):
            _text(value, spec, reader, path)
        return GROUP_PREFIX + raw
    if operator == "in_group":
        raise reader.refuse(path, f"expected the name of a group after 'in_group', got {short(raw)}")
    if not isinstance(raw, list) or not raw:
        raise reader.refuse(path, f"expected a group or a list with at least one value, got {short(raw)}")
    return frozenset(_text(value, spec, reader, (*path, index)) for index, value in enumerate(raw))


def _text(raw: object, spec: FactSpec, reader: Reader, path: Path) -> str:
    if not isinstance(raw, str) or not raw:
        raise reader.refuse(path, f"'{spec.name}' is a {spec.type.value}, got {short(raw)}; write a text")
    if spec.type in (FactType.PLACE, FactType.PLACES):
        if read_place(raw) != raw:
            hint = f"write {read_place(raw)}" if read_place(raw) else "such as GB or UA-43"
            raise reader.refuse(path, f"'{spec.name}' takes ISO 3166 codes, got '{raw}'; {hint}")
    elif spec.values and raw not in spec.values:
        known = ", ".join(sorted(spec.values))
        raise reader.refuse(path, f"'{spec.name}' is one of {known}; got '{raw}'{suggestion(raw, spec.values)}")
    elif raw.startswith(GROUP_PREFIX):
        raise reader.refuse(path, f"a value may not start with '{GROUP_PREFIX}'; name the group without it")
    return raw
