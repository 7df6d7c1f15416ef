"""The runbook and the code name the same things: whatever the service can say, somebody on call finds there."""

import ast
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import text

from service.cli.commands import command_line
from service.ledger.positions import HALTS
from service.settings import PREFIX, Settings
from service.telemetry import Metrics
from tests.ledger import Ledger
from tests.stream import Stream, get, service

ROOT = Path(__file__).resolve().parents[1]
RUNBOOK = (ROOT / "deploy" / "RUNBOOK.md").read_text()
SOURCES = {path: path.read_text() for path in sorted((ROOT / "service").rglob("*.py"))}
LOUD = {"error", "critical", "exception"}


def section(title: str) -> str:
    """The text under a heading."""
    return RUNBOOK.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def told(title: str) -> list[str]:
    """What stands in the first column of the table of a section."""
    return re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE)


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def literal(node: ast.expr) -> str | None:
    """A text in the code, with `...` for each value in it; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "..." for one in node.values]
        return "".join(map(str, parts))
    return None


def calls(wanted: Callable[[ast.Call], bool]) -> Iterator[str]:
    """The first argument, where it is a text, of every call in the service that is wanted."""
    for source in SOURCES.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and wanted(node) and node.args:
                said = literal(node.args[0])
                if said is not None:
                    yield said


def named(call: ast.Call) -> str:
    """The name of what is called, without what it belongs to."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


# --------------------------------------------------------------------------------------------------- the same lists


def test_every_metric_is_told() -> None:
    assert sorted(told("Metrics and alarms")) == sorted(metric.name for metric in Metrics().registry.collect())


def test_every_halt_is_told_and_has_one_of_the_codes() -> None:
    assert sorted(told("Halts")) == sorted(HALTS)
    reasons = re.findall(r"(?:reason = |halted\[partition\] = )f\"([A-Z_]+): ", "".join(SOURCES.values()))
    assert set(reasons) == set(HALTS)


def test_every_reason_to_quarantine_is_told() -> None:
    texts = (SOURCES[ROOT / "service" / name] for name in ("reading.py", "deciding.py", "pipeline.py"))
    codes = {code for source in texts for code in re.findall(r"\"([A-Z][A-Z_]{2,})\"", source)}
    assert sorted(told("Quarantine reasons")) == sorted(codes)


def test_every_loud_log_line_is_told() -> None:
    def is_loud(call: ast.Call) -> bool:
        return isinstance(call.func, ast.Attribute) and call.func.attr in LOUD and _of(call.func) == "log"

    assert sorted(told("Log lines")) == sorted(set(calls(is_loud)))


def _of(attribute: ast.Attribute) -> str:
    return getattr(attribute.value, "id", "")


def test_every_reason_to_exit_is_told() -> None:
    tables = told("Exit reasons")
    coded = set(calls(lambda call: named(call) in {"MustStop", "fail", "WorkerFailed"}))
    worker = re.findall(r"return f\"(the \{name\} task ended by itself[^\"]*)\"", SOURCES[ROOT / "service/worker.py"])
    coded |= {re.sub(r"\{[^}]*\}", "...", one) for one in worker}
    assert coded
    assert [one for one in coded if not any(_fits(one, reason) for reason in tables)] == []
    # Those of the start are many and say themselves what to do: they are told by their beginnings.
    at_the_start = ("missing at", "topic", "no Kafka broker answers at", "the database at", "nothing can be", PREFIX)
    ours = [reason for reason in tables if not reason.startswith(at_the_start)]
    assert [reason for reason in ours if not any(_fits(one, reason) for one in coded)] == []


def _fits(said: str, reason: str) -> bool:
    """Whether a text of the code is the one that the runbook tells with dots."""
    pattern = ".*".join(re.escape(part) for part in reason.split("..."))
    return re.fullmatch(pattern, said) is not None


@pytest.mark.embedded
async def test_every_check_is_told(stream: Stream, ledger: Ledger) -> None:
    async with service(stream.settings(ledger)) as (running, _):
        for title, path in (("Readiness", "/ready"), ("Life", "/live")):
            _, body = await get(running.http_port, path)
            assert sorted(told(title)) == sorted(re.findall(r"\"(\w+)\":\"ok\"", body.partition("checks")[2]))


# ------------------------------------------------------------------------------------------------- what it refers to


def test_every_link_leads_to_a_section() -> None:
    titles = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {anchor(title) for title in titles}
    linked = set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOK))
    assert linked == anchors
    assert len(titles) == len(anchors)


def test_every_command_exists_with_its_options() -> None:
    commands = re.findall(r"`exportgate ([^`]+)`", RUNBOOK) + re.findall(r"^exportgate (.+)$", RUNBOOK, re.MULTILINE)
    assert len(commands) > 10
    for line in commands:
        words = line.split()
        command: Any = typer.main.get_command(command_line())
        path = list(itertools.takewhile(lambda word: word[0].islower(), words))
        for word in path:
            assert word in getattr(command, "commands", ()), line
            command = command.commands[word]
        assert {word for word in words if word.startswith("--")} <= {o for one in command.params for o in one.opts}, (
            line
        )
        needed = [one for one in command.params if one.param_type_name == "argument" and one.required]
        assert len(_positional(words[len(path) :])) >= len(needed), line


def _positional(words: list[str]) -> list[str]:
    """The words that are neither options nor their values."""
    return [word for before, word in zip(["", *words], words, strict=False) if "--" not in word and "--" not in before]


def test_every_setting_it_names_exists() -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", RUNBOOK)) <= known


def test_the_readme_leads_here() -> None:
    assert "`deploy/RUNBOOK.md`" in (ROOT / "README.md").read_text()


@pytest.mark.embedded
async def test_its_statements_run(ledger: Ledger) -> None:
    blocks = re.findall(r"^```sql\n(.*?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    async with ledger.engine("owner").begin() as tx:
        for block in blocks:
            await tx.execute(text(block))
