"""Two people sign before a version decides: enforced by PostgreSQL, verified by whoever loads it, found by replay."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.audit.canonical import canonical
from service.ledger.signers import awaiting_countersignature
from service.policies import PolicyRefused
from service.policies.approval import NotSigned, check_activation
from service.policies.lifecycle import cancel
from service.policies.signatures import (
    PassphraseNeeded,
    SigningKey,
    is_signed,
    key_text,
    policy_statement,
    read_key,
    read_signing_key,
    signers_statement,
)
from service.policies.signers import read_signer_list, stored_signer_list
from service.policies.signing import sign
from service.transaction import MustStop
from tests.events import account, event, signed_up
from tests.ledger import Ledger
from tests.policies import small_policy
from tests.signing import KEYS, demand_signatures, list_document, published, put_in_force, sign_as

pytestmark = pytest.mark.embedded
PLACE = "16, (SELECT next_seq FROM ledger.lane WHERE lane = 16)"


async def by_hand(ledger: Ledger, *statements: str, role: str = "policy_officer", **values: object) -> None:
    """What a policy officer, or somebody with their password, sends to the database past the commands."""
    async with ledger.engine(role).begin() as tx:
        for statement in statements:
            await tx.execute(text(statement), values)


async def signed_and_in_force(ledger: Ledger) -> bytes:
    """Demand signatures, and put a version in force that bob and cleo have signed."""
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    await sign_as(ledger, sha256, "bob", "cleo")
    await put_in_force(ledger, sha256)
    return sha256


# ------------------------------------------------------------------------------------------------- keys and statements
STATEMENT = {"sha256": bytes(32), "name": "small", "version": "1", "signer": "ann"}


@pytest.mark.parametrize(
    "other",
    [{"sha256": bytes(31) + b"\x01"}, {"name": "large"}, {"version": "2"}, {"signer": "bob"}],
    ids=lambda one: next(iter(one)),
)
def test_a_signature_is_good_for_one_statement_alone(other: dict[str, object]) -> None:
    key = SigningKey.new()
    signature = key.sign(policy_statement(**STATEMENT))  # type: ignore[arg-type]
    assert is_signed(policy_statement(**STATEMENT), signature, key.public)  # type: ignore[arg-type]
    assert not is_signed(policy_statement(**STATEMENT | other), signature, key.public)  # type: ignore[arg-type]
    assert not is_signed(signers_statement(sha256=bytes(32), replaces=None, signer="ann"), signature, key.public)
    assert not is_signed(policy_statement(**STATEMENT), signature, SigningKey.new().public)  # type: ignore[arg-type]
    assert not is_signed(policy_statement(**STATEMENT), b"", b"")  # type: ignore[arg-type]


def test_what_is_signed_is_these_bytes_for_ever() -> None:
    assert policy_statement(**STATEMENT) == (  # type: ignore[arg-type]
        b'exportgate signature v1\x00{"format":1,"kind":"policy","name":"small","sha256":"'
        + b"0" * 64
        + b'","signer":"ann","version":"1"}'
    )
    assert signers_statement(sha256=bytes(32), replaces=None, signer="ann") == (
        b'exportgate signature v1\x00{"format":1,"kind":"signers","replaces":null,"sha256":"'
        + b"0" * 64
        + b'","signer":"ann"}'
    )


def test_a_key_is_written_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    key, file = SigningKey.new(), tmp_path / "ann.pem"
    key.write(file, None)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_signing_key(file, None).public == key.public
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        SigningKey.new().write(file, None)
    assert file.read_bytes() == before
    assert before.splitlines()[1].decode() not in repr(key)


def test_a_key_with_a_passphrase_opens_with_it_alone(tmp_path: Path) -> None:
    key, file = SigningKey.new(), tmp_path / "ann.pem"
    key.write(file, "correct horse")
    with pytest.raises(PassphraseNeeded):
        read_signing_key(file, None)
    with pytest.raises(PolicyRefused, match="its passphrase is another") as caught:
        read_signing_key(file, "battery staple")
    assert "battery" not in str(caught.value)
    assert read_signing_key(file, "correct horse").public == key.public


def test_a_file_that_is_no_signing_key_is_refused_without_telling_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(b"hunter2")
    file.chmod(0o640)
    with pytest.raises(PolicyRefused, match="chmod 600"):
        read_signing_key(file, None)
    file.chmod(0o600)
    with pytest.raises(PolicyRefused, match="holds no private key in PEM") as caught:
        read_signing_key(file, None)
    assert "hunter2" not in str(caught.value)
    other = generate_private_key(SECP256R1())
    file.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(PolicyRefused, match="holds no Ed25519 key"):
        read_signing_key(file, None)


@pytest.mark.parametrize("written", ["", "ed25519:", "ed25519:" + "0" * 63, "ed25519:" + "G" * 64, "0" * 64])
def test_what_is_no_public_key_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="expected a public key"):
        read_key(written)


# ------------------------------------------------------------------------------------------------- lists of signers
GOOD = list_document().decode()
ANN, BOB = key_text(KEYS["ann"].public), key_text(KEYS["bob"].public)
BAD_LISTS = {
    "a name twice": (GOOD.replace("name: bob", "name: ann"), "signers.yaml:7: ann has the name of ann"),
    "a key twice": (GOOD.replace(BOB, ANN), "signers.yaml:7: bob has the key of ann"),
    "one person": (list_document(people=["ann"]).decode(), "signers.yaml:2: expected at least 2 people"),
    "nobody": ('signers: "x"\n', "expected at least 2 people"),
    "no name of the list": (GOOD.replace('signers: "first"', "signers: null"), "signers.yaml:1: expected `signers:"),
    "another field": (GOOD.replace("valid_until", "expires", 1), "signers.yaml:6: unknown field 'expires'"),
    "another field on top": (GOOD + "who: me\n", "unknown field 'who'"),
    "no key": (GOOD.replace(ANN, "ed25519:12"), "signers.yaml:4: expected a public key"),
    "no date": (GOOD.replace("valid_from", "valid_until", 1), "ann"),
    "a date of no form": (GOOD.replace('"2026-01-01T00:00:00Z"', "today", 1), "signers.yaml:5: expected a time"),
    "an end before the beginning": (
        list_document(until={"bob": '"2025-01-01T00:00:00Z"'}).decode(),
        "signers.yaml:10: bob could never sign",
    ),
    "an empty name": (GOOD.replace("name: ann", 'name: " "'), "signers.yaml:3: expected `name: NAME`"),
    "people who are none": (GOOD.partition("people:")[0] + "people: [ann, bob]\n", "expected a person"),
}


@pytest.mark.parametrize("name", sorted(BAD_LISTS))
def test_a_list_that_is_malformed_is_refused_with_its_line(name: str) -> None:
    document, said = BAD_LISTS[name]
    with pytest.raises(PolicyRefused) as caught:
        read_signer_list(document.encode(), "signers.yaml")
    assert said in str(caught.value) or name == "no date"


def test_a_list_that_is_stored_reads_as_it_was_written() -> None:
    written = read_signer_list(list_document(until={"bob": '"2030-01-01T00:00:00Z"'}), "signers.yaml")
    assert stored_signer_list(written.resolved) == written


async def test_from_the_first_list_on_signatures_are_demanded(ledger: Ledger) -> None:
    sha256 = await published(ledger)
    assert (await put_in_force(ledger, sha256)).signed_by is None
    assert await demand_signatures(ledger) is None
    later = await published(ledger, small_policy("3"))
    with pytest.raises(NotSigned, match=r"3 needs the signatures of 2 of the signers other than ann.*and has 0"):
        await put_in_force(ledger, later)
    await ledger.decide(signed_up())  # What came into force before goes on deciding.
    assert await ledger.replay() == []


async def test_the_first_list_is_signed_by_two_of_its_own(ledger: Ledger) -> None:
    for signed_by, came in (((), r"0 came \(nobody\)"), (("ann",), r"1 came \(ann\)")):
        with pytest.raises(NotSigned, match=f"needs the keys of 2 people of this list, and {came}"):
            await demand_signatures(ledger, signed_by=signed_by)
    with pytest.raises(PolicyRefused, match="somebody's signature is given twice"):
        await demand_signatures(ledger, signed_by=("ann", "ann"))
    with pytest.raises(
        PolicyRefused, match=r"nobody on the list may sign now with the key .*on it are: ann, bob, cleo"
    ):
        await demand_signatures(ledger, signed_by=("ann", "dan"))


async def test_a_list_is_replaced_by_two_people_of_it_and_then_others_sign(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    second = list_document("second", ["bob", "cleo", "dan"])
    with pytest.raises(PolicyRefused, match="nobody on the list may sign now with the key"):
        await demand_signatures(ledger, second, signed_by=("bob", "dan"))
    before = await demand_signatures(ledger, second, signed_by=("ann", "bob"))
    assert before is not None
    assert before.title == "first"
    with pytest.raises(PolicyRefused, match="was published before; a list counts once"):
        await demand_signatures(ledger, list_document(), signed_by=("bob", "cleo"))
    sha256 = await published(ledger, by="eve")
    with pytest.raises(PolicyRefused, match=r"ann is not on the list of signers.*; on it are: bob, cleo, dan"):
        await sign_as(ledger, sha256, "ann")
    await sign_as(ledger, sha256, "dan", "bob")
    assert (await put_in_force(ledger, sha256)).signed_by == ("dan", "bob")
    assert await ledger.replay() == []


async def test_a_list_by_which_nobody_could_sign_is_refused(ledger: Ledger) -> None:
    over = {"bob": '"2026-01-02T00:00:00Z"', "cleo": '"2999-01-02T00:00:00Z"'}
    with pytest.raises(PolicyRefused, match="fewer than 2 people of this list may sign now and without an end"):
        await demand_signatures(ledger, list_document(until=over), ("ann",))


# --------------------------------------------------------------------------------------------------------- signing
async def test_two_people_who_are_not_the_author_put_a_version_in_force(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    assert (await sign_as(ledger, sha256, "bob")).approvers == ("bob",)
    with pytest.raises(NotSigned, match="and has 1"):
        await put_in_force(ledger, sha256)
    assert (await sign_as(ledger, sha256, "cleo")).approvers == ("bob", "cleo")
    assert (await put_in_force(ledger, sha256)).signed_by == ("bob", "cleo")
    await ledger.decide(signed_up())
    assert [row[2] for row in await ledger.decisions()] == ["hold"]
    told = (await ledger.journal("policy_activated"))[-1]
    assert (told["signed_by"], told["emergency"], told["rollback"]) == (["bob", "cleo"], False, False)
    assert [one["signer"] for one in await ledger.journal("policy_signed")] == ["bob", "cleo"]
    assert await ledger.replay() == []


async def test_who_may_not_sign_is_refused(ledger: Ledger) -> None:
    expired, coming = {"dan": '"2026-02-01T00:00:00Z"'}, {"cleo": '"2999-01-01T00:00:00Z"'}
    await published(ledger)
    with pytest.raises(PolicyRefused, match="there is no list of signers"):
        await sign_as(ledger, await published(ledger), "bob")
    await demand_signatures(ledger, list_document(people=list(KEYS), until=expired, since=coming))
    sha256 = await published(ledger)
    for name, said in (("ann", "ann has published 2, and an author does not approve"), ("dan", "may not sign now"),
                       ("cleo", "may not sign now")):  # fmt: skip
        with pytest.raises(PolicyRefused, match=said):
            await sign_as(ledger, sha256, name)
    await sign_as(ledger, sha256, "bob")
    with pytest.raises(PolicyRefused, match="bob has signed 2 already"):
        await sign_as(ledger, sha256, "bob")
    async with ledger.engine("policy_officer").begin() as tx:
        with pytest.raises(PolicyRefused, match="the key is not the one that is listed for bob, ed25519:"):
            await sign(tx, sha256=sha256, name="bob", key=KEYS["cleo"])
        with pytest.raises(PolicyRefused, match=r"cloe is not on the list of signers \(did you mean 'cleo'\?\)"):
            await sign(tx, sha256=sha256, name="cloe", key=KEYS["cleo"])
        with pytest.raises(LookupError, match="is not stored"):
            await sign(tx, sha256=bytes(32), name="bob", key=KEYS["bob"])


async def test_a_version_that_is_stored_with_other_bytes_is_neither_signed_nor_activated(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    await sign_as(ledger, sha256, "bob")
    other = small_policy("2", held="sonata-4").resolved
    await ledger.tamper(
        "ALTER TABLE ledger.policy DISABLE TRIGGER ALL",
        f"UPDATE ledger.policy SET resolved = decode('{other.hex()}', 'hex') WHERE version = '2'",
    )
    with pytest.raises(PolicyRefused, match="is stored with other bytes"):
        await sign_as(ledger, sha256, "cleo")
    with pytest.raises(PolicyRefused, match="is stored with other bytes"):
        await put_in_force(ledger, sha256)


async def test_who_has_left_the_list_counts_no_more_but_what_they_signed_goes_on(ledger: Ledger) -> None:
    first = await signed_and_in_force(ledger)
    await demand_signatures(ledger, list_document("second", ["ann", "bob", "dan"]))
    await ledger.decide(signed_up())
    other = await published(ledger, small_policy("3"))
    await sign_as(ledger, other, "bob", "dan")
    await put_in_force(ledger, other)
    with pytest.raises(NotSigned, match=r"has 1, bob \(cleo: no longer a signer\): exportgate"):
        await put_in_force(ledger, first, rollback=True)
    await sign_as(ledger, first, "dan")
    await put_in_force(ledger, first, rollback=True)
    await ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    assert await ledger.replay() == []


async def test_a_rollback_needs_signatures_and_has_them_already(ledger: Ledger) -> None:
    first = await signed_and_in_force(ledger)
    second = await published(ledger, small_policy("3"))
    await sign_as(ledger, second, "bob", "cleo")
    await put_in_force(ledger, second)
    with pytest.raises(PolicyRefused, match="2 was in force before, and was replaced"):
        await put_in_force(ledger, first)
    assert (await put_in_force(ledger, first, rollback=True)).signed_by == ("bob", "cleo")
    unsigned = (await ledger.rows("SELECT sha256 FROM ledger.policy WHERE version = '1'"))[0].sha256
    with pytest.raises(NotSigned, match="1 needs the signatures of 2"):
        await put_in_force(ledger, unsigned, rollback=True)


# ------------------------------------------------------------------------------------------------------- emergencies
async def waiting(ledger: Ledger) -> list[tuple[str, bool]]:
    async with ledger.engine("auditor").connect() as tx:
        return [(one.version, one.is_overdue) for one in await awaiting_countersignature(tx)]


async def test_an_emergency_needs_one_signature_and_waits_for_a_countersignature(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    with pytest.raises(NotSigned, match="needs the signatures of 1"):
        await put_in_force(ledger, sha256, emergency=True)
    await sign_as(ledger, sha256, "bob")
    await put_in_force(ledger, sha256, emergency=True)
    assert (await ledger.journal("policy_activated"))[-1]["emergency"] is True
    await ledger.decide(signed_up())
    assert await waiting(ledger) == [("2", False)]
    await sign_as(ledger, sha256, "cleo")
    assert await waiting(ledger) == []
    assert await ledger.replay() == []


async def test_an_emergency_is_overdue_after_a_day_until_two_people_have_put_another_in_force(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    await sign_as(ledger, sha256, "bob")
    await put_in_force(ledger, sha256, emergency=True)
    await ledger.tamper(
        "ALTER TABLE ledger.policy_activation DISABLE TRIGGER ALL",
        "UPDATE ledger.policy_activation SET effective_at = effective_at - interval '25 hours'",
        "ALTER TABLE ledger.policy_activation ENABLE TRIGGER ALL",
    )
    assert await waiting(ledger) == [("2", True)]
    other = await published(ledger, small_policy("3"))
    await sign_as(ledger, other, "bob")
    await put_in_force(ledger, other, emergency=True)
    assert await waiting(ledger) == [("2", True), ("3", False)]
    third = await published(ledger, small_policy("4"))
    await sign_as(ledger, third, "bob", "cleo")
    await put_in_force(ledger, third)
    assert await waiting(ledger) == []


async def test_who_is_no_longer_a_signer_does_not_end_the_alarm_and_who_is_listed_now_does(ledger: Ledger) -> None:
    first = await signed_and_in_force(ledger)
    other = await published(ledger, small_policy("3"))
    await sign_as(ledger, other, "bob", "cleo")
    await put_in_force(ledger, other)
    await demand_signatures(ledger, list_document("second", ["ann", "bob", "dan"]))
    assert (await put_in_force(ledger, first, emergency=True, rollback=True)).emergency
    assert await waiting(ledger) == [("2", False)]
    await sign_as(ledger, first, "dan")
    assert await waiting(ledger) == []
    await demand_signatures(ledger, list_document("third", ["ann", "bob", "cleo"]))
    assert await waiting(ledger) == []
    await demand_signatures(ledger, list_document("fourth", ["ann", "cleo"]))
    assert await waiting(ledger) == [("2", False)]
    assert await ledger.replay() == []


async def test_the_role_of_the_workers_counts_the_same(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    await sign_as(ledger, sha256, "bob")
    await put_in_force(ledger, sha256, emergency=True)
    async with ledger.engine("service").connect() as tx:
        assert [one.version for one in await awaiting_countersignature(tx)] == ["2"]


async def test_where_enough_have_signed_it_is_no_emergency_and_an_older_alarm_ends(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    urgent, signed = await published(ledger), await published(ledger, small_policy("3"))
    await sign_as(ledger, urgent, "bob")
    await put_in_force(ledger, urgent, emergency=True)
    await sign_as(ledger, signed, "bob", "cleo")
    done = await put_in_force(ledger, signed, emergency=True)
    assert (done.emergency, done.signed_by) == (False, ("bob", "cleo"))
    assert (await ledger.journal("policy_activated"))[-1]["emergency"] is False
    assert await waiting(ledger) == []
    assert await ledger.replay() == []


async def test_an_emergency_that_is_countersigned_ends_the_alarm_of_the_one_before(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    first, second = await published(ledger), await published(ledger, small_policy("3"))
    for sha256 in (first, second):
        await sign_as(ledger, sha256, "bob")
        await put_in_force(ledger, sha256, emergency=True)
    assert await waiting(ledger) == [("2", False), ("3", False)]
    await sign_as(ledger, second, "cleo")
    assert await waiting(ledger) == []


async def test_there_is_no_emergency_while_nobody_signs(ledger: Ledger) -> None:
    with pytest.raises(PolicyRefused, match="nobody's signature is demanded yet"):
        await put_in_force(ledger, await published(ledger), emergency=True)


# ------------------------------------------------------------------------------------------ past the commands, by SQL
ACTIVATE = (
    "INSERT INTO ledger.policy_activation (effective_at, policy_sha256, activated_by, reason, lane, seq, emergency,"
    " rollback, signers_sha256) SELECT clock_timestamp() + interval '1 second', sha256, 'mallory', 'x', 16, 99, {how}, "
    "{signers} FROM ledger.policy WHERE version = '2'"
)
IN_FORCE = "(SELECT sha256 FROM ledger.policy_signer_list ORDER BY seq DESC LIMIT 1)"
SIGN = (
    "INSERT INTO ledger.policy_signature SELECT sha256, :signer, :key, :signature, clock_timestamp(), "
    + PLACE
    + " + :more FROM ledger.policy WHERE version = '2'"
)


async def forged(ledger: Ledger, signer: str, key: bytes, more: int = 0, signature: bytes = bytes(64)) -> None:
    await by_hand(ledger, SIGN, signer=signer, key=key, signature=signature, more=more)


async def test_the_database_counts_signatures(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    for how in ("false, false", "true, false", "false, true"):
        for signers in ("NULL", IN_FORCE, "sha256('x')"):
            with pytest.raises(DBAPIError, match=r"signatures of|judged by the list"):
                await by_hand(ledger, ACTIVATE.format(how=how, signers=signers))
    await sign_as(ledger, sha256, "bob")
    with pytest.raises(DBAPIError, match="signatures of 2 people who are not its author"):
        await by_hand(ledger, ACTIVATE.format(how="false, false", signers=IN_FORCE))
    await sign_as(ledger, sha256, "cleo")
    for signers in ("NULL", "sha256('x')"):
        with pytest.raises(DBAPIError, match="judged by the list"):
            await by_hand(ledger, ACTIVATE.format(how="false, false", signers=signers))
    await by_hand(ledger, ACTIVATE.format(how="false, false", signers=IN_FORCE))


async def test_the_database_refuses_signatures_of_the_author_of_strangers_and_of_other_times(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    await published(ledger)
    ann, bob, stranger = KEYS["ann"].public, KEYS["bob"].public, SigningKey.new().public
    for signer, key, said in (
        ("ann", ann, "the author of a policy version does not approve it"),
        ("bob", ann, "nobody of that name and key may sign now"),
        ("bob", stranger, "nobody of that name and key may sign now"),
        ("eve", bob, "nobody of that name and key may sign now"),
    ):
        with pytest.raises(DBAPIError, match=said):
            await forged(ledger, signer, key)
    with pytest.raises(DBAPIError, match="this is no signature"):
        await forged(ledger, "bob", bob, signature=b"x")
    for when in ("- interval '1 hour'", "+ interval '1 hour'"):
        with pytest.raises(DBAPIError, match="signing is done now"):
            await by_hand(ledger, SIGN.replace("clock_timestamp()", f"clock_timestamp() {when}"),
                          signer="bob", key=bob, signature=bytes(64), more=0)  # fmt: skip


async def test_the_key_of_the_author_counts_under_no_name(ledger: Ledger) -> None:
    """Ann publishes, changes her name on the list, and signs with the key she had."""
    await demand_signatures(ledger)
    renamed = {**KEYS, "annabel": KEYS["ann"]}
    await demand_signatures(ledger, list_document("second", ["annabel", "bob", "cleo"], keys=renamed))
    sha256 = await published(ledger)
    await sign_as(ledger, sha256, "bob")
    async with ledger.engine("policy_officer").begin() as tx:
        assert (await sign(tx, sha256=sha256, name="annabel", key=KEYS["ann"])).approvers == ("bob",)
    with pytest.raises(NotSigned, match="has 1"):
        await put_in_force(ledger, sha256)
    with pytest.raises(DBAPIError, match="signatures of 2 people"):
        await by_hand(ledger, ACTIVATE.format(how="false, false", signers=IN_FORCE))


LISTED = (
    "INSERT INTO ledger.policy_signer_list SELECT sha256(CAST(:resolved AS bytea)), '', :resolved, {replaces}, "
    "CAST(:signatures AS bytea), 'mallory', clock_timestamp(), " + PLACE
)


def a_list_of(*people: tuple[str, bytes]) -> bytes:
    signers = [
        {"name": name, "public_key": key_text(key), "valid_from": "2026-01-01T00:00:00.000000Z", "valid_until": None}
        for name, key in people
    ]
    return canonical({"format": 1, "kind": "signers", "title": "mine", "signers": signers})


async def test_the_database_refuses_lists_that_the_list_in_force_has_not_signed(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    mine, yours = SigningKey.new().public, SigningKey.new().public
    own = a_list_of(("m1", mine), ("m2", yours))
    for resolved, signatures, replaces, said in (
        (own, own, IN_FORCE, "signed by two people"),
        (own, a_list_of(("bob", KEYS["bob"].public)), IN_FORCE, "signed by two people"),
        (own, a_list_of(("bob", mine), ("cleo", yours)), IN_FORCE, "signed by two people"),
        (own, own, "NULL", "replaces the list in force"),
        (a_list_of(("m1", mine)), own, IN_FORCE, "names two people or more"),
        (a_list_of(("m1", mine), ("m2", mine)), own, IN_FORCE, "names two people or more"),
        (a_list_of(("m1", mine), ("m1", yours)), own, IN_FORCE, "names two people or more"),
        (a_list_of(("m1", mine), ("m2", b"x")), own, IN_FORCE, "names two people or more"),
    ):
        with pytest.raises(DBAPIError, match=said):
            await by_hand(ledger, LISTED.format(replaces=replaces), resolved=resolved, signatures=signatures)


async def test_signatures_that_are_forged_are_counted_by_the_database_but_stop_the_worker(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    sha256 = await published(ledger)
    await forged(ledger, "bob", KEYS["bob"].public)
    await forged(ledger, "cleo", KEYS["cleo"].public, more=1)
    with pytest.raises(NotSigned, match="has 0"):
        await put_in_force(ledger, sha256)
    await by_hand(
        ledger, ACTIVATE.format(how="false, false", signers=IN_FORCE).replace("interval '1 s", "interval '.1 s")
    )
    await by_hand(ledger, "SELECT pg_sleep(0.1)")
    with pytest.raises(
        MustStop, match="the policy in force, 2, is not signed as it must be: 0 of 2 signatures are true"
    ):
        await ledger.decide(signed_up())
    assert await ledger.decisions() == []
    assert {"it is not true", "0 of 2 signatures are true"} <= {one.what for one in await ledger.replay()}


async def test_a_list_that_is_forged_is_believed_by_nobody(ledger: Ledger) -> None:
    """An officer names people of the list in force as if they had signed a list of the officer's own keys."""
    await demand_signatures(ledger)
    mine = {"m1": SigningKey.new(), "m2": SigningKey.new()}
    own = a_list_of(*((name, key.public) for name, key in mine.items()))
    signed = json.loads(a_list_of(("bob", KEYS["bob"].public), ("cleo", KEYS["cleo"].public)))
    claimed = canonical({"signers": [{**one, "signature": "00" * 64} for one in signed["signers"]]})
    await by_hand(ledger, LISTED.format(replaces=IN_FORCE), resolved=own, signatures=claimed)
    sha256 = await published(ledger)
    with pytest.raises(NotSigned, match="does not count: the signature of bob is not true"):
        await put_in_force(ledger, sha256)
    assert any("the signature of bob is not true" in one.what for one in await ledger.replay())


