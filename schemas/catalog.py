"""Which model an event type's `data` has, and the model of each whole event."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, create_model

from schemas.accounts import AccountClosed, AccountData, AccountFlagged, UserData, UserLeft
from schemas.contracts import ContractData, ContractTerminated
from schemas.decisions import DecisionData, EndedData, StatusData
from schemas.envelope import TYPE, InputEnvelope, OutputEnvelope
from schemas.operations import (
    NoticeData,
    PolicyActivatedData,
    PolicyCancelledData,
    QuarantinedData,
    ReevaluationFinishedData,
)
from schemas.reviews import AccessEnforced, LicenseReviewed
from schemas.values import Input, Output

Envelope = TypeVar("Envelope", InputEnvelope, OutputEnvelope)

INPUT_EVENTS: dict[str, type[Input]] = {
    "account.signed_up.v1": AccountData,
    "account.updated.v1": AccountData,
    "account.flagged.v1": AccountFlagged,
    "account.closed.v1": AccountClosed,
    "user.joined.v1": UserData,
    "user.updated.v1": UserData,
    "user.left.v1": UserLeft,
    "contract.signed.v1": ContractData,
    "contract.amended.v1": ContractData,
    "contract.renewed.v1": ContractData,
    "contract.terminated.v1": ContractTerminated,
    "license.reviewed.v1": LicenseReviewed,
    "access.enforced.v1": AccessEnforced,
}
"""Input event type -> model of its `data`; every one has an `account_id`."""

OUTPUT_EVENTS: dict[str, type[Output]] = {
    "license.approved.v1": DecisionData,
    "license.held.v1": DecisionData,
    "license.denied.v1": DecisionData,
    "license.ended.v1": EndedData,
    "license.status.v1": StatusData,
    "license.quarantined.v1": QuarantinedData,
    "license.notice.v1": NoticeData,
    "policy.activated.v1": PolicyActivatedData,
    "policy.cancelled.v1": PolicyCancelledData,
    "reevaluation.finished.v1": ReevaluationFinishedData,
}
"""Output event type -> model of its `data`."""

EventData = (
    AccountData
    | AccountFlagged
    | AccountClosed
    | UserData
    | UserLeft
    | ContractData
    | ContractTerminated
    | LicenseReviewed
    | AccessEnforced
)
"""The data of any input event; a `match` over it ends in `assert_never`."""


def input_event(event_type: str) -> type[InputEnvelope]:
    """The model of a whole input event, envelope and data; KeyError when there is no such type."""
    return _whole(InputEnvelope, event_type, INPUT_EVENTS[event_type])


def output_event(event_type: str) -> type[OutputEnvelope]:
    """The model of a whole output event, envelope and data; KeyError when there is no such type."""
    return _whole(OutputEnvelope, event_type, OUTPUT_EVENTS[event_type])


def _whole(envelope: type[Envelope], event_type: str, data: type[Input | Output]) -> type[Envelope]:
    the_type: Any = Literal[event_type]  # mypy knows Literal only with its value spelled out.
    return create_model(
        event_type,
        __base__=envelope,
        __doc__=data.__doc__,
        type=(the_type, Field(description=TYPE)),
        data=(data, Field(description="What happened.")),
    )
