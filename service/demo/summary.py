"""The end of the demo in words and tables: what became of the events, what was decided, and how the cast came out."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.demo import cast
from service.demo.questions import Ending, RuleCount, Share
from service.demo.run import Account

_STYLES = {"approve": "green", "hold": "yellow", "deny": "red"}
_MOST_RULES = 10
_MOST_NAMED = 3

CAST: Sequence[tuple[str, str, str]] = (
    (cast.BANK, "account", "a London bank"),
    (cast.LOGISTICS, "account", "a Tokyo logistics firm"),
    (cast.STARTUP, "account", "a Berlin startup"),
    (cast.GULF, "account", "a Gulf startup that does not name its owners"),
    (cast.SHELLS, "account", "a shell owned by shells, nobody at the end"),
    (cast.VPN, "account", "says Norway, is used from homes in Iran"),
    (cast.CRIMEA, "account", "an address in Crimea"),
    (cast.MILITARY, "account", "military use reported after approval"),
    (cast.CONTRADICTION, "account", "owners who hold more than 100 percent"),
    (cast.HONG_KONG, "account", "a Hong Kong parent asks for computing"),
    (cast.EARLY, "contract:contract-1", "a contract that came before its signup"),
    (cast.TWO_VERSIONS, "account", "one event id, told in two ways"),
    (cast.BANK, "contract:contract-1", "the bank signs for mythos-5 and sonata-4"),
    (cast.LAB, f"user:{cast.ENGINEER}", "an H-1B engineer in Boston"),
    (cast.UNKNOWN_USERS, "account", "a US company, users unknown"),
    (cast.US_ONLY, "account", "a US company, all users shown to be US persons"),
)
"""Account, subject, and who that is."""


def summarize(
    console: Console,
    account: Account,
    *,
    shares: Sequence[Share],
    rules: Sequence[RuleCount],
    endings: Mapping[tuple[str, str], Ending],
    outlived: int,
) -> None:
    """Print the summary, without the explanation and the last words."""
    tally = account.tally
    console.print(
        f"\n{tally.events:,} events in {account.seconds:.1f} s: {tally.decided:,} decided, "
        f"{tally.duplicates} duplicates, {tally.conflicts} conflicts, {tally.stale} stale, "
        f"{tally.quarantined} quarantined; {tally.lost} lost, {tally.decided_twice} decided twice."
    )
    console.print(_outcomes(shares))
    console.print(_rules(rules))
    console.print(_cast(endings))
    console.print(
        f"\n{outlived:,} subjects stand as the baseline left them, the bank's account among them: a new version\n"
        "decides what comes after it, and this release does not yet make standing decisions again."
    )


def _table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", header_style="dim")
    return table


def _outcomes(shares: Sequence[Share]) -> Table:
    columns = ("approve", "in part", "hold", "deny")
    table = _table("Decisions by policy version and outcome", "policy version", *columns, right=columns)
    counts: dict[str, Counter[str]] = {}
    for share in shares:
        partly = share.access == "partial"
        name = "in part" if partly else share.outcome
        counts.setdefault(share.policy_version, Counter())[name] += share.decisions
    for version, count in counts.items():
        table.add_row(version, *(f"{count[column]:,}" for column in columns))
    return table


def _rules(rules: Sequence[RuleCount]) -> Table:
    table = _table("Rules that bore on decisions", "decisions", "rule", "finding", "what it says", right=("decisions",))
    for rule in rules[:_MOST_RULES]:
        table.add_row(f"{rule.decisions:,}", rule.rule, rule.result, rule.title)
    if len(rules) > _MOST_RULES:
        table.add_row("", f"and {len(rules) - _MOST_RULES} more")
    return table


def _cast(endings: Mapping[tuple[str, str], Ending]) -> Table:
    table = _table("The cast, as it stands", "account", "who that is", "outcome", "decided under", "because of")
    table.columns[0].no_wrap = table.columns[2].no_wrap = True
    for account_id, subject_id, who in CAST:
        ending = endings.get((account_id, subject_id))
        if ending is not None:
            outcome = "in part" if ending.access == "partial" else ending.outcome
            rules = Text(", ".join(ending.rules[:_MOST_NAMED]), overflow="fold")
            table.add_row(account_id, who, Text(outcome, style=_STYLES[ending.outcome]), ending.policy_version, rules)
    return table


def last_words(console: Console, account: Account) -> None:
    """What was checked, and what is to be seen after it."""
    published, tally = account.published, account.tally
    console.print(
        f"\nReplay: {tally.decisions:,} decisions made again from what was stored, "
        f"{account.replay_differences} differences.\n"
        f"Topics: {published.decisions:,} entries and {published.statuses:,} statuses published, "
        f"{published.differences} differ from the database."
    )
    console.print(
        "\nHow an officer puts such a version in force is shown by `exportgate demo --june`, the second half of "
        "`make demo`."
    )


def next_steps(console: Console) -> None:
    """What to try after both halves of the demo."""
    console.print(
        "\nWhat to try next:\n"
        "  exportgate demo --keep                     the first half, and its servers stay for the README's commands\n"
        "  exportgate policy test deploy/policies     the golden cases of every shipped policy\n"
        "  exportgate policy facts                    what a rule may ask for\n"
        "  README.md, “Operate”                       run it against your own Kafka and PostgreSQL"
    )