async def test_roles_that_are_no_officers_neither_sign_nor_cancel_nor_list(ledger: Ledger) -> None:
    await demand_signatures(ledger)
    await published(ledger)
    for role in ("service", "reviewer", "auditor", "eraser"):
        for table in ("policy_signer_list", "policy_signature", "policy_cancellation"):
            with pytest.raises(DBAPIError, match="permission denied"):
                await by_hand(ledger, f"INSERT INTO ledger.{table} DEFAULT VALUES", role=role)


async def test_the_database_refuses_to_cancel_what_has_begun_and_what_is_not_planned(ledger: Ledger) -> None:
    cancel_it = "INSERT INTO ledger.policy_cancellation SELECT {at}, 'm', 'x', clock_timestamp(), " + PLACE
    begun = "(SELECT effective_at FROM ledger.policy_activation)"
    with pytest.raises(DBAPIError, match="an activation that has begun cannot be cancelled"):
        await by_hand(ledger, cancel_it.format(at=begun))
    with pytest.raises(DBAPIError, match="no activation begins at"):
        await by_hand(ledger, cancel_it.format(at="'2099-01-01T00:00:00Z'::timestamptz"))


async def test_the_database_refuses_to_go_back_unless_it_is_called_so(ledger: Ledger) -> None:
    await put_in_force(ledger, await published(ledger))
    await put_in_force(ledger, await published(ledger, small_policy("3")))
    with pytest.raises(DBAPIError, match="this version was in force before"):
        await by_hand(ledger, ACTIVATE.format(how="false, false", signers="NULL"))
    await published(ledger, small_policy("4"))
    with pytest.raises(DBAPIError, match="this version was never in force"):
        await by_hand(ledger, ACTIVATE.format(how="false, true", signers="NULL").replace("'2'", "'4'"))
    await by_hand(ledger, ACTIVATE.format(how="false, true", signers="NULL"))


