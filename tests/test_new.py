"""A version begins as a document that lints, tests and says what to do next."""

import shutil
from pathlib import Path

import pytest

from service.policies import load_file
from service.policies.cases import run_cases
from tests.commands import Cli, refused

pytestmark = pytest.mark.embedded

POLICIES = Path(__file__).resolve().parents[1] / "deploy" / "policies"


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """The latest shipped version, beside those it extends."""
    for file in POLICIES.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path / "2026-06-30.yaml"


async def test_a_new_version_holds_its_cases_and_lints_as_it_stands(cli: Cli, parent: Path) -> None:
    answer = await cli("policy", "new", "2026-12-01", "--from", str(parent), "--title", "It's the letter: of December")
    assert (answer.code, answer.err) == (0, "")
    file = parent.parent / "2026-12-01.yaml"
    loaded = load_file(file)
    assert loaded.policy.title == "It's the letter: of December"
    assert [result.failure for result in run_cases(loaded.policy, loaded.cases)] == [None]
    linted = await cli("policy", "lint", str(file))
    assert linted.code == 0, linted
    for step in ("lint", "test", "diff", "simulate", "publish"):
        assert f"exportgate policy {step} " in answer.out


async def test_a_version_that_exists_is_never_overwritten(cli: Cli, parent: Path) -> None:
    before = load_file(parent).document
    refused(await cli("policy", "new", "2026-06-30", "--from", str(parent)), 2, "exists already")
    assert load_file(parent).document == before


@pytest.mark.parametrize("version", ["../evil", "a/b", ""])
async def test_a_version_that_names_no_file_here_is_refused(cli: Cli, parent: Path, version: str) -> None:
    refused(await cli("policy", "new", version, "--from", str(parent)), 2, "expected a version")
