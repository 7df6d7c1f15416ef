"""One worker while it runs: consumer, relay and their watch, started together and ended in the right order."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from socket import socket
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.health import Health, Server
from service.ledger.engine import DATABASE_ERRORS, Tx
from service.ledger.policies import list_policies
from service.ledger.positions import halt_code
from service.ledger.quarantine import open_bugs
from service.ledger.relay import list_refused, unpublished
from service.ledger.shadow import running_shadow, shadow_counts, shadow_lag
from service.ledger.signers import awaiting_countersignature, signatures_demanded
from service.shadow.keeper import ShadowKeeper
from service.stream.compare import Comparison
from service.stream.connection import StreamError
from service.stream.consume import Consumer
from service.stream.patience import until
from service.stream.relay import Relay
from service.stream.watch import Watch
from service.telemetry import Metrics
from service.unblocking import Unblocker

log = structlog.get_logger(__name__)

_OBSERVE_SECONDS = 5.0
_READY_LOOK_SECONDS = 0.1
_BRIEF = {"start", "ready"}
"""Tasks that may end before the worker does."""
_FETCH_SECONDS = 30.0
"""A client to which the brokers have answered no fetch for so long is not ready."""


class WorkerFailed(Exception):  # noqa: N818 -- it tells the caller what to do: end the process, non-zero
    """The worker had to stop. The message is one line for a person."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """The tasks of one worker. `graceful_seconds` is how long the relay gets to publish the rest at the end."""

    consumer: Consumer
    watch: Watch
    relay: Relay
    comparison: Comparison
    unblocker: Unblocker
    shadow: ShadowKeeper
    engine: AsyncEngine
    metrics: Metrics
    graceful_seconds: float
    stop: asyncio.Event

    async def run(self, sock: socket, *, on_ready: Callable[[], None]) -> None:
        """Work until `stop` is set, answering on `sock`; `on_ready` is called once, when all is well.

        WorkerFailed when the consumer gave up or a task ended by itself. Everything has ended when this returns.
        """
        tasks = {
            "relay": asyncio.create_task(self.relay.run()),
            "watch": asyncio.create_task(self.watch.run()),
            "comparison": asyncio.create_task(self.comparison.run()),
            "unblocker": asyncio.create_task(self.unblocker.run()),
            "shadow": asyncio.create_task(self.shadow.run()),
            "metrics": asyncio.create_task(self._observe()),
        }
        health = self._health(tasks)
        http = Server(health, self.metrics)
        tasks["http"] = asyncio.create_task(http.serve([sock]))
        # A task too, because joining the group may take long and we may be told to stop meanwhile.
        tasks["start"] = asyncio.create_task(self.consumer.start())
        tasks["ready"] = asyncio.create_task(self._announce(health, on_ready))
        log.info("started", http=sock.getsockname())
        try:
            reason = await self._over(tasks)
        finally:
            await self._end(tasks, http)
        if reason is not None:
            raise WorkerFailed(reason)

    async def _over(self, tasks: Mapping[str, "asyncio.Task[None]"]) -> str | None:
        """Wait for the end; None when we were told to stop, else why it went wrong."""
        stop = asyncio.create_task(self.stop.wait())
        try:
            while not stop.done() and not self.consumer.failed.done():
                running = {task for task in tasks.values() if not task.done()}
                awaited: set[asyncio.Future[Any]] = {stop, self.consumer.failed, *running}
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                for name, task in tasks.items():
                    if task.done() and (name not in _BRIEF or task.exception() is not None):
                        return _why_ended(name, task.exception())
        finally:
            stop.cancel()
        return self.consumer.failed.result() if self.consumer.failed.done() else None

    async def _end(self, tasks: Mapping[str, "asyncio.Task[None]"], http: Server) -> None:
        """First the batch, then what it made the relay publish, then the rest."""
        log.info("stopping")
        tasks["start"].cancel()
        await asyncio.wait({tasks["start"]})
        await self.consumer.stop()
        self.relay.stop()
        self.comparison.stop()
        await asyncio.wait({tasks["relay"], tasks["comparison"]}, timeout=self.graceful_seconds)
        http.should_exit = True
        for name in tasks.keys() - {"http"}:
            tasks[name].cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _health(self, tasks: Mapping[str, "asyncio.Task[None]"]) -> Health:
        def alive(name: str) -> str | None:
            return f"the {name} task has ended" if tasks[name].done() else None

        async def relay() -> str | None:
            return alive("relay")

        async def assigned() -> str | None:
            return None if self.consumer.client.assignment() else "no partitions are assigned to this worker"

        async def polled() -> str | None:
            now = asyncio.get_running_loop().time()
            seen = [at for at in (self.watch.fetched_at, self.consumer.ended_at) if at is not None]
            recent = bool(seen) and now - max(seen) < _FETCH_SECONDS
            return None if recent or self.consumer.running else "the brokers do not answer our fetches"

        async def halted() -> str | None:
            names = ", ".join(
                f"{topic}/{number} {halt_code(reason)}"
                for (topic, number), reason in sorted(self.consumer.halted.items())
            )
            return f"halted: {names}; run `exportgate positions list`" if names else None

        return Health(
            live={"relay": lambda: alive("relay"), "consumer": lambda: alive("watch")},
            ready={
                "database_and_policy": self._database_and_policy,
                "assigned": assigned,
                "polled": polled,
                "relay": relay,
                "halted": halted,
            },
            policy=lambda: self.consumer.pipeline.policy_sha256,
        )

    async def _database_and_policy(self) -> str | None:
        try:
            return await self.consumer.pipeline.ready()
        except DATABASE_ERRORS as error:
            return f"the database does not answer ({type(error).__name__})"

    async def _announce(self, health: Health, on_ready: Callable[[], None]) -> None:
        while any((await health.faults()).values()):
            if await until(self.stop.wait(), _READY_LOOK_SECONDS):
                return
        log.info("ready")
        on_ready()

    async def _observe(self) -> None:
        """Read now and then what only the database knows; while it is away the figures stay as they are."""
        while True:
            with suppress(*DATABASE_ERRORS):
                async with self.engine.connect() as tx:
                    self.metrics.backlog.set(await unpublished(tx))
                    self.metrics.relay_refused.set(len(await list_refused(tx)))
                    self.metrics.open_bugs.set(await open_bugs(tx))
                    self.metrics.signatures_demanded.set(await signatures_demanded(tx))
                    waiting = await awaiting_countersignature(tx)
                    self.metrics.countersignatures_due.set(len(waiting))
                    self.metrics.countersignatures_overdue.set(sum(one.is_overdue for one in waiting))
                    for one in await list_policies(tx):
                        if one.in_force:
                            self.metrics.in_force(one.name, one.version, one.sha256.hex())
                    await self._observe_shadow(tx)
            await asyncio.sleep(_OBSERVE_SECONDS)

    async def _observe_shadow(self, tx: Tx) -> None:
        shadow = await running_shadow(tx)
        if shadow is None:
            self.metrics.not_shadowed()
            return
        counts, lag = await shadow_counts(tx, shadow.shadow_id), await shadow_lag(tx, shadow.shadow_id)
        self.metrics.shadowed(shadow.name, shadow.version, shadow.policy_sha256.hex(), counts, lag)


def _why_ended(name: str, error: BaseException | None) -> str:
    if isinstance(error, StreamError):
        return str(error)
    log.critical("a task ended by itself", task=name, exc_info=error)
    return f"the {name} task ended by itself ({type(error).__name__}); its traceback is in the log"
