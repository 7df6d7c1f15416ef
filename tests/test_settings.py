"""A misspelt setting is refused by name: otherwise its default would be in force, and nobody would know."""

import pytest

from service.cli import run
from service.settings import MisconfiguredError, Settings, read_settings, read_stream_settings

URL = "postgresql://ann:hunter2@db/x"


def test_commands_too_refuse_a_misspelt_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPORTGATE_DATABASE_ULR", URL)
    assert run(["policy", "list"]) == 2
    assert "EXPORTGATE_DATABASE_ULR: there is no such setting; did you mean EXPORTGATE_DATABASE_URL?" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "variable,meant",
    [
        ("EXPORTGATE_HTTP_PROT", "EXPORTGATE_HTTP_PORT"),
        ("EXPORTGATE_KAFKA_BOOTSTRAP_SERVERS", "EXPORTGATE_KAFKA_BOOTSTRAP"),
        ("exportgate_bug_limits", "EXPORTGATE_BUG_LIMIT"),
    ],
)
def test_a_misspelt_setting_is_named_with_the_nearest_one(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "hunter3")
    for read in (lambda: read_settings(database_url=URL), read_stream_settings):
        with pytest.raises(MisconfiguredError, match=rf"^{variable}: .* did you mean {meant}\?") as raised:
            read()
        assert "\n" not in str(raised.value)
        assert "hunter" not in str(raised.value)


def test_every_setting_is_one_in_capitals_and_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        for variable in (f"EXPORTGATE_{name.upper()}", f"exportgate_{name}"):
            with monkeypatch.context() as only:
                only.setenv(variable, "x")
                try:
                    read_settings(database_url=URL)
                except MisconfiguredError as error:
                    assert "no such setting" not in str(error)  # noqa: PT017 -- a wrong value is another matter


@pytest.mark.parametrize(
    "variable,value",
    [
        ("EXPORTGATE_SERVICE_HOST", "10.0.0.1"),
        ("EXPORTGATE_SERVICE_PORT", "8080"),
        ("EXPORTGATE_SERVICE_PORT_HTTP", "8080"),
        ("EXPORTGATE_PORT", "tcp://10.0.0.1:8080"),
        ("EXPORTGATE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("EXPORTGATE_METRICS_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("EXPORTGATE_METRICS_PORT", "tcp://10.0.0.1:9090"),
        ("EXPORTGATE_FAULT", ""),
        ("EXPORT_GATE", "x"),
    ],
)
def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_mistake(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert read_settings(database_url=URL).http_port == 8080


def test_a_port_that_is_a_number_is_a_misspelt_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTGATE_PORT", "8080")
    with pytest.raises(MisconfiguredError, match=r"EXPORTGATE_PORT: .*EXPORTGATE_HTTP_PORT"):
        read_settings(database_url=URL)
