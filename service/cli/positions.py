"""`exportgate positions`: how far every Kafka partition is decided, and how a halted one goes on."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from service.brokers import kafka_connection
from service.cli.connect import ledger, run
from service.cli.output import AsJson, By, Failed, Misuse, Reason, clock, emit, example, say, say_table, warn
from service.cli.words import few, plural
from service.failures import ForeseenError
from service.ledger.positions import Position, list_positions
from service.lifting import CannotLift, Lifted, lift_halt
from service.policies.refusal import suggestion
from service.resolving import Person
from service.stream.ends import read_ends

_BROKER_SECONDS = 3.0
_MOST_PARTITIONS = 2**31 - 1
_LAST_OFFSET = 2**63 - 2
"""Kafka counts partitions in 32 bits and offsets in 64; one more must follow the last."""

app = typer.Typer(help="See how far every partition is decided; let a halted one go on.")


@app.command("list", short_help="List how far every partition is decided.", epilog=example("exportgate positions list"))
def list_(*, as_json: AsJson = False) -> None:
    """List the next offset of every partition, where its log ends, the lag, and why a halted one waits for a person.

    The lag is how many offsets are still to be decided. Brokers that do not answer within 3 seconds leave it unknown.
    """
    found = run(_list())
    # Not before the answer of the database, which does not depend on them.
    ends, unknown = run(_ends(found)) if found else ([], None)
    listed = list(zip(found, ends, strict=True))
    if as_json:
        for one, end in listed:
            emit({**asdict(one), "end_offset": end, "lag": _lag(one, end)})
    else:
        columns = ["cluster", "topic", "partition", "next", "end", "lag"]
        say_table(columns, [_row(one, end) for one, end in listed], none="Nothing was read from Kafka yet.")
        _say_halts(found)
    if unknown is not None:
        warn(f"lag is not known: {unknown}")


def _row(one: Position, end: int | None) -> list[str]:
    numbers = (one.partition, one.next_offset, end, _lag(one, end))
    return [one.cluster, one.topic, *("-" if number is None else str(number) for number in numbers)]


def _say_halts(found: Sequence[Position]) -> None:
    halted = [one for one in found if one.halted_at is not None]
    for one in halted:
        since = f"since {clock(one.halted_at)} on cluster {one.cluster}"
        say(f"\nPartition {one.partition} of {one.topic} is halted {since}: {one.halt_reason}")
    if halted:
        say("\nTo let one go on: exportgate positions accept-gap TOPIC PARTITION --by NAME --reason TEXT")


def _lag(one: Position, end: int | None) -> int | None:
    """Offsets still to be decided; 0 too where the log was cut short behind the position."""
    return None if end is None else max(0, end - one.next_offset)


@app.command(
    short_help="Let a halted partition go on.",
    epilog=example('exportgate positions accept-gap accounts.v1 3 --by eve --reason "retention was 1 h" --to 1200'),
)
def accept_gap(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic, without the installation's prefix.")],
    partition: Annotated[
        int, typer.Argument(metavar="PARTITION", min=0, max=_MOST_PARTITIONS, help="The partition's number.")
    ],
    by: By,
    reason: Reason,
    *,
    to: Annotated[
        int | None,
        typer.Option(
            metavar="OFFSET",
            min=0,
            max=_LAST_OFFSET,
            help="Where to go on. RECORDS_LOST: where the log begins now. TOPIC_CHANGED: 0 unless given.",
        ),
    ] = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Pass over what the log still holds before --to; nobody decides it.")
    ] = False,
    cluster: Annotated[
        str | None, typer.Option(metavar="ID", help="Needed when the partition is halted on several clusters.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lift a halt: records that are lost are given up; a topic made anew is read from its beginning, nothing twice.

    The workers take the partition up by themselves. Nothing before --to will be decided: where the log still holds
    records there, --give-up says that they are to be passed over.
    """
    person = Person(name=by, reason=reason)
    lifted = run(_lift(topic, partition, cluster, person, to, give_up=give_up))
    if as_json:
        emit(lifted)
        return
    say(
        f"Lifted by {by}: partition {partition} of {topic} goes on at offset {lifted.to_offset}; before, "
        f"{lifted.from_offset} would have been next. It was halted because of {lifted.halt_reason}."
        + _passed_over(lifted)
    )


def _passed_over(lifted: Lifted) -> str:
    lost, given_up = plural(lifted.lost, "offset"), plural(lifted.given_up, "offset")
    told = f" {lost} before the log's beginning {_are(lifted.lost)} lost." if lifted.lost else ""
    if lifted.given_up:
        told += f" {given_up} that the log may hold {_are(lifted.given_up)} given up."
    return told


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


async def _list() -> Sequence[Position]:
    async with ledger("auditor") as tx:
        return await list_positions(tx)


async def _ends(found: Sequence[Position]) -> tuple[list[int | None], str | None]:
    """Where the log of each position ends, None where that is not known, and why it is not known of some."""
    try:
        wanted = {(one.topic, one.partition) for one in found}
        ends = await read_ends(kafka_connection(), wanted, within_seconds=_BROKER_SECONDS)
    except ForeseenError as error:
        return [None] * len(found), str(error)
    offsets = [ends.offsets.get((one.topic, one.partition)) if one.cluster == ends.cluster else None for one in found]
    if None not in offsets:
        return offsets, None
    return offsets, f"the brokers are cluster {ends.cluster}, which does not have every partition that is listed"


async def _lift(
    topic: str, partition: int, cluster: str | None, person: Person, to: int | None, *, give_up: bool
) -> Lifted:
    try:
        async with ledger("reviewer") as tx:
            known = [one for one in await list_positions(tx) if cluster in (None, one.cluster)]
            mine = [one for one in known if (one.topic, one.partition) == (topic, partition)]
            if not mine:
                raise Misuse(_unknown(known, topic, partition, cluster))
            halted = [one.cluster for one in mine if one.halted_at is not None]
            if len(halted) > 1:
                raise Misuse(
                    f"partition {partition} of {topic} is halted on several clusters, {', '.join(halted)}: "
                    "say which with --cluster"
                )
            chosen = halted[0] if halted else cluster or ""
            return await lift_halt(
                tx, cluster=chosen, topic=topic, partition=partition, person=person, to_offset=to, give_up=give_up
            )
    except CannotLift as error:
        raise Failed(str(error)) from None


def _unknown(known: Sequence[Position], topic: str, partition: int, cluster: str | None) -> str:
    where = "" if cluster is None else f" of cluster {cluster}"
    partitions = sorted({str(one.partition) for one in known if one.topic == topic}, key=int)
    if partitions:
        told = f"no partition {partition} of {topic}{where} is known, but {few(partitions)}"
    else:
        told = f"no topic '{topic}'{where} is known{suggestion(topic, {one.topic for one in known})}"
    return f"{told}; see: exportgate positions list"
