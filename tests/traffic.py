"""Events with all that is troublesome, and the proof that each was decided exactly once, whatever went wrong."""

import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from service.reading import Record
from service.settings import Settings
from tests.checker.check import check
from tests.events import account, event, record
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream, end, eventually, start_process

Json = dict[str, Any]


@dataclass
class Traffic:
    """Events of ever new accounts with all that is troublesome, and what must come of them."""

    stream: Stream
    sent: list[tuple[str, int, int]] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    not_accepted: int = 0
    undecided: list[Record] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    async def send(self, accounts: int = 2) -> None:
        """Send signups, an update of each, one of them twice, its id with other bytes, and a record nobody can read."""
        events: list[Json | Record] = []
        name, second = "", {}
        for number in (next(self._numbers) for _ in range(accounts)):
            name = f"acct-{number}"
            first = event("account.signed_up.v1", account(account_id=name), id=f"{name}-1")
            second = event("account.updated.v1", account(account_id=name, version=2), id=f"{name}-2")
            events += [first, second]
            self.accepted |= {first["id"], second["id"]}
        other = event("account.updated.v1", account(account_id=name, version=3), id=f"{name}-2")
        events += [second, other, record(b"{", key=name.encode())]
        self.not_accepted += 3
        records = [one if isinstance(one, Record) else record(one) for one in events]
        places = await self.stream.send(*records)
        self.sent += places
        self.undecided += [
            replace(one, partition=partition, offset=offset)
            for one, (_, partition, offset) in zip(records, places, strict=True)
        ]

    async def decide(self, ledger: Ledger) -> None:
        """Decide here what was sent last, so that there is something to publish."""
        records, self.undecided = self.undecided, []
        await ledger.decide_records(records, pipeline=ledger.pipeline(self.stream.cluster))

    async def done(self, ledger: Ledger) -> bool:
        return await self.stream.done(ledger, self.sent)


async def assert_exactly_once(ledger: Ledger, traffic: Traffic) -> None:
    """Each event has one decision of its own, each other record one fate, and the checker finds nothing."""
    await eventually(lambda: traffic.done(ledger), "all records are done")
    rows = await ledger.rows(
        "SELECT cause_id, count(*) AS times FROM ledger.decision WHERE cause_kind='event' GROUP BY 1"
    )
    times = {row.cause_id.rpartition(" ")[2]: row.times for row in rows}
    assert times == dict.fromkeys(traffic.accepted, 1), f"{len(times)} decided of {len(traffic.accepted)}"
    others = await ledger.rows("SELECT 1 FROM ledger.journal WHERE kind IN ('duplicate', 'quarantined')")
    assert len(others) == traffic.not_accepted, f"{len(others)} put aside of {traffic.not_accepted}"
    connection = traffic.stream.connection
    violations = await check(
        ledger.superuser_url, connection.bootstrap, connection.topic_prefix, within_seconds=DEADLINE_SECONDS
    )
    assert not violations, "\n".join(str(one) for one in violations)


@asynccontextmanager
async def clean_worker(settings: Settings) -> AsyncIterator[Process]:
    """A worker of its own process, ready; at the end of the block it must end well."""
    process = await start_process(settings)
    try:
        yield process
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    code, log = await end(process, signal.SIGTERM)
    assert code == 0, log
