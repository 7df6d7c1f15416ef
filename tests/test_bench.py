"""`make bench` measures what it says it measures: a small run of all of it, whose figures mean nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.bench.events import by_crc32, make_events
from tests.events import record

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.only_on("embedded", reason="a smoke run needs no other broker"),
]


@pytest.fixture(scope="module")
def into(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a quick run has put its figures."""
    into = tmp_path_factory.mktemp("bench") / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--broker", "embedded", "--into", str(into)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tansu" in done.stdout.splitlines()[-1]
    return into


@pytest.fixture(scope="module")
def figures(into: Path) -> Any:
    """What it measured."""
    return json.loads(into.read_text())


def test_every_promised_figure_is_there_and_positive(figures: Any) -> None:
    pipeline = figures["pipeline"]
    promised = [
        pipeline[name]
        for name in (
            "events_per_second",
            "ratio_to_raw_loop",
            "ratio_to_per_message",
            "cpu_us_per_event",
            "two_workers_ratio",
            "misaligned_ratio",
            "after_million_ratio",
        )
    ]
    promised += [figures["latency"][rate][name] for rate in ("100", "500", "1000") for name in ("p50_ms", "p99_ms")]
    promised += [figures["memory"][name] for name in ("start_mb", "end_mb", "peak_mb")]
    policy = figures["policy"]
    promised += [policy[name] for name in ("decisions_per_second", "median_us", "load_ms", "all_rules_median_us")]
    promised += [policy[f"ratio_to_{other}"] for other in ("hand_written", "cel", "zen")]
    promised += [figures["simulate"][name] for name in ("decisions_per_second", "peak_mb")]
    assert all(isinstance(one, float) and one > 0 for one in promised), figures
    assert isinstance(figures["shadow"]["throughput_cost"], float)


def test_two_engines_were_compared_and_told_the_same(figures: Any) -> None:
    assert figures["policy"]["rules"] == 25
    assert figures["oracle"]["sets"] == 300
    assert figures["oracle"]["seconds"] > 0
    assert figures["oracle"]["disagreements"] == 0


def test_it_says_what_it_was_measured_on(figures: Any) -> None:
    assert figures["broker"] == "tansu"
    assert {"cores", "python", "postgres", "broker", "policy"} <= figures["machine"].keys()
    assert "fsync on" in figures["machine"]["postgres"]


def test_the_raw_loop_stores_as_much_as_the_service(figures: Any) -> None:
    pipeline = figures["pipeline"]
    assert pipeline["raw_stored_bytes_per_event"] == pytest.approx(pipeline["stored_bytes_per_event"], rel=0.02)


def test_the_picture_can_be_drawn(into: Path) -> None:
    drawn = ET.fromstring(into.with_suffix(".svg").read_text())  # noqa: S314 -- we wrote it
    assert "exportgate, one worker" in [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_the_events_are_of_the_size_and_the_partitions_that_are_claimed() -> None:
    made = make_events(1_000, "a label")
    assert len({one.key for one in made}) == 1_000
    assert all(1_900 < len(one.value) < 2_200 for one in made)
    assert len({by_crc32(one.key) for one in made}) == 16
    assert all(json.loads(one.value)["data"]["account_id"].encode() == one.key for one in made)
    assert record(json.loads(made[0].value)).topic == "accounts.v1"
