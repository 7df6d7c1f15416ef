"""The walk through June 2026 on a screen: chapters, commands with what they said, what was published, the account."""

from collections.abc import Sequence
from textwrap import fill, indent

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service.demo.chapters import BEFORE, CHAPTERS
from service.demo.shell import Step, Typed
from service.demo.walked import Walked
from service.demo.watched import WATCHED, Sighting

_STYLES = {"approve": "green", "hold": "yellow", "deny": "red"}
INDENT = 4


def show_chapter(console: Console, came: str, text: str) -> None:
    """What came when."""
    console.print(f"\n== {came}: {text}", style="bold")


def show_typed(console: Console, typed: Typed) -> None:
    """A command, and why it is typed, before it runs; of one that was shown before nothing yet."""
    if typed.brief:
        return
    console.print(f"\n  # {typed.why}", style="dim")
    console.print(f"  $ {typed.command}", style="bold", soft_wrap=True)


def show_said(console: Console, step: Step, typed: Typed) -> None:
    """What a command said, and how long it took; of one that was shown before only that."""
    if typed.brief:
        console.print(Text(f"  $ {step.command}", "bold") + Text(f"  [{step.seconds:.1f} s]", "dim"), soft_wrap=True)
        return
    for line in step.said:
        if line.strip():
            told = fill(line, console.width - INDENT, break_on_hyphens=False, break_long_words=False)
            console.print(indent(told, " " * INDENT), soft_wrap=True)
    refused = "refused, as it must be; " if step.refused else ""
    console.print(f"{' ' * INDENT}[{refused}{step.seconds:.1f} s]", style="dim")


def show_sightings(console: Console, others: int, seen: Sequence[Sighting]) -> None:
    """What was published of the watched customers."""
    beside = f", and {others:,} of others" if others else ""
    console.print(f"\n  {len(seen)} events were sent through Kafka{beside}; on license-decisions.v1 stands now:")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for one in seen:
        models = Text(", ").join(Text(f"{model} {outcome}", _STYLES[outcome]) for model, outcome in one.models.items())
        why = ", ".join(one.rules) or "no rule speaks"
        table.add_row(one.account_id, WATCHED[one.account_id][0], models, f"{why} ({one.policy_version})")
    console.print(Padding(table, (0, 0, 0, INDENT)))


def show_account(console: Console, walked: "Walked") -> None:
    """The whole of June in one table, and what the commands took."""
    columns = (BEFORE, *(chapter.version for chapter in CHAPTERS))
    table = Table(
        title="\nJune 2026, as published", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0)
    )
    for column in ("account", "who that is", "model", *columns):
        table.add_column(column, header_style="dim", no_wrap=True)
    for customer in zip(*walked.seen, strict=True):
        who = (customer[0].account_id, WATCHED[customer[0].account_id][0])
        for model in customer[0].models:
            outcomes = [one.models[model] for one in customer]
            table.add_row(*who, model, *(Text(outcome, _STYLES[outcome]) for outcome in outcomes))
            who = ("", "")
    figures = (Text(_figures(walked, one.version), "dim") for one in CHAPTERS)
    table.add_row("", "", Text("commands", "dim"), "", *figures)
    console.print(table)
    total = sum(step.seconds for step in walked.steps)
    slowest = max(CHAPTERS, key=lambda chapter: walked.seconds(chapter.version))
    console.print(
        f"\n{len(walked.steps)} commands in {total:.0f} s. From the letter to the version in force, the longest took "
        f"{walked.seconds(slowest.version):.0f} s of commands ({slowest.version}), of the 300 s that are allowed.\n"
        f"Replay: {walked.replayed}"
    )


def _figures(walked: "Walked", version: str) -> str:
    count = sum(step.version == version for step in walked.steps)
    return f"{count} in {walked.seconds(version):.0f} s"
