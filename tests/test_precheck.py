"""A prospect is decided and explained, and nothing of it is kept but that somebody asked."""

from pathlib import Path

import pytest

from tests.commands import Answer, Cli, refused
from tests.events import account, event
from tests.ledger import Ledger
from tests.policies import SMALL

pytestmark = pytest.mark.embedded

LONDON = """\
legal_name: Thames Bank plc
organized_in: GB
headquartered_in: GB
billing_in: GB
items: [{model: fable-5, delivery: api}]
"""
WHO = ("--by", "ann", "--reason", "tender 17")


@pytest.fixture
def prospect(tmp_path: Path) -> Path:
    """A London bank, described by a sales person."""
    path = tmp_path / "prospect.yaml"
    _describe(path, LONDON)
    return path


def _describe(path: Path, text: str) -> None:
    path.write_text(text)


async def _ask(cli: Cli, *arguments: object) -> Answer:
    answer: Answer = await cli("policy", "precheck", *(str(one) for one in arguments), *WHO)
    return answer


async def test_a_plain_prospect_is_approved_and_only_the_question_is_kept(
    cli: Cli, ledger: Ledger, prospect: Path
) -> None:
    answer = await _ask(cli, prospect)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Approved: account prospect may use fable-5")
    assert "Nothing stands." in answer.out
    (noted,) = await ledger.journal("prechecked")
    assert (noted["by"], noted["reason"], noted["outcome"], noted["account_id"]) == (
        "ann",
        "tender 17",
        "approve",
        None,
    )
    assert "Thames" not in str(noted)
    assert "facts_sha256" not in noted
    for table in ("decision", "subject", "evidence", "inbox"):
        assert await ledger.rows(f"SELECT 1 FROM ledger.{table}") == []
    assert await ledger.replay() == []


async def test_a_prospect_is_decided_as_the_customer_would_be(cli: Cli, ledger: Ledger, prospect: Path) -> None:
    _describe(prospect, LONDON.replace("headquartered_in: GB", "headquartered_in: IR"))
    (body,) = (await _ask(cli, prospect, "--json")).json
    await ledger.decide(
        event("account.signed_up.v1", account(account_id="prospect", headquartered_in="IR", billing_in="GB"))
    )
    (decided,) = await ledger.decisions("prospect")
    assert (body["outcome"], [one["rule"] for one in body["reasons"]]) == (decided[2], list(decided[3]))


@pytest.mark.usefixtures("ledger")
async def test_a_contract_of_a_prospect_is_decided_by_another_version_when_asked(
    cli: Cli, prospect: Path, tmp_path: Path
) -> None:
    held = tmp_path / "held.yaml"
    _describe(held, SMALL.format(version="2", held="fable-5"))
    _describe(prospect, LONDON + "contract: {deliver_to: [GB], items: [{model: fable-5, delivery: api}]}\n")
    assert (await _ask(cli, prospect)).out.startswith("Approved: contract prospect of account prospect")
    answer = await _ask(cli, prospect, "--policy", held)
    assert answer.out.startswith("Held: contract prospect of account prospect may for now not use fable-5")
    assert "This model needs a license" in answer.out


@pytest.mark.parametrize(
    "text, told",
    [
        ("organised_in: GB\n", "/organised_in: no such field (did you mean 'organized_in'?)"),
        ("organized_in: 7\n", "/organized_in: expected text, got a whole number"),
        ("user: {user_id: u}\ncontract: {contract_id: c}\n", "ask about one at a time"),
        ("contract: London\n", "/contract: expected fields with their values"),
        ("- GB\n", "expected a mapping"),
    ],
)
async def test_a_wrong_description_is_refused_on_one_line(
    cli: Cli, ledger: Ledger, prospect: Path, text: str, told: str
) -> None:
    _describe(prospect, text)
    refused(await _ask(cli, prospect), 2, "this is no prospect", told)
    assert await ledger.journal("prechecked") == []


@pytest.mark.parametrize(
    "text, told",
    [
        (LONDON.replace("billing_in: GB", "billing_in: UK"), "note: /billing_in: UK: no ISO 3166 code"),
        (LONDON + "contract: {deliver_to: [GB, Atlantis]}\n", "note: /contract/deliver_to: GB, Atlantis: no ISO 3166"),
    ],
)
async def test_a_field_that_holds_no_country_is_named_with_what_it_holds(
    cli: Cli, ledger: Ledger, prospect: Path, text: str, told: str
) -> None:
    _describe(prospect, text)
    answer = await _ask(cli, prospect)
    assert answer.code == 0
    assert answer.err.startswith(told)
    noted = str(await ledger.journal("prechecked"))
    assert "UK" not in noted
    assert "Atlantis" not in noted


async def test_help_says_that_a_name_belongs_to_it(cli: Cli) -> None:
    assert "`legal_name`" in (await cli("policy", "precheck", "--help")).out


async def test_without_a_policy_in_force_one_must_be_named(cli: Cli, prospect: Path) -> None:
    refused(await _ask(cli, prospect), 1, "no policy is in force", "--policy")


@pytest.mark.parametrize(
    "more",
    [
        'location_evidence: [{place: GB, source: gateway, kind: business, share: "100"}]',
        'contract: {value: "5.00", currency: USD}',
        'contract: {items: [{model: fable-5, delivery: api, volume: "12.5"}]}',
        'user: {citizenships: [{country: GB, since: "1980-01-01"}]}',
        'user: {birth_date: "1980-01-01"}',
        'red_flags: [{edition: "2024-10", number: 1, raised_by: kyc, raised_at: "2026-01-01T00:00:00Z"}]',
    ],
    ids=["share", "value", "volume", "since", "birth_date", "raised_at"],
)
@pytest.mark.usefixtures("ledger")
async def test_decimals_dates_and_times_are_read_as_events_have_them(cli: Cli, prospect: Path, more: str) -> None:
    _describe(prospect, f"{LONDON}{more}\n")
    answer = await _ask(cli, prospect)
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.usefixtures("ledger")
async def test_a_number_in_place_of_a_decimal_is_still_refused(cli: Cli, prospect: Path) -> None:
    _describe(prospect, f"{LONDON}location_evidence: [{{place: GB, source: gateway, kind: business, share: 5}}]\n")
    refused(await _ask(cli, prospect), 2, "/location_evidence/0/share")
