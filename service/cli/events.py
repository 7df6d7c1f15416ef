"""`exportgate events`: send events by hand, checked before they leave."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import typer

from schemas.topics import INPUT_TOPICS, topic_of
from service.brokers import kafka_connection
from service.cli.connect import run
from service.cli.output import AsJson, Failed, Misuse, emit, example, say, warn
from service.cli.words import plural
from service.reading import Record, Unreadable, read
from service.settings import read_stream_settings
from service.stream.produce import Outgoing, send_events

app = typer.Typer(help="Send events to the input topics.")
_INPUTS = frozenset(topic.name for topic in INPUT_TOPICS)
_MOST_SHOWN = 20


@app.callback()
def _group() -> None:
    """Send events to the input topics."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the input. `fault` says why it would be quarantined, None when it would be read."""

    number: int
    outgoing: Outgoing
    fault: str | None


@app.command(short_help="Check events and send them.", epilog=example("exportgate events send events.jsonl"))
def send(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CloudEvents, one JSON object a line; - for stdin.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Send as it is what would be quarantined, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send events to the topic of their type, keyed by their account; none is sent when one would be quarantined."""
    environment = read_stream_settings().environment
    lines = [_check(number, text, environment) for number, text in _lines(file)]
    if not lines:
        raise Misuse(f"expected events, one JSON object a line, but {_name(file)} has none")
    faulty = [line for line in lines if line.fault is not None]
    if faulty and not force:
        for line in faulty[:_MOST_SHOWN]:
            warn(f"{_name(file)}:{line.number}: {line.fault}")
        if len(faulty) > _MOST_SHOWN:
            warn(f"and {len(faulty) - _MOST_SHOWN} more")
        raise Failed(
            f"nothing sent: {len(faulty)} of {plural(len(lines), 'event')} would be quarantined; "
            "correct them, or pass --force"
        )
    sent = run(send_events(kafka_connection(), [line.outgoing for line in lines]))
    if as_json:
        emit({"sent": len(lines), "topics": dict(sorted(sent.items()))})
    else:
        each = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(sent.items()))
        say(f"Sent {plural(len(lines), 'event')}: {each}.")


def _name(file: Path) -> str:
    return "stdin" if str(file) == "-" else str(file)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Misuse(f"expected a file of events, but {file} cannot be read: {error.strerror}") from None
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield number, line.strip()


def _check(number: int, text: bytes, environment: str | None) -> _Line:
    """The record of one line, and what the service would say to it."""
    event_type, account_id = _address(text)
    topic = topic_of(event_type)
    # A type nobody knows has no topic; sent by force it goes where a producer's slip would have put it.
    name = topic.name if topic is not None and topic.name in _INPUTS else INPUT_TOPICS[0].name
    key = None if account_id is None else account_id.encode()
    record = Record(topic=name, partition=0, offset=0, key=key, value=text, timestamp_ms=None)
    found = read(record, environment=environment)
    fault = f"{found.reason}: {found.detail}" if isinstance(found, Unreadable) else None
    return _Line(number, Outgoing(topic=name, key=key, value=text), fault)


def _address(text: bytes) -> tuple[str, str | None]:
    """The type and account an event names, as far as they are legible."""
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "", None
    if not isinstance(event, dict):
        return "", None
    data = event.get("data")
    account_id = data.get("account_id") if isinstance(data, dict) else None
    return str(event.get("type")), account_id if isinstance(account_id, str) else None
