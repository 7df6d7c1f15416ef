"""`exportgate relay`: what is published of the journal, what no broker took, and how it is sent again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from service.brokers import kafka_connection
from service.cli.connect import engine, ledger, run
from service.cli.output import AsJson, Failed, Misuse, clock, emit, example, say, say_table
from service.ledger.relay import Backlog, Refused, list_backlogs, list_refused
from service.settings import read_settings
from service.stream.outgoing import Publisher
from service.stream.relay import publishing
from service.stream.republish import retry_refused
from service.stream.send import Sender

app = typer.Typer(help="See what is published, and send again what the brokers refused.")
_PATIENCE_SECONDS = 10.0


@app.command("list", short_help="List lanes and refused entries.", epilog=example("exportgate relay list"))
def list_(*, as_json: AsJson = False) -> None:
    """List how far every lane is published, and the entries that no broker took."""
    backlogs, refused = run(_list())
    if as_json:
        lanes = [
            {"lane": one.lane, "published": one.seq, "last": one.last_seq, "backlog": one.last_seq - one.seq}
            for one in backlogs
        ]
        emit({"lanes": lanes, "refused": refused})
        return
    rows = [[str(one.lane), str(one.seq), str(one.last_seq), str(one.last_seq - one.seq)] for one in backlogs]
    say_table(["lane", "published", "last entry", "backlog"], rows, none="There are no lanes.")
    say("")
    say_table(
        ["lane", "seq", "since", "reason"],
        [[str(one.lane), str(one.seq), clock(one.refused_at), one.reason] for one in refused],
        none="No entry was refused.",
    )


@app.command(short_help="Send a refused entry again.", epilog=example("exportgate relay retry 3 1204"))
def retry(
    lane: Annotated[int, typer.Argument(metavar="LANE", min=0, help="The entry's lane.")],
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The entry's number in the lane.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Send an entry again, whatever its size, with its subject's status of today; off the list once it is taken."""
    reasons = run(_retry(lane, seq))
    if reasons is None:
        raise Misuse(f"entry {seq} of lane {lane} is not refused; see: exportgate relay list")
    if reasons:
        raise Failed(f"entry {seq} of lane {lane} is refused again: {'; '.join(reasons)}; raise the topic's limit")
    if as_json:
        emit({"lane": lane, "seq": seq, "published": True})
    else:
        say(f"Entry {seq} of lane {lane} is published, and off the list.")


@asynccontextmanager
async def sending() -> AsyncIterator[tuple[Sender, Publisher]]:
    """A sender, and the publisher that makes its records, by the settings of a worker."""
    settings = read_settings()
    async with publishing(
        kafka_connection(settings),
        idempotent=settings.kafka_idempotent_producer,
        compression=settings.kafka_compression,
        patience_seconds=_PATIENCE_SECONDS,
    ) as sender:
        yield sender, Publisher(source=settings.source, environment=settings.environment)


async def _list() -> tuple[Sequence[Backlog], Sequence[Refused]]:
    async with ledger("auditor") as tx:
        return await list_backlogs(tx), await list_refused(tx)


async def _retry(lane: int, seq: int) -> list[str] | None:
    async with engine("service") as opened, sending() as (sender, publisher):
        return await retry_refused(opened, sender, publisher, lane, seq)