# -------------------------------------------------------------------------------------------------- found by replay
CHANGES = {
    "a signature": "UPDATE ledger.policy_signature SET signature = set_byte(signature, 5, get_byte(signature, 5) # 1)",
    "who signed": "UPDATE ledger.policy_signature SET signer = 'ann' WHERE signer = 'bob'",
    "with which key": "UPDATE ledger.policy_signature SET public_key = sha256('x')",
    "when": "UPDATE ledger.policy_signature SET signed_at = signed_at + interval '1 second'",
    "what was signed": "UPDATE ledger.policy_signature SET policy_sha256 = sha256(signature)",
    "a signature is gone": "DELETE FROM ledger.policy_signature WHERE signer = 'bob'",
    "a list": "UPDATE ledger.policy_signer_list SET resolved = convert_to(replace(convert_from(resolved, 'UTF8'),"
    " 'cleo', 'dora'), 'UTF8')",
    "a document of a list": "UPDATE ledger.policy_signer_list SET document = document || ' '",
    "the signatures of a list": "UPDATE ledger.policy_signer_list SET signatures = '{\"signers\": []}'",
    "who published a list": "UPDATE ledger.policy_signer_list SET published_by = 'x'",
    "when a list was published": "UPDATE ledger.policy_signer_list SET published_at = now()",
    "what a list replaces": "UPDATE ledger.policy_signer_list SET replaces = sha256('x')",
    "a list is gone": "DELETE FROM ledger.policy_signer_list",
    "by which list": "UPDATE ledger.policy_activation SET signers_sha256 = NULL",
    "that it was an emergency": "UPDATE ledger.policy_activation SET emergency = NOT emergency",
    "that it was a rollback": "UPDATE ledger.policy_activation SET rollback = NOT rollback",
    "who cancelled": "UPDATE ledger.policy_cancellation SET cancelled_by = 'x'",
    "why it was cancelled": "UPDATE ledger.policy_cancellation SET reason = 'x'",
    "when it was cancelled": "UPDATE ledger.policy_cancellation SET cancelled_at = cancelled_at + interval '1 s'",
    "what was cancelled": "UPDATE ledger.policy_cancellation SET effective_at = effective_at + interval '1 s'",
    "a cancellation is gone": "DELETE FROM ledger.policy_cancellation",
}


