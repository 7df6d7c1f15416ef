"""A record that is put aside, all the way to the topics: held, told of without its bytes, and released by a person."""

import asyncio
import base64
import json
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from schemas.export import event_schema
from service.app import ServiceFailed
from service.audit.bodies import Cause
from service.docket import Docket
from service.ledger.subjects import Subject
from service.policies import load_resolved
from service.reading import Record
from service.resolving import Person, dismiss, redrive
from tests.events import account, event, record, signed_up, to_bytes
from tests.ledger import Ledger
from tests.stream import DEADLINE_SECONDS, Stream, eventually, service

pytestmark = pytest.mark.embedded

Json = dict[str, Any]
ANN = Person(name="ann", reason="seen with the sender")
SECRET = "Jane Secret-Person"


def _update(**attributes: object) -> Json:
    return event("account.updated.v1", account(version=2, legal_name=SECRET), id="update") | attributes


def _broken() -> Record:
    return record(to_bytes(_update())[:-1], key=b"acct-1")


async def _open(ledger: Ledger) -> UUID:
    query = (
        "SELECT quarantine_id FROM ledger.quarantine LEFT JOIN ledger.quarantine_resolution AS r USING (quarantine_id) "
    )
    (row,) = await ledger.rows(query + "WHERE r.resolution IS NULL ORDER BY opened_at DESC LIMIT 1")
    return UUID(str(row.quarantine_id))


async def _outcomes(stream: Stream) -> list[str]:
    return [one["type"].split(".")[1] for one in await stream.events("license-decisions.v1")]


async def _publishes(stream: Stream, *outcomes: str) -> None:
    async def so() -> bool:
        return await _outcomes(stream) == list(outcomes)

    await eventually(so, f"published: {', '.join(outcomes)}")


async def _dismissed(ledger: Ledger, identity: UUID) -> None:
    async with ledger.engine("reviewer").begin() as tx:
        await dismiss(tx, identity, ANN, load_resolved)


async def _redriven(ledger: Ledger, corrected: bytes | None) -> None:
    identity = await _open(ledger)
    async with ledger.engine("reviewer").begin() as tx:
        await redrive(tx, identity, ANN, corrected=corrected, environment=None, load_policy=load_resolved)


async def test_a_record_that_cannot_be_read_holds_and_its_dismissal_releases(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)):
        await stream.send(signed_up())
        await _publishes(stream, "approved")
        await stream.send(_broken())
        await _publishes(stream, "approved", "held")
        identity = await _open(ledger)
        await _dismissed(ledger, identity)
        await _publishes(stream, "approved", "held", "approved")
    held, released = (await stream.events("license-decisions.v1"))[1:]
    assert [one["rule"] for one in held["data"]["reasons"]] == ["unread_events"]
    assert held["data"]["cause"] == {"kind": "quarantine", "id": str(identity)}
    assert released["data"]["cause"] == {"kind": "quarantine", "id": f"{identity} dismissed"}
    assert (await stream.events("license-status.v1"))[-1]["data"]["outcome"] == "approve"
    (body,) = await ledger.journal("quarantine_resolved")
    assert (body["resolution"], body["by"], body["reason"]) == ("dismissed", ANN.name, ANN.reason)
    assert await ledger.replay() == []


async def test_a_corrected_record_is_published_like_any_other(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)):
        await stream.send(signed_up())
        await _publishes(stream, "approved")
        (place,) = await stream.send(_broken())
        await _publishes(stream, "approved", "held")
        await _redriven(ledger, to_bytes(_update()))
        await _publishes(stream, "approved", "held", "approved")
        # The sender, too, sends what was corrected: it is known, and nothing is decided twice.
        again = await stream.send(record(_update()))
        await eventually(lambda: stream.done(ledger, again), "the copy is done")
    released = (await stream.events("license-decisions.v1"))[-1]["data"]
    assert released["cause"]["id"] == "/crm update"
    assert (released["origin"]["partition"], released["origin"]["offset"]) == place[1:]
    assert released["revision"] == 3
    assert len(await ledger.journal("duplicate")) == 1
    assert await ledger.replay() == []


