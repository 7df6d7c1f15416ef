"""The events of the measurements, about 2 KB each, and how they get onto a topic."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

from aiokafka import AIOKafkaProducer

from schemas.topics import ACCOUNTS, PARTITIONS
from tests.events import big_account, event, to_bytes

TOPIC = ACCOUNTS.name
_CHUNK = 2_000
_ACCOUNT, _EVENT = "acct-" + "0" * 32, "evt-" + "0" * 32


@dataclass(frozen=True, slots=True)
class Made:
    """One record to send."""

    key: bytes
    value: bytes


def make_events(number: int, label: str) -> list[Made]:
    """Signups of `number` accounts. Ids are hashes, as ids often are, so that they land all over the indices."""
    template = to_bytes(event("account.signed_up.v1", big_account() | {"account_id": _ACCOUNT}, id=_EVENT))
    made = []
    for index in range(number):
        name = sha256(f"{label} {index}".encode()).hexdigest()[:32].encode()
        value = template.replace(_ACCOUNT.encode(), b"acct-" + name).replace(_EVENT.encode(), b"evt-" + name)
        made.append(Made(b"acct-" + name, value))
    return made


def by_crc32(key: bytes) -> int:
    """The partition that librdkafka's default partitioner gives a key: not the one that belongs to its lane."""
    return crc32(key) % PARTITIONS


async def send_events(
    bootstrap: str, topic: str, records: Sequence[Made], *, partition_of: Callable[[bytes], int] | None = None
) -> None:
    """Put records on a topic; None: on the partitions that Kafka's own partitioner gives them."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", linger_ms=5, max_batch_size=256 * 1024
    ) as producer:
        for chunk in _chunks(records):
            futures = [
                await producer.send(
                    topic, value=one.value, key=one.key, partition=partition_of(one.key) if partition_of else None
                )
                for one in chunk
            ]
            await asyncio.gather(*futures)


def _chunks(records: Sequence[Made]) -> Iterable[Sequence[Made]]:
    return (records[start : start + _CHUNK] for start in range(0, len(records), _CHUNK))
