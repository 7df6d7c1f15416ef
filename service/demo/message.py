"""What the made-up customers send: CloudEvents as bytes, each with its moment in the story."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from schemas.topics import topic_of

Json = dict[str, object]

SPAN = timedelta(days=29)
"""The three acts together; the last event lies a day before the instant the story is told."""
ACTS = 3
_BEFORE_NOW = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record to send. `moment` orders the story: 0 to 1 is the first act, 1 to 2 the second, 2 to 3 the third.

    `refused_as` is the reason code with which it must be quarantined; None when it can be read.
    """

    moment: float
    topic: str
    key: bytes | None
    value: bytes
    refused_as: str | None

    def again(self, moment: float) -> "Message":
        """The same bytes once more, as a producer that retries sends them."""
        return replace(self, moment=moment)


@dataclass(slots=True)
class Clerk:
    """Writes events: numbers them by account and dates them by their moment, relative to `now`."""

    now: datetime
    _written: Counter[str] = field(default_factory=Counter)

    def event(
        self, moment: float, event_type: str, data: Mapping[str, object], *, event_id: str | None = None
    ) -> Message:
        """An event about `data["account_id"]`. An `event_id` of one's own is for telling the same thing differently."""
        account_id = str(data["account_id"])
        topic = topic_of(event_type)
        if topic is None:
            raise ValueError(f"expected one of our event types, found {event_type}")
        return Message(
            moment=moment,
            topic=topic.name,
            key=account_id.encode(),
            value=to_bytes(self.envelope(moment, event_type, data, event_id=event_id)),
            refused_as=None,
        )

    def envelope(
        self, moment: float, event_type: str, data: Mapping[str, object], *, event_id: str | None = None
    ) -> Json:
        """The event as an object, for those who want to break it before it is written."""
        account_id = str(data["account_id"])
        if event_id is None:
            self._written[account_id] += 1
            event_id = f"{account_id}-{self._written[account_id]}"
        return {
            "specversion": "1.0",
            "id": event_id,
            "source": _source(event_type),
            "type": event_type,
            "time": self.time(moment),
            "datacontenttype": "application/json",
            "data": dict(data),
        }

    def time(self, moment: float) -> str:
        """The time of a moment, RFC 3339."""
        at = self.now - _BEFORE_NOW + SPAN * (moment / ACTS)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_bytes(event: Json) -> bytes:
    """The event as a producer writes it."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _source(event_type: str) -> str:
    family = event_type.partition(".")[0]
    if event_type == "account.flagged.v1":
        return "/monitoring"
    return {"account": "/crm", "user": "/identity", "contract": "/contracts"}[family]
