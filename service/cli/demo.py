"""`exportgate demo`: the main job from end to end, on servers of its own."""

import asyncio
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from service.cli.connect import run
from service.cli.output import NOT_A_TERMINAL, AsJson, Failed, console, emit, say
from service.cli.story import told
from service.demo import cast
from service.demo.chapters import CHAPTERS
from service.demo.june import walked
from service.demo.june_screen import show_account
from service.demo.questions import Ending, endings, outlived, rules, shares
from service.demo.run import Account, Demonstrated, demonstrated
from service.demo.stream import DemoFailed
from service.demo.summary import CAST, last_words, next_steps, summarize
from service.demo.walked import Walked
from service.ledger.engine import Tx

SEED = 20260612
_EXPLAINED = (cast.BANK, "contract:contract-1")


def demo(
    *,
    june: Annotated[
        bool, typer.Option("--june", help="Walk June 2026 instead, version by version, by the commands of an officer.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the made-up population; the same seed gives the same events.")] = SEED,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the servers at the end, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide some 2,000 made-up events on a fresh database and broker, through the letter of June 2026.

    With --june, an officer drafts, tests, simulates and publishes the three versions of June 2026, and two people sign
    each before it is activated: by real commands, which are shown, with what is published before and after.

    Exit 1 when an event is lost or decided twice, when replay or the topics differ from the database, or when a command
    of June does not end as it must or a version takes five minutes of them.
    """
    out = _beside_json() if as_json else console()
    try:
        if june:
            wrong = run(_june(out, seed, keep=keep, as_json=as_json))
        else:
            wrong = run(_demo(out, seed, keep=keep, as_json=as_json))
    except DemoFailed as error:
        raise Failed(str(error)) from None
    if wrong is not None:
        raise Failed(f"the demo found something wrong: {wrong}")


def _beside_json() -> Console:
    """Where a person may watch while stdout is for a program."""
    return Console(stderr=True, markup=False, highlight=False, width=None if sys.stderr.isatty() else NOT_A_TERMINAL)


async def _june(out: Console, seed: int, *, keep: bool, as_json: bool) -> Mapping[str, Any] | None:
    """Walk and tell; what is wrong, None when all is well."""
    async with walked(out, seed) as walk:
        if as_json:
            emit({**_figures(walk), "steps": walk.steps, "seen": walk.seen})
        else:
            show_account(out, walk)
            next_steps(out)
        if keep:
            await _keep(out, walk.stage.installation.variables)
        return None if walk.good else _figures(walk)


def _figures(walk: Walked) -> Mapping[str, Any]:
    """What the commands came to, by version; and whether that is well."""
    return {
        "good": walk.good,
        "commands": len(walk.steps),
        "seconds": {chapter.version: round(walk.seconds(chapter.version), 2) for chapter in CHAPTERS},
        "replay": walk.replayed,
    }


async def _demo(out: Console, seed: int, *, keep: bool, as_json: bool) -> Mapping[str, Any] | None:
    """Run and tell; what is wrong, None when all is well."""
    async with demonstrated(out, seed) as demonstration:
        if as_json:
            async with demonstration.auditor.connect() as tx:
                ended = await _endings(tx)
            emit(
                {**_numbers(demonstration.account), "cast": {" ".join(key): one.outcome for key, one in ended.items()}}
            )
        else:
            await _tell(out, demonstration)
        if keep:
            await _keep(out, demonstration.variables)
        return None if demonstration.account.good else _numbers(demonstration.account)


async def _tell(out: Console, demonstration: Demonstrated) -> None:
    async with demonstration.auditor.connect() as tx:
        summarize(
            out,
            demonstration.account,
            shares=await shares(tx),
            rules=await rules(tx),
            endings=await _endings(tx),
            outlived=await outlived(tx),
        )
        explained = await told(tx, *_EXPLAINED)
    say(f"\nOne hold, explained (exportgate decisions explain {' '.join(_EXPLAINED)}):\n")
    say("\n\n".join(explained.paragraphs))
    last_words(out, demonstration.account)


async def _endings(tx: Tx) -> Mapping[tuple[str, str], Ending]:
    return await endings(tx, [account_id for account_id, _, _ in CAST])


async def _keep(out: Console, variables: Mapping[str, str]) -> None:
    """Say how to reach the servers, and wait for Ctrl-C."""
    out.print("\nThe servers and the service stay until Ctrl-C. In another terminal:")
    for name, value in variables.items():
        out.print(f"  export {name}={shlex.quote(value)}", soft_wrap=True)
    await asyncio.get_running_loop().create_future()


def _numbers(account: Account) -> Mapping[str, Any]:
    """The result for a program."""
    return {
        **asdict(account.tally),
        "replay_differences": account.replay_differences,
        "published": asdict(account.published),
        "seconds": round(account.seconds, 2),
        "events_per_second": round(account.tally.events / account.seconds),
    }
