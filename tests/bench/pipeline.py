"""Throughput of the whole way, topic to topic, beside a raw loop that writes and publishes as much without deciding."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.cli.database import make_database
from service.embedded.broker import Broker, running_broker
from service.embedded.postgres import Server, running_postgres
from service.ledger.engine import open_engine
from service.policies import load_file
from service.policies.lifecycle import activate, publish
from service.stream.connection import Connection
from service.stream.produce import Outgoing, send_events
from service.stream.topics import verify_topics
from tests.events import big_account, event

EVENTS = 20_000
ROUNDS = 3
POLICY = Path(__file__).resolve().parents[2] / "deploy" / "policies" / "baseline-2026-02.yaml"


@dataclass(frozen=True, slots=True)
class Measured:
    """Events decided and published a second, and processor time of the worker an event, in microseconds."""

    events_per_second: float
    cpu_us_per_event: float


async def measure(events: int = EVENTS, rounds: int = ROUNDS) -> dict[str, float]:
    """The medians of interleaved rounds."""
    async with running_postgres() as server, running_broker() as broker:
        ours: list[Measured] = []
        raw: list[Measured] = []
        await _template(server)
        for number in range(rounds):
            raw.append(await _round(server, broker, f"raw{number}.", events, _raw_command))
            print(f"  round {number + 1}: raw loop {raw[-1].events_per_second:,.0f}/s", flush=True)
            ours.append(await _round(server, broker, f"ours{number}.", events, _service_command))
            print(f"  round {number + 1}: exportgate {ours[-1].events_per_second:,.0f}/s", flush=True)
    ratios = [one.events_per_second / other.events_per_second for one, other in zip(ours, raw, strict=True)]
    return {
        "events_per_second": statistics.median(one.events_per_second for one in ours),
        "cpu_us_per_event": statistics.median(one.cpu_us_per_event for one in ours),
        "ratio_to_raw_loop": statistics.median(ratios),
        "raw_events_per_second": statistics.median(one.events_per_second for one in raw),
        "raw_cpu_us_per_event": statistics.median(one.cpu_us_per_event for one in raw),
    }


def _raw_command(url: str, broker: Broker, prefix: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "tests.bench.raw_loop", broker.bootstrap, prefix, url], {}


def _service_command(url: str, broker: Broker, prefix: str) -> tuple[list[str], dict[str, str]]:
    environment = {
        "EXPORTGATE_DATABASE_URL": url,
        "EXPORTGATE_KAFKA_BOOTSTRAP": broker.bootstrap,
        "EXPORTGATE_KAFKA_TOPIC_PREFIX": prefix,
        "EXPORTGATE_KAFKA_IDEMPOTENT_PRODUCER": "false",
        "EXPORTGATE_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "EXPORTGATE_FETCH_MAX_WAIT_MS": "20",
        "EXPORTGATE_HTTP_PORT": "0",
    }
    return [sys.executable, "-m", "service", "serve"], environment


async def _round(server: Server, broker: Broker, prefix: str, events: int, command: object) -> Measured:
    database = "bench_" + prefix.removesuffix(".")
    await server.create_database(database, template="bench")
    connection = Connection(bootstrap=broker.bootstrap, client_id="bench", topic_prefix=prefix)
    await verify_topics(connection, create=True, replication_factor=1)
    await send_events(connection, _events(events))
    arguments, environment = command(server.url(database), broker, prefix)  # type: ignore[operator]
    engine = create_async_engine(server.url(database))
    try:
        async with _process(arguments, environment) as process:
            return await _watch(engine, psutil.Process(process.pid), events)
    finally:
        await engine.dispose()
        await server.drop_database(database)


async def _watch(engine: AsyncEngine, process: psutil.Process, events: int) -> Measured:
    """From the first batch that is done to the last entry that is published."""
    began = await _until(engine, "SELECT sum(next_seq - 1) FROM ledger.lane WHERE lane < 16", 1, process)
    began_at, cpu_began = time.perf_counter(), sum(process.cpu_times()[:2])
    await _until(engine, "SELECT sum(seq) FROM ledger.relay_position WHERE lane < 16", events, process)
    seconds, cpu = time.perf_counter() - began_at, sum(process.cpu_times()[:2]) - cpu_began
    return Measured((events - began) / seconds, cpu / (events - began) * 1e6)


async def _until(engine: AsyncEngine, query: str, wanted: int, process: psutil.Process) -> int:
    deadline, done = time.monotonic() + 120, 0
    while time.monotonic() < deadline and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        async with engine.connect() as tx:
            done = int((await tx.execute(text(query))).scalar_one() or 0)
        if done >= wanted:
            return done
        await asyncio.sleep(0.02)
    raise RuntimeError(f"the worker came to {done} of {wanted} and no further")


@asynccontextmanager
async def _process(arguments: Sequence[str], environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    log = Path("build/bench.log")
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:  # noqa: ASYNC230 -- nothing else runs meanwhile
        process = await asyncio.create_subprocess_exec(
            *arguments, env={**os.environ, **environment}, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _events(number: int) -> list[Outgoing]:
    data = big_account()
    sent = []
    for index in range(number):
        account_id = f"account-{index}"
        value = json.dumps(event("account.signed_up.v1", data | {"account_id": account_id}, id=f"event-{index}"))
        sent.append(Outgoing(topic="accounts.v1", key=account_id.encode(), value=value.encode()))
    return sent


async def _template(server: Server) -> None:
    await server.create_database("bench")
    await make_database(make_url(server.url("bench")), lanes=16)
    officer = open_engine(server.url("bench"), role="policy_officer", application="bench")
    loaded = load_file(POLICY)
    async with officer.begin() as tx:
        await publish(
            tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by="bench"
        )
        sha256 = bytes.fromhex(loaded.policy.sha256)
        await activate(tx, sha256=sha256, at=None, activated_by="bench", reason="bench")
    await officer.dispose()
