"""The command line: what it answers, how it refuses, and how a decision reads."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.decide.vocabulary import VOCABULARY
from service.embedded.broker import Broker, running_broker
from service.embedded.postgres import Server
from service.policies.load import LoadedPolicy, load_document
from service.stream.connection import Connection
from service.stream.read_topic import read_topic
from service.stream.topics import verify_topics
from tests.commands import Answer, Cli, refused
from tests.events import account, contract, event, signed_up, terminated, to_bytes, user
from tests.ledger import Ledger
from tests.policies import MUST_HOLD, SMALL
from tests.stream import Stream

pytestmark = pytest.mark.embedded

_ROOT = Path(__file__).resolve().parents[1]
_EXPORTGATE = [sys.executable, "-m", "service"]
_DEADLINE_SECONDS = 120.0
_NOBODY_LISTENS = "postgresql+asyncpg://ann:hunter2@127.0.0.1:1/exportgate"
_SMALL_1 = SMALL.format(version="1", held="nothing")
_TWO_MODELS = [{"model": "fable-5", "delivery": "api"}, {"model": "sonata-4", "delivery": "api"}]


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """The small policy, version 1, as a file."""
    path = tmp_path / "small.yaml"
    path.write_text(_SMALL_1)
    return path


def _write(path: Path, content: str | bytes) -> str:
    """Write a file, and return its name as it is typed."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def _in_force_row(answer: Answer) -> list[str]:
    return [one["version"] for one in answer.json if one["in_force"]]


# ---------------------------------------------------------------------------------------------------- policies
async def test_a_policy_is_published_activated_and_listed(cli: Cli, small_file: Path) -> None:
    assert "Nothing is decided by it yet" in (await cli("policy", "publish", str(small_file), "--by", "ann")).out
    assert _in_force_row(await cli("policy", "list", "--json")) == []
    activated = await cli("policy", "activate", "1", "--by", "bob", "--reason", "first day")
    assert (activated.code, activated.err) == (0, "")
    assert re.match(r"1 is in force from \d+ \w+ \d{4} at [\d:]+ UTC\.\nNobody's signature is demanded", activated.out)
    listed = (await cli("policy", "list", "--json")).json
    assert [(one["version"], one["in_force"], one["spells"][0]["by"]) for one in listed] == [("1", True, "bob")]
    assert "NOW: from" in (await cli("policy", "list")).out


async def test_a_published_policy_is_shown_byte_for_byte(cli: Cli, small_file: Path) -> None:
    published = (await cli("policy", "publish", str(small_file), "--by", "ann", "--json")).json[0]
    assert (await cli("policy", "show", "1")).out == _SMALL_1
    by_hash = await cli("policy", "show", published["sha256"], "--resolved")
    assert by_hash.json[0]["version"] == "1"


async def test_publishing_the_same_document_again_changes_nothing(cli: Cli, small_file: Path) -> None:
    await cli("policy", "publish", str(small_file), "--by", "ann")
    again = await cli("policy", "publish", str(small_file), "--by", "eve")
    assert (again.code, "was published before" in again.out) == (0, True)


@pytest.mark.parametrize(
    "broken, said",
    [
        ("fact: customer.places", "did you mean"),
        ("outcome: deny", "outcome"),
    ],
)
async def test_a_refused_document_leaves_the_one_in_force_untouched(
    cli: Cli, ledger: Ledger, tmp_path: Path, broken: str, said: str
) -> None:
    text = SMALL.format(version="2", held="nothing").replace(broken, broken[:-1], 1)
    bad = tmp_path / "bad.yaml"
    bad.write_text(text)
    before = (await cli("policy", "list", "--json")).out
    refused(await cli("policy", "publish", str(bad), "--by", "ann"), 1, "bad.yaml:", said)
    assert (await cli("policy", "list", "--json")).out == before
    assert _in_force_row(await cli("policy", "list", "--json")) == ["1"]
    assert (await ledger.decide(signed_up())).outcomes == {"approve": 1}


_FAILING_CASE = """
cases:
  - case: Tehran is fine
    given: {at: "2026-06-01T00:00:00Z", customer.headquartered_in: IR, items: [{model: fable-5, delivery: api}]}
    expect: {outcome: approve}
"""


async def test_a_document_whose_case_fails_is_not_published(cli: Cli, small_file: Path) -> None:
    _write(small_file, _SMALL_1 + _FAILING_CASE)
    answer = await cli("policy", "publish", str(small_file), "--by", "ann")
    assert (answer.code, answer.out) == (1, "")
    assert "case 'Tehran is fine': expected outcome approve, got deny" in answer.err
    assert "not published: 1 of 1 case of small.yaml fail" in answer.err
    assert (await cli("policy", "list", "--json")).out == ""


async def test_policy_test_names_every_failure_and_exits_1(cli: Cli, small_file: Path) -> None:
    held = await cli("policy", "test", str(small_file.parent))
    assert (held.code, held.out.splitlines()[-1]) == (0, "1 document: no cases.")
    _write(small_file, _SMALL_1 + _FAILING_CASE)
    _write(small_file.parent / "worse.yaml", "policy: [")
    failed = await cli("policy", "test", str(small_file.parent))
    assert failed.code == 1
    assert "Tehran is fine" in failed.err
    assert "worse.yaml:1: expected YAML" in failed.err
    assert failed.err.splitlines()[-1] == "error: 2 documents, 1 case: 1 failed, 1 document refused"


