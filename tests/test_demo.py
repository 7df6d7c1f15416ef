"""The demo's population is what it says it is, and a whole run loses nothing."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

from service.demo import cast
from service.demo.faults import FAULTS
from service.demo.message import Message
from service.demo.population import populate
from service.reading import Event, Record, Unreadable, read

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def messages(seed: int = 7) -> list[Message]:
    return populate(Random(seed), NOW).all


def as_read(message: Message) -> Event | Unreadable:
    record = Record(topic=message.topic, partition=0, offset=0, key=message.key, value=message.value, timestamp_ms=None)
    return read(record, environment=None)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert messages() == messages()
    assert messages(8) != messages()


def test_there_are_some_two_thousand_events() -> None:
    assert 1900 <= len(messages()) <= 2200


def test_every_record_is_read_or_refused_as_it_is_meant_to_be() -> None:
    for message in messages():
        event = as_read(message)
        refused_as = event.reason if isinstance(event, Unreadable) else None
        assert refused_as == message.refused_as, message.value


def test_every_fault_is_there_once() -> None:
    refused = Counter(message.refused_as for message in messages() if message.refused_as)
    assert refused == Counter(FAULTS.values())


def test_every_event_lies_in_the_past() -> None:
    events = [event for message in messages() if isinstance(event := as_read(message), Event)]
    assert max(event.time for event in events) < NOW - timedelta(hours=1)


def test_an_accounts_events_come_in_order_of_their_times() -> None:
    times: dict[str, datetime] = {}
    seen: set[str] = set()
    for message in messages():
        event = as_read(message)
        if isinstance(event, Unreadable) or event.id in seen:
            continue
        seen.add(event.id)
        assert times.get(event.account_id, event.time) <= event.time
        times[event.account_id] = event.time


def test_the_whole_cast_appears() -> None:
    accounts = {event.account_id for message in messages() if isinstance(event := as_read(message), Event)}
    named = {value for name, value in vars(cast).items() if name.isupper() and isinstance(value, str)}
    assert named - {cast.ENGINEER} <= accounts


def test_every_message_is_one_json_object_unless_it_is_meant_to_be_broken() -> None:
    whole = [message for message in messages() if message.refused_as is None]
    assert all(isinstance(json.loads(message.value), dict) for message in whole)
