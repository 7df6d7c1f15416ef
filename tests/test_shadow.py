"""A candidate runs in shadow: it sees what is decided, off everybody's way, and nothing of it leaves the ledger."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.ledger.shadow import hold_lanes_behind
from service.policies import load_resolved
from service.shadow.acts import ShadowRefused, stop_shadow
from service.shadow.follow import Follower, find_follower
from service.shadow.keeper import ShadowKeeper
from service.telemetry import Metrics
from tests.checker.check import check
from tests.commands import Cli, refused
from tests.events import account, contract, event, user
from tests.ledger import Ledger
from tests.policies import SMALL, small_policy
from tests.stream import DEADLINE_SECONDS, Stream, end, eventually, get, launch_process, start_process

pytestmark = pytest.mark.embedded

WHO = ("--by", "ann", "--reason", "a trial")
ONLY_FABLE = [{"model": "fable-5", "delivery": "api"}]
PER_DECISION = "SELECT lane, seq, decision_id FROM ledger.{} ORDER BY lane, seq"
_RAISES = """
import sys
if "follow" in sys.orig_argv:
    import service.decide.evaluate as module
    real = module.evaluate
    def evaluate(facts, policy, as_of):
        if "IR" in str(facts.values):
            raise KeyError("Tha" "mes Bank plc")
        return real(facts, policy, as_of)
    module.evaluate = evaluate
"""
"""A bug that only the process of the shadow has. Its text holds a name, which nobody may see."""


@pytest.fixture
def candidate(tmp_path: Path) -> str:
    """A version that holds fable-5, as a file."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.format(version="2", held="fable-5"))
    return str(path)


async def _decide_some(ledger: Ledger, name: str = "acct-1") -> None:
    """A London bank with a user and a contract, and a shop in Tehran."""
    await ledger.decide(
        event("account.signed_up.v1", account(account_id=name, items=ONLY_FABLE), id=f"{name}-1"),
        event("user.joined.v1", user(account_id=name, items=ONLY_FABLE), id=f"{name}-2"),
        event(
            "contract.signed.v1",
            contract(account_id=name, items=ONLY_FABLE, value="1000.50", currency="USD"),
            id=f"{name}-3",
        ),
        event(
            "account.signed_up.v1",
            account(account_id=f"{name}-tehran", headquartered_in="IR", billing_in="IR"),
            id=f"{name}-4",
        ),
    )


async def _follower(ledger: Ledger) -> Follower:
    follower = await find_follower(ledger.engine("service"), load_resolved)
    assert follower is not None
    return follower


async def _catch_up(follower: Follower) -> None:
    while (done := await follower.round()) is not None and done.decisions:
        pass


async def _status(cli: Cli) -> dict[str, Any]:
    """The shadow that was started last."""
    found: dict[str, Any] = (await cli("policy", "shadow", "status", "--json")).json[0]
    return found


async def _each_has_one_result(ledger: Ledger) -> None:
    results = await ledger.rows(PER_DECISION.format("shadow_result"))
    assert results
    assert results == await ledger.rows(PER_DECISION.format("decision"))
    counted = await ledger.rows("SELECT sum(count) AS all FROM ledger.shadow_count")
    assert counted[0].all == len(results)


def _many(names: Sequence[str]) -> list[dict[str, Any]]:
    return [event("account.signed_up.v1", account(account_id=one, items=ONLY_FABLE), id=one) for one in names]


# ----------------------------------------------------------------------------------------------- what it says