async def test_a_version_never_means_two_things(cli: Cli, small_file: Path) -> None:
    await cli("policy", "publish", str(small_file), "--by", "ann")
    _write(small_file, SMALL.format(version="1", held="fable-5"))
    refused(await cli("policy", "publish", str(small_file), "--by", "ann"), 1, "version 1 is published already")


async def test_every_fact_of_the_vocabulary_is_printed(cli: Cli) -> None:
    rows = {one["fact"]: one for one in (await cli("policy", "facts", "--json")).json}
    elements = {name for spec in VOCABULARY.values() for name in spec.elements}
    assert set(rows) == set(VOCABULARY) | elements
    assert rows["item.eccn"]["source"] == "catalogue"
    assert rows["flag.category"]["element_of"] == "account.flags"
    table = (await cli("policy", "facts")).out
    assert all(name in table for name in rows)


async def test_other_text_of_the_same_meaning_is_told_from_the_same_text(cli: Cli, small_file: Path) -> None:
    await cli("policy", "publish", str(small_file), "--by", "ann")
    assert "exactly as it stands" in (await cli("policy", "publish", str(small_file), "--by", "ann")).out
    _write(small_file, f"# A comment.\n{_SMALL_1}")
    again = await cli("policy", "publish", str(small_file), "--by", "ann")
    assert (again.code, "was published before, with the same meaning" in again.out) == (0, True)


async def test_an_activation_says_what_takes_over_and_how_it_is_superseded(cli: Cli, small_file: Path) -> None:
    await cli("policy", "publish", str(small_file), "--by", "ann")
    _write(small_file, SMALL.format(version="2", held="fable-5"))
    await cli("policy", "publish", str(small_file), "--by", "ann")
    who = ("--by", "bob", "--reason", "a test")
    later = await cli("policy", "activate", "2", *who, "--at", "2099-01-01T00:00:00Z")
    assert "2 will be in force from 1 January 2099 at 00:00:00 UTC.\n" in later.out
    cancel = "  exportgate policy cancel 2099-01-01T00:00:00Z --by NAME --reason TEXT\n"
    assert later.out.endswith(f"Until it begins it can be taken back:\n{cancel}")
    first = await cli("policy", "activate", "1", *who)
    assert "until 1 January 2099 at 00:00:00 UTC, when 2 takes over." in " ".join(first.out.split())
    (told,) = (await cli("policy", "activate", "1", *who, "--json")).json
    assert (told["in_force_until"], told["followed_by"]) == ("2099-01-01T00:00:00Z", "2")


_PARENT = """
cases:
  - case: a London bank is approved
    given: {customer.headquartered_in: GB, items: [{model: fable-5}]}
    expect: {outcome: approve}
  - case: Tehran is denied
    given: {customer.headquartered_in: IR, items: [{model: fable-5}]}
    expect: {outcome: deny}
"""

_CHILD = """\
policy: small
version: "2"
title: A letter
instrument: {kind: letter, issuer: BIS, received_at: "2026-06-12T21:21:00Z"}
legal_status: in_force
enforcement: enforced
extends: "1"
rules:
  - rule: letter
    outcome: hold
    hold_kind: license_required
    scope: item
    title: The letter
    citation: {text: "A letter"}
    in_force: [{from: "2026-06-12T21:21:00Z", to: null}]
    when: {fact: item.model, in: [fable-5]}
"""


async def test_a_version_without_cases_is_warned_of_and_changed_cases_of_its_parent_are_named(
    cli: Cli, tmp_path: Path
) -> None:
    _write(tmp_path / "1.yaml", _SMALL_1 + _PARENT)
    child = _write(tmp_path / "2.yaml", _CHILD)
    for command in (("publish", child, "--by", "ann"), ("test", child)):
        answer = await cli("policy", *command)
        assert answer.code == 0
        warning, change = answer.err.splitlines()
        assert warning.startswith("warning: 2 has no cases")
        assert change == ("note: 2: 1 case of the parent comes out differently, as a new rule must; --json lists it")
    *_, told = (await cli("policy", "test", child, "--json")).json
    assert "case 'a London bank is approved': was approve, is hold (found: letter hit)" in told["changes"]


