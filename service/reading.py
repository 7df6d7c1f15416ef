"""Bytes become an event, or a value that says why not: the first step of a batch. Pure; raises nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple, cast

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.catalog import INPUT_EVENTS, EventData, input_event
from schemas.topics import topic_of
from schemas.values import Identifier, Input
from service.wrong_values import wrong

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32  # No value lies more levels below the document.


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as Kafka holds it. `value` None is a tombstone; `timestamp_ms` None: the broker gave none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None


class Event(NamedTuple):
    """A record that could be read. `raw_sha256` is the digest of its value, byte for byte.

    `content_sha256` is that of its data and their kind, whatever the order of names and white space in them.
    """

    source: str
    id: str
    type: str
    time: datetime
    account_id: str
    data: EventData
    raw_sha256: bytes
    content_sha256: bytes
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record to quarantine. `reason` is a stable code; `detail` is one line and never repeats payload values.

    `account_id` is whom to hold for it: the payload's, else the key's; None when neither is legible, or when
    they disagree (or anybody could freeze a rival). `source` and `event_id` are None when illegible.
    A tombstone's digest is that of no bytes.
    """

    reason: str
    detail: str
    account_id: str | None
    source: str | None
    event_id: str | None
    raw_sha256: bytes
    record: Record


@dataclass(frozen=True, slots=True)
class _Fault:
    reason: str
    detail: str


_KEY_MISMATCH = _Fault("KEY_MISMATCH", "the record key is not /data/account_id; nobody is held for it")
_VALIDATORS = {event_type: TypeAdapter(input_event(event_type)).validator for event_type in INPUT_EVENTS}
_STEMS = frozenset(event_type.rpartition(".")[0] for event_type in INPUT_EVENTS)
_FIELD_NAMES = frozenset(name for model in Input.__subclasses__() for name in model.model_fields)
_IDENTIFIER = TypeAdapter(Identifier)
# A line break inside a string is written as an escape, so this is the start of a line.
_LINE_TOO_DEEP = b"\n" + b"  " * (MAX_DEPTH + 1)
_VERSION = re.compile(r"\.v[0-9]+\Z")
# The closing quote is optional: without it, a string that never ends would be tried again at every escaped quote.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def read(record: Record, *, environment: str | None) -> Event | Unreadable:
    """The event in this record, or why there is none: whatever the bytes, nothing is raised.

    `environment` is ours; None accepts events of every environment, and an event that names none is accepted.
    An event without a record key is read: the account of the payload decides.
    """
    raw = record.value or b""
    digest = sha256(raw).digest()
    document = _refuse_size(record.value) or _parse(raw)
    if isinstance(document, _Fault):
        return _unreadable(record, digest, document, {})
    fault = _refuse_shape(raw, document) or _refuse(record, document, environment)
    if fault is not None:
        return _unreadable(record, digest, fault, document)
    try:
        envelope = _VALIDATORS[str(document["type"])].validate_json(raw)
    except ValidationError as error:
        return _unreadable(record, digest, _invalid(error), document)
    data = cast("EventData", envelope.data)
    if record.key is not None and record.key != data.account_id.encode():
        return _unreadable(record, digest, _KEY_MISMATCH, document)
    return Event(
        source=envelope.source,
        id=envelope.id,
        type=envelope.type,
        time=envelope.time,
        account_id=data.account_id,
        data=data,
        raw_sha256=digest,
        content_sha256=_content_sha256(data, document["data"]),
        record=record,
    )


def _content_sha256(data: EventData, raw: object) -> bytes:
    """Of the data and of what kind it is: a termination may say the same as the contract that it ends."""
    return sha256(type(data).__name__.encode() + orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)).digest()


def _refuse_size(raw: bytes | None) -> _Fault | None:
    if raw is None:
        return _Fault("TOMBSTONE", "this topic is not compacted: expected an event, found a record without value")
    if not raw:
        return _Fault("EMPTY", "expected an event, found a value of 0 bytes")
    if len(raw) > MAX_BYTES:
        return _Fault("TOO_LARGE", f"expected at most {MAX_BYTES} bytes, found {len(raw)}")
    return None