async def test_a_shadow_says_what_a_simulation_of_the_same_decisions_says(
    cli: Cli, ledger: Ledger, candidate: str, tmp_path: Path
) -> None:
    await _decide_some(ledger, "before")
    answer = await cli("policy", "shadow", "start", candidate, *WHO)
    assert (answer.code, answer.err) == (0, "")
    assert "nothing of it is published" in " ".join(answer.out.split())
    await _decide_some(ledger)
    since = (await _status(cli))["started_at"]
    assert (await _status(cli))["lag"] == 4
    await _catch_up(await _follower(ledger))
    (told,) = (await cli("policy", "shadow", "report", "--json")).json
    (simulated,) = (await cli("policy", "simulate", candidate, "--since", since, "--json")).json
    same = ("total", "simulated", "changed", "erased", "unreadable", "changes", "value_usd", "countries", "rules")
    assert {name: told[name] for name in same} == {name: simulated[name] for name in same}
    assert _by_subject(told["samples"]) == _by_subject(simulated["samples"])
    status = await _status(cli)
    assert (status["changes"], status["changed"]) == (told["changes"], 3)
    said = " ".join((await cli("policy", "shadow", "status")).out.split())
    assert "4 decisions evaluated, 3 with another outcome (3 approve -> hold), 0 errors" in said
    assert said.endswith(f"How much of it is in part: exportgate policy shadow report {status['shadow_id']}")
    assert (told["simulated"], told["changed"], told["lag_entries"], told["errors"]) == (4, 3, 0, {})
    picture = tmp_path / "shadow.svg"
    report = await cli("policy", "shadow", "report", "--svg", str(picture))
    assert "3 of 4 decisions would have come out differently" in " ".join(report.out.split())
    assert "approve -> hold: account acct-1 (GB): held_model is hit" in report.out
    drawn = "".join(ET.fromstring(picture.read_text()).itertext())  # noqa: S314 -- our own picture
    assert "3 of 4 decisions change under 2" in drawn