@pytest.mark.parametrize("change", sorted(CHANGES))
async def test_a_single_change_is_found_by_replay(ledger: Ledger, change: str) -> None:
    await signed_and_in_force(ledger)
    await ledger.decide(signed_up())
    planned = await published(ledger, small_policy("3"))
    await sign_as(ledger, planned, "bob", "cleo")
    begins = datetime(2099, 1, 1, tzinfo=UTC)
    await put_in_force(ledger, planned, at=begins)
    async with ledger.engine("policy_officer").begin() as tx:
        await cancel(tx, effective_at=begins, cancelled_by="eve", reason="a test")
    assert await ledger.replay() == []
    await tampered(ledger, change)
    assert await ledger.replay() != []


async def tampered(ledger: Ledger, change: str) -> None:
    statement = CHANGES[change]
    table = statement.split()[1 if statement.startswith("UPDATE") else 2]
    await ledger.tamper(f"ALTER TABLE {table} DISABLE TRIGGER ALL", statement)


@pytest.mark.parametrize("change", ["a signature", "a signature is gone", "a list is gone", "by which list"])
async def test_a_worker_stops_where_it_finds_that_signatures_were_tampered_with(ledger: Ledger, change: str) -> None:
    await signed_and_in_force(ledger)
    await tampered(ledger, change)
    with pytest.raises(MustStop, match="is not signed as it must be"):
        await ledger.decide(signed_up())
    assert await ledger.decisions() == []


async def test_the_role_of_the_workers_can_check_what_is_in_force(ledger: Ledger) -> None:
    await signed_and_in_force(ledger)
    (row,) = await ledger.rows("SELECT max(effective_at) AS at FROM ledger.policy_activation")
    async with ledger.engine("service").connect() as tx:
        await check_activation(tx, row.at)
        with pytest.raises(NotSigned, match="its activation is gone"):
            await check_activation(tx, datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "point",
    [
        "01" + "00" * 31,
        "00" * 32,
        "00" * 31 + "80",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "ff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ],
)
def test_a_key_for_which_anybody_can_sign_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match=r"anybody can sign for this key"):
        read_key(f"ed25519:{point}")
