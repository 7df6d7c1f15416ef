"""What can be set, by environment variables that begin with EXPORTGATE_. Only app.py reads this."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.failures import ForeseenError

PREFIX = "EXPORTGATE_"
_DRIVER = "postgresql+asyncpg"
_BROKER = re.compile(r"\s*(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]/@]+)(:\d{1,5})?\s*")
"""A name or an address, IPv6 in brackets; without a port it is 9092. No login: that has settings of its own."""

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Milliseconds = Annotated[int, Field(ge=1, le=60_000)]


class MisconfiguredError(ForeseenError, ValueError):
    """A setting is missing or wrong. The message is one line: which variable, what was expected, what to do."""

    exit_code = 2


class StreamSettings(BaseSettings):
    """How to reach the brokers, and for which environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    kafka_bootstrap: str = Field(
        default="127.0.0.1:9092", min_length=1, description="Brokers to ask first, as host:port, separated by commas."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How to talk to the brokers: with TLS (SSL), with a login (SASL), or both."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="How to log in; needed with SASL, and only there."
    )
    kafka_sasl_username: str = Field(default="", description="Name to log in with; empty without SASL.")
    kafka_sasl_password: SecretStr = Field(default=SecretStr(""), description="Password to log in with. Never shown.")
    kafka_ssl_cafile: Path | None = Field(
        default=None, description="PEM file of the authorities that may vouch for the brokers; unset: the system's."
    )
    kafka_ssl_certfile: Path | None = Field(
        default=None, description="PEM file with our own certificate; unset: the brokers do not ask for one."
    )
    kafka_ssl_keyfile: Path | None = Field(
        default=None, description="PEM file with the key of our certificate; unset: it is in the certificate's file."
    )
    kafka_group_id: str = Field(
        default="exportgate", min_length=1, description="Consumer group; the same for all workers of an installation."
    )
    kafka_client_id: str = Field(
        default="exportgate", min_length=1, description="How this worker calls itself to the brokers and the database."
    )
    kafka_topic_prefix: str = Field(
        default="",
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Stands before every topic name and the group, so that installations can share brokers.",
    )
    environment: str | None = Field(
        default=None,
        max_length=256,
        description="Our environment: events whose `env` names another are quarantined; unset: events of any.",
    )

    @field_validator("kafka_sasl_mechanism", "environment", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        wants_login = self.kafka_security_protocol.startswith("SASL")
        has_login = self.kafka_sasl_mechanism is not None and bool(self.kafka_sasl_username)
        if wants_login and not has_login:
            raise ValueError(
                f"{PREFIX}KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs {PREFIX}KAFKA_SASL_MECHANISM, "
                f"{PREFIX}KAFKA_SASL_USERNAME and {PREFIX}KAFKA_SASL_PASSWORD"
            )
        if not wants_login and self.kafka_sasl_mechanism is not None:
            raise ValueError(
                f"{PREFIX}KAFKA_SASL_MECHANISM is set, but {PREFIX}KAFKA_SECURITY_PROTOCOL="
                f"{self.kafka_security_protocol} logs nobody in; set it to SASL_SSL"
            )
        return self


class Settings(StreamSettings):
    """The settings of one worker."""

    database_url: SecretStr = Field(
        description="PostgreSQL, as postgresql://user:password@host:5432/name; add ?ssl=require for TLS. Never shown."
    )
    lock_timeout_seconds: Seconds = Field(
        default=10, description="Seconds a statement waits for a row lock before the batch is tried again; 0: for ever."
    )
    statement_timeout_seconds: Seconds = Field(
        default=30, description="Seconds one SQL statement may run before the batch is tried again; 0: for ever."
    )
    idle_timeout_seconds: Seconds = Field(
        default=30, description="Seconds a transaction may rest before PostgreSQL ends its session; 0: for ever."
    )
    blocker_limit_seconds: Seconds = Field(
        default=60,
        description="Seconds that a session of ours may block others in silence before it is ended; 0: for ever.",
    )
    kafka_replication_factor: int = Field(
        default=3, ge=1, le=100, description="Replicas of topics that `serve --create-topics` makes; a count."
    )
    kafka_compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = Field(
        default="zstd", description="Compression of what we publish; empty (null in code): none."
    )
    kafka_idempotent_producer: bool = Field(
        default=True, description="Whether the brokers sort out repeated sends; the embedded broker cannot."
    )
    kafka_session_timeout_ms: Annotated[int, Field(ge=1_500, le=600_000)] = Field(
        default=45_000,
        description="Milliseconds without a sign of life after which the brokers give our partitions to others.",
    )
    source: str = Field(
        default="/exportgate", min_length=1, max_length=256, description="CloudEvents `source` of what we publish."
    )
    batch_max_records: int = Field(
        default=500, ge=1, le=10_000, description="Most records decided in one transaction; a count."
    )
    batch_timeout_ms: Milliseconds = Field(
        default=5, description="Milliseconds a poll waits for records when there are none; it is not a linger."
    )
    fetch_max_wait_ms: Milliseconds = Field(
        default=10,
        description="Milliseconds the brokers may hold back an answer when there are no records. Records that come "
        "meanwhile for a partition that was not asked about wait as long.",
    )
    watchdog_seconds: Annotated[float, Field(ge=5, le=3600)] = Field(
        default=60, description="Seconds that the client may rest on unread records before the process ends itself."
    )
    status_check_seconds: Seconds = Field(
        default=300, description="Seconds between comparisons of the status topic's tail with the ledger; 0: never."
    )
    shadow_niceness: Annotated[int, Field(ge=0, le=19)] = Field(
        default=19, description="How far the process of a shadow steps back behind others; 0: not at all, 19: furthest."
    )
    graceful_timeout_seconds: Annotated[float, Field(ge=1, le=600)] = Field(
        default=25, description="Seconds that the batch in flight, and then the relay, get to finish at the end."
    )
    bug_limit: int = Field(
        default=100, ge=1, description="Open records with reason BUG, remembered across restarts, at which we stop."
    )
    http_host: str = Field(default="127.0.0.1", description="Address on which /live, /ready and /metrics answer.")
    http_port: int = Field(
        default=8080, ge=0, le=65_535, description="Port on which /live, /ready and /metrics answer; 0: any free one."
    )
    log_json: bool = Field(default=True, description="Log one JSON object a line; false: text for a person.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least weighty lines that are logged."
    )

    @field_validator("kafka_compression", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("kafka_bootstrap")
    @classmethod
    def _names_brokers(cls, value: str) -> str:
        if not all(_BROKER.fullmatch(one) for one in value.split(",")):
            raise ValueError("expected host:port, several separated by commas")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except ArgumentError:
            raise ValueError("expected postgresql://user:password@host:5432/name") from None
        if url.drivername not in {"postgresql", "postgres", _DRIVER} or not url.database:
            raise ValueError("expected postgresql://user:password@host:5432/name")
        return SecretStr(url.set(drivername=_DRIVER).render_as_string(hide_password=False))

    @property
    def database_place(self) -> str:
        """Where the database is, without the password: host:port/name."""
        url: URL = make_url(self.database_url.get_secret_value())
        return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database}"


def read_settings(**overrides: object) -> Settings:
    """The settings of a worker from the environment; `overrides`, by field name, come before it. MisconfiguredError."""
    return _read(Settings, overrides)


def database_url() -> str:
    """The database for commands, as it was set; empty when it was not. MisconfiguredError for a misspelt setting."""
    refuse_unknown(os.environ)
    return os.environ.get(f"{PREFIX}DATABASE_URL", "")


def embedded_settings(url: str, bootstrap: str, **others: object) -> Settings:
    """Settings for the embedded servers: that broker knows neither replicas nor idempotent producers.

    It lets the first member of a group wait for half of the session timeout. `others` are further settings.
    """
    return read_settings(
        database_url=url,
        kafka_bootstrap=bootstrap,
        kafka_replication_factor=1,
        kafka_idempotent_producer=False,
        kafka_session_timeout_ms=6_000,
        **others,
    )


def read_stream_settings() -> StreamSettings:
    """The settings of the brokers from the environment. MisconfiguredError when they are wrong."""
    return _read(StreamSettings, {})


_NO_SETTINGS = frozenset({f"{PREFIX}FAULT"})
"""What is read elsewhere, and by tests alone."""
_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
"""Variables that Kubernetes gives every container for a Service whose name begins with `exportgate`."""


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """MisconfiguredError for what looks like a setting and is none: else the default would be in force, unseen."""
    known = [f"{PREFIX}{name}".upper() for name in Settings.model_fields]
    for variable, value in sorted(environment.items()):
        name = variable.upper()
        if not name.startswith(PREFIX) or name in _NO_SETTINGS or name in known or _is_of_kubernetes(name, value):
            continue
        nearest = get_close_matches(name, known, n=1, cutoff=0)
        raise MisconfiguredError(
            f"{variable}: there is no such setting; did you mean {nearest[0]}? Correct it or unset it"
        )


def _is_of_kubernetes(name: str, value: str) -> bool:
    last = _OF_KUBERNETES.search(name)
    return last is not None and last.end() == len(name) and (last[0] != "_PORT" or "://" in value)


_Kind = TypeVar("_Kind", bound=StreamSettings)


def _read(kind: type[_Kind], overrides: dict[str, object]) -> _Kind:
    refuse_unknown(os.environ)
    try:
        return kind(**cast("dict[str, Any]", overrides))
    except ValidationError as error:
        raise MisconfiguredError(_one_line(kind, error)) from None


def _one_line(kind: type[StreamSettings], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    variable = f"{PREFIX}{name}".upper()
    field = kind.model_fields.get(name)
    if field is None:
        return f"{variable}: there is no such setting"
    if first["type"] == "missing":
        return f"{variable} is not set; expected: {field.description}"
    came = "" if field.annotation is SecretStr else f", got {first['input']!r}"
    return f"{variable}: {message}{came}"
