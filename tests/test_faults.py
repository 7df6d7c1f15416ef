"""A process that ends, freezes or loses a connection at any step loses nothing and decides nothing twice."""

import asyncio
import re
import signal
from pathlib import Path

import pytest

from service import app, faults
from service.settings import MisconfiguredError
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream, launch_process
from tests.traffic import Traffic, assert_exactly_once, clean_worker

pytestmark = pytest.mark.embedded

BATCH = tuple(point for point in faults.POINTS if not point.startswith("relay_"))
RELAY = tuple(point for point in faults.POINTS if point.startswith("relay_"))
SOURCES = Path(__file__).parents[1] / "service"


async def armed_worker(stream: Stream, ledger: Ledger, fault: str) -> asyncio.subprocess.Process:
    """A worker in a group of its own: positions are in the ledger, so only the wait for a dead member is saved."""
    return await launch_process(stream.settings(ledger, kafka_group_id=f"armed-{fault}"), fault=fault)


async def dies(process: asyncio.subprocess.Process, fault: str) -> None:
    """Wait until the armed fault has killed it, which is how we know that the point was reached."""
    try:
        _, log = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    except TimeoutError:
        process.kill()
        _, log = await process.communicate()
        pytest.fail(f"{fault} was not reached: {log.decode()[-2000:]}")
    assert process.returncode == -signal.SIGKILL, f"{fault}: {log.decode()[-2000:]}"


async def ready_or_dead(process: asyncio.subprocess.Process) -> None:
    """Wait until it says that it is ready, or has died of what lay there from the life before."""
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), DEADLINE_SECONDS)


async def keep_sending(traffic: Traffic, death: asyncio.Task[None]) -> None:
    """Send until it has died and once more: which worker decides and which one publishes is theirs to settle."""
    while not death.done():
        await traffic.send()
        await asyncio.wait({death}, timeout=0.25)
    await death
    await traffic.send()


def test_every_point_is_in_the_code_once() -> None:
    texts = [path.read_text() for path in SOURCES.rglob("*.py")]
    reached = [point for text in texts for point in re.findall(r"\breach\(\"(\w+)\"\)", text)]
    assert sorted(reached) == sorted(faults.POINTS)


@pytest.mark.parametrize("wanted", ["nowhere:kill", "polled", "polled:0:kill", "polled:x:kill", "polled:1:explode"])
def test_a_fault_that_there_is_not_is_refused_in_one_line(wanted: str) -> None:
    with pytest.raises(ValueError, match=r"expected .*") as raised:
        faults.arm(wanted)
    assert "\n" not in str(raised.value)


def test_the_refusal_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTGATE_FAULT", "nowhere:kill")
    with pytest.raises(MisconfiguredError, match="EXPORTGATE_FAULT: 'nowhere' is no fault point"):
        app._arm_fault()


async def test_a_worker_killed_at_any_step_of_a_batch_loses_nothing(stream: Stream, ledger: Ledger) -> None:
    traffic = Traffic(stream)
    for point in BATCH:
        process = await armed_worker(stream, ledger, f"{point}:kill")
        await ready_or_dead(process)
        # Again and again: a step that fails for another reason, such as a commit of offsets, is not tried again.
        await keep_sending(traffic, asyncio.create_task(dies(process, point)))
    async with clean_worker(stream.settings(ledger)):
        await assert_exactly_once(ledger, traffic)


async def test_a_worker_killed_at_any_step_of_the_relay_loses_nothing(stream: Stream, ledger: Ledger) -> None:
    traffic = Traffic(stream)
    for point in RELAY:
        await traffic.send()
        await traffic.decide(ledger)
        # There is something to repair only after a round that ended in doubt.
        before = "relay_before_commit:fail," if point.startswith("relay_repair") else ""
        await dies(await armed_worker(stream, ledger, f"{before}{point}:kill"), point)
    async with clean_worker(stream.settings(ledger)):
        await assert_exactly_once(ledger, traffic)


async def test_of_two_workers_one_that_is_killed_leaves_all_to_the_other(stream: Stream, ledger: Ledger) -> None:
    traffic, settings = Traffic(stream), stream.settings(ledger)
    async with clean_worker(settings):
        # One group, so that the other has to notice the death and take over.
        for point in ("lanes_locked", "committed", "relay_acknowledged"):
            process = await launch_process(settings, fault=f"{point}:kill")
            await ready_or_dead(process)
            await keep_sending(traffic, asyncio.create_task(dies(process, point)))
        await assert_exactly_once(ledger, traffic)
