"""`exportgate demo`: the main job from end to end, on servers of its own."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from service.cli.connect import run
from service.cli.output import AsJson, Failed, console, emit, say
from service.cli.story import tell
from service.demo import cast
from service.demo.questions import endings, rules, shares
from service.demo.run import Account, DemoFailed, demonstrated
from service.demo.summary import CAST, last_words, summarize
from service.embedded.server import EmbeddedServerError
from service.stream.connection import StreamError

SEED = 20260612


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
    except (DemoFailed, EmbeddedServerError, StreamError) as error:
        raise Failed(str(error)) from None
    if not account.good:
        raise Failed(f"the demo found something wrong: {_numbers(account)}")


async def _demo(seed: int, *, keep: bool, as_json: bool) -> Account:
    out = Console(stderr=True) if as_json else console()
    async with demonstrated(out, seed) as (account, auditor):
        if as_json:
            emit(_numbers(account))
        else:
            async with auditor.connect() as tx:
                accounts = [account_id for account_id, _, _ in CAST]
                summarize(
                    out, account, shares=await shares(tx), rules=await rules(tx), endings=await endings(tx, accounts)
                )
            say("\nOne hold, explained (exportgate decisions explain thames-bank contract:contract-1):\n")
            say("\n\n".join((await tell(cast.BANK, "contract:contract-1")).paragraphs))
            last_words(out, account)
        if keep:
            await _keep(out)
        return account


async def _keep(out: Console, kept: Kept) -> None:
    """Say how to reach the servers, and wait for Ctrl-C."""
    out.print("\nThe servers and the service stay until Ctrl-C. In another terminal:")
    for name, value in kept.environment.items():
        out.print(f"  export {name}={value}", soft_wrap=True)
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
