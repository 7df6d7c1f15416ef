"""Damaged policy documents: refused in one line or accepted, and whatever is accepted means one thing only."""

import json
import os
import re
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.policies import LoadedPolicy, PolicyRefused, load_resolved
from service.policies.cases import run_cases
from service.policies.coverage import coverage
from service.policies.document import read_document
from service.policies.lint import lint
from service.policies.load import load_document
from tests.policy_trees import CATALOGUE, ODD_PLAIN, PARENT, WHOLE, damaged, meant, written

CASES = int(os.environ.get("POLICY_FUZZ_CASES", "500"))
"""How many in all; a nightly run takes 10,000."""
TREES = settings(max_examples=CASES * 3 // 5, deadline=None, suppress_health_check=list(HealthCheck))
TEXTS = settings(max_examples=CASES * 2 // 5, deadline=None, suppress_health_check=list(HealthCheck))
SEEDS = st.integers(0, 2**32 - 1)

BESIDE = {"base": json.dumps(PARENT).encode(), "catalogue.yaml": json.dumps(CATALOGUE).encode()}


def _find(name: str) -> bytes:
    if name not in BESIDE:
        raise LookupError(name)
    return BESIDE[name]


def _fate(text: str) -> LoadedPolicy | str:
    """What loads, or what is said of it: one line with the place, in our own words."""
    try:
        loaded = load_document(text.encode("utf-8", "surrogatepass"), "p.yaml", _find, _find)
    except PolicyRefused as refusal:
        said = str(refusal)
        assert re.match(r"(p|base|catalogue)\.yaml:[1-9][0-9]*: ", said), said
        assert said.isprintable(), said
        assert not re.search(r"pydantic|Input should|\btype=|<class|literal\[", said), said
        return said
    assert load_resolved(loaded.resolved) == loaded.policy
    results = run_cases(loaded.policy, loaded.cases)
    for told in (*lint(loaded), *coverage(loaded, results)):
        assert str(told).isprintable()
    return loaded


def _same(one: LoadedPolicy | str, other: LoadedPolicy | str) -> bool:
    """Whether two texts share their fate, whatever the lines."""
    if isinstance(one, str) or isinstance(other, str):
        return type(one) is type(other)
    return one.resolved == other.resolved and [case.facts for case in one.cases] == [case.facts for case in other.cases]


def test_the_undamaged_document_is_accepted_and_its_case_holds() -> None:
    loaded = _fate(json.dumps(WHOLE))
    assert isinstance(loaded, LoadedPolicy)
    assert [result.failure for result in run_cases(loaded.policy, loaded.cases)] == [None]


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS)
def test_one_document_written_in_many_ways_is_one_policy(seed: int) -> None:
    one, other = _fate(written(WHOLE, Random(seed))), _fate(json.dumps(WHOLE))
    assert isinstance(one, LoadedPolicy)
    assert _same(one, other)


@TREES
@given(seed=SEEDS)
def test_a_damaged_document_is_refused_in_one_line_or_means_what_it_says(seed: int) -> None:
    chance = Random(seed)
    tree = damaged(WHOLE, chance)
    text = written(tree, chance)
    fate = _fate(text)
    if _reads(text) is None:
        return
    assert _reads(text) == meant(tree)
    assert _same(fate, _fate(text))
    assert _same(fate, _fate(json.dumps(meant(tree), ensure_ascii=False)))


def _reads(text: str) -> Any:
    try:
        return read_document(text.encode(), "p.yaml").tree
    except PolicyRefused:
        return None


SNIPPETS = (
    *(
        "&a ",
        "*a",
        "<<: *a\n",
        "!!str ",
        "!!python/name:os.system ",
        "! ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "%TAG ! x:\n",
    ),
    *(
        "\t",
        "\ufeff",
        "\x85",
        "\u2028",
        "\x00",
        "\x1b",
        "\r",
        "\r\n",
        "\n",
        "  ",
        "# ",
        ": ",
        ", ",
        "? ",
        "- ",
        "| ",
        "> ",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "\\",
        "\\x41",
        '"\\ud800"',
        "NO",
        "1e3",
        "4E091",
        "on: off\n",
        "x: 2026-06-12\n",
        "é",
    ),
    *("rules:\n", "version: 2\n", "policy: other\n", "'" * 3, "[" * 60, "{a: " * 60, "@", "`", "%", "&", "*", "!"),
)


@TEXTS
@given(seed=SEEDS)
def test_damaged_text_is_refused_in_one_line_or_has_the_shape_that_others_read(seed: int) -> None:
    chance = Random(seed)
    text = written(WHOLE, chance)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(SNIPPETS) + text[at + chance.choice((0, 0, 0, 1, 5)) :]
    fate = _fate(text)
    tree = _reads(text)
    if tree is not None:
        assert _shape(tree) == _shape(_as_others_read(text, tree))
        assert _same(fate, _fate(text))
        assert _same(fate, _fate(json.dumps(tree, ensure_ascii=False)))


def _as_others_read(text: str, ours: Any) -> Any:
    """The tree that another parser makes, texts only. Where it refuses a tab or a `?` that ours takes, ours stands."""
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 -- it makes texts only
    except yaml.YAMLError:
        return ours


def _shape(tree: Any) -> Any:
    """The tree with every scalar as it was written: other readers may take it for something else, never the text."""
    if isinstance(tree, dict):
        return {name: _shape(part) for name, part in tree.items()}
    if isinstance(tree, list):
        return [_shape(part) for part in tree]
    return tree if isinstance(tree, str) else json.dumps(tree)


@pytest.mark.parametrize("word", ODD_PLAIN)
def test_an_odd_word_without_quotes_is_refused_or_kept_letter_by_letter(word: str) -> None:
    tree = _reads(f"x: {word}\n")
    quoted = _reads(f'x: "{word}"\n')
    assert quoted == {"x": word}
    assert tree is None or _shape(tree) == quoted
