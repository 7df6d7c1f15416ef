"""`exportgate db`: make the database, bring it to the newest version, check its tables, raise its epoch."""

from typing import Annotated

import typer
from sqlalchemy import URL, make_url

from service.cli.connect import database_url, engine, ledger, login_engine, place, run
from service.cli.output import AsJson, By, Failed, Misuse, Reason, emit, example, say, warn
from service.cli.words import plural
from service.embedded.postgres import running_postgres
from service.ledger import schema
from service.ledger.epoch import HIGHEST
from service.ledger.lanes import read_installation
from service.resolving import Person
from service.restoring import CannotRaise, Raised, raise_epoch

app = typer.Typer(help="Make, upgrade and check the database; raise its epoch after a restore.")
DEFAULT_LANES = 16


@app.command(short_help="Make roles, tables and lanes.", epilog=example("exportgate db init --lanes 16"))
def init(
    lanes: Annotated[
        int,
        typer.Option(min=1, max=1024, help="Parallel histories, fixed for ever; Kafka partitions should divide it."),
    ] = DEFAULT_LANES,
    *,
    as_json: AsJson = False,
) -> None:
    """Make roles, tables and lanes in an empty database, as a user who may make roles."""
    url = database_url()
    made = run(make_database(url, lanes))
    if as_json:
        emit({"database": place(url), "lanes": made})
        return
    say(f"The database at {place(url)} is ready, with {plural(made, 'lane')}.")
    if made != lanes:
        say(f"It was made with {plural(made, 'lane')} before, and that cannot change: --lanes {lanes} had no effect.")


@app.command(short_help="Bring the tables to the newest version.", epilog=example("exportgate db upgrade"))
def upgrade(*, as_json: AsJson = False) -> None:
    """Bring the tables to the version of this program; safe while the previous release runs, and to repeat."""
    url = database_url()
    run(_upgrade())
    if as_json:
        emit({"database": place(url), "upgraded": True})
    else:
        say(f"The tables at {place(url)} are up to date.")


@app.command(short_help="Compare the tables with the code.", epilog=example("exportgate db check --embedded"))
def check(
    *,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="In a PostgreSQL of its own: also migrates up, down and up again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the tables that the code expects with those that the migrations make; exit 1 when they differ."""
    found = run(_check_embedded() if embedded else _check())
    if as_json:
        emit({"differences": found})
    for difference in () if as_json else found:
        warn(difference)
    if found:
        raise Failed(
            f"{plural(len(found), 'difference')} between tables.py and the database; write a migration, or run: "
            "exportgate db upgrade"
        )
    if not as_json:
        say("Tables and migrations agree.")


@app.command(
    "raise-epoch",
    short_help="After a restore: let what is decided again count as newer.",
    epilog=example('exportgate db raise-epoch --by eve --reason "restored the backup of 12 June"'),
)
def raise_epoch_(
    by: By,
    reason: Reason,
    *,
    to: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCH",
            min=2,
            max=HIGHEST,
            help="To which; one more than now when left out. Needed when the restore has lost an earlier raise.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Raise the ledger epoch: decisions made from now on count as newer than those that a restore has lost.

    Whoever runs decides with it from its next batch on.
    """
    raised = run(_raise_epoch(Person(name=by, reason=reason), to))
    if as_json:
        emit(raised)
    else:
        say(
            f"The epoch is {raised.to_epoch}; before, it was {raised.from_epoch}. What is decided from now on counts "
            "as newer. deploy/RUNBOOK.md says what comes next after a restore."
        )


async def make_database(url: URL, lanes: int) -> int:
    """Make roles, tables and lanes at a superuser's `url`, and return the number of lanes it has. Idempotent."""
    async with login_engine(url) as superuser, superuser.begin() as tx:
        await schema.create_roles(tx)
    async with engine("owner", url=url) as owner:
        await schema.upgrade(owner)
        async with owner.begin() as tx:
            await schema.install(tx, lanes)
            return (await read_installation(tx)).lanes


async def _upgrade() -> None:
    async with engine("owner") as owner:
        await schema.upgrade(owner)


async def _raise_epoch(person: Person, to: int | None) -> Raised:
    try:
        async with ledger("owner") as tx:
            return await raise_epoch(tx, person, to)
    except CannotRaise as error:
        raise Misuse(str(error)) from None


async def _check() -> list[str]:
    async with engine("owner") as owner:
        return await schema.differences(owner)


async def _check_embedded() -> list[str]:
    async with running_postgres(fsync=False) as server:
        await server.create_database("exportgate")
        return await _up_down_up(make_url(server.url()))


async def _up_down_up(url: URL) -> list[str]:
    await make_database(url, DEFAULT_LANES)
    async with engine("owner", url=url) as owner:
        first = await schema.differences(owner)
        await schema.downgrade(owner, "base")
        await schema.upgrade(owner)
        again = await schema.differences(owner)
    return first + [f"after down and up again: {difference}" for difference in again if difference not in first]
