"""The CloudEvents 1.0 envelope in structured JSON mode: what every event has around its data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.values import NO_CONTROL_CHARACTERS, Identifier, Input, Moment, Output, Sha256

CONTENT_TYPE = "application/cloudevents+json"
TYPE = "Event type; its last part is the version of `data`."

Attribute = Annotated[str, StringConstraints(max_length=256, pattern=NO_CONTROL_CHARACTERS)]


class InputEnvelope(Input):
    """What we require of an event that comes in; extension attributes we do not know are ignored."""

    specversion: Literal["1.0"] = Field(description="CloudEvents version.")
    id: Identifier = Field(
        description="Opaque, unique within `source`, compared byte for byte; "
        "the same id with other bytes is a conflict."
    )
    source: Identifier = Field(description="URI reference of the producer, such as `/crm`.")
    type: Identifier = Field(description=TYPE)
    time: Moment = Field(
        description="When it happened (RFC 3339 with offset, years 2000 to 2099). "
        "Late is a backlog; the future is suspicious and holds."
    )
    subject: Attribute | None = Field(default=None, description="CloudEvents subject; informative, not decided on.")
    datacontenttype: Attribute | None = Field(default=None, description="Media type of `data`; JSON is assumed.")
    env: Attribute | None = Field(
        default=None,
        description="Extension: the environment the event was made for; another than ours is quarantined.",
    )
    data: Input = Field(description="What happened; its model goes with `type`.")


class OutputEnvelope(Output):
    """What we put around an event that goes out."""

    specversion: Literal["1.0"] = Field(description="CloudEvents version.")
    id: Identifier = Field(description="Deduplicate on it: publication is at least once, with the same id and bytes.")
    source: Identifier = Field(description="This installation of exportgate.")
    type: Identifier = Field(description=TYPE)
    time: Moment = Field(description="When the entry was journaled, by the database's clock.")
    subject: Identifier | None = Field(default=None, description="The subject id, where the event has a subject.")
    datacontenttype: Literal["application/json"] = Field(
        default="application/json", description="Media type of `data`."
    )
    env: Attribute | None = Field(default=None, description="Extension: the environment that decided.")
    lane: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Extension: the lane of the journal; null outside the journal.",
    )
    seq: int | None = Field(
        default=None, ge=0, le=2**53 - 1, description="Extension: position in the lane, without gaps."
    )
    leaf: Sha256 | None = Field(
        default=None, description="Extension: sha256(0x00 + the bytes of `data`), the leaf of the audit log."
    )
    data: Output = Field(description="What happened; its model goes with `type`.")
