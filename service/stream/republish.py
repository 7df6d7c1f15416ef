"""Publishes again what was published before or was refused: under the relay's locks, always as things stand now."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.ledger.engine import Tx
from service.ledger.history import journal_entry
from service.ledger.lanes import read_installation
from service.ledger.relay import find_refused, forget_refused, lock_relays, put_aside
from service.ledger.standing import Standing, standing_after, standing_of
from service.ledger.subjects import SubjectKey
from service.stream.connection import StreamError
from service.stream.outgoing import Message, Publisher
from service.stream.send import MAX_MESSAGE_BYTES, MOST_BYTES, Sender, Unsendable

log = structlog.get_logger(__name__)

_CHUNK = 1_000
_FIRST: SubjectKey = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A chunk of subjects whose status was published again; of `ended` ones a tombstone.

    `withdrawn` ones are too large for the brokers: a tombstone too, and an entry on the list of those refused.
    """

    subjects: int
    ended: int
    withdrawn: int


async def publish(
    tx: Tx, sender: Sender, messages: Sequence[Message], *, largest_bytes: int = MAX_MESSAGE_BYTES
) -> list[Unsendable]:
    """Send records of lanes whose relay rows are held, and put aside the entries whose records no broker takes."""
    refused = await sender.send(tx, messages, largest_bytes=largest_bytes)
    reasons: dict[tuple[int, int], list[str]] = defaultdict(list)
    for one in refused:
        reasons[one.message.lane, one.message.seq].append(one.reason)
        log.error("no broker takes it", lane=one.message.lane, seq=one.message.seq, reason=one.reason)
    await put_aside(tx, {place: "; ".join(each) for place, each in reasons.items()})
    return refused


async def publish_standing(
    tx: Tx, sender: Sender, publisher: Publisher, standing: Sequence[Standing]
) -> list[Unsendable]:
    """Publish where subjects stand, read after their lanes' relay rows were locked. The brokers say what is too large.

    Our own limit does not count here: a person may have had a larger status sent, which must not be withdrawn.
    """
    statuses = [publisher.status(one) for one in standing]
    return await publish(tx, sender, statuses, largest_bytes=MOST_BYTES)


async def retry_refused(
    engine: AsyncEngine, sender: Sender, publisher: Publisher, lane: int, seq: int
) -> list[str] | None:
    """Publish an entry again that was put aside; why it is refused again, [] when it was taken; None: it is not listed.

    Its own status may have been followed by newer ones, so the subject's status of today goes out instead. StreamError
    when the brokers are away; the entry stays on the list.
    """
    async with engine.begin() as tx:
        await lock_relays(tx, [lane])
        entry = await journal_entry(tx, lane, seq)
        if entry is None or await find_refused(tx, lane, seq) is None:
            return None
        messages = publisher.messages(entry)
        subjects = [one.status_of for one in messages if one.status_of is not None]
        standing = await standing_of(tx, subjects)
        statuses = [publisher.status(one) for one in standing]
        again = [one for one in messages if one.status_of is None] + statuses
        with _in_words(sender):
            refused = await publish(tx, sender, again, largest_bytes=MOST_BYTES)
        reasons = [one.reason for one in refused if one.message.seq == seq]
        if not reasons:
            await forget_refused(tx, lane, seq)
        return reasons


async def rebuild(engine: AsyncEngine, sender: Sender, publisher: Publisher) -> AsyncIterator[Rebuilt]:
    """Publish where every subject stands, lane by lane, a chunk at a time under the lane's relay lock.

    Relays go on between the chunks; nobody need be stopped. StreamError when the brokers are away; then run it again.
    """
    async with engine.connect() as tx:
        lanes = (await read_installation(tx)).lanes
    for lane in range(lanes):
        after: SubjectKey | None = _FIRST
        while after is not None:
            async with engine.begin() as tx:
                await lock_relays(tx, [lane])
                standing = await standing_after(tx, lane, after, _CHUNK)
                with _in_words(sender):
                    refused = await publish_standing(tx, sender, publisher, standing)
            ended = sum(one.entry is None for one in standing)
            yield Rebuilt(subjects=len(standing), ended=ended, withdrawn=len(refused))
            after = standing[-1].key if len(standing) == _CHUNK else None


@contextmanager
def _in_words(sender: Sender) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise StreamError(
            f"the broker at {sender.connection.bootstrap} does not take the records ({type(error).__name__}); "
            "when it does, run the command again"
        ) from error
