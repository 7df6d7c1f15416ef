"""The JSON Schema of a policy document, so that editors complete and check it; `make schemas` writes it.

It says what the form is. What the parts mean together (groups that exist, a fact of an item in a rule about the
subject) is told by `exportgate policy lint`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

import schemas
from schemas.export import DIALECT, POLICY_DOCUMENT
from service.decide.facts import Assurance
from service.decide.policy import HOLD_KINDS, WAIVER_KINDS
from service.decide.vocabulary import VOCABULARY
from service.policies.build import KNOWN_LISTS, LIMIT_KINDS, LIMIT_SOURCES
from service.policies.case_form import AuthorizationForm, CaseForm, ItemForm
from service.policies.model import Form, MemberForm, ModelForm, PolicyForm
from service.policies.schema_conditions import Schema, condition_schemas, described, value_schema

WRITTEN = Path(schemas.__file__).parent / "json" / f"{POLICY_DOCUMENT}.schema.json"


class _WithoutFieldTitles(GenerateJsonSchema):
    """A title such as "Hold Kind" for `hold_kind` says nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's signature
        return False


def document_schema() -> Schema:
    """The schema of the form, with the conditions and cases spelled out fact by fact."""
    whole = _of(PolicyForm)
    definitions: dict[str, Schema] = whole.pop("$defs")
    for form in (CaseForm, ItemForm, AuthorizationForm, MemberForm, ModelForm):
        part = _of(form)
        definitions |= part.pop("$defs", {})
        definitions[form.__name__] = part
    definitions |= condition_schemas()
    rule = definitions["RuleForm"]["properties"]
    rule["when"] = {"$ref": "#/$defs/Condition"}
    rule["hold_kind"] = {"enum": [*HOLD_KINDS, None]}
    rule["waivable_by"] = {"type": "array", "items": {"enum": sorted(WAIVER_KINDS)}}
    rule["limit"] = {"enum": [None, *({kind: one} for kind in sorted(LIMIT_KINDS) for one in sorted(LIMIT_SOURCES))]}
    rule["required_facts"] = {"type": "array", "minItems": 1, "items": {"enum": list(VOCABULARY)}}
    definitions["ListsForm"]["properties"]["required"] = {"type": "array", "items": {"enum": sorted(KNOWN_LISTS)}}
    definitions["CaseForm"]["properties"]["given"] = _given()
    for key in ("delivery", "release"):
        definitions["ItemForm"]["properties"][key] = value_schema(VOCABULARY[f"item.{key}"])
    keys = whole["properties"]
    keys["cases"] = {"type": "array", "items": {"$ref": "#/$defs/CaseForm"}}
    keys["catalogue"] = _catalogue()
    for members in keys["groups"]["patternProperties"].values():
        members["items"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/MemberForm"}]}
    return {"$schema": DIALECT, **whole, "title": "exportgate policy document", "$defs": definitions}


def _of(form: type[Form]) -> Schema:
    return form.model_json_schema(schema_generator=_WithoutFieldTitles)


def _catalogue() -> Schema:
    beside = {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]}
    models = {"type": "object", "additionalProperties": {"$ref": "#/$defs/ModelForm"}}
    return {"anyOf": [{**beside, "additionalProperties": False}, models]}


def _given() -> Schema:
    """What a case may say: when it is decided, what is known and how surely, what is asked for and what is licensed."""
    stated = [spec for spec in VOCABULARY.values() if not spec.derived and not spec.name.startswith("item.")]
    levels = {"enum": [level.name.lower() for level in Assurance]}
    known = {spec.name: described(spec, value_schema(spec)) for spec in stated}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/ItemForm"}},
            "authorizations": {"type": "array", "items": {"$ref": "#/$defs/AuthorizationForm"}},
            "catalogue": {"type": "object", "additionalProperties": {"$ref": "#/$defs/ModelForm"}},
            "assured": {
                "type": "object",
                "properties": {spec.name: levels for spec in stated},
                "additionalProperties": False,
            },
            **known,
        },
    }


def text() -> str:
    """The file as it belongs in schemas/json/; the same whenever it is asked."""
    return json.dumps(document_schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None, where: Path = WRITTEN) -> int:
    """Write the schema, or check with `--check`: 1 when what is written is stale."""
    parser = argparse.ArgumentParser(prog="python -m service.policies.schema", description="Write or check the schema.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    if not parser.parse_args(arguments).check:
        where.write_text(text(), encoding="utf-8")
    elif not where.is_file() or where.read_text(encoding="utf-8") != text():
        sys.stderr.write(f"json/{where.name} is stale; run: make schemas\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
