"""Times at the ends of the calendar and names that no file can have are told in one line, and harm nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.decide.evaluate import evaluate
from service.decide.facts import Facts
from service.policies.counterexample import PLAIN
from service.policies.lint_times import instants
from tests.commands import Cli, refused
from tests.policies import SMALL, small_policy
from tests.policy_texts import policy_of, rule_text

LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
BEYOND = "9999-12-31T23:59:59-14:00"
BEFORE = "0001-01-01T00:00:00+14:00"
LONG = "x" * 5000


def test_an_approval_near_the_last_instant_ends_there() -> None:
    facts = Facts(values=PLAIN, items=(), assurance={}, authorizations=())
    assert evaluate(facts, small_policy().policy, LAST).valid_until == datetime.max.replace(tzinfo=UTC)


def test_a_policy_that_begins_with_the_calendar_has_no_instant_before() -> None:
    dated = 'outcome: deny\nin_force: [{from: "0001-01-01T00:00:00Z", to: null}]'
    assert instants(policy_of(rule_text("{fact: account.known, is: false}", more=dated)).policy) == [
        datetime(1, 1, 1, tzinfo=UTC)
    ]


@pytest.fixture
def document(tmp_path: Path) -> str:
    """The small policy as a file."""
    file = tmp_path / "1.yaml"
    file.write_text(SMALL.format(version="1", held="nothing"))
    return str(file)


@pytest.mark.embedded
@pytest.mark.usefixtures("ledger")
async def test_times_outside_the_calendar_are_misuse(cli: Cli, document: str) -> None:
    for at in (BEYOND, BEFORE):
        refused(await cli("policy", "diff", document, document, "--as-of", at), 2, "--as-of: expected a time")
        for option in ("--as-of", "--since", "--until"):
            refused(await cli("policy", "simulate", document, option, at), 2, f"{option}: expected a time")
    assert (await cli("policy", "simulate", document, "--as-of", "9999-12-31T00:00:00Z")).code == 0


@pytest.mark.embedded
@pytest.mark.usefixtures("ledger")
async def test_a_period_that_ends_before_it_begins_is_misuse(cli: Cli, document: str) -> None:
    period = ("--since", "2027-01-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z")
    refused(await cli("policy", "simulate", document, *period), 2, "is not after --since")


@pytest.mark.embedded
@pytest.mark.usefixtures("ledger")
async def test_a_name_that_no_file_can_have_and_a_directory_are_misuse(cli: Cli, document: str) -> None:
    refused(await cli("policy", "simulate", LONG), 2, "expected a file or a published version")
    refused(await cli("policy", "diff", LONG, document), 2, "expected a file or a published version")
    for command in ("test", "lint"):
        answer = await cli("policy", command, LONG)
        assert (answer.code, answer.out) == (2, "")
        assert "cannot be read" in answer.err
    directory = str(Path(document).parent)
    refused(await cli("policy", "diff", directory, document), 2, "expected a document or a published version")


async def test_bytes_that_are_no_text_are_one_line(cli: Cli) -> None:
    refused(await cli("decisions", "explain", "acct-\udcff"), 2, "expected arguments in UTF-8, got 'acct-\\udcff'")
