"""Writes json/*.schema.json and asyncapi.yaml from the models and topics.py, and checks what is written.

`python -m schemas.export` writes; it refuses a change that breaks the published version. With `--check` it writes
nothing and fails when a file is stale or a change would break the published version.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from schemas.catalog import INPUT_EVENTS, OUTPUT_EVENTS, input_event, output_event
from schemas.compatibility import Direction, breaks
from schemas.envelope import CONTENT_TYPE
from schemas.examples import example
from schemas.topics import TOPICS, Topic

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
POLICY_DOCUMENT = "policy-document"
"""The one schema in json/ that is of no event. `service.policies.schema` writes it, since it knows the form."""
GENERATED = "# Written by `make schemas` from schemas/*.py; do not edit.\n"


class _WithoutFieldTitles(GenerateJsonSchema):
    """A title such as "Legal Name" for `legal_name` says nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's signature
        return False


def event_schema(event_type: str) -> dict[str, Any]:
    """JSON Schema of a whole event, envelope and data, with an example; KeyError when there is no such type."""
    model = input_event(event_type) if event_type in INPUT_EVENTS else output_event(event_type)
    schema = model.model_json_schema(schema_generator=_WithoutFieldTitles)
    return {"$schema": DIALECT, "title": event_type, **schema, "examples": [example(event_type)]}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: what exportgate receives and sends, on which topics, keyed how."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "exportgate",
            "version": "1",
            "description": "Decides, event by event, whether a customer may be licensed under the export policy in "
            "force. Events are CloudEvents 1.0 in structured JSON mode.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {_operation_name(topic): _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {event_type: _message(event_type, topic) for topic in TOPICS for event_type in topic.types}
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    policy = "compact" if topic.compacted else "delete"
    return {
        "address": topic.name,
        "description": f"{topic.about} Record key: {topic.key}.",
        "messages": {event_type: {"$ref": f"#/components/messages/{event_type}"} for event_type in topic.types},
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": {"cleanup.policy": [policy]}}},
    }


def _operation_name(topic: Topic) -> str:
    return f"{'receive' if topic.direction == 'in' else 'send'}-{topic.name.removesuffix('.v1')}"


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": "receive" if topic.direction == "in" else "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{event_type}"} for event_type in topic.types],
    }


def _message(event_type: str, topic: Topic) -> dict[str, Any]:
    model = (INPUT_EVENTS | OUTPUT_EVENTS)[event_type]
    return {
        "name": event_type,
        "summary": " ".join((model.__doc__ or "").split()),
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {"content-type": {"const": CONTENT_TYPE, "description": "Ignored on input."}},
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./json/{event_type}.schema.json"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
        "examples": [{"name": "plain", "payload": example(event_type)}],
    }


def documents() -> dict[str, str]:
    """Path below schemas/ -> the text that belongs there; the same text whenever it is asked."""
    texts = {
        f"json/{event_type}.schema.json": json.dumps(event_schema(event_type), indent=2, ensure_ascii=False) + "\n"
        for event_type in INPUT_EVENTS | OUTPUT_EVENTS
    }
    dumped = yaml.dump(
        asyncapi(), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )
    return texts | {"asyncapi.yaml": GENERATED + dumped}


class _WithoutAliases(yaml.SafeDumper):
    """An anchor for a part that occurs twice is hard to read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def broken_promises(where: Path) -> list[str]:
    """What the models break of the schemas published in `where`, one line each."""
    found = []
    for path in sorted((where / "json").glob("*.schema.json")):
        event_type = path.name.removesuffix(".schema.json")
        if event_type == POLICY_DOCUMENT:
            continue
        if event_type not in INPUT_EVENTS | OUTPUT_EVENTS:
            found.append(f"{event_type}: the event type is gone")
            continue
        old = json.loads(path.read_text(encoding="utf-8"))
        direction: Direction = "in" if event_type in INPUT_EVENTS else "out"
        found += [f"{event_type} {line}" for line in breaks(old, event_schema(event_type), direction)]
    return found


def stale(where: Path) -> list[str]:
    """Files in `where` that are missing or differ from the models, one line each."""
    return [
        f"{name} is stale; run: make schemas"
        for name, text in documents().items()
        if not (where / name).is_file() or (where / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None, where: Path = HERE) -> int:
    """Write, or check with `--check`; 1 when something is stale or broken, one line per finding."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description="Write or check the contract.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale or breaking")
    check = parser.parse_args(arguments).check
    broken = [
        f"{line}. Readers rely on it: make it a new .v2 type (never released? delete its file in schemas/json first)"
        for line in broken_promises(where)
    ]
    findings = broken + stale(where) if check else broken
    if findings:
        print("\n".join(findings), file=sys.stderr)
        return 1
    if not check:
        (where / "json").mkdir(parents=True, exist_ok=True)
        for name, text in documents().items():
            (where / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
