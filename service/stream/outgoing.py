"""What a journal entry becomes on the topics. Pure. The body's bytes are published as they stand in the journal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from schemas.decisions import StatusData
from schemas.envelope import CONTENT_TYPE
from schemas.topics import DECISIONS, POLICIES, QUARANTINE, STATUS
from service.audit.bodies import split_subject
from service.ledger.history import JournalRow
from service.ledger.lanes import murmur2
from service.ledger.standing import Standing
from service.ledger.subjects import ACCOUNT, SubjectKey

HEADERS = [("content-type", f"{CONTENT_TYPE}; charset=UTF-8".encode())]
"""Structured mode of the CloudEvents binding for Kafka (section 3.3)."""

_TYPES = {"approve": "license.approved.v1", "hold": "license.held.v1", "deny": "license.denied.v1"}
_STATUS_FIELDS = tuple(StatusData.model_fields)
_PARTS_OF_A_KEY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record to publish on a topic of the contract. `value` None is a tombstone; `key` None has no key.

    `seq` is 0 for a tombstone that repeats an end. `status_of` is the subject whose status it tells, None for records
    of other topics.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    lane: int
    seq: int
    status_of: SubjectKey | None = None

    def withdrawn(self) -> "Message":
        """The tombstone for a status that no broker takes: a status from before, maybe an approval, must not stand."""
        return replace(self, value=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Who publishes: the CloudEvents `source`, and our environment, None for none."""

    source: str
    environment: str | None

    def messages(self, entry: JournalRow) -> list[Message]:
        """What this entry becomes, in the order in which it must be sent; [] for entries that are not published."""
        make = _MAKERS.get(entry.kind)
        return [] if make is None else make(self, entry, orjson.loads(entry.body))

    def status(self, standing: Standing) -> Message:
        """What the status topic must say of a subject: its standing decision, or that it has ended."""
        if standing.entry is not None:
            return _status(self, standing.entry, orjson.loads(standing.entry.body))
        key = status_key(standing.account_id, *split_subject(*standing.key))
        return Message(
            topic=STATUS.name, key=key.encode(), value=None, lane=standing.lane, seq=0, status_of=standing.key
        )

    def envelope(self, entry: JournalRow, attributes: dict[str, object], data: bytes) -> bytes:
        """A CloudEvent around the bytes of `data`."""
        ours: dict[str, object] = {"specversion": "1.0", "source": self.source, "datacontenttype": "application/json"}
        if self.environment is not None:
            ours["env"] = self.environment
        head = orjson.dumps(ours | attributes | {"lane": entry.lane, "seq": entry.seq})
        return head[:-1] + b',"data":' + data + b"}"


def partition_of(key: bytes | None, partitions: int, lane: int) -> int:
    """The partition of a key, as Kafka's own partitioner has it; what has no key keeps the order of its lane."""
    return lane % partitions if key is None else murmur2(key) % partitions


def _decision(publisher: Publisher, entry: JournalRow, body: dict[str, Any]) -> list[Message]:
    attributes = _about_subject(body) | {"type": _TYPES[body["outcome"]], "leaf": entry.leaf.hex()}
    return [
        _message(DECISIONS.name, entry, body["account_id"], publisher.envelope(entry, attributes, entry.body)),
        _status(publisher, entry, body),
    ]


def _status(publisher: Publisher, entry: JournalRow, body: dict[str, Any]) -> Message:
    data = orjson.dumps({name: body[name] for name in _STATUS_FIELDS})
    value = publisher.envelope(entry, _about_subject(body) | {"type": "license.status.v1"}, data)
    return _status_message(entry, body, value)


def _ended(publisher: Publisher, entry: JournalRow, body: dict[str, Any]) -> list[Message]:
    attributes = _about_subject(body) | {"type": "license.ended.v1", "leaf": entry.leaf.hex()}
    return [
        _message(DECISIONS.name, entry, body["account_id"], publisher.envelope(entry, attributes, entry.body)),
        _status_message(entry, body, None),
    ]


_Maker = Callable[[Publisher, JournalRow, dict[str, Any]], list[Message]]


def _noted(event_type: str, topic: str, *, identity: str, key: Callable[[dict[str, Any]], str | None]) -> _Maker:
    """Makes the one record of an entry that is about no decision; `identity` names its id in the body."""

    def make(publisher: Publisher, entry: JournalRow, body: dict[str, Any]) -> list[Message]:
        attributes = {"id": body[identity], "time": body["at"], "type": event_type, "leaf": entry.leaf.hex()}
        return [_message(topic, entry, key(body), publisher.envelope(entry, attributes, entry.body))]

    return make


def _account(body: dict[str, Any]) -> str | None:
    account_id: str | None = body["account_id"]
    return account_id


def _policy(body: dict[str, Any]) -> str | None:
    return str(body["policy"]["name"])


_MAKERS: dict[str, _Maker] = {
    "decision": _decision,
    "ended": _ended,
    "quarantined": _noted("license.quarantined.v1", QUARANTINE.name, identity="quarantine_id", key=_account),
    "policy_activated": _noted("policy.activated.v1", POLICIES.name, identity="activation_id", key=_policy),
    "policy_cancelled": _noted("policy.cancelled.v1", POLICIES.name, identity="cancellation_id", key=_policy),
}


def _about_subject(body: Mapping[str, Any]) -> dict[str, object]:
    return {"id": body["decision_id"], "time": body["decided_at"], "subject": body["subject_id"]}


def _status_message(entry: JournalRow, body: Mapping[str, Any], value: bytes | None) -> Message:
    account_id, kind, own_id = body["account_id"], body["subject_kind"], body["subject_id"]
    return Message(
        topic=STATUS.name,
        key=status_key(account_id, kind, own_id).encode(),
        value=value,
        lane=entry.lane,
        seq=entry.seq,
        status_of=(account_id, kind if kind == ACCOUNT else f"{kind}:{own_id}"),
    )


def status_key(account_id: str, kind: str, own_id: str) -> str:
    """`account id/kind/id`, with `/` and `%` of the ids escaped (RFC 3986, 2.1): ids are opaque and may hold them."""
    return f"{_escaped(account_id)}/{kind}/{_escaped(own_id)}"


def subject_of(key: bytes) -> SubjectKey | None:
    """The subject that a key of the status topic is about; None for a key that we would not make."""
    parts = key.decode(errors="replace").split("/")
    if len(parts) != _PARTS_OF_A_KEY:
        return None
    account_id, kind, own_id = (part.replace("%2F", "/").replace("%25", "%") for part in parts)
    if status_key(account_id, kind, own_id).encode() != key:
        return None
    return account_id, kind if kind == ACCOUNT else f"{kind}:{own_id}"


def _escaped(identifier: str) -> str:
    return identifier.replace("%", "%25").replace("/", "%2F")


def _message(topic: str, entry: JournalRow, key: str | None, value: bytes | None) -> Message:
    encoded = None if key is None else key.encode()
    return Message(topic=topic, key=encoded, value=value, lane=entry.lane, seq=entry.seq)
