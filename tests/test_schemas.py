"""The published contract: examples, laws that hold for every schema, staleness and broken promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from schemas import export
from schemas.catalog import INPUT_EVENTS, OUTPUT_EVENTS, input_event, output_event
from schemas.compatibility import breaks
from schemas.examples import example
from schemas.topics import INPUT_TOPICS, OUTPUT_TOPICS, TOPICS, topic_of

ALL_TYPES = sorted(INPUT_EVENTS | OUTPUT_EVENTS)
COMMITTED = Path(__file__).parents[1] / "schemas"
Schema = dict[str, Any]


def committed(event_type: str) -> Schema:
    path = COMMITTED / "json" / f"{event_type}.schema.json"
    schema: Schema = json.loads(path.read_text(encoding="utf-8"))
    return schema


def parts(node: object) -> Iterator[Schema]:
    """Every schema inside a schema, itself included."""
    if isinstance(node, dict):
        if "type" in node or "anyOf" in node or "$ref" in node:
            yield node
        for name, child in node.items():
            if name not in {"examples", "default"}:
                yield from parts(child)
    elif isinstance(node, list):
        for child in node:
            yield from parts(child)


# ------------------------------------------------------------------------------------------------- examples


@pytest.mark.parametrize("event_type", ALL_TYPES)
def test_the_example_of_each_event_is_valid_for_its_model(event_type: str) -> None:
    model = input_event(event_type) if event_type in INPUT_EVENTS else output_event(event_type)
    assert model.model_validate_json(json.dumps(example(event_type))).type == event_type


@pytest.mark.parametrize("event_type", ALL_TYPES)
def test_the_example_of_each_event_is_valid_for_the_committed_json_schema(event_type: str) -> None:
    schema = committed(event_type)
    jsonschema.Draft202012Validator.check_schema(schema)
    for one in schema["examples"]:
        jsonschema.validate(one, schema, cls=jsonschema.Draft202012Validator)


def test_an_output_event_with_a_field_nobody_announced_is_refused() -> None:
    event = example("license.held.v1")
    event["data"] = event["data"] | {"party_name": "Jane"}
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        output_event("license.held.v1").model_validate_json(json.dumps(event))


# ----------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("event_type", sorted(INPUT_EVENTS))
def test_every_part_of_an_input_is_bounded_and_nothing_is_a_float(event_type: str) -> None:
    for part in parts(committed(event_type)):
        match part.get("type"):
            case "string":
                assert {"maxLength", "enum", "const", "pattern"} & part.keys(), part
                assert {"pattern", "enum", "const"} & part.keys(), part
            case "array":
                assert "maxItems" in part, part
            case "integer":
                assert {"minimum", "maximum"} <= part.keys(), part
            case "number":
                pytest.fail(f"a float: {part}")


@pytest.mark.parametrize("event_type", ALL_TYPES)
def test_every_field_says_what_it_means(event_type: str) -> None:
    for part in parts(committed(event_type)):
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), f"{event_type} {name}"


@pytest.mark.parametrize("event_type", sorted(INPUT_EVENTS))
def test_every_input_names_its_account_and_inputs_may_grow(event_type: str) -> None:
    assert "account_id" in INPUT_EVENTS[event_type].model_fields
    assert all(part.get("additionalProperties") is not False for part in parts(committed(event_type)))


@pytest.mark.parametrize("event_type", sorted(OUTPUT_EVENTS))
def test_every_object_of_an_output_is_closed(event_type: str) -> None:
    objects = [part for part in parts(committed(event_type)) if part.get("type") == "object"]
    assert objects
    assert all(part["additionalProperties"] is False for part in objects)


def test_every_event_type_travels_on_exactly_one_topic() -> None:
    assert sorted(type_ for topic in INPUT_TOPICS for type_ in topic.types) == sorted(INPUT_EVENTS)
    assert sorted(type_ for topic in OUTPUT_TOPICS for type_ in topic.types) == sorted(OUTPUT_EVENTS)
    assert topic_of("account.signed_up.v99") is None


def test_all_input_topics_have_the_same_number_of_partitions() -> None:
    assert len({topic.partitions for topic in INPUT_TOPICS}) == 1
    assert [topic.name for topic in TOPICS if topic.compacted] == ["license-status.v1"]


# ------------------------------------------------------------------------------------------------- AsyncAPI


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load((COMMITTED / "asyncapi.yaml").read_text(encoding="utf-8"))
    references = []

    def collect(node: object) -> None:
        if isinstance(node, dict):
            references.extend([node["$ref"]] if "$ref" in node else [])
            for child in node.values():
                collect(child)
        elif isinstance(node, list):
            for child in node:
                collect(child)

    collect(document)
    assert references
    for reference in references:
        if reference.startswith("./"):
            assert (COMMITTED / reference).is_file(), reference
            continue
        target = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_the_asyncapi_document_receives_inputs_and_sends_outputs() -> None:
    operations = export.asyncapi()["operations"]
    actions = {operation["channel"]["$ref"]: operation["action"] for operation in operations.values()}
    assert actions == {f"#/channels/{topic.name}": "receive" if topic.direction == "in" else "send" for topic in TOPICS}


# ------------------------------------------------------------------------------------------------ the check


def test_the_committed_files_are_those_of_the_models() -> None:
    assert export.main(["--check"]) == 0


def test_the_same_models_give_the_same_bytes_whatever_the_hash_seed() -> None:
    program = "from schemas.export import documents; print(documents())"
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=COMMITTED.parent,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_a_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([], tmp_path) == 0
    assert export.main(["--check"], tmp_path) == 0
    (tmp_path / "asyncapi.yaml").write_text("old", encoding="utf-8")
    assert export.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == ["asyncapi.yaml is stale; run: make schemas"]


def test_a_breaking_change_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main([], tmp_path) == 0
    path = tmp_path / "json" / "account.closed.v1.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["$defs"]["AccountClosed"]["properties"]["colour"] = {"type": "string"}
    path.write_text(json.dumps(schema), encoding="utf-8")
    before = path.read_bytes()
    assert export.main([], tmp_path) == 1
    assert path.read_bytes() == before
    assert capsys.readouterr().err.startswith("account.closed.v1 /data/colour: removed. ")


def test_an_event_type_that_was_published_cannot_disappear(tmp_path: Path) -> None:
    assert export.main([], tmp_path) == 0
    (tmp_path / "json" / "account.merged.v1.schema.json").write_text("{}", encoding="utf-8")
    assert export.broken_promises(tmp_path) == ["account.merged.v1: the event type is gone"]


# ----------------------------------------------------------------------------------------- broken promises

OLD: Schema = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "maxLength": 10},
        "b": {"anyOf": [{"enum": ["x", "y"], "type": "string"}, {"type": "null"}]},
        "c": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/C"}},
    },
    "required": ["a"],
    "$defs": {"C": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}},
}


def changed(path: str, value: object) -> Schema:
    """OLD with one thing set, or taken away where `value` is None."""
    new = deepcopy(OLD)
    *steps, last = path.split("/")
    node: Any = new
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if value is None:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return new


BREAKS_BOTH = {
    "a property removed": ("properties/a", None),
    "another type": ("properties/a/type", "integer"),
}
BREAKS_INPUT = {
    "a shorter string": ("properties/a/maxLength", 9),
    "a value fewer": ("properties/b/anyOf/0/enum", ["x"]),
    "null refused": ("properties/b/anyOf", [{"enum": ["x", "y"], "type": "string"}]),
    "newly required": ("required", ["a", "b"]),
    "listed values only": ("properties/a/enum", ["x"]),
    "fewer elements": ("properties/c/maxItems", 2),
    "a higher minimum inside a list": ("$defs/C/properties/n/minimum", 1),
    "a pattern": ("properties/a/pattern", "^x"),
}
BREAKS_OUTPUT = {
    "a longer string": ("properties/a/maxLength", 11),
    "any length": ("properties/a/maxLength", None),
    "a value more": ("properties/b/anyOf/0/enum", ["x", "y", "z"]),
    "any value": ("properties/b/anyOf/0/enum", None),
    "perhaps absent": ("required", []),
    "a type more": ("properties/a", {"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}]}),
    "a lower minimum inside a list": ("$defs/C/properties/n/minimum", -1),
}
HARMLESS = {"a property more": ("properties/d", {"type": "string"})}


@pytest.mark.parametrize("case", [*BREAKS_BOTH, *BREAKS_INPUT])
def test_what_breaks_an_input(case: str) -> None:
    assert breaks(OLD, changed(*(BREAKS_BOTH | BREAKS_INPUT)[case]), "in")


@pytest.mark.parametrize("case", [*BREAKS_BOTH, *BREAKS_OUTPUT])
def test_what_breaks_an_output(case: str) -> None:
    assert breaks(OLD, changed(*(BREAKS_BOTH | BREAKS_OUTPUT)[case]), "out")


@pytest.mark.parametrize("case", [*HARMLESS, *BREAKS_OUTPUT])
def test_what_an_input_may_do(case: str) -> None:
    assert breaks(OLD, changed(*(HARMLESS | BREAKS_OUTPUT)[case]), "in") == []


@pytest.mark.parametrize("case", [*HARMLESS, *BREAKS_INPUT])
def test_what_an_output_may_do(case: str) -> None:
    assert breaks(OLD, changed(*(HARMLESS | BREAKS_INPUT)[case]), "out") == []
