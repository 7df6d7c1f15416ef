"""After a restore the epoch is raised, by name and with a reason, and what is decided then counts as newer."""

import asyncio

import pytest

from service.ledger.epoch import HIGHEST
from service.ledger.lanes import lock_lanes
from tests.commands import Cli, refused
from tests.events import event, signed_up
from tests.ledger import Ledger
from tests.stream import eventually

pytestmark = pytest.mark.embedded

WHO = ("--by", "eve", "--reason", "restored the backup of 12 June")


async def _decide_again(ledger: Ledger, version: int) -> None:
    await ledger.decide(event("account.updated.v1", signed_up()["data"] | {"version": version}, id=f"e-{version}"))


async def _epochs(ledger: Ledger) -> list[int]:
    return [row.epoch for row in await ledger.rows("SELECT epoch FROM ledger.decision ORDER BY epoch")]


async def test_a_raised_epoch_is_journalled_sound_and_decided_with(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    answer = await cli("db", "raise-epoch", *WHO)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("The epoch is 2; before, it was 1.")
    (entry,) = await ledger.journal("epoch_raised")
    assert (entry["from_epoch"], entry["to_epoch"], entry["by"], entry["reason"]) == (1, 2, "eve", WHO[-1])
    assert (entry["lane"], entry["account_id"]) == (16, None)
    assert await ledger.replay() == []
    await _decide_again(ledger, 2)
    assert await _epochs(ledger) == [1, 2]
    assert await ledger.replay() == []


async def test_an_epoch_is_raised_above_one_that_the_restore_has_lost(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    refused(await cli("db", "raise-epoch", *WHO, "--to", "1"), 2, "'--to'")
    (raised,) = (await cli("db", "raise-epoch", *WHO, "--to", "7", "--json")).json
    assert (raised["from_epoch"], raised["to_epoch"]) == (1, 7)
    assert await ledger.replay() == []
    refused(await cli("db", "raise-epoch", *WHO, "--to", "7"), 2, "expected an epoch above 7", "got 7")
    await _decide_again(ledger, 2)
    assert await _epochs(ledger) == [1, 7]
    assert await ledger.replay() == []


async def test_a_worker_that_was_running_decides_with_the_raised_epoch(cli: Cli, ledger: Ledger) -> None:
    """Else what it decides now would count as older than what others have decided since."""
    running = ledger.pipeline()
    await ledger.decide(signed_up(), pipeline=running)
    await cli("db", "raise-epoch", *WHO)
    await _decide_again(ledger, 2)
    state = signed_up()["data"] | {"version": 3, "headquartered_in": "IR"}
    await ledger.decide(event("account.updated.v1", state, id="e-3"), pipeline=running)
    rows = await ledger.rows("SELECT epoch, revision FROM ledger.decision ORDER BY seq")
    assert [(row.epoch, row.revision) for row in rows] == [(1, 1), (2, 2), (2, 3)]
    assert await ledger.replay() == []


async def test_a_raise_waits_for_the_batches_of_all_lanes(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    async with ledger.engine("service").begin() as tx:
        await lock_lanes(tx, [0])
        raising = asyncio.create_task(cli("db", "raise-epoch", *WHO))
        await eventually(ledger.somebody_waits, "it waits for the lane")
        assert not raising.done()
    assert (await raising).code == 0


async def test_the_highest_epoch_is_far_below_what_the_column_holds(cli: Cli, ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    assert (await cli("db", "raise-epoch", *WHO, "--to", str(HIGHEST))).code == 0
    refused(await cli("db", "raise-epoch", *WHO), 2, f"there is none above {HIGHEST}")
    await _decide_again(ledger, 2)
    assert await ledger.replay() == []


@pytest.mark.parametrize("slipped", ["epoch - 1", "epoch + 1", "epoch + 2"])
async def test_an_epoch_other_than_the_one_it_was_raised_to_is_found(cli: Cli, ledger: Ledger, slipped: str) -> None:
    await ledger.decide(signed_up())
    await cli("db", "raise-epoch", *WHO)
    await ledger.tamper(f"UPDATE ledger.installation SET epoch = {slipped}")
    assert [one.where for one in await ledger.replay()] == ["installation"]


@pytest.mark.parametrize("role", ["service", "policy_officer", "reviewer", "auditor"])
async def test_only_the_owner_raises_it(ledger: Ledger, role: str) -> None:
    (row,) = await ledger.rows(
        "SELECT has_any_column_privilege(:role, 'ledger.installation', 'UPDATE') AS may", role=f"exportgate_{role}"
    )
    assert not row.may
