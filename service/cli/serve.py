"""`exportgate serve`: decide events until stopped, on servers of the installation or on ones of its own."""

import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from sqlalchemy import make_url

from service import app as exportgate
from service.cli.connect import run
from service.cli.database import DEFAULT_LANES, make_database
from service.cli.output import AsJson, emit, emit_bytes, say
from service.embedded.broker import running_broker
from service.embedded.postgres import running_postgres
from service.settings import embedded_settings, read_settings

_DATABASE = "exportgate"


def serve(
    *,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start a PostgreSQL and a broker for it; both are gone afterwards.")
    ] = False,
    create_topics: Annotated[
        bool, typer.Option("--create-topics", help="Make the topics that are missing; otherwise that is an error.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Decide events as they come and publish the decisions, until SIGTERM or Ctrl-C; what is in flight is finished."""
    if embedded:
        run(_serve_embedded(as_json=as_json))
    else:
        run(_serve(create_topics=create_topics, as_json=as_json))


async def _serve(*, create_topics: bool, as_json: bool) -> None:
    settings = read_settings()
    await exportgate.serve(
        settings, create_topics=create_topics, on_ready=lambda one: _tell_ready(one, as_json=as_json)
    )


async def _serve_embedded(*, as_json: bool) -> None:
    # Before servers are started, which takes long: a wrong setting, or a port that somebody has, is told at once.
    with exportgate.listening(embedded_settings(f"postgresql://127.0.0.1/{_DATABASE}", "127.0.0.1")):
        pass
    async with embedded_servers() as variables:
        url, bootstrap = variables["EXPORTGATE_DATABASE_URL"], variables["EXPORTGATE_KAFKA_BOOTSTRAP"]
        settings = embedded_settings(url, bootstrap)
        _tell_servers(variables, as_json=as_json)
        await exportgate.serve(settings, create_topics=True, on_ready=lambda one: _tell_ready(one, as_json=as_json))


@asynccontextmanager
async def embedded_servers() -> AsyncIterator[Mapping[str, str]]:
    """A broker without topics and a database that is set up, by the environment variables that lead to them.

    Both are gone when the block ends. EmbeddedServerError when they cannot run here.
    """
    async with running_broker() as broker, running_postgres() as postgres:
        await postgres.create_database(_DATABASE)
        await make_database(make_url(postgres.url(_DATABASE)), DEFAULT_LANES)
        yield {
            "EXPORTGATE_DATABASE_URL": postgres.url(_DATABASE),
            "EXPORTGATE_KAFKA_BOOTSTRAP": broker.bootstrap,
            # This broker knows no idempotent producers: whoever publishes to it has to be told.
            "EXPORTGATE_KAFKA_IDEMPOTENT_PRODUCER": "false",
        }


def _tell_servers(variables: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        emit(variables)
        return
    say("PostgreSQL and a broker are running. In another shell, to work with them:")
    # Not wrapped: these lines are copied.
    exports = "".join(f"  export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    emit_bytes(exports.encode())
    say("Nothing is decided before a policy is in force:")
    say("  exportgate policy publish deploy/policies/baseline-2026-02.yaml --by NAME")
    say("  exportgate policy activate baseline-2026-02 --by NAME --reason TEXT")


def _tell_ready(running: exportgate.Running, *, as_json: bool) -> None:
    if as_json:
        emit({"ready": True, "cluster": running.cluster_id, "http": f"{running.http_host}:{running.http_port}"})
    else:
        say(f"Ready. Health and metrics: http://{running.http_host}:{running.http_port}/ready and /metrics")
