"""Keeps a process of its own that follows with the candidate in shadow, for as long as one runs."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.ledger.engine import DATABASE_ERRORS
from service.ledger.shadow import Shadow, running_shadow
from service.telemetry import Metrics

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_WAIT_SECONDS = (1.0, 5.0, 15.0, 60.0)
"""How long to wait before the process is started again, after so many failures in a row."""
_LONG_SECONDS = 60.0
"""One that has lived so long was well: its end is the first failure."""
_PROGRAM = "import os; os.nice({niceness}); from service.cli import main; main()"
"""Gives way from its first step on: to load the command takes longer than to evaluate thousands of decisions."""
_ARGUMENTS = ("policy", "shadow", "follow", "--on-leash")


@dataclass(slots=True, kw_only=True)
class ShadowKeeper:
    """Starts the process, starts it again when it fails, and ends it. None of that ever harms the worker.

    `niceness` is how far it steps back behind others, 0 to 19. It holds the other end of a pipe of ours; the kernel
    closes it when we are gone, and then it ends itself.
    """

    engine: AsyncEngine
    environment: Mapping[str, str]
    niceness: int
    metrics: Metrics
    _process: asyncio.subprocess.Process | None = None
    _started_at: float = 0.0
    _not_before: float = 0.0
    _failures: int = field(default=0)

    async def run(self) -> None:
        """Look every second until cancelled; the process has ended then."""
        try:
            while True:
                try:
                    await self.look()
                except DATABASE_ERRORS:
                    pass  # Who follows meets it too, and says so.
                except Exception:
                    # Whatever it is: a shadow must not take the worker with it.
                    log.warning("the shadow could not be looked after", exc_info=True)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await self._end()

    async def look(self) -> None:
        """Start or end the process, as the ledger has it."""
        async with self.engine.connect() as tx:
            shadow = await running_shadow(tx)
        if self._process is not None and self._process.returncode is not None:
            self._ended(self._process.returncode)
        if shadow is None:
            await self._end()
        elif self._process is None and asyncio.get_running_loop().time() >= self._not_before:
            await self._start(shadow)

    async def _start(self, shadow: Shadow) -> None:
        self._started_at = asyncio.get_running_loop().time()
        try:
            self._process = await asyncio.create_subprocess_exec(
                # Without -P it would run what lies in the working directory under the name of a module.
                *(sys.executable, "-P", "-c", _PROGRAM.format(niceness=self.niceness), *_ARGUMENTS),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                start_new_session=True,  # A Ctrl-C is for the worker, who ends it.
            )
        except OSError as error:
            self._fail(f"it cannot be started ({error.strerror})")
            return
        log.info("a candidate runs in shadow", version=shadow.version, pid=self._process.pid)

    def _ended(self, code: int) -> None:
        self._process = None
        if code == 0:
            self._failures, self._not_before = 0, 0.0
        else:
            self._fail(f"it ended with code {code}")

    def _fail(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        self._failures = 1 if now - self._started_at >= _LONG_SECONDS else self._failures + 1
        wait = _WAIT_SECONDS[min(self._failures, len(_WAIT_SECONDS)) - 1]
        self._not_before = now + wait
        self.metrics.shadow_failures.inc()
        log.warning("the process of the shadow will be started again", why=why, seconds=wait)

    async def _end(self) -> None:
        """End the process, if there is one. What it had not committed is evaluated again another time."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
