"""A candidate is tried on those who were decided: the counts are those that deciding them would give."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import text

from service.ledger.population import Decided
from service.policies import load_resolved
from service.simulation import Change, Tally, simulate
from tests.commands import Cli, refused
from tests.events import account, contract, event, signed_up, user
from tests.ledger import Ledger
from tests.policies import SMALL, small_policy
from tests.stream import eventually

pytestmark = pytest.mark.embedded

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ONLY_FABLE = [{"model": "fable-5", "delivery": "api"}]


@pytest.fixture
def candidate(tmp_path: Path) -> str:
    """A version that holds fable-5, as a file."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.format(version="2", held="fable-5"))
    return str(path)


def _in_tehran(**fields: object) -> dict[str, object]:
    return account(account_id="tehran", headquartered_in="IR", billing_in="IR", **fields)


async def _decide_some(ledger: Ledger) -> None:
    """A London bank with a user and a contract, and a shop in Tehran."""
    await ledger.decide(
        event("account.signed_up.v1", account(items=ONLY_FABLE), id="1"),
        event("user.joined.v1", user(items=ONLY_FABLE), id="2"),
        event("contract.signed.v1", contract(items=ONLY_FABLE, value="1000.50", currency="USD"), id="3"),
        event("account.signed_up.v1", _in_tehran(), id="4"),
    )


async def test_a_candidate_is_tried_on_all_who_stand_and_nothing_is_written(
    cli: Cli, ledger: Ledger, candidate: str
) -> None:
    await _decide_some(ledger)
    before = await ledger.rows("SELECT count(*), max(seq) FROM ledger.journal")
    answer = await cli("policy", "simulate", candidate, "--json")
    assert (answer.code, answer.err) == (0, "")
    (told,) = answer.json
    assert (told["total"], told["simulated"], told["changed"]) == (4, 4, 3)
    assert told["changes"] == {"approve": {"hold": 3}, "deny": {"deny": 1}}
    assert told["countries"] == {"GB": {"approve": {"hold": 3}}, "IR": {"deny": {"deny": 1}}}
    assert told["rules"]["held_model"] == {"approve": {"hold": 3}, "deny": {"deny": 1}}
    assert told["value_usd"] == {"approve": {"hold": "1000.50"}}
    assert {one["subject_id"] for one in told["samples"]} == {"account", "user:user-1", "contract:contract-1"}
    assert await ledger.rows("SELECT count(*), max(seq) FROM ledger.journal") == before


