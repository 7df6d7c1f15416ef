"""`policy lint`, what `policy test` tells of coverage, and that `policy publish` refuses what lint calls an error."""

import json
from pathlib import Path

import pytest

from service import cli
from tests.policies import MUST_HOLD

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
        "1: 1 rule, its case holds",
        "  shown by its cases: 0 of 1 rules hit, 1 of 1 clear",
        "  p.yaml:9: rule unknown_account: no case hits it",
        "1 document, 1 case: all hold.",
    ]
    assert cli.run(["policy", "test", directory, "--strict"]) == 1
    assert capsys.readouterr().err == "error: 1 document, 1 case: all hold, and leave 1 thing unshown\n"
    assert cli.run(["policy", "test", directory, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["coverage"] == {"hit": {"shown": 0, "wanted": 1}, "clear": {"shown": 1, "wanted": 1}}
    assert told["gaps"] == [
        {"kind": "hit", "place": "p.yaml:9", "about": "rule unknown_account", "what": "no case hits it"}
    ]


def test_cases_that_show_everything_pass_the_strictest_test(tmp_path: Path) -> None:
    assert cli.run(["policy", "test", _write(tmp_path, p=CLEAN), "--strict"]) == 0
