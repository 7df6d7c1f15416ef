"""What /live, /ready and /metrics answer: whether the process gets on, and whether it does its work now."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import uvicorn

from service.telemetry import Metrics

Fault = str | None
"""None: well. Else what is wrong, in one line."""
CHECK_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Checks by name. `live` ones never ask broker or database, or an outage there would restart every worker.

    `policy` tells the sha256 of the policy that this worker decides by, None when it knows of none.
    """

    live: Mapping[str, Callable[[], Fault]]
    ready: Mapping[str, Callable[[], Awaitable[Fault]]]
    policy: Callable[[], str | None]

    def faults_of_life(self) -> dict[str, Fault]:
        """What each check of life says."""
        return {name: check() for name, check in self.live.items()}

    async def faults(self) -> dict[str, Fault]:
        """What each check of readiness says; one that does not answer in time is a fault."""
        answers = await asyncio.gather(*(_in_time(check) for check in self.ready.values()))
        return dict(zip(self.ready, answers, strict=True))


async def _in_time(check: Callable[[], Awaitable[Fault]]) -> Fault:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:.0f} s"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. OSError when the port is taken or the address is not ours."""
    return socket.create_server((host, port))


class Server(uvicorn.Server):
    """Answers until told to stop by `should_exit`; signals belong to the service."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        config = uvicorn.Config(
            _application(health, metrics),
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            interface="asgi3",
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


_Scope = Mapping[str, Any]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


def _application(health: Health, metrics: Metrics) -> Callable[..., Awaitable[None]]:
    async def answer(path: str) -> tuple[int, str, bytes]:
        match path:
            case "/live":
                return _verdict(health.faults_of_life(), {})
            case "/ready":
                faults = await health.faults()
                return _verdict(faults, {"policy_sha256": health.policy()})
            case "/metrics":
                return 200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()
            case _:
                return 404, "text/plain; charset=utf-8", b"there are /live, /ready and /metrics\n"

    async def application(scope: _Scope, _receive: object, send: _Send) -> None:
        status, content_type, body = await answer(scope["path"])
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


def _verdict(faults: Mapping[str, Fault], told: Mapping[str, str | None]) -> tuple[int, str, bytes]:
    well = not any(faults.values())
    checks = {name: fault or "ok" for name, fault in faults.items()}
    content = {"status": "ok" if well else "failing", "checks": checks, **told}
    return 200 if well else 503, "application/json", orjson.dumps(content) + b"\n"
