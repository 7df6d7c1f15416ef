"""Every refusal that a policy document can meet, word by word: tests/golden/policy_errors.

`python -m tests.test_policy_errors` writes the texts anew.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from service.policies import PolicyRefused, load_file
from service.policies.document import read_document

GOLDEN = Path(__file__).parent / "golden" / "policy_errors"
REFUSED = sorted(GOLDEN.glob("*.txt"))
"""`<name>.txt` is what is said of `<name>.yaml`. Documents without one are parents and files of others."""

LOADER = Path(__file__).parents[1] / "service" / "policies"
SOURCES = ("build", "cases", "conditions", "document", "groups", "model", "resolve")


@pytest.mark.parametrize("said", REFUSED, ids=lambda path: path.stem)
def test_a_document_is_refused_in_exactly_these_words(said: Path) -> None:
    with pytest.raises(PolicyRefused) as refused:
        load_file(said.with_suffix(".yaml"))
    assert f"{refused.value}\n" == said.read_text(encoding="utf-8")


@pytest.mark.parametrize("said", REFUSED, ids=lambda path: path.stem)
def test_a_refusal_is_one_line_that_says_where_and_uses_no_words_of_libraries(said: Path) -> None:
    text = said.read_text(encoding="utf-8")
    assert re.match(r"[a-z0-9_]+\.yaml:[1-9][0-9]*: ", text)
    assert text.count("\n") == 1
    assert not re.search(r"pydantic|Input should|validation|\btype=|literal\[|Traceback|<class", text)


ODD_BYTES = {
    "no UTF-8": b"x: \xff",
    "a NUL": b"x: \0",
    "too large": b"#" * (1024 * 1024 + 1),
    "a mapping as key": b"? {a: b}\n: c\n",
}


@pytest.mark.parametrize("text", ODD_BYTES.values(), ids=ODD_BYTES)
def test_bytes_that_are_no_document_are_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(PolicyRefused, match=r"^p\.yaml:1: expected [^\n]*$"):
        read_document(text, "p.yaml")


def test_what_somebody_wrote_cannot_break_the_line_or_fill_the_screen() -> None:
    assert (
        str(PolicyRefused("p.yaml:1: unknown key 'a\n\x1b[2J\u2028b'"))
        == "p.yaml:1: unknown key 'a\ufffd\ufffd[2J\ufffdb'"
    )
    assert len(str(PolicyRefused("x" * 1_000_000))) < 1_100


def test_every_refusal_that_the_loader_knows_has_its_golden_text() -> None:
    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        path = Path(frame.f_code.co_filename)
        if path.parent != LOADER or path.stem not in SOURCES:
            return None
        if event == "line":
            reached.add((path.stem, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for said in REFUSED:
            _refuse(said.with_suffix(".yaml"))
        for text in ODD_BYTES.values():
            _refuse_bytes(text)
    finally:
        sys.settrace(before)
    known = {(name, line): words for name in SOURCES for line, words in _refusals(LOADER / f"{name}.py")}
    assert len(known) > 60
    missing = sorted(
        f"{name}.py:{line}: {words}" for (name, line), words in known.items() if (name, line) not in reached
    )
    assert missing == []


NOT_FROM_A_DOCUMENT = (
    "expected resolved form",
    "a decimal fact holds a decimal",
    "no JSON form",
    "expected a list of cases",  # the form of the whole document says so first
)
"""What only stored bytes, or a bug, can bring about."""


def _refusals(source: Path) -> Iterator[tuple[int, str]]:
    """The line of each `raise` of a module, and what it says."""
    text = source.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            words = " ".join((ast.get_source_segment(text, node) or "").split())
            if not any(part in words for part in NOT_FROM_A_DOCUMENT):
                yield node.lineno, words[:150]


def _refuse(path: Path) -> None:
    with pytest.raises(PolicyRefused):
        load_file(path)


def _refuse_bytes(text: bytes) -> None:
    with pytest.raises(PolicyRefused):
        read_document(text, "p.yaml")


def rewrite() -> None:
    """Write every text anew after words have changed; the difference is to be read before it is committed."""
    for said in REFUSED:
        with pytest.raises(PolicyRefused) as refused:
            load_file(said.with_suffix(".yaml"))
        said.write_text(f"{refused.value}\n", encoding="utf-8")


if __name__ == "__main__":
    rewrite()