# ---------------------------------------------------------------------------------------------------- misuse
_MISUSE: list[tuple[list[str], list[str]]] = [
    (["policy", "activate", "7", "--by", "bob", "--reason", "r"], ["no version '7' is published", "policy list"]),
    (["policy", "activate", "1", "--by", "bob", "--reason", "r", "--at", "tomorrow"], ["--at", "2026-06-12T21:21:00Z"]),
    (
        ["policy", "activate", "1", "--by", "bob", "--reason", "r", "--at", "2026-01-01T00:00:00Z"],
        ["may not reach into the past"],
    ),
    (["policy", "activate", "1", "--by", "bob"], ["Missing option '--reason'. See: exportgate policy activate --help"]),
    (["policy", "activate", "1", "--by", " \t", "--reason", "r"], ["'--by'", "without control characters"]),
    (["policy", "activate", "1", "--by", "bob", "--reason", " \u200b "], ["'--reason'", "that says something"]),
    (
        ["policy", "activate", "1", "--by", "NAME", "--reason", "r"],
        ["'--by': expected your name, got the placeholder NAME. See:"],
    ),
    (
        ["policy", "activate", "1", "--by", "bob", "--reason", "TEXT"],
        ["'--reason': expected your reason, got the placeholder TEXT. See:"],
    ),
    (["policy", "publish", "nowhere.yaml", "--by", ""], ["'--by'", "expected text that says something, got ''. See:"]),
    (["quarantine", "dismiss", "17", "--by", "eve", "--reason", "\x1b[2J"], ["'--reason'", "control characters"]),
    (["positions", "accept-gap", "accounts.v1", "0", "--by", "  ", "--reason", "r"], ["'--by'"]),
    (["positions", "accept-gap", "accounts.v1", "99999999999", "--by", "e", "--reason", "r"], ["'PARTITION'"]),
    (["positions", "accept-gap", "accounts.v1", "0", "--by", "e", "--reason", "r", "--to", str(2**63)], ["'--to'"]),
    (
        ["policy", "activate", "1", "--by", "b", "--reason", "r", "--at", "9999-12-31T23:59:59-14:00"],
        ["--at: expected"],
    ),
    (["replay", "--since", "0001-01-01T00:00:00+14:00"], ["--since: expected a time"]),
    (["policy", "show", "z" * 64], ["no version"]),
    (["policy", "publish", "nowhere.yaml", "--by", "ann"], ["nowhere.yaml cannot be read"]),
    (["policy"], ["Missing command", "exportgate policy --help"]),
    (["polcy"], ["No such command 'polcy'"]),
    (["replay", "--since", "yesterday"], ["--since: expected a time"]),
    (["decisions", "show", "17"], ["expected a decision id", "'17'"]),
    (["decisions", "show", "8f14e45f-ceea-567a-9a36-dedd4bea2543"], ["no decision 8f14e45f"]),
    (["decisions", "explain", "acct-9"], ["neither a decision nor an account", "decisions tail"]),
    (["quarantine", "show", "8f14e45f-ceea-567a-9a36-dedd4bea2543"], ["no record 8f14e45f", "quarantine list"]),
    (["events", "send", "nowhere.jsonl"], ["nowhere.jsonl cannot be read"]),
]


@pytest.mark.parametrize("arguments, said", _MISUSE, ids=[" ".join(one[0][:4]) for one in _MISUSE])
@pytest.mark.usefixtures("ledger")
async def test_misuse_is_one_clear_line_and_exit_2(cli: Cli, arguments: list[str], said: list[str]) -> None:
    refused(await cli(*arguments), 2, *said)


async def test_without_a_database_the_setting_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPORTGATE_DATABASE_URL")
    refused(await cli("policy", "list"), 2, "EXPORTGATE_DATABASE_URL")
    monkeypatch.setenv("EXPORTGATE_DATABASE_URL", "mysql://ann:hunter2@db/x")
    answer = await cli("policy", "list")
    refused(answer, 2, "EXPORTGATE_DATABASE_URL", "expected postgresql://")
    assert "hunter2" not in answer.err


