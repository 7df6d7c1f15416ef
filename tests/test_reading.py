"""Reading: every bad record becomes a value that says why, every legible one an event, and nothing is raised."""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.accounts import AccountData
from service.reading import Event, Record, Unreadable, _has_duplicate_keys, read
from tests import events
from tests.bad_records import GOOD, QUARANTINED, READABLE, data_with, swap
from tests.events import Json, event, record, signed_up, to_bytes

SECRET = "Jane Secret-Person"


def reading(value: Json | bytes | None, **fields: object) -> Event | Unreadable:
    """What we read of this value, in production."""
    return read(record(value, **fields), environment="production")


@pytest.mark.parametrize("row", QUARANTINED)
def test_a_bad_record_becomes_a_value_that_says_why(row: str) -> None:
    value, reason = QUARANTINED[row]
    result = reading(value, key=b"acct-1")
    assert isinstance(result, Unreadable)
    assert (result.reason, result.account_id) == (reason, "acct-1"), result.detail
    assert result.raw_sha256 == sha256(value or b"").digest()
    assert result.detail
    assert "\n" not in result.detail
    assert len(result.detail) < 500


@pytest.mark.parametrize("row", READABLE)
def test_what_is_odd_but_legible_is_read(row: str) -> None:
    result = reading(READABLE[row])
    assert isinstance(result, Event), result


@pytest.mark.parametrize("event_type", events.DATA_OF)
def test_every_input_event_is_read(event_type: str) -> None:
    sent = event(event_type, events.DATA_OF[event_type]())
    result = reading(sent)
    assert isinstance(result, Event), result
    assert (result.type, result.account_id, result.source, result.id) == (event_type, "acct-1", "/crm", sent["id"])
    assert result.raw_sha256 == sha256(result.record.value or b"").digest()


def test_a_4_bad_record_among_good_ones_spoils_only_itself() -> None:
    values = [GOOD] * 250 + [GOOD[:-1]] + [GOOD] * 249
    results = [reading(value) for value in values]
    assert [n for n, result in enumerate(results) if isinstance(result, Unreadable)] == [250]


# ------------------------------------------------------------------------------------- B: keys and accounts


def test_b28_without_a_key_the_payload_says_whose_event_it_is() -> None:
    result = reading(GOOD, key=None)
    assert isinstance(result, Event)
    assert result.account_id == "acct-1"


@pytest.mark.parametrize("key", [b"acct-2", b"", b"\xff\xfe", b"acct-1\x00"])
@pytest.mark.parametrize("value", [GOOD, data_with(version="1"), swap("signed_up.v1", "signed_up.v99")])
def test_b29_where_key_and_payload_disagree_nobody_is_held(key: bytes, value: bytes) -> None:
    result = reading(value, key=key)
    assert isinstance(result, Unreadable)
    assert (result.reason, result.account_id, result.event_id) == ("KEY_MISMATCH", None, "evt-1")


def test_b26_a_key_that_is_no_text_is_no_account() -> None:
    result = reading(b"{", key=b"\xff")
    assert isinstance(result, Unreadable)
    assert (result.reason, result.account_id) == ("NOT_JSON", None)


def test_b26_without_key_and_legible_payload_there_is_no_account() -> None:
    result = reading(b"{", key=None)
    assert isinstance(result, Unreadable)
    assert (result.account_id, result.source, result.event_id) == (None, None, None)


def test_an_invalid_event_still_says_whose_it_is_and_which() -> None:
    result = reading(data_with(version=0), key=None)
    assert isinstance(result, Unreadable)
    assert (result.account_id, result.source, result.event_id) == ("acct-1", "/crm", "evt-1")
    assert result.detail == "/data/version: expected at least 1"


@pytest.mark.parametrize(
    "value, detail",
    [
        (data_with(version="1"), "/data/version: expected a whole number, got text"),
        (data_with(legal_name=7), "/data/legal_name: expected text, got a whole number"),
        (data_with(parties={}), "/data/parties: expected a list, got an object"),
        (data_with(legal_name="x" * 501), "/data/legal_name: expected text of at most 500 characters"),
        (data_with(legal_name=""), "/data/legal_name: expected text of at least 1 character"),
        (data_with(legal_name="x\n"), "/data/legal_name: expected text without control characters"),
        (data_with(channel="fax"), "/data/channel: expected 'direct', 'marketplace' or 'reseller'"),
        (swap('"version":1,', ""), "/data/version: is missing"),
        (swap("12:00:00Z", "12:00:00"), "/time: expected a time with its zone, such as 2026-06-01T12:00:00Z"),
    ],
)
def test_what_is_wrong_is_told_in_plain_words(value: bytes, detail: str) -> None:
    result = reading(value)
    assert isinstance(result, Unreadable)
    assert result.detail == detail