async def test_what_is_simulated_is_what_activating_it_would_decide(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await _decide_some(ledger)
    (told,) = (await cli("policy", "simulate", candidate, "--json")).json
    await ledger.use(small_policy("2", held="fable-5"))
    # Nobody's facts change: a newer version of the same account decides it and its dependents again.
    await ledger.decide(
        event("account.updated.v1", account(items=ONLY_FABLE, version=2), id="5"),
        event("account.updated.v1", _in_tehran(version=2), id="6"),
    )
    rows = await ledger.rows("SELECT outcome FROM ledger.subject WHERE decision_id IS NOT NULL")
    simulated = Counter({after: n for to in told["changes"].values() for after, n in to.items()})
    assert Counter(row.outcome for row in rows) == simulated


async def test_a_person_reads_how_many_change_where_and_why(
    cli: Cli, ledger: Ledger, candidate: str, tmp_path: Path
) -> None:
    await _decide_some(ledger)
    picture = tmp_path / "changes.svg"
    answer = await cli("policy", "simulate", candidate, "--svg", str(picture))
    assert "3 of 4 decisions would come out differently" in answer.out
    assert "approve -> hold: account acct-1 (GB): held_model is hit" in answer.out
    drawn = "".join(ET.fromstring(picture.read_text()).itertext())  # noqa: S314 -- our own picture
    assert "3 of 4 decisions change under 2" in drawn
    assert "IR" not in drawn


BOTH = [*ONLY_FABLE, {"model": "sonata-4", "delivery": "api"}]


async def test_who_stays_approved_for_some_of_it_is_told_as_in_part(
    cli: Cli, ledger: Ledger, candidate: str, tmp_path: Path
) -> None:
    await ledger.decide(event("account.signed_up.v1", account(items=BOTH), id="1"))
    picture = tmp_path / "changes.svg"
    answer = await cli("policy", "simulate", candidate, "--svg", str(picture))
    expected = "approve -> in part: account acct-1 (GB): fable-5: approve -> hold; sonata-4 stays approved; held_model"
    assert expected in " ".join(answer.out.split())
    assert [line.split()[-5:] for line in answer.out.splitlines() if line.startswith("approve  ")] == [
        ["0", "1", "0", "0", "0"]
    ]
    assert "in part" in "".join(ET.fromstring(picture.read_text()).itertext())  # noqa: S314 -- our own picture
    (told,) = (await cli("policy", "simulate", candidate, "--json")).json
    assert told["changes"] == {"approve": {"hold": 1}}
    assert told["by_answer"]["changes"] == {"approve": {"in part": 1}}
    assert [one["outcome"] for one in told["samples"][0]["items"]] == ["hold", "approve"]


async def test_other_access_with_the_same_outcome_counts_as_changed(
    cli: Cli, ledger: Ledger, candidate: str, tmp_path: Path
) -> None:
    await ledger.use(small_policy("2", held="fable-5"))
    await ledger.decide(event("account.signed_up.v1", account(items=BOTH), id="1"))
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(SMALL.format(version="3", held="fable-5, sonata-4"))
    (told,) = (await cli("policy", "simulate", str(stricter), "--json")).json
    assert (told["changed"], told["changes"]) == (1, {"hold": {"hold": 1}})
    assert told["by_answer"]["changes"] == {"in part": {"hold": 1}}
    assert (told["samples"][0]["answer_before"], told["samples"][0]["answer_after"]) == ("in part", "hold")
    (same,) = (await cli("policy", "simulate", candidate, "--json")).json
    assert same["changed"] == 0


async def test_the_decisions_of_a_period_are_tried_too(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await ledger.decide(signed_up())
    (row,) = await ledger.rows("SELECT clock_timestamp() AS now")
    await ledger.decide(event("account.updated.v1", account(version=2, items=ONLY_FABLE), id="2"))
    since = row.now.astimezone(UTC).isoformat()
    (all_of_it,) = (await cli("policy", "simulate", candidate, "--since", "2020-01-01T00:00:00Z", "--json")).json
    (later,) = (await cli("policy", "simulate", candidate, "--since", since, "--json")).json
    (earlier,) = (await cli("policy", "simulate", candidate, "--until", since, "--json")).json
    assert (all_of_it["simulated"], later["simulated"], earlier["simulated"]) == (2, 1, 1)


async def test_a_published_version_can_be_tried_and_an_unknown_one_is_named(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    (told,) = (await cli("policy", "simulate", "1", "--json")).json
    assert told["changed"] == 0
    await ledger.use(small_policy("2026-06-12"))
    unknown = "expected a file or a published version, "
    near = f"{unknown}got '2026-6-12' (did you mean '2026-06-12'?)"
    refused(await cli("policy", "simulate", "2026-6-12"), 2, near)
    refused(await cli("policy", "diff", "1", "2026-6-12"), 2, near)
    refused(await cli("policy", "simulate", "zebra"), 2, f"{unknown}got 'zebra'; see: exportgate policy list")
    for file in ("zebra.yaml", "zebra.yml", "deploy/zebra"):
        refused(await cli("policy", "simulate", file), 2, f"{unknown}but there is no file {file}\n")
    refused(await cli("policy", "simulate", "2026-06-12.yaml"), 2, "but there is no file 2026-06-12.yaml (did you mean")


async def test_several_processes_find_what_one_finds(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await _decide_some(ledger)
    await ledger.tamper(_MANY)
    (alone,) = (await cli("policy", "simulate", candidate, "--json", "--workers", "1")).json
    (together,) = (await cli("policy", "simulate", candidate, "--json", "--workers", "2")).json
    assert alone["simulated"] == 6_004
    assert together | {"as_of": None} == alone | {"as_of": None}


async def test_an_interrupted_simulation_tells_what_it_found(ledger: Ledger, candidate: str) -> None:
    await _decide_some(ledger)
    async with ledger.engine("owner").begin() as tx:
        await tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        await tx.execute(text("LOCK TABLE ledger.evidence IN ACCESS EXCLUSIVE MODE"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service", "policy", "simulate", candidate),
            env=os.environ | {"EXPORTGATE_DATABASE_URL": ledger.superuser_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

        await eventually(ledger.somebody_waits, "the simulation wants to read evidence")
        process.send_signal(signal.SIGINT)
        # The lock stays until it has ended, or it might be quicker than the signal.
        out, errors = (one.decode() for one in await process.communicate())
    assert (process.returncode, errors) == (0, "interrupted after 0 of 4 decisions\n")
    assert "0 of 0 decisions would come out differently" in " ".join(out.split())


def test_facts_that_were_erased_or_cannot_be_read_are_counted_apart() -> None:
    policy = load_resolved(small_policy().resolved)
    decided = [_decided(None), _decided(b"{}"), _decided(b"\x00")]
    tally = simulate(policy, decided, NOW, 3)
    assert (tally.simulated, tally.erased, tally.unreadable) == (0, 1, 2)


def test_samples_stay_as_few_as_was_asked_for() -> None:
    tally, other = Tally(), Tally()
    change = Change("approve", "hold")
    other.samples[change] = [None] * 5  # type: ignore[list-item]
    tally.add(other, 3)
    tally.add(other, 3)
    assert len(tally.samples[change]) == 3


def _decided(facts: bytes | None) -> Decided:
    return Decided(UUID(int=1), "a", "account", "approve", NOW, facts, "full")


# 6,000 copies of the London bank, as far as a simulation looks.
_MANY = """
    WITH bank AS (
        SELECT s.facts, s.version, s.content_sha256, d.* FROM ledger.subject AS s JOIN ledger.decision AS d
        USING (decision_id) WHERE s.account_id = 'acct-1' AND s.subject_id = 'account'
    ), copies AS (SELECT *, gen_random_uuid() AS id FROM bank, generate_series(1, 6000) AS number), decided AS (
        INSERT INTO ledger.decision
        SELECT (copy).* FROM copies, LATERAL jsonb_populate_record(NULL::ledger.decision, to_jsonb(copies)
            || jsonb_build_object('decision_id', id, 'account_id', 'copy-' || number, 'cause_id', 'copy ' || number,
                                  'seq', 1000000 + number, 'supersedes', NULL)) AS copy
    )
    INSERT INTO ledger.subject
        (account_id, subject_id, lane, facts, version, content_sha256, revision, decision_id, outcome, ended)
    SELECT 'copy-' || number, 'account', lane, facts, version, content_sha256, 1, id, outcome, false FROM copies
"""