def _parse(raw: bytes) -> dict[str, object] | _Fault:
    """The JSON object in these bytes; NaN, lone surrogates, a byte order mark and trailing junk are refused."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _not_json(raw, error.pos)
    if not isinstance(document, dict):
        return _Fault("NOT_CLOUDEVENT", "expected a JSON object, found another kind of value")
    return document


def _refuse_shape(raw: bytes, document: dict[str, object]) -> _Fault | None:
    """Too deep, or a name twice: both are seen in the indented text of what the parser made of `raw`."""
    try:
        written = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:  # orjson writes 254 levels and reads 1024.
        return _too_deep()
    if _LINE_TOO_DEEP in written:
        return _too_deep()
    if _has_duplicate_keys(raw, written):
        return _Fault("DUPLICATE_KEYS", "expected each name once per object; readers disagree on which one counts")
    return None


def _too_deep() -> _Fault:
    return _Fault("TOO_DEEP", f"expected at most {MAX_DEPTH} levels of nesting")


def _not_json(raw: bytes, position: int) -> _Fault:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return _Fault("NOT_UTF8", f"expected UTF-8, found another byte at offset {error.start}")
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(raw):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH + 1:
            return _too_deep()
    return _Fault(
        "NOT_JSON", f"expected one JSON object (RFC 8259, numbers within a double); reading stopped at {position}"
    )


def _has_duplicate_keys(raw: bytes, written: bytes) -> bool:
    r"""Whether any object in `raw` has a name twice, where `written` is what a parser made of it, written again.

    A parser that drops a duplicate drops at least one colon, and only the escape \u003a can add one: so counting
    colons tells, at a tenth of what looking at every name costs. Bytes that may hold that escape go the slow way.
    """
    if b"\\" not in raw or b"\\u003" not in raw:
        return raw.count(b":") != written.count(b":")
    try:
        # Numbers stay text: int() refuses more than 4300 digits, and that is not the question here.
        json.loads(raw.decode(), object_pairs_hook=_distinct, parse_int=str, parse_float=str)
    except _DuplicateNameError:
        return True
    return False


class _DuplicateNameError(Exception):
    """An object has a name twice."""


def _distinct(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _DuplicateNameError


def _refuse(record: Record, document: dict[str, object], environment: str | None) -> _Fault | None:
    event_type = document.get("type")
    if not isinstance(event_type, str):
        return _Fault("NOT_CLOUDEVENT", "/type: expected a string")
    if event_type not in INPUT_EVENTS:
        return _unknown_type(event_type)
    topic = topic_of(event_type)
    if topic is None or topic.name != record.topic:
        return _Fault("WRONG_TOPIC", f"{event_type} does not travel on {record.topic}")
    env = document.get("env")
    if environment is not None and env is not None and env != environment:
        return _Fault("WRONG_ENVIRONMENT", f"/env: expected {environment}")
    return None


def _unknown_type(event_type: str) -> _Fault:
    stem = _VERSION.sub("", event_type)
    if stem in _STEMS:
        return _Fault("UNKNOWN_SCHEMA", f"/type: a version of {stem} that this release does not know")
    return _Fault("UNKNOWN_TYPE", "/type: this release knows no such event")


def _invalid(error: ValidationError) -> _Fault:
    """Where and what: JSON pointer (RFC 6901) and what was expected there, of the first fault; nothing of the value."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return _Fault("NOT_JSON", "expected one JSON object (RFC 8259)")
    # Names that are not ours (keys of a map) may be somebody's name, so they are not repeated.
    path = [str(part) if isinstance(part, int) or part in _FIELD_NAMES else "*" for part in first["loc"]]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    reason = "INVALID_DATA" if path[:1] == ["data"] else "NOT_CLOUDEVENT"
    return _Fault(reason, f"/{'/'.join(path)}: {wrong(first)}{more}")


def _unreadable(record: Record, digest: bytes, fault: _Fault, document: dict[str, object]) -> Unreadable:
    data = document.get("data")
    account = _legible(data.get("account_id")) if isinstance(data, dict) else None
    if account is not None and record.key is not None and record.key != account.encode():
        fault = _KEY_MISMATCH
        account = None
    elif account is None:
        account = _legible_key(record.key)
    return Unreadable(
        reason=fault.reason,
        detail=fault.detail,
        account_id=account,
        source=_legible(document.get("source")),
        event_id=_legible(document.get("id")),
        raw_sha256=digest,
        record=record,
    )


def _legible_key(key: bytes | None) -> str | None:
    try:
        return None if key is None else _legible(key.decode())
    except UnicodeDecodeError:
        return None


def _legible(value: object) -> str | None:
    try:
        return _IDENTIFIER.validate_python(value, strict=True)
    except ValidationError:
        return None
