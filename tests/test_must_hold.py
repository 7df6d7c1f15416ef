"""Whatever a version says, it holds those of whom we do not know enough; and what is no law does not decide."""

from pathlib import Path

import orjson
import pytest

from service.policies import LoadedPolicy, PolicyRefused, load_file, policy_files
from service.policies.lifecycle import activate, publish
from service.policies.lint import errors
from service.policies.load import load_document
from service.policies.must_hold import PROBES, approved_in_doubt
from tests.commands import Cli, refused
from tests.ledger import Ledger
from tests.policies import SMALL, nothing_beside, small_policy

POLICIES = Path(__file__).resolve().parents[1] / "deploy" / "policies"
RULES = dict(zip(("unread_events", "unknown_account", "unreadable_places", "from_the_future"), PROBES, strict=True))
BARE = SMALL.partition("rules:")[0].format(version="1")


def _load(text: str) -> LoadedPolicy:
    return load_document(text.encode(), "small.yaml", nothing_beside, nothing_beside)


def _without(rule: str, text: str = SMALL.format(version="1", held="nothing")) -> str:
    before, _, after = text.partition(f"  - rule: {rule}\n")
    return before + "".join(after.partition("  - rule: ")[1:])


@pytest.mark.parametrize("path", policy_files(POLICIES), ids=lambda path: path.stem)
def test_the_shipped_versions_hold_what_every_version_has_to_hold(path: Path) -> None:
    assert approved_in_doubt(load_file(path).policy) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_version_that_lacks_one_of_the_rules_has_an_error_that_names_it(rule: str) -> None:
    loaded = _load(_without(rule))
    assert approved_in_doubt(loaded.policy) == [RULES[rule]]
    assert [one.check for one in errors(loaded)] == ["must_hold"]


def test_a_rule_that_ends_or_that_a_license_lifts_or_that_holds_one_kind_only_is_not_enough() -> None:
    whole = SMALL.format(version="1", held="nothing")
    holds = "    hold_kind: unknown_account\n"
    for more in (
        'in_force: [{from: null, to: "2026-05-01T00:00:00Z"}]',
        'in_force: [{from: "2026-05-01T00:00:00Z", to: null}]',
    ):
        assert approved_in_doubt(_load(whole.replace(holds, f"{holds}    {more}\n")).policy) == [
            RULES["unknown_account"]
        ]
    lifted = whole.replace(holds, "    hold_kind: license_required\n    waivable_by: [license]\n")
    assert approved_in_doubt(_load(lifted).policy) == [RULES["unknown_account"]]
    asked = "{fact: account.known, is: false}"
    of_one_kind = whole.replace(asked, f"{{all: [{asked}, {{fact: subject.kind, is: account}}]}}")
    assert approved_in_doubt(_load(of_one_kind).policy) == [RULES["unknown_account"]]


@pytest.mark.embedded
async def test_a_version_without_rules_is_neither_published_nor_activated(
    cli: Cli, empty_ledger: Ledger, tmp_path: Path
) -> None:
    file = tmp_path / "1.yaml"
    file.write_text(BARE)
    answer = await cli("policy", "publish", str(file), "--by", "ann")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("it does not hold") == len(PROBES)
    loaded = _load(BARE)
    async with empty_ledger.engine("policy_officer").begin() as tx:
        with pytest.raises(PolicyRefused, match="does not hold what every version has to hold"):
            await publish(tx, policy=loaded.policy, document=b"", resolved=loaded.resolved, published_by="ann")
    await empty_ledger.tamper(
        "INSERT INTO ledger.policy (sha256, name, version, document, resolved, published_by) VALUES "
        f"('\\x{loaded.policy.sha256}', 'small', '1', '', '\\x{loaded.resolved.hex()}', 'ann')"
    )
    refused(await cli("policy", "activate", "1", "--by", "bob", "--reason", "r"), 1, "every version has to hold")


@pytest.mark.embedded
@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("status, code", [("proposed", 1), ("rescinded", 1), ("suspended", 0)])
async def test_law_that_is_proposed_or_rescinded_is_published_and_simulated_but_not_put_in_force(
    cli: Cli, tmp_path: Path, status: str, code: int
) -> None:
    file = tmp_path / "2.yaml"
    file.write_text(
        SMALL.format(version="2", held="nothing").replace("legal_status: in_force", f"legal_status: {status}")
    )
    assert (await cli("policy", "publish", str(file), "--by", "ann")).code == 0
    assert (await cli("policy", "simulate", "2")).code == 0
    answer = await cli("policy", "activate", "2", "--by", "bob", "--reason", "r")
    assert answer.code == code
    if code:
        refused(answer, 1, f"the law of 2 is {status}")


@pytest.mark.embedded
async def test_no_command_reads_a_version_that_is_stored_with_other_bytes(
    cli: Cli, ledger: Ledger, tmp_path: Path
) -> None:
    tree = orjson.loads(small_policy().resolved)
    other = orjson.dumps({**tree, "rules": []}, option=orjson.OPT_SORT_KEYS)
    await ledger.tamper(
        "ALTER TABLE ledger.policy DISABLE TRIGGER ALL", f"UPDATE ledger.policy SET resolved = '\\x{other.hex()}'"
    )
    prospect = tmp_path / "prospect.yaml"
    prospect.write_text("legal_name: X\n")
    who = ("--by", "ann", "--reason", "r")
    for command in (
        ("precheck", str(prospect), *who),
        ("precheck", str(prospect), "--policy", "1", *who),
        ("simulate", "1"),
        ("diff", "1", "1"),
        ("show", "1", "--resolved"),
        ("activate", "1", *who),
    ):
        refused(await cli("policy", *command), 1, "is stored with other bytes")


@pytest.mark.embedded
async def test_a_stored_form_that_cannot_be_read_is_refused_in_one_line(cli: Cli, ledger: Ledger) -> None:
    broken = b'{"format": 99}'
    await ledger.tamper(
        "INSERT INTO ledger.policy (sha256, name, version, document, resolved, published_by) VALUES "
        f"(sha256('\\x{broken.hex()}'), 'small', 'later', '', '\\x{broken.hex()}', 'ann')"
    )
    for command in (("simulate", "later"), ("diff", "later", "1")):
        refused(await cli("policy", *command), 1, "expected resolved form")


async def test_activating_what_is_not_stored_is_a_lookup_error(ledger: Ledger) -> None:
    async with ledger.engine("policy_officer").begin() as tx:
        with pytest.raises(LookupError):
            await activate(tx, sha256=bytes(32), at=None, activated_by="bob", reason="r")
