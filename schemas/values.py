"""The value types that every event shares, so that one bound holds for the same thing everywhere.

All strings refuse control characters (C0, DEL, C1): PostgreSQL refuses U+0000, and the others forge log lines
and terminals. There are no floats: a decimal is a JSON string. "1", true and 1.0 are no integers.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f-\x9f]*$"
MAX_IDENTIFIER_BYTES = 256
MAX_INTEGER = 2**53 - 1  # The largest integer that every JSON reader keeps exactly (RFC 8259 section 6).


class Input(BaseModel):
    """What others send us: unknown fields are ignored (producers may grow), wrong types are refused."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class Output(BaseModel):
    """What we publish: unknown fields are refused, so that nothing leaves unannounced."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Written:
    """Marks a value that travels as a JSON string of exactly this form, checked before it is understood.

    Without it pydantic reads "1700000000" as a time even in strict mode, and numbers as decimals.
    """

    def __init__(self, *, form: str, meaning: CoreSchema, python: type, name: str | None = None) -> None:
        """Accept text of this `form` that `meaning` understands; `name` is the JSON Schema format."""
        self._text = core_schema.chain_schema([core_schema.str_schema(pattern=form, strict=True), meaning])
        self._instance = core_schema.chain_schema([core_schema.is_instance_schema(python), meaning])
        self._published = {"type": "string", "pattern": form} | ({"format": name} if name else {})

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read JSON as text only; in Python take the value itself as well, since output is built there."""
        return core_schema.json_or_python_schema(
            json_schema=self._text, python_schema=core_schema.union_schema([self._instance, self._text])
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, object]:
        """Publish the form."""
        return dict(self._published)


def _decimal(*, digits: int, places: int) -> Written:
    """No exponent, no NaN, no plus sign. Negative is readable: the policy judges it."""
    form = rf"^-?[0-9]{{1,{digits}}}(\.[0-9]{{1,{places}}})?$"
    return Written(form=form, meaning=core_schema.decimal_schema(strict=False), python=Decimal)


def _at_most_256_bytes(value: str) -> str:
    if not value.isascii() and len(value.encode()) > MAX_IDENTIFIER_BYTES:
        raise PydanticCustomError("identifier_too_long", "Identifier should have at most 256 bytes of UTF-8")
    return value


Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_IDENTIFIER_BYTES, pattern=NO_CONTROL_CHARACTERS),
    AfterValidator(_at_most_256_bytes),
]
"""An opaque id, compared byte for byte: 1 to 256 bytes of UTF-8, no control characters."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_CONTROL_CHARACTERS)]
"""A short word or code."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NO_CONTROL_CHARACTERS)]
"""A name of a person or body, as written by its bearer, in any script."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=NO_CONTROL_CHARACTERS)]
"""One paragraph for people; no line breaks."""

Place = Annotated[str, StringConstraints(max_length=16, pattern=NO_CONTROL_CHARACTERS)]
"""ISO 3166-1 alpha-2 in upper case ("GB"), or with an ISO 3166-2 region ("UA-43"). A code that does not exist
is readable: it becomes a hold for the customer to mend, not an unreadable event."""

Places = Annotated[list[Place], Field(max_length=300)]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

Percent = Annotated[Decimal, _decimal(digits=6, places=18)]
"""Percent as a decimal string: "49.99" is 49.99 %. Below 0 or above 100 is readable, a contradiction."""

Amount = Annotated[Decimal, _decimal(digits=18, places=6)]
"""An amount of money or volume as a decimal string."""

Version = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
"""Grows with each event of the same subject; gaps are allowed."""

Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]


Moment = Annotated[
    datetime,
    Written(
        form=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
        meaning=core_schema.datetime_schema(
            strict=False,
            tz_constraint="aware",
            ge=datetime(2000, 1, 1, tzinfo=UTC),
            lt=datetime(2100, 1, 1, tzinfo=UTC),
        ),
        python=datetime,
        name="date-time",
    ),
]
"""A point in time, RFC 3339 with an offset, in the years 2000 to 2099."""

Day = Annotated[
    date,
    Written(
        form=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        meaning=core_schema.date_schema(strict=False, ge=date(1850, 1, 1), lt=date(2200, 1, 1)),
        python=date,
        name="date",
    ),
]
"""A calendar day, YYYY-MM-DD, from 1850 to 2199."""

Assurances = Annotated[
    dict[Word, Literal["declared", "documented", "verified"]],
    Field(max_length=100),
]
"""Field name -> how the fact is known. A field that is not named is `declared`."""
