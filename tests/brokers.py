"""The two brokers that the tests of the stream run on, and what differs between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from service.embedded.broker import running_broker
from tests.kafka import running_kafka

Kind = Literal["embedded", "kafka"]


@dataclass(frozen=True, kw_only=True)
class Broker:
    """A running broker of either kind. `idempotent` is whether it knows idempotent producers."""

    kind: Kind
    bootstrap: str
    cluster_id: str
    idempotent: bool
    session_timeout_ms: int


@asynccontextmanager
async def running(kind: Kind) -> AsyncIterator[Broker]:
    """A broker without topics. KafkaMissing where this machine cannot run the one that is asked for."""
    if kind == "kafka":
        async with running_kafka() as kafka:
            yield Broker(
                kind=kind,
                bootstrap=kafka.bootstrap,
                cluster_id=kafka.cluster_id,
                idempotent=True,
                # Whoever follows a killed worker waits for this long.
                session_timeout_ms=3_000,
            )
    else:
        async with running_broker() as embedded:
            yield Broker(
                kind=kind,
                bootstrap=embedded.bootstrap,
                cluster_id=embedded.cluster_id,
                idempotent=False,
                # It makes who joins wait for half of it, and who comes back for twice as much.
                session_timeout_ms=2_000,
            )
