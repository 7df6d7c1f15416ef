"""June 2026 walked by commands: what is decided before and after each version, what is refused, how long it takes."""

from __future__ import annotations

import json
import shlex
import subprocess
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.demo.chapters import BEFORE, CHAPTERS, enact, look
from service.demo.june_screen import show_said, show_typed
from service.demo.shell import Shell, Step, Typed
from service.demo.stream import DemoFailed
from service.demo.watched import BANK, CRIMEAN, PARTNER
from tests.test_demo import ROOT, demo, shell

pytestmark = pytest.mark.embedded

VERSIONS = [chapter.version for chapter in CHAPTERS]
LETTERS = "foreign_person_named_models"
WITHIN_SECONDS = 600
OUTCOMES = {
    (BANK, "fable-5"): ["approve", "hold", "hold", "approve"],
    (BANK, "mythos-5"): ["approve", "hold", "hold", "approve"],
    (BANK, "sonata-4"): ["approve", "approve", "approve", "approve"],
    (PARTNER, "mythos-5"): ["approve", "hold", "approve", "approve"],
    (PARTNER, "sonata-4"): ["approve", "approve", "approve", "approve"],
    (CRIMEAN, "mythos-5"): ["deny", "deny", "deny", "deny"],
    (CRIMEAN, "sonata-4"): ["deny", "deny", "deny", "deny"],
}
"""What is published of each customer and model: before the letter, and after each of the three versions."""


@pytest.fixture(scope="module")
def june() -> dict[str, Any]:
    """What one walk tells a program."""
    done = subprocess.run(
        demo("--june", "--json", "--seed", "7"),
        cwd=ROOT,
        env=shell(),
        capture_output=True,
        check=False,
        timeout=WITHIN_SECONDS,
    )
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def steps(june: dict[str, Any], version: str | None) -> list[dict[str, Any]]:
    return [step for step in june["steps"] if step["version"] == version]


def verbs(typed: list[dict[str, Any]]) -> list[str]:
    return [shlex.split(step["command"])[2] for step in typed]


def said(step: dict[str, Any]) -> str:
    return " ".join(" ".join(step["said"]).split())


async def test_a_command_is_typed_into_a_shell_of_its_own(tmp_path: Path) -> None:
    typed = Shell(folder=tmp_path, variables={}, columns=80)
    keygen = "exportgate policy keygen --name ann --out ann.pem"
    made = await typed.run(Typed(command=keygen, why="a key"), version=None)
    assert made.exit_code == 0
    assert any("ed25519:" in line for line in made.said)
    assert "PRIVATE KEY" in (tmp_path / "ann.pem").read_text()
    with pytest.raises(DemoFailed, match=r"expected to succeed, ended with 2: .* error: ann\.pem is there"):
        await typed.run(Typed(command=f"{keygen} > answer", why="not twice"), version=None)
    assert (tmp_path / "answer").read_text() == ""
    with pytest.raises(DemoFailed, match="expected to be refused, ended with 0: exportgate --version"):
        await typed.run(Typed(command="exportgate --version > answer", why="good", refused=True), version=None)
    assert (tmp_path / "answer").read_text().startswith("exportgate ")


def test_each_version_decides_what_comes_after_it(june: dict[str, Any]) -> None:
    for (account, model), expected in OUTCOMES.items():
        rounds = [next(one for one in seen if one["account_id"] == account) for seen in june["seen"]]
        assert [one["models"][model] for one in rounds] == expected, (account, model)
        assert [one["policy_version"] for one in rounds] == [BEFORE, *VERSIONS]


def test_the_letters_hold_by_their_rule_and_the_lifting_drops_it(june: dict[str, Any]) -> None:
    by = {account: [one["rules"] for seen in june["seen"] for one in seen if one["account_id"] == account]
          for account in (BANK, PARTNER, CRIMEAN)}  # fmt: skip
    assert by[BANK] == [[], [LETTERS], [LETTERS], []]
    assert by[PARTNER] == [[], [LETTERS], [], []]
    assert all("covered_region_of_ukraine" in rules for rules in by[CRIMEAN])


