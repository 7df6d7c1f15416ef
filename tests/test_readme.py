"""What the README says is true: its commands run, its files exist, its tables agree with the code."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from schemas.topics import TOPICS
from service.cli import run
from service.embedded.broker import running_broker
from service.embedded.postgres import Server
from service.ledger.engine import ROLES, role_name
from service.policies import load_file
from service.policies.cases import run_cases
from service.policies.coverage import coverage, gaps
from service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SCRIPTS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
"""Every block marked `sh` is run, in order; other blocks are pictures."""
WITHIN_SECONDS = 180.0


def rows(*columns: str) -> list[list[str]]:
    """The cells of the table that begins with these columns."""
    header = "| " + " | ".join(columns)
    lines = iter(README[README.index(header) :].splitlines()[2:])
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_every_file_that_is_named_exists() -> None:
    names = {path.name for folder in ("service", "schemas", "tests") for path in (ROOT / folder).rglob("*.py")}
    for text in re.findall(r"`([^`\n]+)`", README):
        if re.fullmatch(r"[\w.-]+/[\w./-]*", text):
            assert (ROOT / text).exists(), text
        elif re.fullmatch(r"\w+\.py", text):
            assert text in names, text


def test_the_picture_names_files_that_exist() -> None:
    for name in re.findall(r"service/[\w/.]+", README):
        assert (ROOT / name.rstrip(".")).exists(), name


def test_the_topics_are_those_of_the_code() -> None:
    told = {row[0].strip("`"): row[1] for row in rows("topic", "direction", "key", "what")}
    coded = {topic.name: topic.direction + (", compacted" if topic.compacted else "") for topic in TOPICS}
    assert told == coded


def test_the_roles_are_those_of_the_code() -> None:
    assert [row[0].strip("`") for row in rows("role", "may")] == [role_name(role) for role in ROLES]


def test_the_settings_are_those_of_the_code() -> None:
    coded = [
        [f"`{PREFIX}{name.upper()}`", default_of(field), str(field.description)]
        for name, field in Settings.model_fields.items()
    ]
    assert sorted(rows("variable", "default", "what")) == sorted(coded)


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if value in (None, ""):
        return "unset"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_every_word_of_the_glossary_is_explained_once() -> None:
    words = re.findall(r"^- \*\*([^*]+)\*\*", README[README.index("## Words") : README.index("## Why")], re.MULTILINE)
    assert len(words) == len(set(words)) >= 12


def test_commands_inside_sentences_and_their_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    commands = re.findall(r"`exportgate ([^`]+)`", prose)
    assert commands
    for command in commands:
        words = command.split()
        path = list(itertools.takewhile(str.islower, (word for word in words if not word.startswith("-"))))
        assert run([*path, "--help"]) == 0, command
        told = capsys.readouterr().out
        assert all(word in told for word in words if word.startswith("--")), command


def test_make_knows_the_two_commands() -> None:
    # `make demo` is tests/test_demo.py's command, `make test` is what runs this: here only that the targets are there.
    for line in SCRIPTS[0].splitlines():
        subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
async def addresses(postgres: Server) -> AsyncIterator[dict[str, str]]:
    """What stands in place of the README's example addresses."""
    await postgres.create_database("readme")
    async with running_broker() as broker:
        yield {"EXPORTGATE_DATABASE_URL": postgres.url("readme"), "EXPORTGATE_KAFKA_BOOTSTRAP": broker.bootstrap}
    await postgres.drop_database("readme")


@pytest.mark.embedded
async def test_every_command_runs(addresses: dict[str, str], tmp_path: Path) -> None:
    named: set[str] = set()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXPORTGATE_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "EXPORTGATE_HTTP_PORT": "0"}
    # The embedded broker knows no idempotent producer and has nobody to replicate to.
    environment |= {"EXPORTGATE_KAFKA_SESSION_TIMEOUT_MS": "6000"}
    environment |= {"EXPORTGATE_KAFKA_IDEMPOTENT_PRODUCER": "false", "EXPORTGATE_KAFKA_REPLICATION_FACTOR": "1"}
    with background() as start:
        for script in SCRIPTS[1:]:
            exports = dict(re.findall(r"^export (\w+)=(.*)$", script, re.MULTILINE))
            assert exports.keys() <= addresses.keys()
            environment |= {name: addresses[name] for name in exports}
            named |= exports.keys()
            commands = re.sub(r"^export .*\n", "", script, flags=re.MULTILINE)
            if commands.rstrip().endswith("&"):
                start(commands.rstrip().removesuffix("&"), environment, tmp_path / "service.log")
            else:
                await asyncio.to_thread(run_until_it_succeeds, commands, environment, tmp_path / "service.log")
    assert named == addresses.keys()


Start = Callable[[str, dict[str, str], Path], None]


@contextmanager
def background() -> Iterator[Start]:
    """A function that starts a command, which is ended with the block, as by a person who presses Ctrl-C."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(command: str, environment: dict[str, str], log: Path) -> None:
        with log.open("wb") as output:
            processes.append(
                subprocess.Popen(shlex.split(command), cwd=ROOT, env=environment, stdout=output, stderr=output)
            )

    try:
        yield start
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
            process.wait(WITHIN_SECONDS)


def run_until_it_succeeds(script: str, environment: dict[str, str], log: Path) -> None:
    """Run a block; again when it fails, as a reader does who was faster than the service."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            said = done.stderr.decode() + done.stdout.decode()
            pytest.fail(f"{script}\nfailed: {said}\nthe service: {log.read_text() if log.exists() else 'not started'}")


def test_the_policy_of_the_readme_is_one_and_its_cases_hold_and_leave_nothing_unshown(tmp_path: Path) -> None:
    for document in (ROOT / "deploy" / "policies").glob("*.yaml"):
        (tmp_path / document.name).write_bytes(document.read_bytes())
    (tmp_path / "mine.yaml").write_text(README.partition("```yaml\n")[2].partition("```")[0])
    loaded = load_file(tmp_path / "mine.yaml")
    results = run_cases(loaded.policy, loaded.cases)
    assert [result.failure for result in results] == [None, None, None]
    assert gaps(coverage(loaded, results)) == []
