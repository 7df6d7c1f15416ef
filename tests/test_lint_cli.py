"""`policy lint`, what `policy test` tells of coverage, and that `policy publish` refuses what lint calls an error."""

import json
import re
from pathlib import Path

import pytest

from service import cli
from tests.policies import MUST_HOLD

SHIPPED = Path(__file__).parents[1] / "deploy" / "policies"
CLEAN = """\
policy: small
version: "1"
title: A small policy
instrument: {kind: rule, issuer: BIS, received_at: "2026-01-01T00:00:00Z"}
legal_status: in_force
enforcement: enforced
catalogue: {model-1: {eccn: EAR99}}
rules:
  - rule: unknown_account
    outcome: hold
    hold_kind: unknown_account
    title: No signup was read
    citation: {text: "15 CFR part 732"}
    when: {fact: account.known, is: false}
    clears: [The signup]
    customer_message: We are waiting for your registration.
cases:
  - {case: Oslo, given: {customer.billing_in: "NO"}, expect: {outcome: approve}}
  - {case: too early, given: {account.known: false}, expect: {outcome: hold}}
"""
LINTED = CLEAN.replace("cases:", f"{MUST_HOLD}cases:")
WARNED = LINTED.replace("    clears: [The signup]\n", "").replace('version: "1"', 'version: "2"')
_HELD = "  - {case: too early, given: {account.known: false}, expect: {outcome: hold}}\n"
UNSHOWN = CLEAN.replace(_HELD, "")
IN_ERROR = LINTED.replace(_HELD, "").replace("is: false}", "known: false}", 1)


def _write(directory: Path, **documents: str) -> str:
    for name, text in documents.items():
        (directory / f"{name}.yaml").write_text(text, encoding="utf-8")
    return str(directory)


def test_a_clean_document_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["policy", "lint", _write(tmp_path, p=LINTED)]) == 0
    assert capsys.readouterr() == ("1 document: 0 errors, 0 warnings.\n", "")


def test_an_error_makes_it_fail_and_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["policy", "lint", _write(tmp_path, p=IN_ERROR)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: p.yaml:14: rule unknown_account: it can never hit; mend the condition, or drop the rule",
        "error: 1 document: 1 error, 0 warnings",
    ]


def test_a_warning_fails_only_where_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = _write(tmp_path, p=WARNED)
    assert cli.run(["policy", "lint", directory]) == 0
    assert "warning: p.yaml:9: rule unknown_account: it would hold" in capsys.readouterr().err
    assert cli.run(["policy", "lint", directory, "--strict"]) == 1


def test_a_refused_document_is_a_finding_among_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = CLEAN.replace("outcome: hold\n    hold_kind", "outcome: hald\n    hold_kind")
    assert cli.run(["policy", "lint", _write(tmp_path, p=WARNED, q=refused), "--json"]) == 1
    out = capsys.readouterr().out
    found = [json.loads(line) for line in out.splitlines()]
    assert [(one["level"], one["check"], one["place"]) for one in found] == [
        ("warning", "no_clears", "p.yaml:9"),
        ("error", "refused", "q.yaml:10"),
    ]
    assert "did you mean 'hold'?" in found[1]["what"]
    assert found[0]["todo"] == "add clears"


def test_what_a_parents_rule_causes_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = CLEAN.partition("rules:")[0].replace('version: "1"', 'version: "2"') + 'extends: "1"\n'
    cli.run(["policy", "lint", _write(tmp_path, **{"1": IN_ERROR, "2": child})])
    assert capsys.readouterr().err.count("it can never hit") == 1


def test_what_lint_calls_an_error_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(_write(tmp_path, p=IN_ERROR)) / "p.yaml"
    assert cli.run(["policy", "publish", str(path), "--by", "ann"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("error: p.yaml:14: rule unknown_account: it can never hit")
    assert told[1].startswith("error: not published: 1 error in p.yaml")


def test_coverage_lists_what_no_case_shows_and_fails_only_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = _write(tmp_path, p=UNSHOWN)
    assert cli.run(["policy", "test", directory]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1: 1 rule, 1 case comes out as expected",
        "  shown by its cases: rules hit 0 of 1, clear 1 of 1",
        "  p.yaml:9: rule unknown_account: no case hits it",
        "1 document: 1 case comes out as expected.",
    ]
    assert cli.run(["policy", "test", directory, "--strict"]) == 1
    assert capsys.readouterr().err == "error: 1 document: 1 case comes out as expected, and 1 thing left unshown\n"
    assert cli.run(["policy", "test", directory, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["coverage"] == {"hit": {"shown": 0, "wanted": 1}, "clear": {"shown": 1, "wanted": 1}}
    assert told["gaps"] == [
        {"kind": "hit", "place": "p.yaml:9", "about": "rule unknown_account", "what": "no case hits it"}
    ]


def test_cases_that_show_everything_pass_the_strictest_test(tmp_path: Path) -> None:
    assert cli.run(["policy", "test", _write(tmp_path, p=CLEAN), "--strict"]) == 0


def test_own_rules_are_told_from_inherited_ones_and_cases_that_wait_from_those_that_do_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["policy", "test", str(SHIPPED / "2026-06-12.yaml")]) == 0
    told = capsys.readouterr()
    summary = "2026-06-12: 1 rule of its own (59 inherited), 28 cases come out as expected; 2 wait for authorizations"
    assert summary in " ".join(told.out.split())
    (note,) = told.err.splitlines()
    assert re.fullmatch(
        r"note: 2026-06-12: [0-9]+ cases of the parent come out differently, as a new rule must; --json lists them",
        note,
    )


@pytest.mark.parametrize("name", ["catalogue.yaml", "country-groups.yaml"])
@pytest.mark.parametrize("command", ["lint", "test"])
def test_a_file_that_is_no_policy_is_called_so(name: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["policy", command, str(SHIPPED / name)]) == 1
    assert f"{name}:1: this file is no policy document" in capsys.readouterr().err


def test_publishing_a_directory_says_what_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["policy", "publish", str(SHIPPED), "--by", "ann"]) == 2
    told = capsys.readouterr().err
    assert "is a directory; name one document in it, such as " in told