async def test_an_unreachable_database_is_named_without_its_password(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTGATE_DATABASE_URL", _NOBODY_LISTENS)
    answer = await cli("decisions", "tail")
    refused(answer, 1, "127.0.0.1:1/exportgate", "does not answer", "EXPORTGATE_DATABASE_URL")
    assert "hunter2" not in answer.err


async def test_a_wrong_password_and_a_database_that_is_not_there_are_told_apart(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, postgres: Server
) -> None:
    monkeypatch.setenv("EXPORTGATE_DATABASE_URL", postgres.url("nowhere"))
    refused(await cli("positions", "list"), 1, "/nowhere does not exist", "CREATE DATABASE")
    monkeypatch.setenv("EXPORTGATE_DATABASE_URL", postgres.url().replace(postgres.password, "hunter2"))
    refused(await cli("positions", "list"), 1, "refuses the user or password")


# ---------------------------------------------------------------------------------------------------- database
async def test_db_init_makes_a_database_once_and_says_when_lanes_cannot_change(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, postgres: Server
) -> None:
    await postgres.create_database("fresh")
    monkeypatch.setenv("EXPORTGATE_DATABASE_URL", postgres.url("fresh"))
    refused(await cli("positions", "list"), 1, "/fresh is not set up", "exportgate db init")
    assert (await cli("db", "init", "--lanes", "4", "--json")).json[0]["lanes"] == 4
    again = await cli("db", "init", "--lanes", "8")
    assert "with 4 lanes" in again.out
    assert "--lanes 8 had no effect" in again.out
    assert (await cli("db", "upgrade")).code == 0
    assert (await cli("db", "check")).out == "Tables and migrations agree.\n"
    await postgres.drop_database("fresh")


async def test_db_check_prints_what_differs_and_exits_1(cli: Cli, empty_ledger: Ledger) -> None:
    await empty_ledger.tamper("ALTER TABLE ledger.decision ADD COLUMN forgotten text")
    answer = await cli("db", "check")
    assert answer.code == 1
    assert "forgotten" in answer.err
    assert answer.err.splitlines()[-1].startswith("error: 1 difference between tables.py and the database")


# ---------------------------------------------------------------------------------------------------- decisions
LETTER = """\
policy: small
version: "2026-06-12"
title: The letter of June
instrument: {kind: letter, issuer: BIS, received_at: "2026-06-12T21:21:00Z"}
legal_status: in_force
enforcement: enforced
catalogue:
  fable-5: {eccn: "4E091", published: false}
  sonata-4: {eccn: "EAR99", published: false}
valid_for: P180D
rules:
  - rule: foreign_person_named_models
    outcome: hold
    hold_kind: license_required
    scope: item
    title: License required for any foreign person
    citation: {text: "Commerce letter of 2026-06-12"}
    when:
      all:
        - {fact: item.model, in: [fable-5]}
        - {fact: person.foreign, is: true}
    clears: ["A BIS license naming the model", "Papers that show protected status in the US"]
    message: The letter names this model.
    customer_message: This model needs an export license for your organization.
  - rule: owners_undisclosed
    outcome: hold
    hold_kind: red_flag
    title: Owners not disclosed
    citation: {text: "15 CFR part 732, Supplement No. 3"}
    when:
      all:
        - {fact: customer.headquartered_in, in: [AE]}
        - {fact: customer.owners_disclosed, is: false}
    clears: ["The owners with their shares"]
    message: The owners are hidden.
    customer_message: You hide who owns you.
"""
LETTER += MUST_HOLD

HELD = """\
Held in part: account acct-1 may use sonata-4 by API, but for now not fable-5 by API. This was
decided on <moment> because event evt-2 came from /crm.

The rule “License required for any foreign person” (foreign_person_named_models) holds fable-5 by
API. The law: Commerce letter of 2026-06-12. The letter names this model. It found: country under
whose law it is organized (15 CFR 772.1): GB; foreign person, 15 CFR 772.1: yes. What would clear
it: (1) A BIS license naming the model; (2) Papers that show protected status in the US.

The licensing officer acts next: a reviewer cannot sign away that a license is required. The
customer may be told: “This model needs an export license for your organization.”

What stays open is sonata-4 by API: no license is required. It holds until <day>, unless something
changes before.

The policy was small, version 2026-06-12 (“The letter of June”), in force since <moment>; bob
activated it (“a test”).

It replaced the decision of <moment> (approved, <id>), and it stands. It is decision <id>, entry 2
of lane 14 of the journal.
"""

APPROVED = """\
Approved: account acct-1 may use fable-5 by API and sonata-4 by API. This was decided on <moment>
because event evt-1 came from /crm.

Nothing stands against it: of the 7 rules in force none applies, and no rule lacked a fact it needs.

The ground: no license is required. It holds until <day>, unless something changes before.

The policy was small, version 1 (“A small policy”), in force since <moment> and until <moment>; bob
activated it (“a test”).

It was the first decision about this account, and was itself replaced on <moment> (held in part,
<id>). It is decision <id>, entry 1 of lane 14 of the journal.
"""

DOUBTFUL = """\
Held: user user-1 of account acct-2 may for now not use sonata-4 by API. This was decided on
<moment> because event u-1 came from /crm.

It cannot be told whether the rule “Owners not disclosed” (owners_undisclosed) applies, so the whole
user is held. The law: 15 CFR part 732, Supplement No. 3. What is not known: whether the owners were
disclosed (customer.owners_disclosed). What would clear it: The owners with their shares.

The customer acts next, by sending what is missing.

The policy was small, version 2026-06-12 (“The letter of June”), in force since <moment>; bob
activated it (“a test”).

It was the first decision about this user, and it stands. It is decision <id>, entry 2 of lane 3 of
the journal.
"""


def _letter() -> LoadedPolicy:
    return load_document(LETTER.encode(), "letter.yaml", str.encode, str.encode)


def _unwrapped(text: str) -> list[str]:
    """Paragraphs on one line each, with what differs from run to run named."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", " ".join(text.replace("\n\n", "\x00").split()))
    text = re.sub(r"\d+ [A-Z][a-z]+ \d{4} at [\d:]{8} UTC", "<moment>", text)
    return [one.strip() for one in re.sub(r"\d+ [A-Z][a-z]+ \d{4}", "<day>", text).split("\x00")]


@pytest.fixture
async def under_the_letter(ledger: Ledger) -> Ledger:
    """A London bank approved before the letter and held in part under it, and a Gulf firm with a user."""
    await ledger.decide(signed_up(items=_TWO_MODELS))
    await ledger.use(_letter())
    gulf = account(account_id="acct-2", headquartered_in="AE", items=_TWO_MODELS[1:])
    await ledger.decide(
        event("account.updated.v1", account(version=2, items=_TWO_MODELS), id="evt-2"),
        event("account.signed_up.v1", gulf, id="g-1"),
        event("user.joined.v1", user(account_id="acct-2"), id="u-1"),
    )
    return ledger


async def _ids(ledger: Ledger, account_id: str = "acct-1") -> list[str]:
    query = "SELECT decision_id FROM ledger.decision WHERE account_id = :id ORDER BY lane, seq"
    return [str(row.decision_id) for row in await ledger.rows(query, id=account_id)]


async def test_a_hold_is_explained_as_a_person_would(cli: Cli, under_the_letter: Ledger) -> None:
    answer = await cli("decisions", "explain", "acct-1")
    assert _unwrapped(answer.out) == _unwrapped(HELD)
    assert max(map(len, answer.out.splitlines())) <= 100
    _, hold = await _ids(under_the_letter)
    assert (await cli("decisions", "explain", hold)).out == answer.out


async def test_an_approval_that_was_replaced_is_explained(cli: Cli, under_the_letter: Ledger) -> None:
    approval, _ = await _ids(under_the_letter)
    assert _unwrapped((await cli("decisions", "explain", approval)).out) == _unwrapped(APPROVED)


@pytest.mark.usefixtures("under_the_letter")
async def test_a_doubt_is_explained_by_what_is_missing(cli: Cli) -> None:
    answer = await cli("decisions", "explain", "acct-2", "user:user-1")
    assert _unwrapped(answer.out) == _unwrapped(DOUBTFUL)


async def test_every_model_is_named_however_many_there_are(cli: Cli, ledger: Ledger) -> None:
    models = [f"model-{number}" for number in range(9)]
    await ledger.decide(signed_up(items=[{"model": model, "delivery": "api"} for model in models]))
    told = (await cli("decisions", "explain", "acct-1", "--json")).json[0]["words"]
    # The catalogue knows none of them, and what it does not know may be somebody's name.
    assert len(set(re.findall(r"unlisted:[0-9a-f]{16}", told[0]))) == len(models)


@pytest.mark.usefixtures("under_the_letter")
async def test_a_program_gets_the_body_beside_the_words(cli: Cli) -> None:
    (told,) = (await cli("decisions", "explain", "acct-1", "--json")).json
    assert told["decision"]["access"] == "partial"
    assert told["stands"] is True
    assert told["words"][0].startswith("Held in part: account acct-1")
    assert all("\n" not in paragraph for paragraph in told["words"])


async def test_an_ended_account_no_longer_stands(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("account.closed.v1", {"account_id": "acct-1", "version": 2}, id="end"))
    answer = await cli("decisions", "explain", "acct-1")
    assert "no longer stands: the account has ended" in " ".join(answer.out.split())


async def test_a_subject_that_was_not_decided_is_named_with_those_that_were(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(event("contract.signed.v1", contract(), id="c-1"))
    refused(
        await cli("decisions", "explain", "acct-1"), 2, "nothing was decided about 'account'", "contract:contract-1"
    )
    form = "expected a subject: account, user:ID or contract:ID"
    for given in ("contract-1", "contract:contract-7"):
        meant = f"'{given}' of account acct-1 (did you mean 'contract:contract-1'?), but about contract:contract-1"
        refused(await cli("decisions", "explain", "acct-1", given), 2, meant, form)


async def test_who_mistypes_an_id_is_told_what_is_near(cli: Cli, ledger: Ledger) -> None:
    names = ("thames-bank", "acct-2", "zebra")
    await ledger.decide(*(event("account.signed_up.v1", account(account_id=one), id=f"evt-of-{one}") for one in names))
    thames = (await _ids(ledger, "thames-bank"))[0]
    takes = "expected the id of a decision, or of an account"
    for mistyped in ("thames-bnak", "Thames-Bank", "tames-bank", "thames-bank-plc"):
        refused(await cli("decisions", "explain", mistyped), 2, "(did you mean 'thames-bank'?)", takes)
    refused(await cli("decisions", "explain", "evt-of-thames-bank"), 2, "is an event", f"decisions explain {thames}")
    near_event = await cli("decisions", "explain", "evt-of-thames-bnak")
    refused(near_event, 2, f"did you mean {thames} (of event 'evt-of-thames-bank')", takes)
    refused(await cli("decisions", "explain", thames[:8]), 2, f"did you mean {thames}?", takes)
    refused(await cli("decisions", "explain", f"{thames[:-4]}0000"), 2, f"did you mean {thames}?", takes)
    answer = await cli("decisions", "explain", "nobody-like-that")
    refused(answer, 2, "neither a decision nor an account that was decided; expected", takes)


async def test_show_prints_the_bytes_that_were_hashed(cli: Cli, under_the_letter: Ledger) -> None:
    approval, _ = await _ids(under_the_letter)
    (row,) = await under_the_letter.rows(
        "SELECT body FROM ledger.journal JOIN ledger.decision USING (lane, seq) WHERE decision_id = :id", id=approval
    )
    assert (await cli("decisions", "show", approval, "--json")).out.encode() == row.body + b"\n"
    assert json.loads((await cli("decisions", "show", approval)).out) == json.loads(row.body)


@pytest.mark.usefixtures("under_the_letter")
async def test_tail_prints_the_newest_last(cli: Cli) -> None:
    lines = (await cli("decisions", "tail", "-n", "2", "--json")).json
    assert [one["policy_version"] for one in lines] == ["2026-06-12"] * 2
    everything = (await cli("decisions", "tail")).out.splitlines()
    assert len(everything) == 4
    assert all(one in everything[0] for one in ("approve", "acct-1", "[1]"))


# ---------------------------------------------------------------------------------------------------- quarantine
async def test_a_record_is_listed_shown_and_dismissed_by_name(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await ledger.decide(ledger.next_record(b'{"nonsense": tru', key=b"acct-1"))
    (row,) = (await cli("quarantine", "list", "--account", "acct-1", "--json")).json
    identity = row["quarantine_id"]
    assert identity in (await cli("quarantine", "list")).out
    shown = await cli("quarantine", "show", identity)
    assert "account acct-1 is held while it is open" in " ".join(shown.out.split())
    assert "nonsense" not in shown.out
    assert (await cli("quarantine", "show", identity, "--raw")).out == '{"nonsense": tru'
    refused(
        await cli("quarantine", "redrive", identity, "--by", "eve", "--reason", "r"), 1, "still unreadable", "--file"
    )
    assert (await cli("quarantine", "dismiss", identity, "--by", "eve", "--reason", "a test message")).code == 0
    assert (await cli("quarantine", "list")).out == "No record is quarantined.\n"
    assert "dismissed by eve" in " ".join((await cli("quarantine", "show", identity)).out.split())
    refused(await cli("quarantine", "dismiss", identity, "--by", "eve", "--reason", "r"), 1, "dismissed by eve already")
    assert [row[2] for row in await ledger.decisions()] == ["approve", "hold", "approve"]


async def test_a_corrected_record_is_decided(cli: Cli, ledger: Ledger, tmp_path: Path) -> None:
    await ledger.decide(ledger.next_record(b"{", key=b"acct-1"))
    (row,) = (await cli("quarantine", "list", "--json")).json
    fixed = tmp_path / "fixed.json"
    fixed.write_bytes(to_bytes(signed_up()))
    answer = await cli(
        "quarantine", "redrive", row["quarantine_id"], "--by", "eve", "--reason", "typo", "--file", str(fixed), "--json"
    )
    assert answer.json == [{"quarantine_id": row["quarantine_id"], "resolution": "redriven", "fate": "decision"}]
    assert [row[2] for row in await ledger.decisions()] == ["approve"]


# ---------------------------------------------------------------------------------------------------- the rest
async def test_positions_are_listed(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    (row,) = (await cli("positions", "list", "--json")).json
    assert (row["cluster"], row["topic"], row["partition"], row["next_offset"]) == ("test", "accounts.v1", 0, 1)
    assert "accounts.v1" in (await cli("positions", "list")).out


@pytest.mark.parametrize(
    "reason, to, goes_on",
    [("TOPIC_CHANGED: a test", [], 0), ("RECORDS_LOST: the log begins at 7, and 1 was next", ["--to", "7"], 7)],
)
async def test_a_halt_is_lifted_by_name_and_reason(
    cli: Cli, ledger: Ledger, reason: str, to: list[str], goes_on: int
) -> None:
    await ledger.decide(signed_up())
    lift = ("positions", "accept-gap", "accounts.v1", "0", "--by", "eve", "--reason", "seen to")
    refused(await cli(*lift), 1, "partition 0 of accounts.v1 is not halted", "positions list")
    await ledger.pipeline().halt(("accounts.v1", 0), reason)
    assert reason in " ".join((await cli("positions", "list")).out.split())
    if to:
        refused(await cli(*lift), 1, "expected --to OFFSET", "the log begins at 7")
    lifted = await cli(*lift, *to)
    assert f"goes on at offset {goes_on}; before, 1 would have been next" in " ".join(lifted.out.split())
    (row,) = (await cli("positions", "list", "--json")).json
    assert (row["next_offset"], row["halted_at"]) == (goes_on, None)
    (entry,) = await ledger.journal("halt_lifted")
    assert (entry["by"], entry["reason"], entry["halt_reason"]) == ("eve", "seen to", reason)


async def test_a_partition_that_nobody_knows_is_told_from_one_that_is_not_halted(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    lift, who = ("positions", "accept-gap"), ("--by", "eve", "--reason", "r")
    near = "no topic 'acounts.v1' is known (did you mean 'accounts.v1'?); see:"
    refused(await cli(*lift, "acounts.v1", "0", *who), 2, near)
    refused(await cli(*lift, "zebras", "0", *who), 2, "no topic 'zebras' is known; see: exportgate positions list")
    refused(await cli(*lift, "accounts.v1", "7", *who), 2, "no partition 7 of accounts.v1 is known, but 0; see:")
    elsewhere = await cli(*lift, "accounts.v1", "0", *who, "--cluster", "another")
    refused(elsewhere, 2, "no topic 'accounts.v1' of cluster another is known")


async def test_what_a_lifted_halt_passes_over_is_counted(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await ledger.pipeline().halt(("accounts.v1", 0), "RECORDS_LOST: the log begins at 7, and 1 would have been next")
    lift = ("positions", "accept-gap", "accounts.v1", "0", "--by", "eve", "--reason", "seen to", "--to")
    refused(await cli(*lift, "9"), 1, "--to 9 passes over 2 offsets from 7 on", "--give-up")
    answer = " ".join((await cli(*lift, "9", "--give-up")).out.split())
    assert "6 offsets before the log's beginning are lost. 2 offsets that the log may hold are given up." in answer


async def test_a_partition_that_is_halted_on_two_clusters_needs_the_cluster(cli: Cli, ledger: Ledger) -> None:
    for cluster in ("one", "two"):
        ledger.offsets.clear()
        await ledger.decide(signed_up(), pipeline=ledger.pipeline(cluster))
        await ledger.pipeline(cluster).halt(("accounts.v1", 0), "TOPIC_CHANGED: a test")
    lift = ("positions", "accept-gap", "accounts.v1", "0", "--by", "eve", "--reason", "seen to")
    refused(await cli(*lift), 2, "one, two", "--cluster")
    assert (await cli(*lift, "--cluster", "two", "--json")).json[0]["cluster"] == "two"
    assert [(row["cluster"], row["halted_at"] is None) for row in (await cli("positions", "list", "--json")).json] == [
        ("one", False),
        ("two", True),
    ]


@pytest.fixture
def on_stream(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """The topics of the test, as the ones that commands use."""
    monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", stream.connection.bootstrap)
    monkeypatch.setenv("EXPORTGATE_KAFKA_TOPIC_PREFIX", stream.connection.topic_prefix)
    monkeypatch.setenv("EXPORTGATE_KAFKA_IDEMPOTENT_PRODUCER", "false")
    return stream


async def test_a_refused_entry_is_listed_and_sent_again(cli: Cli, ledger: Ledger, on_stream: Stream) -> None:
    await ledger.decide(signed_up())
    (listed,) = (await cli("relay", "list", "--json")).json
    assert sum(one["backlog"] for one in listed["lanes"]) == len(await ledger.rows("SELECT 1 FROM ledger.journal"))
    assert listed["refused"] == []
    assert "No entry was refused." in (await cli("relay", "list")).out
    (place,) = await ledger.rows("SELECT lane, seq FROM ledger.decision")
    where = (str(place.lane), str(place.seq))
    refused(await cli("relay", "retry", *where), 2, f"of lane {place.lane} is not refused", "relay list")
    await ledger.tamper(f"INSERT INTO ledger.relay_refused VALUES ({place.lane}, {place.seq}, 'license-decisions.v1')")
    assert "license-decisions.v1" in (await cli("relay", "list")).out
    assert (await cli("relay", "retry", *where, "--json")).json == [
        {"lane": place.lane, "seq": place.seq, "published": True}
    ]
    assert (await cli("relay", "list", "--json")).json[0]["refused"] == []
    assert len(await on_stream.events("license-decisions.v1")) == 1


async def test_the_status_topic_is_rebuilt(cli: Cli, ledger: Ledger, on_stream: Stream) -> None:
    await ledger.decide(signed_up(), event("contract.signed.v1", contract()))
    await ledger.decide(event("contract.terminated.v1", terminated(version=2), id="over"))
    assert (await cli("status", "rebuild", "--json")).json == [{"subjects": 2, "ended": 1, "withdrawn": 0}]
    records = {one.key: one.value is None for one in await on_stream.read("license-status.v1")}
    assert records == {b"acct-1/account/acct-1": False, b"acct-1/contract/contract-1": True}
    assert "where 1 subject stands, and that 1 subject ended" in (await cli("status", "rebuild")).out


async def test_without_a_broker_a_rebuild_says_one_line(
    cli: Cli, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.decide(signed_up())
    monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    refused(await cli("status", "rebuild"), 1, "127.0.0.1:1", "EXPORTGATE_KAFKA_BOOTSTRAP")


async def test_replay_counts_what_it_checked_and_exits_1_on_a_difference(cli: Cli, under_the_letter: Ledger) -> None:
    good = await cli("replay")
    assert good.code == 0
    assert "made 4 decisions again" in good.out
    assert "0 differences" in good.out
    assert (await cli("replay", "--since", "2099-01-01T00:00:00Z", "--json")).json[0]["decisions"] == 0
    await under_the_letter.tamper(
        "ALTER TABLE ledger.decision DISABLE TRIGGER append_only",
        "UPDATE ledger.decision SET outcome = 'approve' WHERE outcome = 'hold' AND account_id = 'acct-1'",
    )
    bad = await cli("replay")
    assert bad.code == 1
    assert "Entry 2 of lane 14: column outcome of `decision` does not say what the body says." in " ".join(
        bad.out.split()
    )
    assert bad.err.startswith("error: ")


async def test_an_invalid_event_is_not_sent_and_neither_are_the_others(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    file = tmp_path / "events.jsonl"
    file.write_bytes(to_bytes(signed_up()) + b"\n\n" + to_bytes(signed_up(version="one")) + b"\n")
    answer = await cli("events", "send", str(file))
    assert (answer.code, answer.out) == (1, "")
    first, last = answer.err.splitlines()
    assert f"{file}:3: " in first
    assert "/data/version" in first
    assert "nothing sent: 1 of 2 events would be quarantined" in last


async def test_of_many_invalid_events_the_first_are_told_and_how_many_more(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes((to_bytes(signed_up(version="one")) + b"\n") * 25)
    answer = await cli("events", "send", str(file))
    *told, more, last = answer.err.splitlines()
    assert told[-1] == f"{file}:20: INVALID_DATA: /data/version: expected a whole number, got text"
    assert (len(told), more) == (20, "and 5 more")
    assert "25 of 25 events" in last


async def test_an_unreachable_broker_is_named_with_its_setting(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    file = tmp_path / "events.jsonl"
    file.write_bytes(to_bytes(signed_up()))
    refused(await cli("events", "send", str(file)), 1, "127.0.0.1:1", "EXPORTGATE_KAFKA_BOOTSTRAP")


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[Broker]:
    async with running_broker() as running:
        yield running


async def test_events_go_to_the_topic_of_their_type_keyed_by_their_account(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: Broker
) -> None:
    monkeypatch.setenv("EXPORTGATE_KAFKA_BOOTSTRAP", broker.bootstrap)
    sent = [to_bytes(signed_up()), to_bytes(event("contract.signed.v1", contract()))]
    file = _write(tmp_path / "events.jsonl", b"\n".join(sent))
    refused(await cli("events", "send", file), 1, "missing at", "accounts.v1, contracts.v1", "--create-topics")
    connection = Connection(bootstrap=broker.bootstrap, client_id="test")
    await verify_topics(connection, create=True, replication_factor=1)
    assert (await cli("events", "send", file)).out == "Sent 2 events: 1 to accounts.v1, 1 to contracts.v1.\n"
    broken = _write(tmp_path / "broken.jsonl", b"{}")
    assert (await cli("events", "send", broken)).code == 1
    forced = await cli("events", "send", broken, "--force", "--json")
    assert forced.json == [{"sent": 1, "topics": {"accounts.v1": 1}}]
    records = [
        record
        for topic in ("accounts.v1", "contracts.v1")
        for record in await read_topic(connection, topic, within_seconds=_DEADLINE_SECONDS)
    ]
    assert {(one.topic, one.key, one.value) for one in records} == {
        ("accounts.v1", b"acct-1", sent[0]),
        ("accounts.v1", None, b"{}"),
        ("contracts.v1", b"acct-1", sent[1]),
    }


async def test_every_command_has_a_promise_and_an_example(cli: Cli) -> None:
    commands = [[name] for name in ("demo", "serve", "replay")]
    for group in ("db", "policy", "events", "decisions", "quarantine", "positions", "relay", "status"):
        listed = (await cli(group, "--help")).out.partition("Commands:")[2].split("\n")
        names = [line.split()[0] for line in listed if line.strip()]
        assert names
        commands += [[group, name] for name in names]
    for command in commands:
        answer = await cli(*command, "--help")
        assert answer.code == 0
        assert f"exportgate {' '.join(command)}" in answer.out.partition("Example:")[2], command


async def _start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*_EXPORTGATE, *arguments),
        cwd=_ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await process.stdout.readline())


async def _interrupted(process: asyncio.subprocess.Process) -> int:
    process.send_signal(signal.SIGINT)
    return await process.wait()


async def test_serve_embedded_starts_no_servers_where_its_port_is_taken(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("EXPORTGATE_HTTP_PORT", port)
        # Nothing on stdout: it says so when servers are running.
        refused(await cli("serve", "--embedded"), 1, f"127.0.0.1:{port}", "already in use", "set EXPORTGATE_HTTP_PORT")
    monkeypatch.setenv("EXPORTGATE_HTTP_PORT", "many")
    refused(await cli("serve", "--embedded"), 2, "EXPORTGATE_HTTP_PORT", "'many'")


async def test_serve_embedded_prints_what_another_shell_needs_and_ends_in_order(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = [serving := await _start("serve", "--embedded", "--json", EXPORTGATE_HTTP_PORT="0")]
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS * 2):
            for name, value in (await _line(serving)).items():
                monkeypatch.setenv(name, value)
            assert (await cli("policy", "publish", _write(tmp_path / "small.yaml", _SMALL_1), "--by", "ann")).code == 0
            assert (await cli("policy", "activate", "1", "--by", "bob", "--reason", "first day")).code == 0
            assert (await _line(serving))["ready"] is True
            started.append(tail := await _start("decisions", "tail", "-f", "--json"))
            assert (await cli("events", "send", _write(tmp_path / "one.jsonl", to_bytes(signed_up())))).code == 0
            assert (await _line(tail))["outcome"] == "approve"
            assert await _interrupted(tail) == 130
            assert await _interrupted(serving) == 0
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()


def test_as_a_process_it_says_one_line_about_a_broker_that_is_away() -> None:
    environment = {**os.environ, "EXPORTGATE_KAFKA_BOOTSTRAP": "127.0.0.1:1", "EXPORTGATE_ENVIRONMENT": "production"}
    done = subprocess.run(
        [*_EXPORTGATE, "events", "send", "-"],
        cwd=_ROOT,
        env=environment,
        input=to_bytes(signed_up()),
        capture_output=True,
        timeout=_DEADLINE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    assert b"127.0.0.1:1" in done.stderr


def test_as_a_process_it_answers_and_ctrl_c_ends_it_quietly_with_130(ledger: Ledger) -> None:
    environment = {**os.environ, "EXPORTGATE_DATABASE_URL": ledger.superuser_url, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*_EXPORTGATE, "decisions", "tail", "-f"],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"Nothing was decided yet.\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_DEADLINE_SECONDS)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_reader_who_leaves_is_not_blamed_on_the_database(under_the_letter: Ledger) -> None:
    environment = {**os.environ, "EXPORTGATE_DATABASE_URL": under_the_letter.superuser_url}
    read_end, write_end = os.pipe()
    os.close(read_end)
    for command in (
        ["decisions", "tail"],
        ["decisions", "explain", "acct-1"],
        ["policy", "list", "--json"],
        ["--version"],
    ):
        done = subprocess.run(
            [*_EXPORTGATE, *command],
            cwd=_ROOT,
            env=environment,
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=_DEADLINE_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (141, b""), command
    os.close(write_end)


_INTERRUPTED_WHILE_IT_LOADS = """
import sys
from importlib.abc import MetaPathFinder

class CtrlC(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, CtrlC())
from service.cli import main
main()
"""


def test_ctrl_c_while_it_still_loads_is_quiet_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_WHILE_IT_LOADS], cwd=_ROOT, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_what_make_says_of_its_set_up_stays_out_of_the_output() -> None:
    rule = (_ROOT / "Makefile").read_text().partition("$(READY): ")[2].partition("\n\n")[0]
    (said,) = [line for line in rule.splitlines() if "setting up" in line]
    assert said.endswith(">&2")
