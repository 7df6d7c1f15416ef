"""`exportgate demo`: the main job from end to end, on servers of its own."""

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from service.cli.connect import run
from service.cli.output import AsJson, Failed, console, emit, say
from service.cli.story import told
from service.demo import cast
from service.demo.questions import Ending, endings, outlived, rules, shares
from service.demo.run import Account, DemoFailed, Demonstrated, demonstrated
from service.demo.summary import CAST, last_words, summarize
from service.ledger.engine import Tx

SEED = 20260612
_EXPLAINED = (cast.BANK, "contract:contract-1")


def demo(
    *,
    seed: Annotated[int, typer.Option(help="Of the made-up population; the same seed gives the same events.")] = SEED,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the servers at the end, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide some 2,000 made-up events on a fresh database and broker, through the letter of June 2026.

    Exit 1 when an event is lost or decided twice, or when replay or the topics differ from the database.
    """
    try:
        account = run(_demo(seed, keep=keep, as_json=as_json))
    except DemoFailed as error:
        raise Failed(str(error)) from None
    if not account.good:
        raise Failed(f"the demo found something wrong: {_numbers(account)}")


async def _demo(seed: int, *, keep: bool, as_json: bool) -> Account:
    out = Console(stderr=True, markup=False, highlight=False) if as_json else console()
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
            await _keep(out, demonstration)
        return demonstration.account


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


async def _keep(out: Console, demonstration: Demonstrated) -> None:
    """Say how to reach the servers, and wait for Ctrl-C."""
    out.print("\nThe servers and the service stay until Ctrl-C. In another terminal:")
    for name, value in demonstration.variables.items():
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
