"""History cannot be changed by those who use the database; what somebody changes all the same is found by replay."""

from hashlib import sha256

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.audit.replay import Replay
from service.ledger.engine import ROLES
from service.ledger.lanes import read_heads
from service.ledger.tables import HISTORY, metadata
from service.policies import load_resolved
from service.resolving import Person, dismiss
from tests.events import account, closed, contract, event, flag, signed_up, to_bytes
from tests.ledger import Ledger

TABLES = sorted(table.name for table in metadata.tables.values())
INSUFFICIENT_PRIVILEGE = "42501"
ONLY_MOVED = {"service": {"lane", "relay_position", "stream_position", "subject"}, "policy_officer": {"lane"}}
ONLY_MOVED["reviewer"] = {"lane", "subject", "stream_position"}
MAY_DELETE = {("eraser", "evidence"), ("service", "relay_refused")}
MAY_INSERT = {
    "service": {
        *("inbox", "journal", "evidence", "decision", "quarantine"),
        *("subject", "stream_position", "relay_refused", "shadow_result", "shadow_count"),
    },
    "policy_officer": {
        *("journal", "policy", "policy_activation"),
        *("policy_cancellation", "policy_signer_list", "policy_signature", "shadow", "shadow_position"),
    },
    "reviewer": {"inbox", "journal", "evidence", "decision", "quarantine", "quarantine_resolution", "subject"},
}


@pytest.fixture
async def lived_in(ledger: Ledger) -> Ledger:
    """A ledger with a decision, a duplicate, two quarantined records, one dismissed, an end, and an activation."""
    await ledger.decide(signed_up(), signed_up(), event("contract.signed.v1", contract()))
    await ledger.decide(
        event("account.signed_up.v1", account(account_id="b"), id="b"), ledger.next_record(b"{", key=b"b")
    )
    await ledger.decide(event("account.closed.v1", closed(version=2), id="x"))
    await ledger.decide(ledger.next_record(b"[", key=b"c"))
    (row,) = await ledger.rows("SELECT quarantine_id FROM ledger.quarantine WHERE account_id = 'c'")
    async with ledger.engine("reviewer").begin() as tx:
        await dismiss(tx, row.quarantine_id, Person(name="ann", reason="a test"), load_resolved)
    return ledger


async def refused(ledger: Ledger, role: str, statement: str) -> bool:
    try:
        async with ledger.engine(role).begin() as tx:
            await tx.execute(text(statement))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        return True
    return False


@pytest.mark.parametrize("role", [role for role in ROLES if role != "owner"])
async def test_no_role_may_change_or_remove_history(lived_in: Ledger, role: str) -> None:
    for table in TABLES:
        column = next(iter(metadata.tables[f"ledger.{table}"].columns)).name
        may_update = table in ONLY_MOVED.get(role, ())
        may_delete = (role, table) in MAY_DELETE
        for statement, allowed in (
            (f"UPDATE ledger.{table} SET {column} = {column}", may_update),
            (f"DELETE FROM ledger.{table}", may_delete),
            (f"TRUNCATE ledger.{table}", False),
            (f"ALTER TABLE ledger.{table} ADD COLUMN x int", False),
            (f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL", False),
            (f"DROP TABLE ledger.{table} CASCADE", False),
        ):
            assert await refused(lived_in, role, statement) is not allowed, (role, statement)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "owner"])
async def test_a_role_may_insert_only_what_is_its_business(empty_ledger: Ledger, role: str) -> None:
    for table in TABLES:
        allowed = table in MAY_INSERT.get(role, ())
        query = "SELECT has_table_privilege(:role, :table, 'INSERT') AS may"
        (row,) = await empty_ledger.rows(query, role=f"exportgate_{role}", table=f"ledger.{table}")
        assert row.may is allowed, (role, table)


async def test_the_service_cannot_activate_a_policy(ledger: Ledger) -> None:
    statement = "INSERT INTO ledger.policy_activation SELECT now(), sha256, 'me', 'x', now(), 16, 99 FROM ledger.policy"
    assert await refused(ledger, "service", statement)


async def test_even_the_owner_is_stopped_by_the_triggers(lived_in: Ledger) -> None:
    for table in HISTORY:
        column = next(iter(table.columns)).name
        assert await refused(lived_in, "owner", f"UPDATE ledger.{table.name} SET {column} = {column}")
        assert await refused(lived_in, "owner", f"TRUNCATE ledger.{table.name}")


async def test_an_activation_may_not_reach_into_the_past(ledger: Ledger) -> None:
    statement = (
        "INSERT INTO ledger.policy_activation SELECT now() - interval '1 hour', sha256, 'me', 'x', now(), 16, 99"
        " FROM ledger.policy"
    )
    with pytest.raises(DBAPIError, match="may not reach into the past"):
        async with ledger.engine("policy_officer").begin() as tx:
            await tx.execute(text(statement))


