"""A version begins as a document that lints, tests and says what to do next."""

import shutil
from pathlib import Path

import pytest

from service.policies import load_file
from service.policies.cases import run_cases
from service.policies.lint_placeholders import PLACEHOLDER
from tests.commands import Cli, refused
from tests.policies import SMALL

pytestmark = pytest.mark.embedded

POLICIES = Path(__file__).resolve().parents[1] / "deploy" / "policies"


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """The latest shipped version, beside those it extends."""
    for file in POLICIES.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path / "2026-06-30.yaml"


async def test_a_new_version_holds_its_cases_and_lints_once_its_example_is_replaced(cli: Cli, parent: Path) -> None:
    answer = await cli("policy", "new", "2026-12-01", "--from", str(parent), "--title", "It's the letter: of December")
    assert (answer.code, answer.err) == (0, "")
    file = parent.parent / "2026-12-01.yaml"
    loaded = load_file(file)
    assert loaded.policy.title == "It's the letter: of December"
    assert [result.failure for result in run_cases(loaded.policy, loaded.cases)] == [None]
    linted = await cli("policy", "lint", str(file))
    assert linted.code == 1
    assert linted.err.count(f"it still says '{PLACEHOLDER}'") == 2
    assert f"{file.name}:{_line(file, PLACEHOLDER)}: rules.title: " in linted.err
    file.write_text(file.read_text().replace(PLACEHOLDER, "Of"))
    linted = await cli("policy", "lint", str(file))
    assert linted.code == 0, linted
    for step in ("lint", "test", "diff", "simulate", "publish"):
        assert f"exportgate policy {step} " in answer.out


def _line(file: Path, words: str) -> int:
    lines = file.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


async def test_an_untouched_draft_cannot_be_published(cli: Cli, parent: Path) -> None:
    await cli("policy", "new", "2026-12-01", "--from", str(parent))
    answer = await cli("policy", "publish", str(parent.with_stem("2026-12-01")), "--by", "ann")
    assert answer.code == 1
    assert f"it still says '{PLACEHOLDER}'" in answer.err
    assert "not published: 2 errors" in answer.err


async def test_a_draft_takes_no_group_and_no_rule_of_its_ancestors_away(cli: Cli, parent: Path) -> None:
    before = load_file(parent)
    for version in ("2026-12-01", "2026-12-02", "2026-12-03"):
        await cli("policy", "new", version, "--from", str(parent))
        child = load_file(parent.with_stem(version))
        assert len(child.policy.rules) == len(before.policy.rules) + 1
        assert len(child.policy.groups) == len(before.policy.groups) + 1
        assert before.policy.groups.items() <= child.policy.groups.items()
        parent, before = parent.with_stem(version), child


async def test_a_version_that_exists_is_never_overwritten(cli: Cli, parent: Path) -> None:
    before = load_file(parent).document
    refused(await cli("policy", "new", "2026-06-30", "--from", str(parent)), 2, "exists already")
    assert load_file(parent).document == before


@pytest.mark.parametrize("version", ["../evil", "a/b", "", "a b", "..", 'x"y', "a\n", "x" * 64])
async def test_a_version_that_names_no_file_here_is_refused(cli: Cli, parent: Path, version: str) -> None:
    refused(await cli("policy", "new", version, "--from", str(parent)), 2, "expected a version")
    assert not [file for file in parent.parent.iterdir() if 'extends: "2026-06-30"' in file.read_text()]


@pytest.mark.parametrize("title", ["", "  ", "two\nlines"])
async def test_a_title_that_says_nothing_is_refused(cli: Cli, parent: Path, title: str) -> None:
    refused(await cli("policy", "new", "2026-12-01", "--from", str(parent), "--title", title), 2, "--title")


async def test_words_that_yaml_would_read_otherwise_are_quoted_and_so_are_names_of_files(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "law of 2026"
    folder.mkdir()
    text = (
        SMALL.format(version="true", held="nothing")
        .replace("  fable-5:", "  'no':")
        .replace("policy: small", "policy: '1e3'")
    )
    parent = folder / "true.yaml"
    parent.write_text(text.replace("  sonata-4:", "  zeta:"))
    answer = await cli("policy", "new", "null", "--from", str(parent))
    assert (answer.code, answer.err) == (0, "")
    loaded = load_file(folder / "null.yaml")
    assert (loaded.policy.name, loaded.policy.version, loaded.source.tree["extends"]) == ("1e3", "null", "true")
    assert [result.failure for result in run_cases(loaded.policy, loaded.cases)] == [None]
    assert f"exportgate policy lint '{folder / 'null.yaml'}'" in answer.out


async def test_a_parent_without_models_is_refused(cli: Cli, tmp_path: Path) -> None:
    parent = tmp_path / "1.yaml"
    before, _, after = SMALL.format(version="1", held="nothing").partition("catalogue:")
    parent.write_text(before + "valid_for:" + after.partition("valid_for:")[2])
    refused(await cli("policy", "new", "2", "--from", str(parent)), 1, "empty catalogue")