async def test_a_record_that_is_redriven_as_it_was_is_published_like_any_other(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)):
        await stream.send(signed_up())
        await _publishes(stream, "approved")
        await stream.send(record(_update(env="staging")))
        await _publishes(stream, "approved", "held")
        await _redriven(ledger, None)
        await _publishes(stream, "approved", "held", "approved")
    assert (await stream.events("license-decisions.v1"))[-1]["data"]["cause"]["id"] == "/crm update"
    assert await ledger.replay() == []


async def test_the_quarantine_topic_says_where_and_why_and_never_what(stream: Stream, ledger: Ledger) -> None:
    mismatched = record(_update(id="other"), key=b"rival")
    unreadable = record(b"\xff" + SECRET.encode(), key=None)
    async with service(stream.settings(ledger)):
        sent = await stream.send(_broken(), mismatched, unreadable)

        async def all_told() -> bool:
            return len(await stream.read("license-quarantine.v1")) == len(sent)

        await eventually(all_told, "all are told of")
    records = await stream.read("license-quarantine.v1")
    keys = {json.loads(one.value or b"")["data"]["reason"]: one.key for one in records}
    assert keys == {"NOT_JSON": b"acct-1", "KEY_MISMATCH": None, "NOT_UTF8": None}
    validator = Draft202012Validator(event_schema("license.quarantined.v1"))
    for one in records:
        value = one.value or b""
        validator.validate(json.loads(value))
        for part in (SECRET, "Secret", "rival", base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex()):
            assert part.encode() not in value
    told = [json.loads(one.value or b"")["data"] for one in records]
    assert sorted((one["origin"]["partition"], one["origin"]["offset"]) for one in told) == sorted(
        place[1:] for place in sent
    )


class BrokenError(Exception):
    pass


async def test_the_brake_on_bugs_remembers_them_across_restarts(
    stream: Stream, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Docket.decide

    def breaks(self: Docket, subject: Subject, cause: Cause, *rest: Any) -> None:
        if subject.account_id.startswith("bug") and cause.kind == "event":
            raise BrokenError(SECRET)
        decide(self, subject, cause, *rest)

    settings = stream.settings(ledger, bug_limit=2)
    with monkeypatch.context() as patched:
        patched.setattr(Docket, "decide", breaks)
        for name in ("bug-1", "bug-2"):
            async with service(settings):
                sent = await stream.send(_signup(name), _signup(f"good-{name}"))
                await eventually(lambda sent=sent: stream.done(ledger, sent), "both are done")  # type: ignore[misc]
        stopped = await stream.send(_signup("bug-3"))
        with pytest.raises(ServiceFailed, match="2 records met a bug"):
            await _serve_until_it_stops(stream, ledger, bug_limit=2)
        assert not await stream.done(ledger, stopped)
    told = await stream.events("license-quarantine.v1")
    assert {(one["data"]["reason"], one["data"]["account_id"]) for one in told} == {("BUG", "bug-1"), ("BUG", "bug-2")}
    assert not [one for one in told if SECRET in json.dumps(one)]
    async with service(settings):
        await eventually(
            lambda: stream.done(ledger, stopped), "with the bug mended, the record that stopped us is decided"
        )
    decided = await ledger.rows("SELECT account_id FROM ledger.decision WHERE outcome = 'approve' ORDER BY account_id")
    assert [row.account_id for row in decided] == ["bug-3", "good-bug-1", "good-bug-2"]
    assert await ledger.replay() == []


async def _serve_until_it_stops(stream: Stream, ledger: Ledger, **overrides: object) -> None:
    async with service(stream.settings(ledger, **overrides)) as (_, task):
        await asyncio.wait({task}, timeout=DEADLINE_SECONDS)


def _signup(account_id: str) -> Json:
    return event("account.signed_up.v1", account(account_id=account_id), id=f"e-{account_id}")
