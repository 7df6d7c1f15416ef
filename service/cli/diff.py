"""`exportgate policy diff`: what two versions say differently, and a smallest customer on whom they differ."""

import textwrap
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import orjson
import typer

from service import clock
from service.cli import words
from service.cli.candidate import find_candidate
from service.cli.output import WIDEST, AsJson, console, emit, emit_bytes, example, read_time, say, say_table
from service.cli.words import joined
from service.decide.decision import OUTCOME_WORDS, Verdict
from service.decide.policy import Policy
from service.policies.counterexample import MOST_FACTS, Counterexample, Search, search
from service.policies.diff import Change, altered, changed_rules, changes, unsearched, written

EXAMPLE = example("exportgate policy diff deploy/policies/2026-06-12.yaml deploy/policies/2026-06-26.yaml")
_WIDEST_CELL = 60


def diff_policies(
    first: Annotated[str, typer.Argument(metavar="FILE-or-VERSION", help="A document, or a published version.")],
    second: Annotated[str, typer.Argument(metavar="FILE-or-VERSION", help="What it is compared with.")],
    *,
    as_of: Annotated[str | None, typer.Option(metavar="RFC3339", help="Dated rules as of then, else now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Name every rule, threshold, group, model and term that differs, and find a smallest customer on whom they differ.

    The search starts from a plain London customer and changes up to three facts at the boundaries that the differing
    rules name; it says how far it got.
    """
    (one, resolved), (two, resolved_two) = find_candidate(first), find_candidate(second)
    before, after = orjson.loads(resolved), orjson.loads(resolved_two)
    instant = clock.now() if as_of is None else read_time(as_of, "--as-of")
    found = changes(before, after)
    searched = search(one, two, changed_rules(before, after), instant)
    terms = unsearched(before, after)
    if as_json:
        emit({**_as_object((one, two), instant, found, searched), "not_searched": terms})
        return
    if not found:
        say(f"{one.version} and {two.version} say the same.")
        return
    rows = [[change.kind, change.name, *_told(change)] for change in found]
    say_table(["what", "name", "how", "before", "after"], rows, none="")
    for change in found:
        if not _fits(change):
            _say_altered(change)
    if terms:
        say(f"\nNot searched, since no facts of a customer show it: what {joined(terms)} {_change(terms)}.")
    if not searched.asked:
        say(f"\nNot searched: no rule that differs is in force at {words.moment(instant)}; nothing was varied.")
        return
    for policy, other, found_one in ((one, two, searched.only_first), (two, one, searched.only_second)):
        say("\n" + _counterexample(policy, other, found_one, searched))
    if searched.fixed:
        say(f"Not varied, since they follow from other facts: {', '.join(sorted(searched.fixed))}.")


def _change(terms: list[str]) -> str:
    return "changes" if len(terms) == 1 else "change"


def _told(change: Change) -> list[str]:
    sides = (change.before, change.after)
    return [
        change.what,
        *(map(written, sides) if _fits(change) else ("-" if one is None else "below" for one in sides)),
    ]


def _fits(change: Change) -> bool:
    """Whether both sides can be read in a table. A condition is told clause by clause."""
    sides = (change.before, change.after)
    if None in sides and any(isinstance(one, str) for one in sides):
        return True
    return change.what != "when" and all(len(written(one)) <= _WIDEST_CELL for one in sides)


def _say_altered(change: Change) -> None:
    """Print the parts that differ, none of them cut."""
    say(f"\n{change.kind} {change.name}, {change.what}:")
    width = min(WIDEST, console().width)
    for line in altered(change.before, change.after):
        sign, text = line[0], line[2:].lstrip()
        indent = " " * (len(line) - len(text))
        told = textwrap.fill(
            text,
            width,
            initial_indent=f"  {sign}{indent[1:]}",
            subsequent_indent=f"      {indent}",
            break_long_words=False,
            break_on_hyphens=False,
        )
        emit_bytes(f"{told}\n".encode())


def _counterexample(policy: Policy, other: Policy, one: Counterexample | None, searched: Search) -> str:
    if one is None:
        return (
            f"Nobody was found whom only {policy.version} approves: {searched.tried:,} customers were tried, every one "
            f"that differs from a plain London customer in up to {searched.complete} facts at a boundary of the rules "
            f"that differ{_and_more(searched)}."
        )
    first, second = (policy, other) if one is searched.only_first else (other, policy)
    return (
        f"Only {policy.version} approves {one.item.model} ({one.item.delivery}) for {_customer(one)}.\n"
        f"  {first.version}: {_verdict(one.first, one)}\n"
        f"  {second.version}: {_verdict(one.second, one)}"
    )


def _and_more(searched: Search) -> str:
    return "" if searched.complete == MOST_FACTS else f", and some in {searched.complete + 1}"


def _customer(one: Counterexample) -> str:
    kind = one.facts.values["subject.kind"]
    told = [
        f"{name} {'not stated' if value is None else words.value(value)}"
        for name, value in one.changed.items()
        if name != "subject.kind"
    ]
    of = "" if kind == "account" else f"a {kind} of "
    return f"{of}a plain London customer" + (f" with {'; '.join(told)}" if told else "")


def _verdict(verdict: Verdict, one: Counterexample) -> str:
    index = one.facts.items.index(one.item)
    item = verdict.items[index]
    speaking = [
        f"{reason.rule} is {reason.result.value}"
        for reason in verdict.reasons
        if reason.rule in item.rules or not reason.items
    ]
    return f"{OUTCOME_WORDS[item.outcome]}, {'; '.join(speaking) or 'no rule speaks'}"


def _as_object(
    policies: tuple[Policy, Policy], as_of: datetime, found: list[Change], searched: Search
) -> dict[str, object]:
    return {
        "first": _name(policies[0]),
        "second": _name(policies[1]),
        "as_of": as_of,
        "changes": found,
        "tried": searched.tried,
        "searched": searched.asked > 0,
        "complete_facts": searched.complete,
        "not_varied": sorted(searched.fixed),
        "only_first_approves": _example(searched.only_first),
        "only_second_approves": _example(searched.only_second),
    }


def _name(policy: Policy) -> Mapping[str, str]:
    return {"name": policy.name, "version": policy.version, "sha256": policy.sha256}


def _example(one: Counterexample | None) -> Mapping[str, object] | None:
    if one is None:
        return None
    return {
        "changed": one.changed,
        "facts": one.facts.values,
        "model": one.item.model,
        "delivery": one.item.delivery,
        "first": _verdict(one.first, one),
        "second": _verdict(one.second, one),
    }