async def test_an_untouched_ledger_replays_without_a_difference(lived_in: Ledger) -> None:
    assert await lived_in.replay() == []


CHANGES = {
    "a byte of a body": ("journal", "body = set_byte(body, 40, (get_byte(body, 40) + 1) % 256)"),
    "the first byte of a body": ("journal", "body = set_byte(body, 0, 32)"),
    "the last byte of a body": ("journal", "body = body || ' '"),
    "a leaf": ("journal", "leaf = set_byte(leaf, 0, (get_byte(leaf, 0) + 1) % 256)"),
    "a link": ("journal", "link = set_byte(link, 31, (get_byte(link, 31) + 1) % 256)"),
    "a kind": ("journal", "kind = kind || 'x'"),
    "a byte of evidence": ("evidence", "content = content || ' '"),
    "a hash of evidence": ("evidence", "sha256 = set_byte(sha256, 0, (get_byte(sha256, 0) + 1) % 256)"),
    "a raw hash of the inbox": ("inbox", "raw_sha256 = set_byte(raw_sha256, 0, (get_byte(raw_sha256, 0) + 1) % 256)"),
    "a policy": ("policy", "resolved = resolved || ' '"),
    "who activated": ("policy_activation", "activated_by = 'mallory'"),
    "when it was activated": ("policy_activation", "effective_at = effective_at + interval '1 day'"),
    "when that was written down": ("policy_activation", "recorded_at = recorded_at - interval '1 second'"),
    "when a policy was published": ("policy", "published_at = published_at - interval '1 second'"),
    "when a record was put aside": ("quarantine", "opened_at = opened_at - interval '1 second'"),
    "when a record was dismissed": ("quarantine_resolution", "resolved_at = resolved_at - interval '1 second'"),
    "a lower epoch": ("installation", "epoch = epoch - 1"),
    "an epoch that jumps": ("installation", "epoch = epoch + 2"),
    "why a record was put aside": ("quarantine", "reason = 'EMPTY'"),
    "whose record was put aside": ("quarantine", "account_id = NULL"),
    "the head of a lane": ("lane", "head = set_byte(head, 0, (get_byte(head, 0) + 1) % 256)"),
    "a standing outcome": ("subject", "outcome = 'deny'"),
}
DECISION_CHANGES = {
    "account_id": "'x'",
    "subject_id": "'contract:x'",
    "epoch": "2",
    "revision": "99",
    "outcome": "'deny'",
    "access": "'partial'",
    "cause_kind": "'policy'",
    "cause_id": "'x'",
    "policy_sha256": "sha256('x')",
    "rules": "ARRAY['x']",
    "supersedes": "gen_random_uuid()",
    "raw_sha256": "sha256('x')",
    "facts_sha256": "sha256('x')",
    "decided_at": "decided_at + interval '1 second'",
    "valid_until": "now()",
    "decision_id": "gen_random_uuid()",
    "lane": "3",
    "seq": "999",
}
ALL_CHANGES = CHANGES | {
    f"decision.{name}": ("decision", f"{name} = {value}") for name, value in DECISION_CHANGES.items()
}


@pytest.mark.parametrize("change", sorted(ALL_CHANGES))
async def test_a_single_change_is_found_by_replay(lived_in: Ledger, change: str) -> None:
    table, assignment = ALL_CHANGES[change]
    one = f"SELECT ctid FROM ledger.{table} ORDER BY ctid LIMIT 1"
    if table == "subject":
        one = "SELECT ctid FROM ledger.subject WHERE outcome IS DISTINCT FROM 'deny' AND NOT ended LIMIT 1"
    if table == "lane":
        one = "SELECT ctid FROM ledger.lane WHERE next_seq > 1 LIMIT 1"
    if table == "quarantine" and "account_id" in assignment:
        one = "SELECT ctid FROM ledger.quarantine WHERE account_id IS NOT NULL LIMIT 1"
    await lived_in.tamper(
        f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL",
        f"UPDATE ledger.{table} SET {assignment} WHERE ctid = ({one})",
    )
    assert await lived_in.replay() != []


@pytest.mark.parametrize("table", sorted(table.name for table in HISTORY))
async def test_a_single_missing_row_is_found_by_replay(lived_in: Ledger, table: str) -> None:
    if table in {"policy_cancellation", "policy_signer_list", "policy_signature", "shadow_result"}:
        pytest.skip("no row stands here; tests/test_signatures.py and tests/test_shadow.py have those")
    await lived_in.tamper(
        f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL",
        f"DELETE FROM ledger.{table} WHERE ctid = (SELECT ctid FROM ledger.{table} ORDER BY ctid LIMIT 1)",
    )
    assert await lived_in.replay() != []


