"""What a person does with a quarantined record, and that the account is held until somebody does."""

from uuid import UUID

import pytest

from service.deciding import Fate
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


async def test_no_such_record(ledger: Ledger) -> None:
    with pytest.raises(CannotResolve, match="no record"):
        await dismissed(ledger, UUID(int=7))