def _by_subject(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(samples, key=lambda one: (one["account_id"], one["subject_id"]))


async def test_other_access_with_the_same_outcome_is_told(cli: Cli, ledger: Ledger, tmp_path: Path) -> None:
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(SMALL.format(version="3", held="fable-5, sonata-4"))
    await ledger.use(small_policy("2", held="sonata-4"))
    await cli("policy", "shadow", "start", str(stricter), *WHO)
    both = [*ONLY_FABLE, {"model": "sonata-4", "delivery": "api"}]
    await ledger.decide(event("account.signed_up.v1", account(items=both), id="1"))
    await _catch_up(await _follower(ledger))
    (row,) = await ledger.rows("SELECT outcome, access, shadow_outcome, shadow_access FROM audit.shadow_results")
    assert tuple(row) == ("hold", "partial", "hold", "none")
    (told,) = (await cli("policy", "shadow", "report", "--json")).json
    assert (told["changed"], told["access"]) == (1, {"partial": {"none": 1}})
    assert told["by_answer"]["changes"] == {"in part": {"hold": 1}}
    assert "other access: 1 partial -> none" in (await cli("policy", "shadow", "report")).out


async def test_facts_that_were_erased_are_not_possible_and_no_error(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await _decide_some(ledger)
    async with ledger.engine("eraser").begin() as tx:
        await tx.execute(text("DELETE FROM ledger.evidence"))
    await _catch_up(await _follower(ledger))
    (told,) = (await cli("policy", "shadow", "report", "--json")).json
    assert (told["simulated"], told["erased"], told["errors"]) == (0, 4, {})
    assert "4 not possible" in (await cli("policy", "shadow", "status")).out


async def test_results_outlive_the_facts(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await _decide_some(ledger)
    await _catch_up(await _follower(ledger))
    async with ledger.engine("eraser").begin() as tx:
        await tx.execute(text("DELETE FROM ledger.evidence"))
    (told,) = (await cli("policy", "shadow", "report", "--json")).json
    assert (told["changes"], told["samples"]) == ({"approve": {"hold": 3}, "deny": {"deny": 1}}, [])
    assert list(told["countries"]) == ["unknown"]


# ------------------------------------------------------------------------------------------- starting and stopping


async def test_start_and_stop_are_journalled_and_replay_holds(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await _decide_some(ledger)
    follower = await _follower(ledger)
    await _catch_up(follower)
    stopped = await cli("policy", "shadow", "stop", "--by", "bob", "--reason", "seen enough")
    assert (stopped.code, stopped.err) == (0, "")
    (started,), (ended,) = await ledger.journal("shadow_started"), await ledger.journal("shadow_stopped")
    assert (started["by"], started["reason"], started["policy"]["version"]) == ("ann", "a trial", "2")
    assert (ended["by"], ended["reason"], ended["shadow_id"]) == ("bob", "seen enough", started["shadow_id"])
    assert await ledger.rows("SELECT 1 FROM ledger.policy WHERE version = '2'") == []
    assert await ledger.replay() == []
    await _decide_some(ledger, "after")
    assert await follower.round() is None
    assert (await _status(cli))["evaluated"] == 4
    refused(await cli("policy", "shadow", "stop", *WHO), 1, "no shadow runs")


async def test_a_second_start_is_refused_in_one_line(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    refused(await cli("policy", "shadow", "start", "1", *WHO), 1, "2 runs in shadow already", "shadow stop")
    assert len(await ledger.journal("shadow_started")) == 1
    await cli("policy", "shadow", "stop", *WHO)
    assert (await cli("policy", "shadow", "start", "1", *WHO)).code == 0
    assert [one["version"] for one in (await cli("policy", "shadow", "status", "--json")).json] == ["1", "2"]


@pytest.mark.usefixtures("ledger")
async def test_what_cannot_run_in_shadow_is_refused_as_simulate_refuses_it(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("policy: small\n")
    refused(await cli("policy", "shadow", "start", "11", *WHO), 2, "expected a file or a published version")
    refused(await cli("policy", "shadow", "start", str(broken), *WHO), 1)
    refused(await cli("policy", "shadow", "report"), 2, "no candidate ever ran in shadow")
    assert "No candidate ever ran" in (await cli("policy", "shadow", "status")).out


_FORGE = """
    INSERT INTO ledger.shadow (shadow_id, policy_sha256, name, version, resolved, started_by, start_reason, started_at,
                               lane, seq)
    SELECT gen_random_uuid(), sha256, name, version, resolved, 'eve', 'mine', clock_timestamp(), 16, 99
    FROM ledger.policy
"""


async def _sql(ledger: Ledger, role: str, statement: str) -> None:
    async with ledger.engine(role).begin() as tx:
        await tx.execute(text(statement))


@pytest.mark.parametrize("role", ["service", "reviewer", "auditor", "eraser"])
async def test_only_the_officer_can_start_a_shadow_with_raw_sql(ledger: Ledger, role: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        await _sql(ledger, role, _FORGE)


async def test_the_database_itself_holds_a_shadow_to_its_life(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    with pytest.raises(DBAPIError, match="shadow_one_runs_idx"):
        await _sql(ledger, "policy_officer", _FORGE)
    for assignment in ("stopped_at = now()", "version = '3'", "start_reason = 'another'"):
        with pytest.raises(DBAPIError, match=r"permission denied|only ever stops"):
            await _sql(ledger, "policy_officer", f"UPDATE ledger.shadow SET {assignment}")
    await _decide_some(ledger)
    await _catch_up(await _follower(ledger))
    for statement in ("UPDATE ledger.shadow_result SET outcome = 'approve'", "DELETE FROM ledger.shadow_result",
                      "UPDATE ledger.shadow SET stopped_at = now()", "UPDATE ledger.shadow_position SET from_seq = 0",
                      "SELECT ledger.hold_shadow(shadow_id) FROM ledger.shadow",
                      "INSERT INTO ledger.shadow_position SELECT shadow_id, 99, 0, 0 FROM ledger.shadow"):  # fmt: skip
        with pytest.raises(DBAPIError, match="permission denied"):
            await _sql(ledger, "service", statement)
    for column in ("seq", "from_seq", "lane", "shadow_id"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await _sql(ledger, "policy_officer", f"UPDATE ledger.shadow_position SET {column} = {column}")
    await cli("policy", "shadow", "stop", *WHO)
    with pytest.raises(DBAPIError, match="stays as it is"):
        await _sql(ledger, "policy_officer", "UPDATE ledger.shadow SET stopped_at = NULL")


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM ledger.shadow_result WHERE ctid = (SELECT min(ctid) FROM ledger.shadow_result)",
        "UPDATE ledger.shadow_result SET seq = seq + 1000",
        "UPDATE ledger.shadow SET start_reason = 'another'",
        "UPDATE ledger.shadow SET started_at = started_at - interval '1 hour'",
        "DELETE FROM ledger.shadow",
        "UPDATE ledger.shadow_result SET outcome = 'deny' WHERE outcome = 'hold'",
        "UPDATE ledger.shadow_result SET access = 'full'",
        "UPDATE ledger.shadow_result SET rules = '{embargoed}'",
        "UPDATE ledger.shadow_result SET outcome = NULL, access = NULL, failure = 'erased', rules = '{}'",
        "UPDATE ledger.shadow_result SET outcome = NULL, access = NULL, failure = 'KeyError, traceback', rules = '{}'",
        "UPDATE ledger.shadow_result SET decision_id = gen_random_uuid()",
        "UPDATE ledger.shadow_count SET count = count + 1000000",
        "DELETE FROM ledger.shadow_count",
        "INSERT INTO ledger.shadow_count SELECT shadow_id, 0, 'deny', 'approve', 7 FROM ledger.shadow",
    ],
)
async def test_replay_finds_a_shadow_that_was_tampered_with(
    cli: Cli, ledger: Ledger, candidate: str, tampering: str
) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await _decide_some(ledger)
    await _catch_up(await _follower(ledger))
    assert await ledger.replay() == []
    tables = ("shadow", "shadow_result")
    await ledger.tamper(*(f"ALTER TABLE ledger.{one} DISABLE TRIGGER ALL" for one in tables), tampering)
    assert await ledger.replay() != []


async def test_replay_finds_a_false_result_whose_count_was_made_to_fit(
    cli: Cli, ledger: Ledger, candidate: str
) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await _decide_some(ledger)
    await _catch_up(await _follower(ledger))
    await ledger.tamper(
        "ALTER TABLE ledger.shadow_result DISABLE TRIGGER ALL",
        "UPDATE ledger.shadow_result SET outcome = 'approve', access = 'full', rules = '{}' WHERE outcome = 'hold'",
        "UPDATE ledger.shadow_count SET after = 'approve' WHERE after = 'hold'",
    )
    found = await ledger.replay()
    assert [one.what for one in found] == ["evaluating the candidate again gives another result"] * 3
    answer = await cli("replay")
    assert answer.code == 1
    assert re.search(r"Shadow [0-9a-f-]{36}, entry \d of lane \d+: evaluating", " ".join(answer.out.split()))


async def test_replay_checks_what_it_can_of_a_result_whose_facts_are_erased(
    cli: Cli, ledger: Ledger, candidate: str
) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await _decide_some(ledger)
    await _catch_up(await _follower(ledger))
    async with ledger.engine("eraser").begin() as tx:
        await tx.execute(text("DELETE FROM ledger.evidence"))
    assert not [one for one in await ledger.replay() if one.where.startswith("shadow")]
    await ledger.tamper(
        "ALTER TABLE ledger.shadow_result DISABLE TRIGGER ALL", "UPDATE ledger.shadow_result SET rules = '{mine}'"
    )
    found = [one.what for one in await ledger.replay() if one.where.startswith("shadow")]
    assert found == ["no candidate gives such a result"] * 4


@pytest.mark.parametrize("outcome", ["approve", "hold"])
async def test_a_result_that_somebody_else_wrote_first_is_an_error_that_the_follower_passes(
    cli: Cli, ledger: Ledger, candidate: str, outcome: str
) -> None:
    """Whether it is false or true: it is not of the follower, and replay says so."""
    await cli("policy", "shadow", "start", candidate, *WHO)
    await ledger.decide(*_many(["a", "b", "c"]))
    assert len(await ledger.rows("SELECT 1 FROM ledger.decision WHERE account_id = 'b'")) == 1
    forge = f"""
        INSERT INTO ledger.shadow_result
        SELECT shadow_id, d.lane, d.seq, decision_id, '{outcome}', 'none', '{{held_model}}', NULL
        FROM ledger.decision AS d, ledger.shadow WHERE account_id = 'b'
    """
    await _sql(ledger, "service", forge)
    await _catch_up(await _follower(ledger))
    status = await _status(cli)
    assert (status["evaluated"], status["errors"], status["lag"]) == (2, 1, 0)
    found = {one.what for one in await ledger.replay()}
    counted = {"it counts 1, and holds 0 results", "it counts 0, and holds 1 results"}
    false = {"evaluating the candidate again gives another result"}
    assert found == (counted if outcome == "hold" else counted | false)


async def test_a_stop_waits_for_a_frozen_follower_outside_of_the_control_lane(
    cli: Cli, ledger: Ledger, candidate: str
) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await ledger.decide(*_many(["a"]))
    shadow_id = (await _follower(ledger)).shadow.shadow_id
    async with ledger.engine("service").connect() as frozen:
        assert await hold_lanes_behind(frozen, shadow_id, 64)
        stopping = asyncio.create_task(cli("policy", "shadow", "stop", *WHO))
        await eventually(ledger.somebody_waits, "the stop waits for the follower")
        await ledger.decide(
            ledger.next_record(b"nobody can read this")
        )  # Of no account: it goes into the control lane.
        assert not stopping.done()
        refused(await stopping, 1, "2 still runs in shadow", "stands still", "end that process", "try again")
    assert (await _status(cli))["running"]
    assert await ledger.journal("shadow_stopped") == []
    assert (await cli("policy", "shadow", "stop", *WHO)).code == 0
    assert await ledger.replay() == []


async def test_of_two_who_stop_a_shadow_one_is_told_that_none_runs(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    async with ledger.engine("policy_officer").begin() as first:
        await stop_shadow(first, by="ann", reason="first")
        second = asyncio.create_task(_stop(ledger))
        await eventually(ledger.somebody_waits, "the second waits for the first")
    with pytest.raises(ShadowRefused, match="no shadow runs"):
        await second
    assert len(await ledger.journal("shadow_stopped")) == 1
    assert await ledger.replay() == []


async def _stop(ledger: Ledger) -> None:
    async with ledger.engine("policy_officer").begin() as tx:
        await stop_shadow(tx, by="bob", reason="second")


# ------------------------------------------------------------------------------------------------ with real workers


def _shadows_of(worker: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(worker).children() if _follows(one)]


def _follows(process: psutil.Process) -> bool:
    try:
        return "follow" in process.cmdline()
    except psutil.NoSuchProcess:  # It ended just now.
        return False


async def _has_shadow(worker: int) -> bool:
    return bool(_shadows_of(worker))


async def test_a_worker_follows_without_deployment_and_nothing_is_published(
    cli: Cli, stream: Stream, ledger: Ledger, candidate: str
) -> None:
    process = await start_process(stream.settings(ledger))
    try:
        await stream.send(*_many([f"before-{n}" for n in range(5)]))
        await cli("policy", "shadow", "start", candidate, *WHO)
        sent = await stream.send(*_many([f"a{n}" for n in range(40)]))

        async def seen() -> bool:
            status = await _status(cli)
            return await stream.done(ledger, sent) and status["lag"] == 0 and status["evaluated"] >= 40

        await eventually(seen, "the shadow has seen all that was decided")
        assert all(one.nice() == 1 for one in _shadows_of(process.pid))
        await cli("policy", "shadow", "stop", *WHO)

        async def gone() -> bool:
            return not _shadows_of(process.pid)

        await eventually(gone, "the process of the shadow ends with it")
        evaluated = (await _status(cli))["evaluated"]
        late = await stream.send(*_many(["late"]))
        await eventually(lambda: stream.done(ledger, late), "the worker goes on")
        assert (await _status(cli))["evaluated"] == evaluated
    finally:
        code, log = await end(process, signal.SIGTERM)
    assert code == 0, log
    (told,) = (await cli("policy", "shadow", "report", "--json")).json
    assert set(told["changes"]) == {"approve"}
    assert await check(ledger.superuser_url, stream.broker.bootstrap, stream.connection.topic_prefix) == []
    published = [one for topic in ("license-decisions.v1", "license-status.v1") for one in await stream.events(topic)]
    # What is published again has the same id.
    once = {(one["type"], one["id"]): one["data"]["outcome"] for one in published}
    assert Counter(once.values()) == {"approve": 92}
    policies = {(one["type"], one["id"]) for one in await stream.events("export-policy.v1")}
    assert [kind for kind, _ in policies] == ["policy.activated.v1"]


async def test_a_shadow_killed_in_the_middle_loses_and_doubles_nothing(
    cli: Cli, stream: Stream, ledger: Ledger, candidate: str
) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    process = await start_process(stream.settings(ledger))
    try:
        async with ledger.engine("owner").begin() as tx:
            # It stands still after its results are written, and before they are committed; we, for as long as it takes.
            await tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await tx.execute(text("LOCK TABLE ledger.shadow_count IN EXCLUSIVE MODE"))
            sent = await stream.send(*_many([f"a{n}" for n in range(300)]))
            await eventually(lambda: _waits(ledger), "the shadow waits in the middle of a round")
            (victim,) = _shadows_of(process.pid)
            victim.send_signal(signal.SIGKILL)
            await eventually(lambda: stream.done(ledger, sent), "the worker is not harmed")

        async def seen() -> bool:
            return await stream.done(ledger, sent) and (await _status(cli))["lag"] == 0

        await eventually(seen, "another process has seen all of it")
        assert [one.pid for one in _shadows_of(process.pid)] != [victim.pid]
    finally:
        code, log = await end(process, signal.SIGTERM)
    assert code == 0, log
    assert "the process of the shadow will be started again" in log
    await _each_has_one_result(ledger)
    assert await ledger.replay() == []


async def _waits(ledger: Ledger) -> bool:
    query = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'ledger.shadow_count'::regclass AND mode = :mode"
    return bool(await ledger.rows(query, mode="RowExclusiveLock"))


@pytest.fixture
def _raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(_RAISES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("_raises")
async def test_a_candidate_that_raises_is_counted_and_shown_and_the_worker_goes_on(
    cli: Cli, stream: Stream, ledger: Ledger, candidate: str
) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    port = _free_port()
    process = await start_process(stream.settings(ledger, http_port=port))
    metrics = ""
    seen = (
        "errors 1.0",
        "lag_entries 0.0",
        'decisions{after="hold",before="approve"} 2.0',
        'decisions{after="error",before="deny"} 1.0',
    )
    try:
        tehran = event("account.signed_up.v1", account(account_id="tehran", headquartered_in="IR"), id="tehran")
        sent = await stream.send(tehran, *_many(["a", "b"]))

        async def shown() -> bool:
            nonlocal metrics
            _, metrics = await get(port, "/metrics")
            return all(f"exportgate_shadow_{one}" in metrics for one in seen)

        await eventually(lambda: stream.done(ledger, sent), "the worker has decided all")
        await eventually(shown, "the metrics show the error, and all the others")
        assert (await get(port, "/ready"))[0] == 200
    finally:
        code, log = await end(process, signal.SIGTERM)
    assert code == 0, log
    assert re.search(r'exportgate_shadow_running\{name="small",sha256="\w{64}",version="2"\} 1\.0', metrics)
    (told,) = (await cli("policy", "shadow", "report", "--json")).json
    ((error, count),) = told["errors"].items()
    assert (re.fullmatch(r"KeyError, traceback [0-9a-f]{16}", error) is not None, count) == (True, 1)
    report = (await cli("policy", "shadow", "report")).out
    assert "The candidate met a bug on 1 decision" in report
    assert error in report
    assert "Thames" not in log + metrics + report + str(await ledger.rows("SELECT * FROM ledger.shadow_result"))
    assert "the candidate in shadow met a bug" in log
    assert all(line.startswith("{") for line in log.splitlines())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_killed_worker_leaves_no_orphan(cli: Cli, stream: Stream, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    process = await start_process(stream.settings(ledger))
    await eventually(lambda: _has_shadow(process.pid), "a process follows")
    (orphan,) = _shadows_of(process.pid)

    async def connected() -> bool:
        return bool(await ledger.rows("SELECT 1 FROM pg_stat_activity WHERE application_name = 'exportgate command'"))

    await eventually(connected, "it works")
    process.kill()

    async def gone() -> bool:
        return not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE

    try:
        await eventually(gone, "it notices that its worker is gone")
    finally:
        with suppress(psutil.NoSuchProcess):
            orphan.kill()
        await process.wait()


async def test_what_lies_in_the_working_directory_is_not_run(
    cli: Cli, ledger: Ledger, candidate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker is started in a directory into which others may write."""
    await cli("policy", "shadow", "start", candidate, *WHO)
    await ledger.decide(*_many(["a"]))
    place = tmp_path / "place"
    for module in ("typer.py", "service/__init__.py"):
        (place / module).parent.mkdir(parents=True, exist_ok=True)
        (place / module).write_text(f"open({str(tmp_path / 'was_run')!r}, 'w').close()")
    monkeypatch.chdir(place)
    keeper = ShadowKeeper(
        engine=ledger.engine("service"),
        environment={"EXPORTGATE_DATABASE_URL": ledger.superuser_url},
        niceness=1,
        metrics=Metrics(),
    )
    keeping = asyncio.create_task(keeper.run())

    async def seen() -> bool:
        return (tmp_path / "was_run").exists() or bool(await ledger.rows("SELECT 1 FROM ledger.shadow_result"))

    try:
        await eventually(seen, "the process of the shadow works")
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
    assert not (tmp_path / "was_run").exists()


async def test_several_may_follow_one_shadow(cli: Cli, stream: Stream, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await ledger.decide(*_many([f"a{n}" for n in range(100)]))
    process = await launch_process(stream.settings(ledger))
    followers = [await _follower(ledger) for _ in range(3)]
    try:

        async def seen() -> bool:
            for one in followers:
                await one.round()
            return int((await _status(cli))["lag"]) == 0

        await eventually(seen, "together they have seen all of it")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()
    await _each_has_one_result(ledger)


async def test_a_shadow_that_cannot_be_loaded_is_told_and_tried_again(
    cli: Cli, stream: Stream, ledger: Ledger, candidate: str
) -> None:
    """As after a rollback to a release that does not know what the candidate says."""
    await cli("policy", "shadow", "start", candidate, *WHO)
    await ledger.tamper(
        "ALTER TABLE ledger.shadow DISABLE TRIGGER ALL",
        "UPDATE ledger.shadow SET resolved = '{}', policy_sha256 = sha256('{}')",
    )
    port = _free_port()
    process = await start_process(stream.settings(ledger, http_port=port))
    try:

        async def failed() -> bool:
            return bool(re.search(r"exportgate_shadow_failures_total ([2-9]|\d\d)", (await get(port, "/metrics"))[1]))

        await eventually(failed, "it failed, was tried again, and failed")
        assert (await get(port, "/ready"))[0] == 200
    finally:
        code, log = await end(process, signal.SIGTERM)
    assert code == 0, log
    assert log.count("the shadow cannot go on") >= 2
    assert all(line.startswith("{") for line in log.splitlines())
    refused(await cli("policy", "shadow", "report"), 1)


async def test_a_person_may_follow_by_hand_until_it_is_stopped(cli: Cli, ledger: Ledger, candidate: str) -> None:
    await cli("policy", "shadow", "start", candidate, *WHO)
    await ledger.decide(*_many([f"a{n}" for n in range(200)]))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "policy", "shadow", "follow"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"EXPORTGATE_DATABASE_URL": ledger.superuser_url},
    )

    async def seen() -> bool:
        return int((await _status(cli))["lag"]) == 0

    await eventually(seen, "it has seen all of it")
    await _each_has_one_result(ledger)
    await cli("policy", "shadow", "stop", *WHO)
    _, errors = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    assert (process.returncode, errors) == (0, b"")
