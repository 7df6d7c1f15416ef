"""The JSON Schema of conditions and of the facts of a case, made from the vocabulary."""

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from service.decide.facts import Assurance, FactSpec, FactType
from service.decide.vocabulary import VOCABULARY
from service.policies.conditions import ALLOWED, can_be_assured

Schema = dict[str, Any]

_SHARED: Mapping[str, Schema] = {
    "Place": {"type": "string", "pattern": "^[A-Z]{2}(-[A-Z0-9]{1,3})?$", "description": "ISO 3166, as GB or UA-43"},
    "Places": {
        "anyOf": [{"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Place"}}, {"$ref": "#/$defs/Group"}]
    },
    "Number": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$"}]},
    "Group": {"type": "string", "description": "the name of a group"},
}


def condition_schemas() -> dict[str, Schema]:
    """Definitions by name: `Condition`, one for inside each list, and one for each fact."""
    found = {**_SHARED, **{f"fact {spec.name}": _leaf(spec) for spec in VOCABULARY.values()}}
    found["Fact"] = {"anyOf": _facts(VOCABULARY)}
    found["Condition"] = _condition("Condition", [_ref("Fact")], list(_lists()))
    for spec in VOCABULARY.values():
        if spec.elements:
            found |= {f"fact {inner.name}": _leaf(inner) for inner in spec.elements.values()}
            name = f"Condition in {spec.name}"
            found[name] = _condition(name, [*_facts(spec.elements), _ref("Fact")], [])
    return found


def value_schema(spec: FactSpec) -> Schema:
    """A value of a fact as a case gives it; elements with short names."""
    match spec.type:
        case FactType.TEXT | FactType.PLACE | FactType.BOOLEAN | FactType.WHOLE:
            return _scalar(spec)
        case FactType.DECIMAL:
            return {"type": "string"}
        case FactType.INSTANT:
            return {"type": "string", "format": "date-time"}
        case FactType.TEXTS | FactType.PLACES:
            return {"type": "array", "items": _scalar(spec)}
        case FactType.ELEMENTS:
            parts = {name.partition(".")[2]: inner for name, inner in spec.elements.items() if not inner.derived}
            inside = {name: described(inner, value_schema(inner)) for name, inner in parts.items()}
            return {"type": "array", "items": {"type": "object", "properties": inside, "additionalProperties": False}}
        case _:
            assert_never(spec.type)


def described(spec: FactSpec, schema: Schema) -> Schema:
    """The schema with what the vocabulary says of the fact."""
    counted = f", in {spec.unit}" if spec.unit else ""
    return {"description": f"{spec.doc}{counted}; absent: {spec.absent}", **schema}


def _facts(specs: Mapping[str, FactSpec]) -> list[Schema]:
    return [_ref(f"fact {name}") for name in specs]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name.replace(' ', '%20')}"}


def _lists() -> Iterator[Schema]:
    for spec in VOCABULARY.values():
        for head in ("exists", "forall") if spec.elements else ():
            yield _object({head: described(spec, {"const": spec.name}), "where": _ref(f"Condition in {spec.name}")})


def _condition(own_name: str, facts: list[Schema], lists: list[Schema]) -> Schema:
    several = {"type": "array", "minItems": 1, "items": _ref(own_name)}
    heads = [_object({"all": several}), _object({"any": several}), _object({"not": _ref(own_name)})]
    return {"anyOf": [*heads, *lists, *facts]}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": dict(properties),
        "additionalProperties": False,
    }


def _leaf(spec: FactSpec) -> Schema:
    operators = sorted(ALLOWED[spec.type])
    properties: dict[str, Schema] = {"fact": {"const": spec.name}}
    properties |= {operator: _operand(operator, spec) for operator in operators}
    if can_be_assured(spec):
        properties["assured"] = {"enum": [level.name.lower() for level in Assurance]}
    if spec.unit:
        properties["unit"] = {"const": spec.unit}
    return {
        "type": "object",
        "description": described(spec, {})["description"],
        "required": ["fact"],
        "properties": properties,
        "oneOf": [{"required": [operator]} for operator in operators],
        "additionalProperties": False,
    }


def _operand(operator: str, spec: FactSpec) -> Schema:
    match operator:
        case "known":
            return {"type": "boolean"}
        case "differs_from":
            return {"type": "string"}
        case "in_group":
            return _ref("Group")
        case "in" | "overlaps" if spec.type in (FactType.PLACE, FactType.PLACES):
            return _ref("Places")
        case "in" | "overlaps":
            return {"anyOf": [{"type": "array", "minItems": 1, "items": _scalar(spec)}, _ref("Group")]}
        case _:
            return _scalar(spec)


def _scalar(spec: FactSpec) -> Schema:
    match spec.type:
        case FactType.TEXT | FactType.TEXTS:
            return {"enum": sorted(spec.values)} if spec.values else {"type": "string", "minLength": 1}
        case FactType.PLACE | FactType.PLACES:
            return _ref("Place")
        case FactType.BOOLEAN:
            return {"type": "boolean"}
        case FactType.WHOLE:
            return {"type": "integer"}
        case _:
            return _ref("Number")