def test_no_detail_is_a_code_of_the_library() -> None:
    details = [found.detail for value, _ in QUARANTINED.values() if isinstance(found := reading(value), Unreadable)]
    assert [one for one in details if one.startswith("/") and " " not in one.partition(": ")[2]] == []


def test_a_known_type_on_another_topic_is_refused() -> None:
    result = reading(GOOD, topic="license-reviews.v1")
    assert isinstance(result, Unreadable)
    assert (result.reason, result.account_id) == ("WRONG_TOPIC", "acct-1")


def test_b42_without_an_environment_of_ours_every_event_is_read() -> None:
    assert isinstance(read(record(signed_up() | {"env": "test"}), environment=None), Event)


def test_c45_ownership_that_does_not_add_up_is_legible_and_exact() -> None:
    percents = ["-5", "150", "50.000000000000000001", "49.999"]
    result = reading(
        data_with(ownership=[{"owner": "A", "owned": "acct-1", "percent": one, "kind": "equity"} for one in percents])
    )
    assert isinstance(result, Event)
    assert isinstance(result.data, AccountData)
    assert [edge.percent for edge in result.data.ownership or []] == [Decimal(one) for one in percents]


@pytest.mark.parametrize(
    "value",
    [
        data_with(assurance={SECRET: "guessed"}),
        data_with(assurance={SECRET + "\x00": "declared"}),
        data_with(channel=SECRET),
        data_with(legal_name=SECRET * 50),
        data_with(version=SECRET),
        to_bytes(signed_up() | {"type": SECRET}),
        to_bytes(signed_up() | {"type": f"account.signed_up.{SECRET}"}),
        to_bytes(signed_up() | {"env": SECRET}),
        to_bytes(signed_up() | {"time": SECRET}),
        swap('"version":1', f'"version":1,"{SECRET}":1,"{SECRET}":2'),
    ],
)
def test_the_detail_never_repeats_what_the_record_says(value: bytes) -> None:
    result = reading(value)
    assert isinstance(result, Unreadable)
    assert "Secret" not in result.detail


# ----------------------------------------------------------------------------------------------------- laws

KEYS = st.none() | st.sampled_from([b"acct-1", b"acct-2"]) | st.binary(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def read_quietly(value: bytes | None, key: bytes | None) -> None:
    result = read(record(value, key=key), environment="production")
    assert isinstance(result, Event | Unreadable)
    if isinstance(result, Event) and key is not None:
        assert result.account_id.encode() == key


@given(value=st.none() | st.binary(max_size=200), key=KEYS)
def test_reading_raises_nothing_whatever_the_bytes(value: bytes | None, key: bytes | None) -> None:
    read_quietly(value, key)


@given(st.data())
def test_reading_raises_nothing_for_a_damaged_event(data: st.DataObject) -> None:
    raw = to_bytes(event("account.signed_up.v1", events.big_account()))
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 20)))
    read_quietly(raw[:start] + data.draw(st.binary(max_size=6)) + raw[end:], data.draw(KEYS))


@given(data=st.data(), value=VALUES)
def test_reading_raises_nothing_for_any_json_in_any_place(data: st.DataObject, value: Any) -> None:
    event_type = data.draw(st.sampled_from(sorted(events.DATA_OF)))
    the_event = event(event_type, events.DATA_OF[event_type]())
    place = data.draw(st.sampled_from([the_event, the_event["data"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    raw = json.dumps(the_event).encode()
    read_quietly(raw, data.draw(KEYS))
    read_quietly(json.dumps(the_event, ensure_ascii=False).encode(errors="surrogatepass"), None)


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> str:
    """JSON text of an object that may have a name twice, in plain or escaped writing."""
    names = ['"a"', '"\\u0061"', '":"', '"\\u003a"', '"\\u003A"', '"\\\\u003a"', '"b:"']
    texts = [*names, "1", "[]", '"{:}"']
    pairs = []
    for _ in range(draw(st.integers(0, 3))):
        value = draw(st.sampled_from(texts) | objects(depth - 1)) if depth else draw(st.sampled_from(texts))
        pairs.append(f"{draw(st.sampled_from(names))}:{value}")
    return "{" + ",".join(pairs) + "}"


@given(objects())
@settings(max_examples=500)
def test_counting_colons_finds_what_looking_at_every_name_finds(text: str) -> None:
    found = []

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found.append(len(dict(pairs)) != len(pairs))
        return dict(pairs)

    document = json.loads(text, object_pairs_hook=look)
    assert _has_duplicate_keys(text.encode(), json.dumps(document).encode()) == any(found)


def test_a_record_says_nothing_that_kafka_did_not() -> None:
    assert Record.__slots__ == ("topic", "partition", "offset", "key", "value", "timestamp_ms")
