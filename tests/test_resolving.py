"""What a person does with a quarantined record, and that the account is held until somebody does."""

import json
from uuid import UUID

import pytest
from sqlalchemy import text

import service.deciding
from service.deciding import Fate
from service.ledger.quarantine import open_bugs
from service.policies import load_resolved
from service.resolving import CannotResolve, Person, dismiss, redrive
from tests.events import account, contract, event, signed_up, to_bytes
from tests.ledger import Ledger

ANN = Person(name="ann", reason="seen with the sender")


async def put_aside(ledger: Ledger, value: bytes, key: bytes | None = b"acct-1") -> UUID:
    await ledger.decide(ledger.next_record(value, key=key))
    (row,) = await ledger.rows("SELECT quarantine_id FROM ledger.quarantine ORDER BY opened_at DESC LIMIT 1")
    return UUID(str(row.quarantine_id))


async def redriven(ledger: Ledger, identity: UUID, corrected: bytes | None = None) -> Fate:
    async with ledger.engine("reviewer").begin() as tx:
        return await redrive(tx, identity, ANN, corrected=corrected, environment=None, load_policy=load_resolved)


async def dismissed(ledger: Ledger, identity: UUID) -> None:
    async with ledger.engine("reviewer").begin() as tx:
        await dismiss(tx, identity, ANN, load_resolved)


async def test_a_dismissed_record_no_longer_holds_its_account(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("contract.signed.v1", contract()))
    identity = await put_aside(ledger, b"{")
    await dismissed(ledger, identity)
    assert [row[2] for row in await ledger.decisions()] == ["approve"] * 2 + ["hold"] * 2 + ["approve"] * 2
    (body,) = await ledger.journal("quarantine_resolved")
    assert (body["resolution"], body["by"], body["reason"]) == ("dismissed", "ann", ANN.reason)
    assert await ledger.replay() == []


async def test_a_corrected_record_is_decided_like_any_other(ledger: Ledger) -> None:
    identity = await put_aside(ledger, to_bytes(signed_up())[:-1])
    assert await redriven(ledger, identity, to_bytes(signed_up())) is Fate.DECISION
    assert await ledger.decisions() == [("account", 1, "approve", ())]
    again = ledger.next_record(to_bytes(signed_up()), key=b"acct-1")
    assert (await ledger.decide(again)).fates == {"duplicate": 1}
    assert await ledger.replay() == []


async def test_a_record_that_has_become_readable_is_redriven_as_it_was(ledger: Ledger) -> None:
    test_event = signed_up() | {"env": "staging"}
    identity = await put_aside(ledger, to_bytes(test_event))
    assert await redriven(ledger, identity) is Fate.DECISION


