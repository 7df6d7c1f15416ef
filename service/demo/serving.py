"""The installation of the demo: servers of its own, a policy in force, and the service running in this process.

In this process, because then nothing can be left behind however the demo ends: the servers are on a leash.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.app import ServiceFailed, run_service
from service.brokers import kafka_connection
from service.cli.serve import embedded_servers
from service.demo.stage import put_in_force
from service.policies import LoadedPolicy
from service.settings import Settings, embedded_settings
from service.stream.connection import Connection
from service.telemetry import configure_logging


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A running installation. `variables` are what commands need in their environment to work with it."""

    url: str
    connection: Connection
    variables: Mapping[str, str]
    service: "asyncio.Task[None]"

    def refuse_if_ended(self) -> None:
        """Raise what ended the service, if it has ended."""
        if self.service.done():
            self.service.result()
            raise ServiceFailed("the service ended in the middle of the demo; its log is above")


@asynccontextmanager
async def installed(policy: LoadedPolicy, *, reason: str) -> AsyncIterator[Installation]:
    """An installation on fresh servers that decides by `policy`; all of it is gone when the block ends."""
    configure_logging(as_json=False, level="WARNING")
    async with embedded_servers() as variables:
        url = variables["EXPORTGATE_DATABASE_URL"]
        await put_in_force(url, policy, reason=reason)
        settings = _settings(url, variables["EXPORTGATE_KAFKA_BOOTSTRAP"])
        async with _serving(settings) as service:
            yield Installation(url=url, connection=kafka_connection(settings), variables=variables, service=service)


def _settings(url: str, bootstrap: str) -> Settings:
    """Nothing of the shell that the demo is started from: it may be set up for another installation."""
    return embedded_settings(
        url,
        bootstrap,
        kafka_security_protocol="PLAINTEXT",
        kafka_sasl_mechanism=None,
        kafka_topic_prefix="",
        environment=None,
        http_port=0,
    )


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator["asyncio.Task[None]"]:
    """The service, ready when the block begins and stopped in order when it ends; ServiceFailed when it cannot be."""
    stop, ready = asyncio.Event(), asyncio.Event()
    service = asyncio.create_task(
        run_service(settings, create_topics=True, stop=stop, on_ready=lambda _running: ready.set())
    )
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({service, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if service.done():
            service.result()
        yield service
    finally:
        waiting.cancel()
        stop.set()
        await asyncio.wait({service})
