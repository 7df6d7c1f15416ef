"""Logs stay readable when a library says the same thing many times a second."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from service.telemetry import configure_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers = logging.root.handlers
    yield
    logging.root.handlers = handlers
    structlog.reset_defaults()


def _say(times: int, message: str = "Unable connect to node with id %s: %s") -> None:
    for number in range(times):
        logging.getLogger("aiokafka.client").error(message, number, "refused")


def test_a_library_that_repeats_itself_is_heard_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(as_json=True, level="INFO")
    _say(1_000)
    _say(1, "Unable to update metadata from %s (%s)")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "id 0: refused" in lines[0]


def test_what_was_left_out_is_counted_when_it_is_heard_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging(as_json=True, level="INFO")
    _say(10)
    monkeypatch.setattr("service.telemetry._CALM_SECONDS", 0.0)
    _say(1)
    assert "(9 more like it before)" in capsys.readouterr().err


def test_other_words_and_other_loggers_are_not_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(as_json=True, level="INFO")
    for name in ("aiokafka.client", "aiokafka.conn", "sqlalchemy.pool"):
        logging.getLogger(name).error("lost")
    assert len(capsys.readouterr().err.splitlines()) == 3
