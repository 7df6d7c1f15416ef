"""A simulation in words and tables, and as JSON. Pure but for the printing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from service.cli.output import say, say_table
from service.cli.words import moment, plural
from service.decide.policy import Policy
from service.simulation import DENIED_IN_PART, IN_PART, Change, Sample, Tally, answers_of

_MOST_ROWS = 12

Counted = TypeVar("Counted", int, Decimal)


def as_object(tally: Tally, policy: Policy, as_of: datetime, total: int) -> dict[str, object]:
    """All of it, for a program."""
    return {
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "as_of": as_of,
        "total": total,
        **counted_object(tally),
    }


def counted_object(tally: Tally) -> dict[str, object]:
    """What was counted, for a program: by outcome alone, and under `by_answer` with access ("in part") as well."""
    return {
        "simulated": tally.simulated,
        "changed": tally.changed,
        "erased": tally.erased,
        "unreadable": tally.unreadable,
        "changes": changes_object(tally.changes),
        "value_usd": changes_object(tally.value_usd),
        "countries": {country: changes_object(tally.countries[country]) for country in sorted(tally.countries)},
        "rules": {rule: changes_object(tally.rules[rule]) for rule in sorted(tally.rules)},
        "by_answer": {
            "changes": _pairs(tally.changes),
            "value_usd": _pairs(tally.value_usd),
            "countries": {country: _pairs(tally.countries[country]) for country in sorted(tally.countries)},
            "rules": {rule: _pairs(tally.rules[rule]) for rule in sorted(tally.rules)},
        },
        "samples": [
            {
                "before": change.outcomes.before,
                "after": change.outcomes.after,
                "answer_before": change.before,
                "answer_after": change.after,
                "account_id": sample.account_id,
                "subject_id": sample.subject_id,
                "country": sample.country,
                "why": [why._asdict() for why in sample.why],
                "items": [item._asdict() for item in sample.items],
            }
            for change in sorted(tally.samples)
            for sample in tally.samples[change]
        ],
    }


def tell(tally: Tally, policy: Policy, as_of: datetime) -> None:
    """Print what people want to know first: how many change, to what, where, by which rule."""
    say(
        f"Under {policy.name} {policy.version}, as of {moment(as_of)}, {tally.changed:,} of "
        f"{plural(tally.simulated, 'decision')} would come out differently."
    )
    tell_counted(tally)


def tell_counted(tally: Tally) -> None:
    """Print what was left out, the changes from outcome to outcome, and where, by which rules and for whom they are."""
    if tally.erased or tally.unreadable:
        say(
            f"Not simulated: {tally.erased:,} whose facts were erased, {tally.unreadable:,} whose facts cannot be read."
        )
    if not tally.simulated:
        return
    say("\nFrom (rows) to (columns):")
    shown = answers_of(tally)
    say_table(["", *shown, "USD that change"], _matrix(tally, shown), none="")
    if not tally.changed:
        return
    say("\nWhere, by the customer's country:")
    say_table(["country", "decided", "changed", "how"], _rows(tally.countries), none="")
    say("\nRules of the candidate that speak where something changes:")
    say_table(["rule", "speaks for", "changed", "how"], _rows(tally.rules), none="none")
    say("\nSamples:")
    for change in sorted(tally.samples):
        for sample in tally.samples[change]:
            say(f"{change.before} -> {change.after}: {_sample(change, sample)}")


def _matrix(tally: Tally, answers: Sequence[str]) -> list[list[str]]:
    rows = []
    for before in answers:
        counts = [tally.changes[Change(before, after)] for after in answers]
        value = sum(
            tally.value_usd[Change(before, after)]
            for after in answers
            if after != before and Change(before, after) in tally.value_usd
        )
        rows.append([before, *(f"{count:,}" for count in counts), f"{value:,}"])
    return rows


def _rows(counted: Mapping[str, Counter[Change]]) -> list[list[str]]:
    changed = {name: _changed(changes) for name, changes in counted.items()}
    largest = sorted((name for name in counted if changed[name]), key=lambda name: (-changed[name], name))
    rows = [
        [name, f"{counted[name].total():,}", f"{changed[name]:,}", how(counted[name])] for name in largest[:_MOST_ROWS]
    ]
    rest = largest[_MOST_ROWS:]
    if rest:
        rows.append([f"{len(rest):,} more", "", f"{sum(changed[name] for name in rest):,}", ""])
    return rows


def _changed(changes: Counter[Change]) -> int:
    return sum(count for change, count in changes.items() if change.before != change.after)


def how(changes: Counter[Change]) -> str:
    """`3 approve -> hold, 1 hold -> deny`; empty when nothing changes."""
    told = [
        f"{count:,} {change.before} -> {change.after}"
        for change, count in sorted(changes.items())
        if change.before != change.after
    ]
    return ", ".join(told)


def _sample(change: Change, sample: Sample) -> str:
    kind, _, own = sample.subject_id.partition(":")
    who = f"account {sample.account_id}" if not own else f"{kind} {own} of account {sample.account_id}"
    why = "; ".join(
        f"{one.rule} is {one.result}" + (f", for want of {', '.join(one.missing)}" if one.missing else "")
        for one in sample.why
    )
    items = f"{_items(change, sample)}; " if change.after in (IN_PART, DENIED_IN_PART) else ""
    return f"{who} ({sample.country}): {items}{why or 'no rule speaks'}"


def _items(change: Change, sample: Sample) -> str:
    """What becomes of each model. What it was is known where all was approved before."""
    told = dict[str, None]()
    for model, _, outcome in sample.items:
        if change.before == "approve":
            told[f"{model} stays approved" if outcome == "approve" else f"{model}: approve -> {outcome}"] = None
        else:
            told[f"{model}: then {outcome}"] = None
    return "; ".join(told)


def changes_object(counted: Mapping[Change, Counted]) -> dict[str, dict[str, Counted]]:
    """What was counted of changes, by the outcome before and then after."""
    table: dict[str, dict[str, Counted]] = {}
    for change in sorted(counted):
        before, after = change.outcomes
        row = table.setdefault(before, {})
        row[after] = row[after] + counted[change] if after in row else counted[change]
    return {before: dict(sorted(row.items())) for before, row in sorted(table.items())}


def _pairs(counted: Mapping[Change, Counted]) -> dict[str, dict[str, Counted]]:
    table: dict[str, dict[str, Counted]] = {}
    for before, after in sorted(counted):
        table.setdefault(before, {})[after] = counted[Change(before, after)]
    return table
