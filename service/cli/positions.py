"""`exportgate positions`: how far every Kafka partition is decided."""

from collections.abc import Sequence

import typer

from service.cli.connect import ledger, run
from service.cli.output import AsJson, clock, emit, example, say_table
from service.ledger.positions import Position, list_positions

app = typer.Typer(help="See how far every partition is decided.")


@app.callback()
def _group() -> None:
    """See how far every partition is decided."""


@app.command("list", short_help="List how far every partition is decided.", epilog=example("exportgate positions list"))
def list_(*, as_json: AsJson = False) -> None:
    """List the next offset of every partition, and why a halted one waits for a person."""
    found = run(_list())
    if as_json:
        for one in found:
            emit(one)
        return
    rows = [
        [one.cluster, one.topic, str(one.partition), str(one.next_offset), clock(one.halted_at), one.halt_reason or ""]
        for one in found
    ]
    columns = ["cluster", "topic", "partition", "next offset", "halted", "reason"]
    say_table(columns, rows, none="Nothing was read from Kafka yet.")


async def _list() -> Sequence[Position]:
    async with ledger("auditor") as tx:
        return await list_positions(tx)
