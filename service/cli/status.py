"""`exportgate status`: the compacted status topic, made again from the ledger."""

import typer

from service.cli.connect import engine, run
from service.cli.output import AsJson, Failed, emit, example, say
from service.cli.progress import progress_bar
from service.cli.relay import sending
from service.cli.words import plural
from service.ledger.standing import count_standing
from service.stream.republish import Rebuilt, rebuild

app = typer.Typer(help="Make the status topic again.")


@app.callback()
def _group() -> None:
    """Make the status topic again."""


@app.command("rebuild", short_help="Publish every status again.", epilog=example("exportgate status rebuild"))
def rebuild_(*, as_json: AsJson = False) -> None:
    """Publish where every subject stands now, a tombstone where it has ended; workers may go on meanwhile."""
    done = run(_rebuild())
    if as_json:
        emit(done)
    else:
        stand = plural(done.subjects - done.ended, "subject stands", "subjects stand")
        say(f"Published where {stand}, and that {plural(done.ended, 'subject')} ended.")
    if done.withdrawn:
        raise Failed(
            f"{plural(done.withdrawn, 'status', 'statuses')} too large for the brokers: a tombstone stands there "
            "instead; see: exportgate relay list"
        )


async def _rebuild() -> Rebuilt:
    """All chunks taken together."""
    subjects = ended = withdrawn = 0
    async with engine("service") as opened, sending() as (sender, publisher):
        async with opened.connect() as tx:
            total = await count_standing(tx)
        with progress_bar("statuses", total) as bar:
            async for chunk in rebuild(opened, sender, publisher):
                subjects += chunk.subjects
                ended += chunk.ended
                withdrawn += chunk.withdrawn
                bar.advance(chunk.subjects)
    return Rebuilt(subjects=subjects, ended=ended, withdrawn=withdrawn)
