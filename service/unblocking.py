"""Ends sessions of ours that hold what others wait for and say nothing: a frozen worker would else stop its lanes."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.ledger.blockers import Blocker, end_blockers
from service.ledger.engine import DATABASE_ERRORS, is_temporary, one_line
from service.telemetry import Metrics

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class Unblocker:
    """Looks every two seconds, so a few times within one wait for a lock.

    `application` is how all workers call themselves to the database. A live worker is never silent for long: each
    statement has a timeout, and a relay that waits for the brokers says something every few seconds.
    """

    engine: AsyncEngine
    application: str
    limit_seconds: float
    metrics: Metrics
    _others: dict[int, float] = field(default_factory=dict)
    """Sessions that were not ended, by pid, and since when they have blocked us; infinite: it was said already."""

    async def run(self) -> None:
        """Look until cancelled; with a limit of 0 nothing is ever ended."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.limit_seconds > 0:
                await self.look()

    async def look(self) -> None:
        """End what blocks us, if it is ours to end; tell of what is not."""
        try:
            async with self.engine.begin() as tx:
                blockers = await end_blockers(tx, self.application, self.limit_seconds)
        except DATABASE_ERRORS as error:
            level = logging.INFO if is_temporary(error) else logging.WARNING
            log.log(level, "could not look for blockers", error=one_line(error))
            return
        for one in blockers:
            if one.ended:
                self.metrics.blockers_ended.inc()
                log.error("a silent session that blocked us was ended", pid=one.pid, seconds=round(one.seconds or 0))
        self._tell([one for one in blockers if not one.ended])

    def _tell(self, blockers: Collection[Blocker]) -> None:
        now = asyncio.get_running_loop().time()
        self._others = {one.pid: self._others.get(one.pid, now) for one in blockers}
        for one in blockers:
            if now - self._others[one.pid] >= self.limit_seconds:
                self._others[one.pid] = float("inf")
                log.warning(
                    "a session that we may not end blocks us",
                    pid=one.pid,
                    login=one.login,
                    application=one.application,
                )