async def test_a_truncated_lane_is_found_by_replay(lived_in: Ledger) -> None:
    await lived_in.tamper(
        "ALTER TABLE ledger.journal DISABLE TRIGGER ALL",
        "DELETE FROM ledger.journal AS j USING ledger.lane AS l WHERE j.lane = l.lane AND j.seq = l.next_seq - 1",
    )
    assert await lived_in.replay() != []


async def test_a_forged_approval_outside_a_lane_is_found(lived_in: Ledger) -> None:
    forge = (
        "INSERT INTO ledger.journal (lane, seq, kind, body, leaf, link)"
        " SELECT {lane}, {seq}, kind, body, leaf, link FROM ledger.journal WHERE kind = 'decision' LIMIT 1"
    )
    for lane, seq in ((99, 1), (0, 0), (0, -5)):
        async with lived_in.engine("service").begin() as tx:
            await tx.execute(text(forge.format(lane=lane, seq=seq)))
    faults = [one for one in await lived_in.replay() if "outside its lane" in one.what]
    assert len(faults) == 3


async def test_lanes_that_are_gone_are_found(lived_in: Ledger) -> None:
    await lived_in.tamper("DELETE FROM ledger.lane")
    assert await lived_in.replay() != []


FACTS = "facts = decode(replace(encode(facts, 'escape'), '{}', 'other'), 'escape')"
KNOWN_CHANGES = {
    "a flag is forgotten": FACTS.format("military_use"),
    "it is said to have ended": "ended = true",
    "its revision is lowered": "revision = revision - 1",
    "its facts are gone": "facts = ''",
    "its version is raised, so that what comes is stale": "version = 999999",
    "its version is lowered, so that what is old comes again": "version = 0",
    "the content of its version is another": "content_sha256 = sha256('x')",
    "it is said to lie in another lane": "lane = (lane + 1) % 16",
}


@pytest.mark.parametrize("change", sorted(KNOWN_CHANGES))
async def test_what_is_known_of_a_subject_cannot_be_changed_unnoticed(ledger: Ledger, change: str) -> None:
    await ledger.decide(signed_up(), event("account.flagged.v1", flag()))
    async with ledger.engine("service").begin() as tx:
        await tx.execute(text(f"UPDATE ledger.subject SET {KNOWN_CHANGES[change]}"))
    assert await ledger.replay() != []


async def test_a_subject_that_nobody_decided_cannot_be_added_unnoticed(ledger: Ledger) -> None:
    """Its high version would make a stale event of every one that comes."""
    await ledger.decide(signed_up())
    forge = (
        "INSERT INTO ledger.subject SELECT account_id, 'contract:c', lane, '', {version}, sha256('x'), 0, NULL, NULL,"
        " false FROM ledger.subject"
    )
    for version in (0, 999_999):
        async with ledger.engine("service").connect() as tx:
            await tx.execute(text(forge.format(version=version)))
            replay = Replay(tx=tx, load_policy=load_resolved, since=None)
            found = [one async for one in replay.differences(await read_heads(tx))]
        assert {one.where for one in found} == {"subject acct-1 contract:c"}


async def test_a_version_that_was_raised_for_a_while_is_found(ledger: Ledger) -> None:
    await ledger.decide(signed_up())
    for version in (999_999, 1):
        async with ledger.engine("service").begin() as tx:
            await tx.execute(text(f"UPDATE ledger.subject SET version = {version}"))
        if version > 1:
            update = event("account.updated.v1", account(version=2, headquartered_in="IR"))
            assert (await ledger.decide(update)).fates == {"stale": 1}
    assert [one.what for one in await ledger.replay()] == ["it calls version 2 stale, but 1 was known"]


CLOSED_CHANGES = {
    "a flag before the end is forgotten": FACTS.format("early"),
    "a flag after the end is forgotten": FACTS.format("late"),
    "a place is another": FACTS.format("GB"),
    "its facts are gone": "facts = ''",
    "its facts make no sense": "facts = 'x'",
    "its version is raised": "version = 999999",
}


@pytest.mark.parametrize("change", [None, *sorted(CLOSED_CHANGES)])
async def test_what_comes_back_with_a_closed_account_cannot_be_changed_unnoticed(
    ledger: Ledger, change: str | None
) -> None:
    await ledger.decide(signed_up(), event("account.flagged.v1", flag(flag_id="early"), id="1"))
    await ledger.decide(event("account.closed.v1", closed(version=2)))
    await ledger.decide(event("account.flagged.v1", flag(flag_id="late"), id="2"))
    assert await ledger.replay() == []
    if change is not None:
        async with ledger.engine("service").begin() as tx:
            await tx.execute(text(f"UPDATE ledger.subject SET {CLOSED_CHANGES[change]}"))
        assert await ledger.replay() != []


