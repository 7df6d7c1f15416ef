"""Follows the ledger with the candidate in shadow: each decision again on its own facts, off everybody's way."""

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.audit.shadowing import judge
from service.decide.policy import Policy
from service.ledger.shadow import (
    ERASED,
    ERROR,
    UNREADABLE,
    Shadow,
    ShadowResult,
    Unjudged,
    hold_lanes_behind,
    is_running,
    keep_results,
    running_shadow,
    shadow_document,
    unjudged_decisions,
)

log = structlog.get_logger(__name__)

_LANES_A_ROUND = 64
_LEAST, _MOST = 64, 1_024
"""Decisions a round."""
_QUICK_SECONDS, _SLOW_SECONDS = 0.25, 1.0
"""A round that is quicker is followed by a larger one, a slower one by a smaller one: it holds positions meanwhile, and
gets hardly any of a processor where there is work for all of them.
"""
_REST_SECONDS = 0.5


class Round(NamedTuple):
    """How many decisions were evaluated, and whether more of them waited."""

    decisions: int
    is_behind: bool


@dataclass(slots=True, kw_only=True)
class Follower:
    """Evaluates one candidate on what was decided, until its shadow stops. Any number may follow one shadow."""

    engine: AsyncEngine
    shadow: Shadow
    policy: Policy
    _size: int = _LEAST
    _met: set[str] = field(default_factory=set)
    """Errors that were logged already."""

    async def run(self) -> None:
        """Follow until the shadow has stopped; whatever the database raises is raised."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while (done := await self.round()) is not None:
            self._resize(clock() - began, is_full=done.is_behind)
            if not done.is_behind:
                await asyncio.sleep(_REST_SECONDS)
            began = clock()

    def _resize(self, seconds: float, *, is_full: bool) -> None:
        if seconds > _SLOW_SECONDS:
            self._size = max(_LEAST, self._size // 2)
        elif seconds < _QUICK_SECONDS and is_full:
            self._size = min(_MOST, self._size * 2)

    async def round(self) -> Round | None:
        """Evaluate what stands behind the positions of lanes that nobody else follows; None once it has stopped.

        Results and positions are committed together, so that nothing is lost and nothing comes twice.
        """
        async with self.engine.begin() as tx:
            held = await hold_lanes_behind(tx, self.shadow.shadow_id, _LANES_A_ROUND)
            # After the lanes: who stops a shadow waits for them, and adds nothing to one that has stopped.
            if not await is_running(tx, self.shadow.shadow_id):
                return None
            if not held:
                return Round(0, is_behind=False)
            most = max(1, self._size // len(held))
            decisions = await unjudged_decisions(tx, self.shadow.shadow_id, held, most)
            full = {lane for lane, number in Counter(one.lane for one in decisions).items() if number == most}
            reached = {one.lane: one.last_seq for one in held} | {
                one.lane: one.seq for one in decisions if one.lane in full
            }
            results = [self.judge(one) for one in decisions]
            counts = Counter(
                (one.lane, one.decided.outcome, result.outcome or counted_failure(result.failure))
                for one, result in zip(decisions, results, strict=True)
            )
            ours = [result for one, result in zip(decisions, results, strict=True) if not one.has_result]
            if len(ours) < len(decisions):
                log.error("somebody else wrote results of the shadow", results=len(decisions) - len(ours))
            await keep_results(tx, self.shadow.shadow_id, ours, counts, reached)
            return Round(len(decisions), is_behind=bool(full))

    def judge(self, one: Unjudged) -> ShadowResult:
        """What the candidate gives on the facts and at the instant of a decision. Never raises."""
        if one.has_result:
            return _without_outcome(one, _FOREIGN)
        try:
            return judge(one.lane, one.seq, one.decided, self.policy)
        except Exception as error:  # noqa: BLE001 -- whatever a candidate does, the others are still of interest
            return _without_outcome(one, self._told(error))

    def _told(self, error: Exception) -> str:
        """The error's class and its traceback as a digest: its text may hold values."""
        trace = "".join(traceback.format_tb(error.__traceback__))
        told = f"{type(error).__name__}, traceback {sha256(trace.encode()).hexdigest()[:16]}"
        if told not in self._met:
            self._met.add(told)
            log.warning("the candidate in shadow met a bug", error=told, traceback=trace)
        return told


_FOREIGN = "a result stands already"


def _without_outcome(one: Unjudged, failure: str) -> ShadowResult:
    return ShadowResult(one.lane, one.seq, one.decided.decision_id, None, None, (), failure)


def counted_failure(failure: str | None) -> str:
    """As what a result without an outcome is counted."""
    return failure if failure in (ERASED, UNREADABLE) else ERROR


async def find_follower(engine: AsyncEngine, load_policy: Callable[[bytes], Policy]) -> Follower | None:
    """Who follows with the shadow that runs, None when none does. PolicyRefused when this release cannot load it."""
    async with engine.connect() as tx:
        shadow = await running_shadow(tx)
        if shadow is None:
            return None
        policy = load_policy(await shadow_document(tx, shadow.shadow_id))
    return Follower(engine=engine, shadow=shadow, policy=policy)
