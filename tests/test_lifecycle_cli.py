"""The whole way of a version on the command line: keys, signers, two signatures, in force, cancelled, gone back to."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.commands import Answer, Cli, refused
from tests.events import account, event, signed_up
from tests.ledger import Ledger
from tests.policies import SMALL

pytestmark = pytest.mark.embedded
WHO = ("--by", "dan", "--reason", "a test")
PEOPLE = ("ann", "bob", "cleo")


@pytest.fixture
def documents(tmp_path: Path) -> Mapping[str, str]:
    """Three versions of the small policy as files, by version."""
    for version, held in (("1", "nothing"), ("2", "fable-5"), ("3", "sonata-4")):
        (tmp_path / f"{version}.yaml").write_text(SMALL.format(version=version, held=held))
    return {version: str(tmp_path / f"{version}.yaml") for version in "123"}


async def made_key(cli: Cli, folder: Path, name: str) -> tuple[str, str]:
    """(file, public key) of a new key."""
    file = str(folder / f"{name}.pem")
    (told,) = (await cli("policy", "keygen", "--name", name, "--out", file, "--json")).json
    assert (told["name"], told["file"]) == (name, file)
    return file, told["public_key"]


async def signers(cli: Cli, folder: Path, title: str = "first") -> dict[str, str]:
    """Make keys, publish a list of their owners, and return the key files by name."""
    keys = {name: await made_key(cli, folder, name) for name in PEOPLE}
    lines = [f'signers: "{title}"', "people:"]
    for name, (_, public) in keys.items():
        lines.append(f'  - {{name: {name}, public_key: "{public}", valid_from: "2026-01-01T00:00:00Z"}}')
    (folder / "signers.yaml").write_text("\n".join(lines))
    files = {name: file for name, (file, _) in keys.items()}
    answer = await cli("policy", "signers", "publish", str(folder / "signers.yaml"), "--by", "ann",
                       "--key", files["ann"], "--key", files["bob"])  # fmt: skip
    assert answer.code == 0, answer
    assert answer.err.startswith("FIRST LIST: nothing vouches for it but the two people who signed")
    assert "From now on every activation needs 2 signatures." in answer.err
    assert answer.out.startswith("ann, bob and cleo may sign from now on")
    return files


async def publish(cli: Cli, documents: Mapping[str, str], version: str) -> None:
    assert (await cli("policy", "publish", documents[version], "--by", "ann")).code == 0


async def sign(cli: Cli, version: str, *names: str, keys: Mapping[str, str]) -> Answer:
    answer = Answer(0, "", "")
    for name in names:
        answer = await cli("policy", "sign", version, "--by", name, "--key", keys[name])
        assert answer.code == 0, answer
    return answer


def plain(text: str) -> str:
    """Without the line breaks that a terminal needs."""
    return " ".join(text.split())


async def in_force(cli: Cli) -> list[str]:
    return [one["version"] for one in (await cli("policy", "list", "--json")).json if one["in_force"]]


async def test_from_the_key_to_the_version_in_force(
    cli: Cli, empty_ledger: Ledger, documents: Mapping[str, str], tmp_path: Path
) -> None:
    await publish(cli, documents, "1")
    assert "Nobody's signature is demanded yet" in plain((await cli("policy", "list")).out)
    first = await cli("policy", "activate", "1", *WHO)
    assert "Nobody's signature is demanded yet" in plain(first.out)
    await empty_ledger.decide(signed_up())
    assert "Nobody's signature is demanded yet" in (await cli("policy", "signers", "list")).out
    keys = await signers(cli, tmp_path)
    assert [one["name"] for one in (await cli("policy", "signers", "list", "--json")).json] == list(PEOPLE)
    assert "bob" in (await cli("policy", "signers", "list")).out

    told = await cli("policy", "publish", documents["2"], "--by", "ann")
    assert "Before it can be activated, 2 signers other than ann must sign:" in plain(told.out)
    assert told.out.endswith("  exportgate policy sign 2 --by NAME --key FILE\n")
    again = await cli("policy", "publish", documents["2"], "--by", "ann")
    assert again.out.endswith("  exportgate policy list\n")
    refused(await cli("policy", "activate", "2", *WHO), 1, "2 needs the signatures of 2 of the signers other than ann",
            "exportgate policy sign 2")  # fmt: skip
    one = await sign(cli, "2", "bob", keys=keys)
    assert "Signed by bob: 1 more must sign" in plain(one.out)
    assert one.out.endswith("  exportgate policy sign 2 --by NAME --key FILE\n")
    both = await sign(cli, "2", "cleo", keys=keys)
    assert "Signed by bob and cleo, which is enough." in plain(both.out)
    assert both.out.endswith("  exportgate policy activate 2 --by NAME --reason TEXT\n")
    activated = await cli("policy", "activate", "2", *WHO)
    assert (activated.code, activated.err) == (0, "")
    assert "Signed by bob and cleo.\nWhat was decided before stands" in activated.out
    assert "something new comes about it; 1 approval stands. Whom it would change:" in plain(activated.out)
    assert activated.out.endswith("  exportgate policy simulate 2 --samples 1000 --json\n")
    assert await in_force(cli) == ["2"]
    listed = {row["version"]: row for row in (await cli("policy", "list", "--json")).json}
    assert (listed["2"]["signed_by"], listed["2"]["signatures_demanded"]) == (["bob", "cleo"], True)
    assert "bob, cleo" in (await cli("policy", "list")).out
    await empty_ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    assert [row[2] for row in await empty_ledger.decisions()] == ["approve", "hold"]
    assert (await cli("replay")).code == 0


async def test_what_must_not_be_signed_is_refused(
    cli: Cli, empty_ledger: Ledger, documents: Mapping[str, str], tmp_path: Path
) -> None:
    await publish(cli, documents, "1")
    stranger, _ = await made_key(cli, tmp_path, "stranger")
    refused(await cli("policy", "sign", "1", "--by", "bob", "--key", stranger), 1, "there is no list of signers")
    keys = await signers(cli, tmp_path)
    for name, key, version, code, said in (
        ("ann", keys["ann"], "1", 1, "an author does not approve; ask somebody else"),
        ("bob", keys["cleo"], "1", 1, "the key is not the one that is listed for bob"),
        ("bob", stranger, "1", 1, "the key is not the one that is listed for bob"),
        (
            "bbo",
            keys["bob"],
            "1",
            1,
            "bbo is not on the list of signers (did you mean 'bob'?); on it are: ann, bob, cleo",
        ),
        ("bob", keys["bob"], "ab" * 32, 2, "is published"),
        ("bob", str(tmp_path / "gone.pem"), "1", 2, "gone.pem cannot be read: No such file or directory"),
        ("bob", documents["1"], "1", 2, "chmod 600"),
    ):
        refused(await cli("policy", "sign", version, "--by", name, "--key", key), code, said)
    assert await empty_ledger.rows("SELECT signer FROM ledger.policy_signature") == []
    await sign(cli, "1", "bob", keys=keys)
    refused(await cli("policy", "sign", "1", "--by", "bob", "--key", keys["bob"]), 1, "bob has signed 1 already")


async def test_a_key_is_never_overwritten_and_never_shown(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "ann.pem"
    told = await cli("policy", "keygen", "--name", "ann", "--out", str(file))
    assert (told.code, told.err) == (0, "")
    assert told.out.split()[-1].startswith("ed25519:")
    secret = file.read_text()
    assert not any(line in told.out for line in secret.splitlines())
    again = await cli("policy", "keygen", "--name", "ann", "--out", str(file))
    refused(again, 2, "is there already, and a key is never overwritten")
    refused(await cli("policy", "keygen", "--name", "ann", "--out", str(tmp_path / "no" / "ann.pem")), 2, "cannot be")
    assert file.read_text() == secret


async def test_a_list_that_too_few_have_signed_is_refused(cli: Cli, tmp_path: Path) -> None:
    keys = await signers(cli, tmp_path)
    file = tmp_path / "signers.yaml"
    again = await cli("policy", "signers", "publish", str(file), "--by", "ann", "--key", keys["ann"])
    refused(again, 1, "was published before")
    file.write_text(file.read_text().replace("first", "second"))
    one = await cli("policy", "signers", "publish", str(file), "--by", "ann", "--key", keys["ann"])
    refused(one, 1, "needs the keys of 2 people of the list in force, and 1 came (ann)")
    file.write_text("signers: [")
    refused(
        await cli("policy", "signers", "publish", str(file), "--by", "ann", "--key", keys["ann"]), 2, "signers.yaml"
    )
    refused(await cli("policy", "signers", "publish", "gone.yaml", "--by", "ann", "--key", keys["ann"]), 2, "gone.yaml")


async def test_two_people_sign_for_a_list_each_where_their_key_is(cli: Cli, tmp_path: Path) -> None:
    keys = await signers(cli, tmp_path)
    file = tmp_path / "signers.yaml"
    await sign_list(cli, file, "bob", keys)
    old = await publish_list(cli, file, "bob")
    refused(old, 1, "was published before")
    file.write_text(file.read_text().replace("first", "second"))
    refused(await publish_list(cli, file, "bob"), 1, "bob has signed for another list, or to replace another")
    for name in ("bob", "cleo"):
        await sign_list(cli, file, name, keys)
    refused(await publish_list(cli, file, "bob", "bob"), 1, "somebody's signature is given twice")
    refused(await publish_list(cli, file, "bob"), 1, "needs the keys of 2 people of the list in force")
    forged = tmp_path / "bob.json"
    whole = forged.read_text()
    forged.write_text(whole.replace('"bob"', '"ann"'))
    refused(await publish_list(cli, file, "bob", "cleo"), 1, "ann may not sign now with the key")
    told = json.loads(whole)
    forged.write_text(json.dumps({**told, "signature": "00" * 64}))
    refused(await publish_list(cli, file, "bob", "cleo"), 1, "the signature of bob is none of this list")
    forged.write_text("{}")
    refused(await publish_list(cli, file, "bob", "cleo"), 2, "bob.json: expected what `exportgate policy signers sign")
    forged.write_text(whole)
    done = await publish_list(cli, file, "bob", "cleo")
    assert done.code == 0, done


async def sign_list(cli: Cli, file: Path, name: str, keys: Mapping[str, str]) -> None:
    answer = await cli("policy", "signers", "sign", str(file), "--key", keys[name])
    assert answer.code == 0, answer
    file.with_name(f"{name}.json").write_text(answer.out)


async def publish_list(cli: Cli, file: Path, *names: str) -> Answer:
    given = [part for name in names for part in ("--signature", str(file.with_name(f"{name}.json")))]
    answer: Answer = await cli("policy", "signers", "publish", str(file), "--by", "dora", *given)
    return answer


async def test_an_emergency_is_loud_until_it_is_countersigned(
    cli: Cli, empty_ledger: Ledger, documents: Mapping[str, str], tmp_path: Path
) -> None:
    keys = await signers(cli, tmp_path)
    await publish(cli, documents, "1")
    refused(await cli("policy", "activate", "1", *WHO, "--emergency"), 1, "needs the signatures of 1")
    await sign(cli, "1", "bob", keys=keys)
    refused(await cli("policy", "activate", "1", *WHO), 1, "in an emergency one is enough, see --emergency")
    loud = await cli("policy", "activate", "1", *WHO, "--emergency")
    assert loud.code == 0
    assert loud.err.startswith("EMERGENCY: one signature only. Another person must countersign by")
    assert "EMERGENCY, countersignature due by" in plain((await cli("policy", "list")).out)
    (listed,) = (await cli("policy", "list", "--json")).json
    assert listed["spells"][0]["emergency"]
    assert listed["countersignature_due_by"] is not None
    await empty_ledger.decide(signed_up())
    told = await sign(cli, "1", "cleo", keys=keys)
    assert "It is in force; an alarm for its emergency has ended." in plain(told.out)
    assert "EMERGENCY" not in (await cli("policy", "list")).out
    assert (await cli("replay")).code == 0


async def test_an_emergency_may_go_back_to_an_older_version_too(
    cli: Cli, documents: Mapping[str, str], tmp_path: Path
) -> None:
    for version in "12":
        await publish(cli, documents, version)
        await cli("policy", "activate", version, *WHO)
    keys = await signers(cli, tmp_path)
    back = ("policy", "rollback", "--to", "1", *WHO)
    refused(await cli(*back, "--emergency"), 1, "needs the signatures of 1")
    await sign(cli, "1", "bob", keys=keys)
    refused(await cli(*back), 1, "in an emergency one is enough, see --emergency")
    assert (await cli(*back, "--emergency")).err.startswith("EMERGENCY: one signature only.")
    assert await in_force(cli) == ["1"]
    assert (await cli("replay")).code == 0


async def test_who_signs_for_a_version_that_was_replaced_is_told_how_to_go_back(
    cli: Cli, documents: Mapping[str, str], tmp_path: Path
) -> None:
    for version in "12":
        await publish(cli, documents, version)
        await cli("policy", "activate", version, *WHO)
    keys = await signers(cli, tmp_path)
    told = await sign(cli, "1", "bob", "cleo", keys=keys)
    assert told.out.endswith("  exportgate policy rollback --to 1 --by NAME --reason TEXT\n")


async def test_a_planned_activation_is_cancelled_and_what_has_begun_is_not(
    cli: Cli, documents: Mapping[str, str]
) -> None:
    for version in "12":
        await publish(cli, documents, version)
    await cli("policy", "activate", "1", *WHO)
    planned = await cli("policy", "activate", "2", *WHO, "--at", "2099-01-01T00:00:00Z")
    assert "exportgate policy cancel 2099-01-01T00:00:00Z" in plain(planned.out)
    done = await cli("policy", "cancel", "2099-01-01T00:00:00Z", *WHO)
    assert done.out == "Cancelled: 2 does not come into force at 1 January 2099 at 00:00:00 UTC.\n"
    assert "cancelled: 2099-01-01 00:00:00Z" in plain((await cli("policy", "list")).out)
    listed = {row["version"]: row for row in (await cli("policy", "list", "--json")).json}
    assert (listed["2"]["spells"], listed["2"]["cancelled"][0]["by"]) == ([], "dan")
    assert listed["1"]["spells"][0]["to"] is None
    refused(await cli("policy", "cancel", "2099-01-01T00:00:00Z", *WHO), 1, "no activation is to begin at", "none is")
    refused(await cli("policy", "cancel", listed["1"]["spells"][0]["from"], *WHO), 1, "has begun")
    refused(await cli("policy", "cancel", "tomorrow", *WHO), 2, "ACTIVATION-TIME: expected a time")
    again = await cli("policy", "activate", "2", *WHO, "--at", "2099-01-01T00:00:00Z")
    refused(again, 2, "another activation is noted for exactly", "choose one a microsecond later")
    assert (await cli("replay")).code == 0
    await cli("policy", "activate", "2", *WHO, "--at", "2099-01-02T00:00:00Z")
    (told,) = (await cli("policy", "cancel", "2099-01-02T00:00:00Z", *WHO, "--json")).json
    assert told == {"version": "2", "cancelled": "2099-01-02T00:00:00Z"}


async def test_going_back_takes_a_rollback_by_name(
    cli: Cli, empty_ledger: Ledger, documents: Mapping[str, str]
) -> None:
    for version in "12":
        await publish(cli, documents, version)
        await cli("policy", "activate", version, *WHO)
    await empty_ledger.decide(signed_up())
    refused(await cli("policy", "activate", "1", *WHO), 1, "1 was in force before, and was replaced",
            "exportgate policy rollback --to 1")  # fmt: skip
    await publish(cli, documents, "3")
    refused(await cli("policy", "rollback", "--to", "3", *WHO), 1, "3 was never in force")
    back = await cli("policy", "rollback", "--to", "1", *WHO)
    assert (back.code, back.out.startswith("1 is in force from")) == (0, True)
    assert await in_force(cli) == ["1"]
    await empty_ledger.decide(event("account.updated.v1", account(version=2), id="u"))
    assert [row[2] for row in await empty_ledger.decisions()] == ["hold", "approve"]
    listed = {row["version"]: row for row in (await cli("policy", "list", "--json")).json}
    assert [spell["rollback"] for spell in listed["1"]["spells"]] == [False, True]
    assert (await cli("replay")).code == 0


async def test_the_same_version_with_other_bytes_is_refused_whoever_signed(
    cli: Cli, documents: Mapping[str, str], tmp_path: Path
) -> None:
    keys = await signers(cli, tmp_path)
    await publish(cli, documents, "2")
    await sign(cli, "2", "bob", "cleo", keys=keys)
    (tmp_path / "2.yaml").write_text(SMALL.format(version="2", held="nothing"))
    refused(await cli("policy", "publish", documents["2"], "--by", "ann"), 1, "published already with other content")


async def without_cleo(cli: Cli, folder: Path, keys: dict[str, str]) -> tuple[Path, Answer]:
    """Publish a list in which dan takes the place of cleo."""
    keys["dan"], public = await made_key(cli, folder, "dan")
    before = (folder / "signers.yaml").read_text().replace("first", "second")
    kept = [line for line in before.splitlines() if "cleo" not in line]
    file = folder / "second.yaml"
    dan = f'  - {{name: dan, public_key: "{public}", valid_from: "2026-01-01T00:00:00Z"}}'
    file.write_text("\n".join([*kept, dan]))
    answer = await cli("policy", "signers", "publish", str(file), "--by", "ann",
                       "--key", keys["ann"], "--key", keys["bob"])  # fmt: skip
    assert answer.code == 0, answer
    return file, answer


async def test_who_no_longer_counts_is_named_wherever_signatures_are_told(
    cli: Cli, documents: Mapping[str, str], tmp_path: Path
) -> None:
    keys = await signers(cli, tmp_path)
    for version in "123":
        await publish(cli, documents, version)
    for version in "12":
        await sign(cli, version, "bob", "cleo", keys=keys)
        await cli("policy", "activate", version, *WHO)
    await sign(cli, "3", "cleo", keys=keys)
    _, told = await without_cleo(cli, tmp_path, keys)
    one, two = (line for line in told.err.splitlines() if "count now: bob (cleo: no longer a signer)" in line)
    assert one.startswith("1 was signed by enough, but fewer than 2 of those who signed count now")
    assert two.startswith("2 is in force and goes on deciding, but fewer than 2 of those who signed count now")
    listed = {row["version"]: row for row in (await cli("policy", "list", "--json")).json}
    assert listed["1"]["signed_by"] == ["bob"]
    assert listed["1"]["signatures_that_do_not_count"] == [{"name": "cleo", "why": "no longer a signer"}]
    assert listed["3"]["signed_by"] == []
    assert "bob (cleo: no longer" in plain((await cli("policy", "list")).out)
    refused(await cli("policy", "rollback", "--to", "1", *WHO), 1, "has 1, bob (cleo: no longer a signer)")
    loud = await cli("policy", "rollback", "--to", "1", *WHO, "--emergency")
    assert loud.err.startswith("EMERGENCY: one signature only.")
    assert (await cli("policy", "list")).out.count("EMERGENCY") == 1
    await sign(cli, "1", "dan", keys=keys)
    assert "EMERGENCY" not in (await cli("policy", "list")).out


async def test_an_emergency_that_is_none_is_called_so(cli: Cli, documents: Mapping[str, str], tmp_path: Path) -> None:
    keys = await signers(cli, tmp_path)
    await publish(cli, documents, "1")
    await sign(cli, "1", "bob", "cleo", keys=keys)
    done = await cli("policy", "activate", "1", *WHO, "--emergency")
    assert (done.code, done.err) == (
        0,
        "note: --emergency was not needed: bob and cleo have signed. It is stored as an ordinary activation.\n",
    )
    (listed,) = (await cli("policy", "list", "--json")).json
    assert (listed["spells"][0]["emergency"], listed["countersignature_due_by"]) == (False, None)


async def test_who_signs_for_a_list_sees_whom_it_adds_removes_and_changes(cli: Cli, tmp_path: Path) -> None:
    keys = await signers(cli, tmp_path)
    file, published = await without_cleo(cli, tmp_path, keys)
    assert "list second, against the list first: removes cleo\n" in published.err
    assert "list second, against the list first: adds dan, ed25519:" in published.err
    text = file.read_text().replace("second", "third")
    until = text.replace("name: bob, public_key", 'name: bob, valid_until: "2099-01-01T00:00:00Z", public_key')
    file.write_text(until)
    told = await cli("policy", "signers", "sign", str(file), "--key", keys["dan"])
    assert told.json[0]["name"] == "dan"
    assert told.err == (
        "list third, against the list second: changes the dates of bob: from 2026-01-01T00:00:00.000000Z until "
        "2099-01-01T00:00:00.000000Z, was from 2026-01-01T00:00:00.000000Z without an end\n"
    )
    _, other = await made_key(cli, tmp_path, "other")
    bob = next(line for line in text.splitlines() if "name: bob" in line).split('"')[1]
    file.write_text(text.replace(bob, other))
    told = await cli("policy", "signers", "sign", str(file), "--key", keys["dan"])
    assert told.err == f"list third, against the list second: changes the key of bob to {other}\n"
    file.write_text(text)
    told = await cli("policy", "signers", "sign", str(file), "--key", keys["dan"])
    assert told.err == "list third, against the list second: changes nobody\n"


async def test_the_list_of_signers_says_which_it_is_and_who_signed_for_it(cli: Cli, tmp_path: Path) -> None:
    assert (await cli("policy", "signers", "list", "--json")).out == ""
    await signers(cli, tmp_path)
    of = (await cli("policy", "signers", "list", "--json")).json[0]["list"]
    assert (of["title"], of["signed_by"], of["published_by"]) == ("first", ["ann", "bob"], "ann")
    told = plain((await cli("policy", "signers", "list")).out)
    assert told.startswith(f"List first ({of['sha256']}), signed by ann and bob, published by ann on ")


async def test_a_version_is_named_by_the_first_twelve_digits_of_its_sha256(
    cli: Cli, documents: Mapping[str, str]
) -> None:
    (told,) = (await cli("policy", "publish", documents["1"], "--by", "ann", "--json")).json
    digits = told["sha256"][:12]
    done = await cli("policy", "activate", digits, *WHO)
    assert done.out.startswith("1 is in force from")
    assert (await cli("policy", "show", digits)).out == (await cli("policy", "show", "1")).out
    for command in ("activate", "show", "sign"):
        promise = " ".join((await cli("policy", command, "--help")).out.split())
        assert "first digits of its sha256, 12 at least" in promise, command
    refused(await cli("policy", "show", digits[:11]), 2, f"no version '{digits[:11]}' is published")
    refused(await cli("policy", "show", "Z" * 64), 2, "is published")


async def test_what_could_be_two_versions_is_neither(
    cli: Cli, empty_ledger: Ledger, documents: Mapping[str, str]
) -> None:
    await publish(cli, documents, "1")
    await empty_ledger.tamper(
        "INSERT INTO ledger.policy (sha256, name, version, document, resolved, published_by) SELECT "
        "substr(sha256, 1, 6) || substr(sha256('x'), 7), name, 'x', document, resolved, 'mallory' FROM ledger.policy"
    )
    (row,) = await empty_ledger.rows("SELECT encode(sha256, 'hex') AS sha256 FROM ledger.policy WHERE version = '1'")
    refused(await cli("policy", "show", row.sha256[:12]), 2, "may be any of 2 versions; give the whole sha256")
    assert (await cli("policy", "show", row.sha256)).code == 0


async def test_activating_what_is_in_force_says_so_and_the_list_says_now_beside_its_spell(
    cli: Cli, documents: Mapping[str, str]
) -> None:
    for version in "12":
        await publish(cli, documents, version)
        await cli("policy", "activate", version, *WHO)
    await cli("policy", "rollback", "--to", "1", *WHO)
    for command in (("activate", "1"), ("rollback", "--to", "1")):
        again = await cli("policy", *command, *WHO)
        assert (again.code, again.err) == (0, "")
        assert plain(again.out).startswith("1 is in force already, since ")
        assert again.out.endswith("Nothing was stored.\n")
    (told,) = (await cli("policy", "activate", "1", *WHO, "--json")).json
    assert (told["stored"], told["version"]) == (False, "1")
    for version, at in (("2", "2099-01-01T00:00:00Z"), ("1", "2099-01-02T00:00:00Z")):
        assert (await cli("policy", "rollback", "--to", version, *WHO, "--at", at)).code == 0
    again = await cli("policy", "rollback", "--to", "2", *WHO, "--at", "2099-01-01T12:00:00Z")
    assert "2 is to be in force then already, since 1 January 2099" in plain(again.out)
    listed = {row["version"]: row for row in (await cli("policy", "list", "--json")).json}
    assert [spell["in_force"] for spell in listed["1"]["spells"]] == [False, True, False]
    assert [spell["in_force"] for spell in listed["2"]["spells"]] == [False, False]
    in_table = plain((await cli("policy", "list")).out)
    assert in_table.count("NOW: ") == 1


@pytest.fixture
async def officer(empty_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The name of the login that commands use: one that is a policy officer and nothing else."""
    superuser, url = create_async_engine(empty_ledger.superuser_url), make_url(empty_ledger.superuser_url)
    name = f"officer-{url.database}"
    async with superuser.begin() as tx:
        await tx.execute(text(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'secret'"))
        await tx.execute(text(f'GRANT exportgate_policy_officer TO "{name}"'))
    own = url.set(username=name, password="secret").render_as_string(hide_password=False)
    monkeypatch.setenv("EXPORTGATE_DATABASE_URL", own)
    yield name
    async with superuser.begin() as tx:
        await tx.execute(text(f'DROP ROLE "{name}"'))
    await superuser.dispose()


async def test_a_policy_officer_who_is_nothing_else_publishes_signs_and_activates(
    cli: Cli, officer: str, documents: Mapping[str, str]
) -> None:
    told = await cli("policy", "publish", documents["1"], "--by", "ann")
    assert (told.code, told.err.count("error")) == (0, 0)
    assert told.out.endswith("  exportgate policy activate 1 --by NAME --reason TEXT\n")
    done = await cli("policy", "activate", "1", *WHO)
    assert (done.code, done.err) == (0, "")
    assert "0 approvals stand" in plain(done.out)
    shadow = await cli("policy", "shadow", "start", documents["2"], *WHO)
    assert (shadow.code, shadow.err) == (0, "")
    assert (await cli("policy", "shadow", "stop", *WHO)).code == 0
    of_published = await cli("policy", "shadow", "start", "1", *WHO)
    assert (of_published.code, of_published.err) == (0, "")
    grant = (
        f'does not let "{officer}" act as exportgate_auditor; have it granted: GRANT exportgate_auditor TO "{officer}"'
    )
    refused(await cli("policy", "list"), 1, grant)
