"""The demo's population is what it says it is, and a whole run loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from random import Random

import psutil
import pytest
from rich.console import Console

from service.demo import cast
from service.demo.faults import FAULTS
from service.demo.message import Message
from service.demo.population import populate
from service.demo.published import Published
from service.demo.run import Account
from service.demo.summary import last_words, next_steps
from service.demo.tally import Tally, tally
from service.reading import Event, Record, Unreadable, read
from tests.events import signed_up
from tests.ledger import Ledger

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def messages(seed: int = 7) -> list[Message]:
    return populate(Random(seed), NOW).all


def as_read(message: Message) -> Event | Unreadable:
    record = Record(topic=message.topic, partition=0, offset=0, key=message.key, value=message.value, timestamp_ms=None)
    return read(record, environment=None)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert messages() == messages()
    assert messages(8) != messages()


def test_there_are_some_two_thousand_events() -> None:
    assert 1900 <= len(messages()) <= 2200


def test_every_record_is_read_or_refused_as_it_is_meant_to_be() -> None:
    for message in messages():
        event = as_read(message)
        refused_as = event.reason if isinstance(event, Unreadable) else None
        assert refused_as == message.refused_as, message.value


def test_every_fault_is_there_once() -> None:
    refused = Counter(message.refused_as for message in messages() if message.refused_as)
    assert refused == Counter(FAULTS.values())


def test_every_event_lies_in_the_past() -> None:
    events = [event for message in messages() if isinstance(event := as_read(message), Event)]
    assert max(event.time for event in events) < NOW - timedelta(hours=1)


def test_an_accounts_events_come_in_order_of_their_times() -> None:
    times: dict[str, datetime] = {}
    seen: set[str] = set()
    for message in messages():
        event = as_read(message)
        if isinstance(event, Unreadable) or event.id in seen:
            continue
        seen.add(event.id)
        assert times.get(event.account_id, event.time) <= event.time
        times[event.account_id] = event.time


def test_the_whole_cast_appears() -> None:
    accounts = {event.account_id for message in messages() if isinstance(event := as_read(message), Event)}
    named = {value for name, value in vars(cast).items() if name.isupper() and isinstance(value, str)}
    assert named - {cast.ENGINEER} <= accounts


def test_every_message_is_one_json_object_unless_it_is_meant_to_be_broken() -> None:
    whole = [message for message in messages() if message.refused_as is None]
    assert all(isinstance(json.loads(message.value), dict) for message in whole)


async def test_what_is_lost_or_decided_twice_is_counted(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), signed_up())
    places = [("accounts.v1", 0, offset) for offset in range(3)]
    async with ledger.engine("auditor").connect() as tx:
        counted = await tally(tx, places)
    assert (counted.events, counted.decided, counted.duplicates, counted.lost) == (3, 1, 1, 1)
    assert counted.decided_twice == 0
    await ledger.tamper(
        "INSERT INTO ledger.journal SELECT lane, seq + 100, kind, body, leaf, link FROM ledger.journal "
        "WHERE kind = 'decision'"
    )
    async with ledger.engine("auditor").connect() as tx:
        assert (await tally(tx, places)).decided_twice == 1


def test_the_next_steps_are_said_once_after_both_halves() -> None:
    counts = dict.fromkeys((one.name for one in fields(Tally) if one.name != "policy_versions"), 1)
    account = Account(
        tally=Tally(**counts, policy_versions=[]),
        published=Published(decisions=1, statuses=1, differences=0),
        replay_differences=0,
        seconds=1.0,
    )
    out = StringIO()
    last_words(Console(file=out, width=160), account)
    assert "exportgate demo --june" in out.getvalue()
    assert "What to try next" not in out.getvalue()
    next_steps(Console(file=out, width=160))
    assert out.getvalue().count("What to try next") == 1


def demo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "service", "demo", *arguments]


def shell() -> dict[str, str]:
    """A shell that is set up for another installation, which the demo must not touch."""
    return os.environ | {"EXPORTGATE_KAFKA_TOPIC_PREFIX": "other-", "EXPORTGATE_ENVIRONMENT": "elsewhere"}


@pytest.mark.embedded
def test_a_whole_run_loses_nothing_and_decides_the_cast_as_told() -> None:
    done = subprocess.run(
        demo("--json", "--seed", "7"), cwd=ROOT, env=shell(), capture_output=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["events"] == len(messages())
    fates = ("decided", "duplicates", "conflicts", "stale", "quarantined")
    assert sum(result[fate] for fate in fates) == result["events"]
    assert all(result[fate] > 0 for fate in fates)
    assert (result["lost"], result["decided_twice"], result["replay_differences"]) == (0, 0, 0)
    assert result["published"]["differences"] == 0
    assert (
        result["approve"] + result["hold"] + result["deny"] == result["decisions"] <= result["published"]["decisions"]
    )
    assert result["events_per_second"] > 0
    assert result["policy_versions"] == ["baseline-2026-02", "2026-06-12"]
    assert result["conflicts"] == 2
    assert result["quarantined"] == len(FAULTS)
    assert {who: result["cast"][who] for who in EXPECTED} == EXPECTED


EXPECTED = {
    f"{cast.BANK} account": "approve",
    f"{cast.LOGISTICS} account": "approve",
    f"{cast.STARTUP} account": "approve",
    f"{cast.GULF} account": "hold",
    f"{cast.SHELLS} account": "hold",
    f"{cast.VPN} account": "hold",
    f"{cast.CRIMEA} account": "deny",
    f"{cast.MILITARY} account": "hold",
    f"{cast.MILITARY} contract:contract-1": "hold",
    f"{cast.CONTRADICTION} account": "hold",
    f"{cast.HONG_KONG} account": "hold",
    f"{cast.EARLY} contract:contract-1": "approve",
    f"{cast.TWO_VERSIONS} account": "hold",
    f"{cast.BANK} contract:contract-1": "hold",
    f"{cast.LAB} account": "approve",
    f"{cast.LAB} user:{cast.ENGINEER}": "hold",
    f"{cast.UNKNOWN_USERS} account": "hold",
    f"{cast.US_ONLY} account": "approve",
}


@pytest.mark.embedded
@pytest.mark.parametrize("walk, until", [([], b"Sending"), (["--june"], b"  $ exportgate")])
def test_ctrl_c_leaves_no_process_behind(walk: list[str], until: bytes) -> None:
    process = subprocess.Popen(
        demo(*walk, "--json"), cwd=ROOT, env=shell(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    with process:
        while not process.stderr.readline().startswith(until):
            assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