async def test_a_redriven_contract_releases_the_account_too(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    broken = to_bytes(event("contract.signed.v1", contract()))
    await ledger.decide(ledger.next_record(broken[:-1], topic="contracts.v1", key=b"acct-1"))
    (row,) = await ledger.rows("SELECT quarantine_id FROM ledger.quarantine")
    await redriven(ledger, UUID(str(row.quarantine_id)), broken)
    last = {subject: outcome for subject, _, outcome, _ in await ledger.decisions()}
    assert last == {"account": "approve", "contract:contract-1": "approve"}


async def test_what_is_still_unreadable_stays_open(ledger: Ledger) -> None:
    identity = await put_aside(ledger, b"{")
    with pytest.raises(CannotResolve, match="still unreadable: NOT_JSON"):
        await redriven(ledger, identity)
    await dismissed(ledger, identity)


async def test_a_record_is_resolved_once(ledger: Ledger) -> None:
    identity = await put_aside(ledger, b"{")
    await dismissed(ledger, identity)
    with pytest.raises(CannotResolve, match="was dismissed by ann already"):
        await dismissed(ledger, identity)


async def test_a_correction_for_another_account_is_refused(ledger: Ledger) -> None:
    identity = await put_aside(ledger, b"{")
    with pytest.raises(CannotResolve, match="names another"):
        await redriven(ledger, identity, to_bytes(signed_up(account_id="rival")))


async def test_a_conflict_cannot_be_redriven_only_dismissed(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    for other in (signed_up(legal_name="B"), event("account.updated.v1", account(legal_name="B"), id="other")):
        identity = await put_aside(ledger, to_bytes(other))
        with pytest.raises(CannotResolve, match="contradicts an event accepted before"):
            await redriven(ledger, identity)
        await dismissed(ledger, identity)
    assert (await ledger.decisions())[-1][2] == "approve"


async def test_a_copy_of_another_event_corrects_nothing(ledger: Ledger) -> None:
    """Otherwise the account would be released, and nobody would have read what held it."""
    await ledger.decide(signed_up())
    identity = await put_aside(ledger, b"{")
    for copy in (to_bytes(signed_up()), json.dumps(signed_up(), indent=2).encode()):
        with pytest.raises(CannotResolve, match="dismiss the record"):
            await redriven(ledger, identity, copy)
    assert (await ledger.decisions())[-1][2] == "hold"


async def test_a_record_that_names_an_event_decided_since_is_redriven_as_a_duplicate(ledger: Ledger) -> None:
    broken = to_bytes(signed_up(legal_name=7))
    identity = await put_aside(ledger, broken)
    await ledger.decide(signed_up())
    assert (await ledger.decisions())[-1][2] == "hold"
    assert await redriven(ledger, identity, to_bytes(signed_up())) is Fate.DUPLICATE
    assert (await ledger.decisions())[-1][2] == "approve"
    assert await ledger.replay() == []


async def test_no_such_record(ledger: Ledger) -> None:
    with pytest.raises(CannotResolve, match="no record"):
        await dismissed(ledger, UUID(int=7))


async def test_an_account_is_held_until_its_last_open_record_is_resolved(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    first = await put_aside(ledger, b"{")
    second = await put_aside(ledger, b"[")
    await dismissed(ledger, first)
    assert [row[2] for row in await ledger.decisions()] == ["approve", "hold"]
    await dismissed(ledger, second)
    assert [row[2] for row in await ledger.decisions()] == ["approve", "hold", "approve"]
    assert await ledger.replay() == []


async def test_a_redriven_record_that_is_older_than_what_is_known_changes_nothing_and_releases(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    older = to_bytes(event("account.updated.v1", account(version=2, headquartered_in="IR"), id="older"))
    identity = await put_aside(ledger, older[:-1])
    await ledger.decide(event("account.updated.v1", account(version=3), id="newer"))
    assert await redriven(ledger, identity, older) is Fate.STALE
    assert [row[2] for row in await ledger.decisions()] == ["approve", "hold", "hold", "approve"]
    assert await ledger.replay() == []


async def test_a_record_that_met_a_bug_is_redriven_once_the_bug_is_mended(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.decide(signed_up())
    update = to_bytes(event("account.updated.v1", account(version=2), id="update"))
    with monkeypatch.context() as patched:
        patched.setattr(service.deciding, "account_facts", _breaks)
        identity = await put_aside(ledger, update)
    assert (await ledger.decisions())[-1] == ("account", 2, "hold", ("unread_events",))
    assert await redriven(ledger, identity) is Fate.DECISION
    assert (await ledger.decisions())[-1] == ("account", 3, "approve", ())
    async with ledger.engine("service").connect() as tx:
        assert await open_bugs(tx) == 0
    assert await ledger.replay() == []


def _breaks(*_: object, **__: object) -> None:
    raise ZeroDivisionError


async def test_a_record_of_nobody_is_redriven_for_whom_its_correction_names(ledger: Ledger) -> None:
    identity = await put_aside(ledger, b"{", key=None)
    assert await ledger.rows("SELECT 1 FROM ledger.quarantine WHERE account_id IS NOT NULL") == []
    assert await redriven(ledger, identity, to_bytes(signed_up())) is Fate.DECISION
    assert await ledger.decisions() == [("account", 1, "approve", ())]
    assert await ledger.replay() == []


async def test_a_record_whose_bytes_were_erased_is_dismissed_or_corrected(ledger: Ledger) -> None:
    identity = await put_aside(ledger, b"{")
    async with ledger.engine("eraser").begin() as tx:
        await tx.execute(text("DELETE FROM ledger.evidence"))
    with pytest.raises(CannotResolve, match="erased"):
        await redriven(ledger, identity)
    assert await redriven(ledger, identity, to_bytes(signed_up())) is Fate.DECISION


async def test_bytes_that_are_not_those_that_came_are_not_redriven(ledger: Ledger) -> None:
    identity = await put_aside(ledger, to_bytes(signed_up() | {"env": "staging"}))
    forged = to_bytes(signed_up()).hex()
    await ledger.tamper(
        "ALTER TABLE ledger.evidence DISABLE TRIGGER append_only",
        f"UPDATE ledger.evidence SET content = decode('{forged}', 'hex')",
    )
    with pytest.raises(CannotResolve, match="not those that came"):
        await redriven(ledger, identity)
    assert await ledger.decisions() == []