def test_every_version_is_drafted_looked_at_published_signed_twice_and_activated(june: dict[str, Any]) -> None:
    whole = ["new", "lint", "test", "diff", "simulate", "publish", "sign", "diff", "sign", "activate"]
    for version in VERSIONS:
        good = [step for step in steps(june, version) if not step["refused"]]
        assert verbs(good) == whole
        assert {step["exit_code"] for step in good} == {0}
    assert all(step["exit_code"] == 0 for step in steps(june, None))


def test_neither_the_author_nor_one_person_alone_can_put_it_in_force(june: dict[str, Any]) -> None:
    author, alone = [step for step in june["steps"] if step["refused"]]
    assert (author["exit_code"], alone["exit_code"]) == (1, 1)
    assert "an author does not approve; ask somebody else" in said(author)
    assert "needs the signatures of 2 of the signers other than ann, who published it, and has 1" in said(alone)


def test_every_command_says_which_one_comes_next(june: dict[str, Any]) -> None:
    for version in VERSIONS:
        new, *_, publish, first, _, second, activate = [one for one in steps(june, version) if not one["refused"]]
        assert f"exportgate policy publish {version}.yaml" in new["said"][-1]
        assert publish["said"][-1].startswith(f"  exportgate policy sign {version} ")
        assert first["said"][-1].startswith(f"  exportgate policy sign {version} ")
        assert second["said"][-1].startswith(f"  exportgate policy activate {version} ")
        assert activate["said"][0].startswith(f"{version} is in force from ")


def test_the_second_signer_reads_what_is_published_against_what_is_in_force(june: dict[str, Any]) -> None:
    for before, version in pairwise([BEFORE, *VERSIONS]):
        *_, read, second, _ = [one for one in steps(june, version) if not one["refused"]]
        assert read["command"] == f"exportgate policy diff {before} {version}"
        assert " sign " in second["command"]
        assert any(line.split()[0] in ("rule", "group") for line in read["said"] if line.strip())


def test_the_list_of_signers_is_signed_where_each_key_is(june: dict[str, Any]) -> None:
    signed, published = [step["command"] for step in steps(june, None) if " signers " in step["command"]]
    assert signed == "exportgate policy signers sign signers.yaml --key bob.pem > bob.json"
    assert published.endswith("--by ann --key ann.pem --signature bob.json")


def test_the_first_version_is_shown_in_full_and_the_later_ones_repeat_nothing() -> None:
    out = StringIO()
    screen = Console(file=out, width=100)
    for typed in (*look(CHAPTERS[0], None), *enact(CHAPTERS[0], brief=False), *look(CHAPTERS[1], "then")):
        said = ["first", *(f"line {number}" for number in range(40)), "last"]
        step = Step(
            version=None, command=typed.command, why=typed.why, refused=False, exit_code=0, seconds=1, said=said
        )
        show_typed(screen, typed)
        show_said(screen, step, typed)
        told = out.getvalue()
        assert typed.command in " ".join(told.split())
        assert told.count("\n") == 1 if typed.brief else "line 39\n    last\n" in told
        out.seek(0)
        out.truncate()


def test_each_version_takes_less_than_five_minutes_of_commands(june: dict[str, Any]) -> None:
    assert list(june["seconds"]) == VERSIONS
    for version, seconds in june["seconds"].items():
        assert 0 < seconds < 300
        assert seconds == pytest.approx(sum(step["seconds"] for step in steps(june, version)), abs=0.01)


def test_the_simulation_foretells_whom_the_second_letter_opens_mythos_for(june: dict[str, Any]) -> None:
    (simulated,) = [step for step in steps(june, "2026-06-26") if " simulate " in step["command"]]
    assert "1 of " in said(simulated).partition(" would come out differently")[0]
    assert f"account {PARTNER} " in said(simulated)


def test_afterwards_the_list_tells_the_history_and_replay_finds_nothing(june: dict[str, Any]) -> None:
    listed, replayed = june["steps"][-2:]
    rows = [line.split() for line in listed["said"][1:]]
    assert [row[1] for row in rows] == [BEFORE, *VERSIONS]
    assert all("bob, cleo" in line for line in listed["said"][2:])
    assert "NOW: from" in listed["said"][-1]
    assert said(replayed) == june["replay"]
    assert " 0 differences:" in june["replay"]
    assert june["good"]