async def test_an_account_that_was_never_open_may_be_closed_and_flagged(ledger: Ledger) -> None:
    await ledger.decide(
        event("account.closed.v1", closed(version=2)), event("account.flagged.v1", flag(flag_id="late"), id="2")
    )
    assert await ledger.replay() == []


async def test_of_erased_records_only_that_they_are_erased_is_said(ledger: Ledger) -> None:
    await ledger.decide(signed_up(), event("contract.signed.v1", contract()))
    await ledger.decide(
        event("account.updated.v1", account(), id="copy"),
        event("account.closed.v1", closed(version=2)),
        event("account.updated.v1", account(), id="old"),
    )
    await ledger.decide(event("account.flagged.v1", flag(), id="2"))
    assert await ledger.replay() == []
    async with ledger.engine("eraser").begin() as tx:
        await tx.execute(text("DELETE FROM ledger.evidence"))
    assert {one.what for one in await ledger.replay()} == {
        "the record is not kept as evidence",
        "the facts are not kept as evidence",
    }


async def test_an_event_that_is_accepted_before_it_comes_is_found(ledger: Ledger) -> None:
    coming = to_bytes(event("account.flagged.v1", flag()))
    await ledger.decide(signed_up())
    digest = sha256(coming).digest()
    async with ledger.engine("service").begin() as tx:
        await tx.execute(
            text("INSERT INTO ledger.evidence (sha256, content) VALUES (:digest, :content)"),
            {"digest": digest, "content": coming},
        )
        await tx.execute(
            text("INSERT INTO ledger.inbox VALUES ('/crm', 'evt-account.flagged.v1', :digest)"), {"digest": digest}
        )
    assert (await ledger.decide(ledger.next_record(coming, key=b"acct-1"))).fates == {"duplicate": 1}
    assert any("what became of the event" in one.what for one in await ledger.replay())


async def test_an_id_that_is_taken_out_of_the_inbox_is_found(lived_in: Ledger) -> None:
    await lived_in.tamper("ALTER TABLE ledger.inbox DISABLE TRIGGER ALL", "DELETE FROM ledger.inbox")
    assert any("never accepted" in one.what for one in await lived_in.replay())


@pytest.mark.parametrize("column", ["name", "version", "published_by", "document"])
async def test_a_policy_row_says_what_was_published(ledger: Ledger, column: str) -> None:
    value = "document || ' '" if column == "document" else f"{column} || 'x'"
    await ledger.tamper("ALTER TABLE ledger.policy DISABLE TRIGGER ALL", f"UPDATE ledger.policy SET {column} = {value}")
    assert any("what was published" in one.what for one in await ledger.replay())


@pytest.mark.parametrize(
    "body", [b"{}", b'{"kind":"decision"}', b"[1]", b"null", b'{"kind":"decision","reasons":7,"x":"\\u0000"}', b"\xff"]
)
async def test_a_body_that_makes_no_sense_is_a_difference_and_not_a_crash(lived_in: Ledger, body: bytes) -> None:
    await lived_in.tamper(
        "ALTER TABLE ledger.journal DISABLE TRIGGER ALL",
        f"UPDATE ledger.journal SET body = decode('{body.hex()}', 'hex') WHERE kind = 'decision'",
    )
    assert await lived_in.replay() != []


async def test_a_policy_officer_cannot_write_a_decision(lived_in: Ledger) -> None:
    forge = (
        "INSERT INTO ledger.journal SELECT lane, seq + 1000, kind, body, leaf, link"
        " FROM ledger.journal WHERE kind = 'decision' LIMIT 1"
    )
    assert await refused(lived_in, "policy_officer", forge)
    assert await refused(lived_in, "policy_officer", forge.replace("kind, body", "'policy_activated', body"))


async def test_the_text_of_an_error_holds_no_values(ledger: Ledger) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with ledger.engine("auditor").begin() as tx:
            await tx.execute(text("INSERT INTO ledger.inbox VALUES (:a, 'b', 'c')"), {"a": "Maria Example"})
    assert "Maria" not in str(caught.value)


async def test_evidence_under_the_hash_of_something_else_is_found(lived_in: Ledger) -> None:
    """The service may add evidence, and nothing in the database compares it with its hash: replay does."""
    async with lived_in.engine("service").begin() as tx:
        await tx.execute(text("INSERT INTO ledger.evidence (sha256, content) VALUES (sha256('told'), 'stored')"))
    assert [one.what for one in await lived_in.replay()] == ["the content has another sha256"]
