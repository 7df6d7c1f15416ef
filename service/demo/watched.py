"""Three customers who tell the same again under each version, and what is published of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.topics import DECISIONS
from service.demo.cast import MYTHOS, NAMED, PLAIN
from service.demo.crowd import Town, account
from service.demo.message import ACTS, Clerk, Message
from service.demo.stream import WITHIN_SECONDS, Stream
from service.reading import Record
from service.stream.read_topic import read_topic

BANK = "severn-bank"
PARTNER = "acct-partner-1"
CRIMEAN = "tavrida-hosting"
_LONDON, _TOKYO, _YALTA = Town("GB", "London", "plc"), Town("JP", "Tokyo", "KK"), Town("UA", "Yalta", "LLC")
WATCHED: Mapping[str, tuple[str, Mapping[str, object]]] = {
    BANK: ("a London bank", account(_LONDON, BANK, "Severn Bank plc", items=[*NAMED, PLAIN])),
    PARTNER: ("a trusted partner", account(_TOKYO, PARTNER, "Kanda Research KK", items=[MYTHOS, PLAIN])),
    CRIMEAN: (
        "an address in Crimea",
        account(_YALTA, CRIMEAN, "Tavrida Hosting LLC", headquartered_in="UA-43", items=[MYTHOS, PLAIN]),
    ),
}
"""Account -> who that is, and its picture. The partner is on the list of the version of 2026-06-26."""
_ROUNDS_AN_ACT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One decision as it stood on the decisions topic: each model's outcome, and the rules that made it."""

    account_id: str
    policy_version: str
    outcome: str
    models: Mapping[str, str]
    rules: Sequence[str]


def tell_again(clerk: Clerk, number: int) -> list[Message]:
    """One event of each, the signup first: round `number` counts from 0."""
    event_type = "account.updated.v1" if number else "account.signed_up.v1"
    moment = ACTS - 1 + number / _ROUNDS_AN_ACT
    return [clerk.event(moment, event_type, {**picture, "version": number + 1}) for _, picture in WATCHED.values()]


async def sightings(stream: Stream, messages: Sequence[Message]) -> list[Sighting]:
    """Send events, and read what was published because of each. LookupError when nothing was of one."""
    await stream.send(messages)
    places = stream.sent[-len(messages) :]
    await stream.caught_up()
    await stream.published()
    connection = stream.installation.connection
    records = await read_topic(connection, DECISIONS.name, within_seconds=WITHIN_SECONDS)
    found = dict(_by_origin(record) for record in records)
    return [_sighting(found[place]) for place in places]


def _by_origin(record: Record) -> tuple[tuple[str, int, int] | None, dict[str, Any]]:
    data: dict[str, Any] = orjson.loads(record.value or b"")["data"]
    origin = data["origin"]
    return None if origin is None else (origin["topic"], origin["partition"], origin["offset"]), data


def _sighting(data: dict[str, Any]) -> Sighting:
    return Sighting(
        account_id=data["account_id"],
        policy_version=data["policy"]["version"],
        outcome=data["outcome"],
        models={item["model"]: item["outcome"] for item in data["items"]},
        rules=[reason["rule"] for reason in data["reasons"]],
    )
