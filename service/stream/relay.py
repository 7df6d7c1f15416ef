"""The relay: publishes what the journal holds, each lane in order, at least once. The journal is its only outbox."""

import asyncio
from dataclasses import dataclass, field
from random import Random

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.faults import reach
from service.ledger.engine import one_line
from service.ledger.relay import advance_relay, lock_backlogs, lock_relays, read_backlogs
from service.ledger.standing import standing_of
from service.ledger.subjects import SubjectKey
from service.stream.connection import Connection
from service.stream.outgoing import Publisher
from service.stream.patience import AWAY, back_off, is_away, until
from service.stream.republish import publish, publish_standing
from service.stream.send import MAX_MESSAGE_BYTES, Sender, publishing
from service.telemetry import Metrics

__all__ = ["MAX_MESSAGE_BYTES", "Relay", "publishing"]

log = structlog.get_logger(__name__)

_LANES_A_ROUND = 64
_ENTRIES_A_LANE = 500
_SWEEP_SECONDS = 0.03
_IDLE_SWEEP_SECONDS = 0.25
_SWEEPS_BEFORE_IDLE = 20
_REPAIRS_AT_THE_END = 3


@dataclass(slots=True, kw_only=True)
class Relay:
    """Publishes free lanes until it is stopped. Any number may run: a lane is published by one of them at a time."""

    engine: AsyncEngine
    producer: Sender
    connection: Connection
    publisher: Publisher
    metrics: Metrics
    random: Random
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it after a commit that wrote entries; the sweeps are for the commits of others."""
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _in_doubt: dict[SubjectKey, int] = field(default_factory=dict)
    """Subjects, with their lanes, whose status we sent in a transaction of which we do not know that it committed."""

    def stop(self) -> None:
        """Let `run` end once everything that is committed now has been published or cannot be."""
        self._stop.set()
        self.wake.set()

    async def run(self) -> None:
        """Publish until stopped. A broker or database that is away is waited for; anything else is raised."""
        idle = failures = 0
        while True:
            stopping = self._stop.is_set()
            self.wake.clear()
            try:
                published = await self.publish_once()
            except AWAY as error:
                if not is_away(error):
                    raise
                failures += 1
                self.metrics.relay_failures.inc()
                log.warning("relay will try again", error=one_line(error), failures=failures)
                if stopping and (not self._in_doubt or failures > _REPAIRS_AT_THE_END):
                    return
                await until(self.wake.wait(), back_off(failures, self.random))
                continue
            failures = 0
            idle = 0 if published else idle + 1
            if published:
                continue
            if stopping:
                return
            await until(self.wake.wait(), _SWEEP_SECONDS if idle < _SWEEPS_BEFORE_IDLE else _IDLE_SWEEP_SECONDS)

    async def publish_once(self) -> int:
        """Publish what the free lanes hold, in one transaction, and return how many entries that were.

        The lanes' relay rows stay locked from reading to the moved cursor. When it fails nothing is moved, and the same
        entries are published again, with the same ids. An entry that the brokers never take is put aside and passed.
        """
        if self._in_doubt:
            await self._repair(self._in_doubt)
        async with self.engine.begin() as tx:
            backlogs = await lock_backlogs(tx, _LANES_A_ROUND)
            if not backlogs:
                return 0
            reach("relay_locked")
            lanes = await read_backlogs(tx, backlogs, _ENTRIES_A_LANE)
            reach("relay_read")
            done = {lane: entries[-1].seq for lane, entries in lanes.items() if entries}
            messages = [m for entries in lanes.values() for entry in entries for m in self.publisher.messages(entry)]
            # If this transaction turns out dead, another relay may have published newer records before these.
            self._in_doubt = {m.status_of: m.lane for m in messages if m.status_of is not None}
            refused = await publish(tx, self.producer, messages)
            reach("relay_acknowledged")
            await advance_relay(tx, done)
            reach("relay_before_commit")
        reach("relay_committed")
        self._in_doubt = {}
        unsent = {id(one.message) for one in refused}
        self.metrics.published(message.topic for message in messages if id(message) not in unsent)
        return sum(len(entries) for entries in lanes.values())

    async def _repair(self, subjects: dict[SubjectKey, int]) -> None:
        """Say again where subjects stand, under the lanes' locks, so that the last record of each is right.

        Entries that wait behind a lane's cursor may follow with an older status; the lane's own order ends that.
        """
        async with self.engine.begin() as tx:
            await lock_relays(tx, subjects.values())
            reach("relay_repairing")
            # Read after the locks are held: what another relay published meanwhile, we see.
            standing = await standing_of(tx, subjects)
            await publish_standing(tx, self.producer, self.publisher, standing)
            reach("relay_repaired")
        self._in_doubt = {}
        self.metrics.relay_repaired.inc(len(standing))
        log.warning("a round ended in doubt; its statuses were published again", lanes=sorted(set(subjects.values())))
