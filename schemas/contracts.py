"""Events about contracts (topic contracts.v1). What is absent is unknown, never a default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.parties import Items, Parties
from schemas.values import Amount, Assurances, Day, Identifier, Input, Name, Places, Version, Word


class EndUseStatement(Input):
    """A statement by the end user about what it will do (15 CFR 744.15, 748.11)."""

    kind: Word = Field(description="What paper it is, such as `uvl_statement`, `bis_711`, `contract_clause`.")
    signatory: Name | None = Field(default=None, description="Who signed; null: unsigned or not stated.")
    signed_on: Day | None = Field(default=None, description="When; null: unsigned or not stated.")
    end_uses: Annotated[list[Word], Field(max_length=100)] | None = Field(
        default=None, description="End uses stated; null: not stated."
    )
    countries: Places | None = Field(default=None, description="Countries of use stated; null: not stated.")


class ClaimedAuthorization(Input):
    """An authorization the sender says to hold. A claim never waives anything; only a registered one does."""

    kind: Literal["license", "exception", "general_license", "carve_out"] = Field(description="What is claimed.")
    number: Identifier | None = Field(default=None, description="License number or symbol; null: not stated.")


class ContractData(Input):
    """The current picture: contract.signed.v1, .amended.v1 and .renewed.v1.

    What is null takes nothing back that was told before, `items` apart.
    """

    contract_id: Identifier = Field(description="Unique within the account.")
    account_id: Identifier = Field(description="The account it belongs to; also the record key.")
    version: Version = Field(description="Grows with each event of this contract.")
    value: Amount | None = Field(default=None, description="Total value in `currency`; null: not stated.")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        default=None, description="ISO 4217 code; null: not stated."
    )
    starts_on: Day | None = Field(default=None, description="First day of the term; null: not stated.")
    ends_on: Day | None = Field(default=None, description="Last day of the term; null: open or not stated.")
    deliver_to: Places | None = Field(default=None, description="Delivery destinations; null: not stated.")
    end_users: Parties | None = Field(default=None, description="Who will use it (748.5(f)); null: not stated.")
    intermediaries: Parties | None = Field(
        default=None,
        description="Resellers and other intermediaries in order from us to the end user; null: not stated.",
    )
    end_use_statement: EndUseStatement | None = Field(default=None, description="null: no statement received.")
    end_uses: Annotated[list[Word], Field(max_length=100)] | None = Field(
        default=None, description="Declared end uses of this contract; null or []: those of the account."
    )
    claimed_authorizations: Annotated[list[ClaimedAuthorization], Field(max_length=50)] | None = Field(
        default=None, description="Authorizations claimed, never a waiver by themselves; null: not stated."
    )
    items: Items | None = Field(
        default=None, description="Contracted items; null: those of the account; []: held, as nothing is asked."
    )
    assurance: Assurances | None = Field(
        default=None, description="Field name of this event -> how it is known; not named: declared."
    )


class ContractTerminated(Input):
    """contract.terminated.v1: the contract is over; its approval ends."""

    contract_id: Identifier = Field(description="Unique within the account.")
    account_id: Identifier = Field(description="The account it belonged to; also the record key.")
    version: Version = Field(description="Grows with each event of this contract.")
    reason: Word | None = Field(default=None, description="Why, as a code of the sender; null: not stated.")
