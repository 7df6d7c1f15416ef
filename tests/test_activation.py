"""Exactly one policy is in force at any moment, and no decision is made under another."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from service.ledger.policies import list_activations, list_policies, store_policy
from service.policies import LoadedPolicy, PolicyRefused
from service.policies.lifecycle import activate, cancel, publish
from service.policies.load import load_document
from service.transaction import MustStop
from tests.events import account, event, signed_up
from tests.ledger import Ledger
from tests.policies import SMALL, nothing_beside, small_policy
from tests.stream import DEADLINE_SECONDS, eventually

AHEAD_SECONDS = 4
"""How long before it begins a version is planned: a busy machine may stand still for seconds."""


async def put(ledger: Ledger, loaded: LoadedPolicy, at: datetime | None = None, *, rollback: bool = False) -> datetime:
    async with ledger.engine("policy_officer").begin() as tx:
        await publish(tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by="ann")
        sha256 = bytes.fromhex(loaded.policy.sha256)
        done = await activate(tx, sha256=sha256, at=at, activated_by="bob", reason="a test", rollback=rollback)
        return done.effective_at


async def cancel_at(ledger: Ledger, effective_at: datetime) -> str:
    async with ledger.engine("policy_officer").begin() as tx:
        return await cancel(tx, effective_at=effective_at, cancelled_by="eve", reason="a test")


async def test_later_events_are_decided_by_the_version_activated_before_them(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await put(ledger, small_policy("2", held="fable-5"))
    await ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    bodies = await ledger.journal("decision")
    assert [(body["policy"]["version"], body["outcome"]) for body in bodies] == [("1", "approve"), ("2", "hold")]


async def test_a_rollback_is_a_new_activation_of_an_older_version(ledger: Ledger) -> None:
    await put(ledger, small_policy("2", held="fable-5"))
    with pytest.raises(PolicyRefused, match=r"1 was in force before, and was replaced.*policy rollback --to 1"):
        await put(ledger, small_policy())
    await put(ledger, small_policy(), rollback=True)
    async with ledger.engine("auditor").connect() as tx:
        assert [one.version for one in await list_policies(tx) if one.in_force] == ["1"]
        assert len(await list_activations(tx)) == 3


async def test_a_planned_activation_comes_into_force_by_the_clock(ledger: Ledger) -> None:
    soon = await in_seconds(ledger, AHEAD_SECONDS)
    await put(ledger, small_policy("2", held="fable-5"), at=soon)
    await ledger.decide(signed_up())
    assert [row[2] for row in await ledger.decisions()] == ["approve"]
    await eventually(lambda: has_passed(ledger, soon - timedelta(seconds=0.2)), "it is about to begin")
    version = 2
    while (await ledger.decisions())[-1][2] == "approve":
        assert not await has_passed(ledger, soon + timedelta(seconds=DEADLINE_SECONDS))
        await ledger.decide(event("account.updated.v1", account(version=version), id=f"u{version}"))
        version += 1
    (late,) = [body for body in await ledger.journal("decision") if body["outcome"] == "hold"]
    assert datetime.fromisoformat(late["decided_at"]) >= soon
    assert await ledger.replay() == []


async def test_the_past_is_refused(ledger: Ledger) -> None:
    with pytest.raises(PolicyRefused, match="may not reach into the past"):
        await put(ledger, small_policy("2"), at=datetime(2026, 6, 12, tzinfo=UTC))


async def test_a_version_never_means_two_things(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError):
        await put(ledger, small_policy("1", held="fable-5"))
    async with ledger.engine("auditor").connect() as tx:
        assert [one.version for one in await list_policies(tx) if one.in_force] == ["1"]


async def test_publishing_the_same_bytes_again_changes_nothing(ledger: Ledger) -> None:
    loaded = small_policy()
    async with ledger.engine("policy_officer").begin() as tx:
        assert not await publish(
            tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by="eve"
        )


async def test_no_decision_is_made_under_a_version_that_is_no_longer_in_force(ledger: Ledger) -> None:
    versions = [small_policy(str(number), held="fable-5" if number % 2 else "nothing") for number in range(2, 10)]
    workers = [ledger.pipeline(cluster=f"c{number}") for number in range(2)]
    done = asyncio.Event()
    batches = asyncio.Semaphore(0)

    async def switch() -> None:
        for loaded in versions:
            await batches.acquire()  # At least one batch between two switches; where it falls is the race.
            await put(ledger, loaded)
        done.set()

    async def work(number: int) -> None:
        offset = 0
        while not done.is_set():
            records = [
                ledger.next_record(
                    event("account.signed_up.v1", account(account_id=f"a{number}-{one}"), id=f"{number}-{one}")
                )
                for one in range(offset, offset + 10)
            ]
            numbered = [
                type(record)(
                    topic=record.topic,
                    partition=number,
                    offset=offset + place,
                    key=record.key,
                    value=record.value,
                    timestamp_ms=None,
                )
                for place, record in enumerate(records)
            ]
            await ledger.decide_records(numbered, pipeline=workers[number])
            batches.release()
            offset += 10

    await asyncio.gather(switch(), work(0), work(1))
    decided = {body["policy"]["version"] for body in await ledger.journal("decision")}
    assert len(decided) > 1
    assert await ledger.replay() == []


async def test_a_version_that_was_never_in_force_cannot_be_gone_back_to(ledger: Ledger) -> None:
    with pytest.raises(PolicyRefused, match="was never in force"):
        await put(ledger, small_policy("2"), rollback=True)


@pytest.mark.parametrize("rollback", [False, True])
async def test_activating_what_is_in_force_stores_nothing_and_says_since_when_it_is(
    ledger: Ledger, *, rollback: bool
) -> None:
    (begun,) = await ledger.rows("SELECT effective_at FROM ledger.policy_activation")
    entries = len(await ledger.journal("policy_activated"))
    assert await put(ledger, small_policy(), rollback=rollback) == begun.effective_at
    assert await put(ledger, small_policy(), at=datetime(2099, 1, 1, tzinfo=UTC)) == begun.effective_at
    async with ledger.engine("auditor").connect() as tx:
        assert [one.version for one in await list_policies(tx) if one.in_force] == ["1"]
        assert len(await list_activations(tx)) == 1
    assert len(await ledger.journal("policy_activated")) == entries
    assert await ledger.replay() == []


async def test_what_is_in_force_may_be_planned_again_for_after_another(ledger: Ledger) -> None:
    between, after = datetime(2099, 1, 1, tzinfo=UTC), datetime(2099, 1, 2, tzinfo=UTC)
    await put(ledger, small_policy("2", held="fable-5"), at=between)
    assert await put(ledger, small_policy(), at=after, rollback=True) == after
    assert await put(ledger, small_policy("2", held="fable-5"), at=between + timedelta(hours=1)) == between
    async with ledger.engine("auditor").connect() as tx:
        assert [one.effective_at for one in await list_activations(tx)][1:] == [between, after]


async def test_a_cancelled_activation_never_begins(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    soon = await put(ledger, small_policy("2", held="fable-5"), at=await in_seconds(ledger, AHEAD_SECONDS))
    assert await cancel_at(ledger, soon) == "2"
    (cancelled,) = await ledger.journal("policy_cancelled")
    assert (cancelled["policy"]["version"], cancelled["cancelled_by"]) == ("2", "eve")
    await eventually(lambda: has_passed(ledger, soon), "the time at which it was to begin has passed")
    await ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    bodies = await ledger.journal("decision")
    assert [body["policy"]["version"] for body in bodies] == ["1", "1"]
    (told,) = await ledger.rows("SELECT policy_version, in_force_until FROM audit.policy_in_force")
    assert (told.policy_version, told.in_force_until) == ("1", None)
    assert await ledger.replay() == []


async def test_a_cancelled_version_may_be_activated_after_all(ledger: Ledger) -> None:
    await cancel_at(ledger, await put(ledger, small_policy("2"), at=datetime(2099, 1, 1, tzinfo=UTC)))
    await put(ledger, small_policy("2"))
    async with ledger.engine("auditor").connect() as tx:
        assert [one.version for one in await list_policies(tx) if one.in_force] == ["2"]


async def test_what_has_begun_or_is_not_planned_cannot_be_cancelled(ledger: Ledger) -> None:
    begun = await put(ledger, small_policy("2"))
    with pytest.raises(PolicyRefused, match="has begun, and decisions may rest on it"):
        await cancel_at(ledger, begun)
    later = datetime(2099, 1, 1, tzinfo=UTC)
    with pytest.raises(PolicyRefused, match=r"no activation is to begin at 2099-01-01.*none is planned"):
        await cancel_at(ledger, later)
    await put(ledger, small_policy("3"), at=later)
    await cancel_at(ledger, later)
    with pytest.raises(PolicyRefused, match="none is planned"):
        await cancel_at(ledger, later)


async def test_a_cancellation_and_batches_that_race_with_the_clock_agree(ledger: Ledger) -> None:
    """Whoever comes first, the batch or the cancellation: no decision stands under what was cancelled."""
    workers = [ledger.pipeline(cluster=f"c{number}") for number in range(2)]
    done = asyncio.Event()
    ends: list[str] = []

    async def plan_and_cancel() -> None:
        ahead = 0.15
        for number in range(2, 12):
            soon = await in_seconds(ledger, ahead)
            try:
                await put(ledger, small_policy(str(number), held="fable-5" if number % 2 else "nothing"), at=soon)
            except PolicyRefused:  # It took longer than the time it was planned ahead.
                ahead *= 2
                continue
            # From later to earlier: where the cancellation falls is the race.
            while not await has_passed(ledger, soon - timedelta(milliseconds=5 * number - 10)):
                pass
            try:
                ends.append(f"cancelled {await cancel_at(ledger, soon)}")
            except PolicyRefused:
                ends.append(f"begun {number}")
        done.set()

    async def work(number: int) -> None:
        offset = 0
        while not done.is_set():
            name = f"a{number}-{offset}"
            record = ledger.next_record(event("account.signed_up.v1", account(account_id=name), id=name))
            await ledger.decide_records([replace(record, partition=number, offset=offset)], pipeline=workers[number])
            offset += 1

    await asyncio.gather(plan_and_cancel(), work(0), work(1))
    decided = {body["policy"]["version"] for body in await ledger.journal("decision")}
    assert decided - {"1"} <= {end.removeprefix("begun ") for end in ends if end.startswith("begun")}
    assert ends
    assert await ledger.replay() == []


async def in_seconds(ledger: Ledger, seconds: float) -> datetime:
    (row,) = await ledger.rows("SELECT clock_timestamp() AS now")
    return datetime.fromisoformat(str(row.now)) + timedelta(seconds=seconds)


async def has_passed(ledger: Ledger, at: datetime) -> bool:
    return await in_seconds(ledger, 0) > at


async def test_replay_finds_a_decision_under_a_version_that_was_not_in_force(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    await put(ledger, small_policy("2"))
    await ledger.tamper(
        "ALTER TABLE ledger.policy_activation DISABLE TRIGGER ALL",
        "UPDATE ledger.policy_activation SET effective_at ="
        " (SELECT min(effective_at) + interval '1 microsecond' FROM ledger.policy_activation)"
        " WHERE policy_sha256 = (SELECT sha256 FROM ledger.policy WHERE version = '2')",
    )
    assert any("was not in force" in one.what for one in await ledger.replay())


async def test_a_version_that_demands_lists_is_refused_and_one_that_got_in_stops_the_worker(ledger: Ledger) -> None:
    text = SMALL.format(version="2", held="nothing").replace(
        "rules:", "lists: {required: [ofac-sdn], max_age: P3D}\nrules:"
    )
    loaded = load_document(text.encode(), "small.yaml", nothing_beside, nothing_beside)
    with pytest.raises(PolicyRefused, match="screens no names yet"):
        await put(ledger, loaded)
    await _store_past_the_door(ledger, loaded)
    async with ledger.engine("policy_officer").begin() as tx:
        sha256 = bytes.fromhex(loaded.policy.sha256)
        await activate(tx, sha256=sha256, at=None, activated_by="mallory", reason="past the door")
    with pytest.raises(MustStop, match="requires lists"):
        await ledger.decide(signed_up())
    assert await ledger.decisions() == []


async def test_a_version_that_would_approve_in_doubt_and_got_in_by_sql_stops_the_worker(ledger: Ledger) -> None:
    bare = SMALL.partition("rules:")[0].format(version="2")
    loaded = load_document(bare.encode(), "small.yaml", nothing_beside, nothing_beside)
    await put(ledger, small_policy("1"))
    await _store_past_the_door(ledger, loaded)
    await ledger.tamper(
        "INSERT INTO ledger.policy_activation (effective_at, policy_sha256, activated_by, reason, lane, seq)"
        f" VALUES (clock_timestamp(), decode('{loaded.policy.sha256}', 'hex'), 'mallory', 'past the door', 0, 1)"
    )
    with pytest.raises(MustStop, match="would approve in doubt: an account with a record that could not be read"):
        await ledger.decide(signed_up())
    assert await ledger.decisions() == []


async def _store_past_the_door(ledger: Ledger, loaded: LoadedPolicy) -> None:
    async with ledger.engine("policy_officer").begin() as tx:
        await store_policy(
            tx,
            sha256=bytes.fromhex(loaded.policy.sha256),
            name="small",
            version="2",
            document=loaded.document,
            resolved=loaded.resolved,
            published_by="mallory",
            published_at=datetime(2026, 6, 12, tzinfo=UTC),
        )
