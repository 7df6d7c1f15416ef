"""The checker: silent about a system that kept its laws, and told by it which law falls with which guard."""

import ast
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from service.embedded.postgres import Server
from service.lifting import lift_halt
from service.policies import load_resolved
from service.resolving import Person, dismiss, redrive
from tests.brokers import Broker
from tests.checker import Violation, check
from tests.events import account, closed, contract, enforced, event, flag, record, review, signed_up, to_bytes, user
from tests.ledger import Ledger
from tests.mutants import MUTANTS, Mutant, plant
from tests.scenarios import SCENARIOS, Stage, a_topic_is_made_anew
from tests.stream import DEADLINE_SECONDS, Stream, eventually, fresh_stream, service

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[1]
EVE = Person(name="eve", reason="a test")


@pytest.fixture
def stage(stream: Stream, ledger: Ledger) -> Stage:
    return Stage(ledger=ledger, stream=stream)


async def violations(stage: Stage, *, replay: bool = False, within: float = 10) -> list[Violation]:
    connection = stage.stream.connection
    return await check(
        stage.ledger.superuser_url,
        connection.bootstrap,
        connection.topic_prefix,
        replay=replay,
        within_seconds=within,
    )


async def run_checker(stage: Stage, *options: str) -> tuple[int | None, str]:
    """Exit code and output of the program."""
    connection = stage.stream.connection
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.checker", "--database", stage.ledger.superuser_url),
        *("--bootstrap", connection.bootstrap, "--prefix", connection.topic_prefix, *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    return process.returncode, said.decode()


def test_the_checker_imports_nothing_of_the_service() -> None:
    for path in (ROOT / "tests" / "checker").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            ours = {name for name in names if name.split(".")[0] in {"service", "schemas", "tests"}}
            assert all(name.startswith("tests.checker") for name in ours), path


# ---------------------------------------------------------------------------------------------------- good runs


async def test_nothing_is_said_against_a_service_that_decided_and_published_all(stream: Stream, ledger: Ledger) -> None:
    stage = Stage(ledger=ledger, stream=stream)
    async with service(stream.settings(ledger)):
        # One by one: the embedded broker tells the wrong end of a partition that got several at once.
        for one in (signed_up(), event("user.joined.v1", user()), event("contract.signed.v1", contract()), signed_up()):
            sent = await stream.send(one)
        await eventually(lambda: stream.done(ledger, sent), "all is decided")
        code, said = await run_checker(stage, "--json")
    assert code == 0
    answer = json.loads(said)
    assert answer["violations"] == []
    assert answer["looked_at"]["accounts.v1"] == 3


async def test_nothing_is_said_against_copies_conflicts_and_ends(stage: Stage) -> None:
    await stage.sent_and_decided(
        signed_up(),
        signed_up(),
        event("user.joined.v1", user()),
        event("account.updated.v1", account(version=3)),
        event("account.updated.v1", account(version=3), id="same version"),
        event("account.updated.v1", account(version=2), id="stale"),
        event("contract.signed.v1", contract()),
        event("license.reviewed.v1", review()),
        event("access.enforced.v1", enforced()),
    )
    await stage.sent_and_decided(
        event("account.updated.v1", account(version=3, billing_in="FR"), id="other content"),
        signed_up(billing_in="FR"),
        event("account.flagged.v1", flag()),
        event("account.closed.v1", closed(version=9)),
        event("account.flagged.v1", flag(), id="too late"),
        event("user.joined.v1", user(user_id="u/2%"), id="joins a closed account", source="a %20 b"),
        event("account.flagged.v1", flag(), id="later still"),
        event("account.signed_up.v1", account(account_id="a/b % c"), id="odd"),
    )
    await stage.publish()
    assert await violations(stage, replay=True) == []


async def test_nothing_is_said_against_records_that_a_person_resolved(stage: Stage) -> None:
    await stage.sent_and_decided(
        signed_up(),
        record(b"{", key=b"acct-1"),
        record(b"[", key=b"acct-1"),
        record(signed_up(account_id="acct-2"), key=b"acct-3"),
        event("account.updated.v1", account(version=2)),
    )
    correct = to_bytes(event("account.updated.v1", account(version=3), id="corrected"))
    for reason, offset, corrected in (
        ("NOT_JSON", 1, correct),
        ("NOT_JSON", 2, None),
        ("KEY_MISMATCH", 0, to_bytes(signed_up(account_id="acct-2") | {"id": "keyed rightly"})),
    ):
        await resolve(stage, reason, offset, corrected)
        await stage.sent_and_decided(event("account.flagged.v1", flag(), id=f"meanwhile {reason} {offset}"))
    await stage.publish()
    assert await violations(stage, replay=True) == []


async def resolve(stage: Stage, reason: str, offset: int, corrected: bytes | None) -> None:
    """Redrive a record with these bytes, or dismiss it for None."""
    query = "SELECT quarantine_id FROM ledger.quarantine WHERE reason = :reason AND record_offset = :offset"
    (row,) = await stage.ledger.rows(query, reason=reason, offset=offset)
    identity = UUID(str(row.quarantine_id))
    async with stage.ledger.engine("reviewer").begin() as tx:
        if corrected is None:
            await dismiss(tx, identity, EVE, load_policy=load_resolved)
        else:
            await redrive(tx, identity, EVE, corrected=corrected, environment="production", load_policy=load_resolved)


async def test_nothing_is_said_against_a_topic_made_anew_that_a_person_lets_go_on(stage: Stage) -> None:
    records = await a_topic_is_made_anew(stage)
    async with stage.ledger.engine("reviewer").begin() as tx:
        await lift_halt(
            tx,
            cluster=stage.stream.cluster,
            topic="accounts.v1",
            partition=records[0].partition,
            person=EVE,
            to_offset=None,
        )
    await stage.decide(*records)
    await stage.publish()
    assert await violations(stage, replay=True) == []


async def test_the_checker_says_that_it_cannot_look(stage: Stage) -> None:
    code, said = await run_checker(stage, "--bootstrap", "127.0.0.1:1")
    assert (code, said) == (2, "")
    code, said = await run_checker(stage, "--prefix", "nobody-")
    assert (code, said) == (2, "")


# ------------------------------------------------------------------------------------------------------- mutants


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Two stages side by side: one for the service as it is, one for a mutant of it."""

    sound: Stage
    mutated: Stage


@pytest.fixture
async def stages(postgres: Server, migrated: str, broker: Broker, stage: Stage) -> AsyncIterator[Stages]:
    name = f"mutant_{uuid4().hex[:8]}"
    await postgres.create_database(name, template=migrated, strategy="file_copy")
    ledger = Ledger(postgres.url(name))
    await ledger.use()
    yield Stages(sound=stage, mutated=Stage(ledger=ledger, stream=await fresh_stream(broker, f"{name}-")))
    await ledger.close()
    await postgres.drop_database(name)


async def play(tree: Path, scenario: str, stage: Stage) -> None:
    """Play a scenario on another tree, in a process of its own."""
    told = {
        "tree": str(tree),
        "database": stage.ledger.superuser_url,
        "prefix": stage.stream.connection.topic_prefix,
        "cluster_id": stage.stream.cluster_id,
        "broker": asdict(stage.stream.broker),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.scenarios", scenario, json.dumps(told)),
        cwd=tree,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tree), str(ROOT)))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
async def test_a_scenario_breaks_a_law_where_its_guard_is_off_and_none_where_it_is_on(
    mutant: Mutant, tmp_path: Path, stages: Stages
) -> None:
    tree = plant(tmp_path, mutant)
    await asyncio.gather(SCENARIOS[mutant.scenario](stages.sound), play(tree, mutant.scenario, stages.mutated))
    assert await violations(stages.sound) == []
    found = await violations(stages.mutated, within=0)
    assert {one.law for one in found} >= mutant.laws, found
