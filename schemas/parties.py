"""Persons, bodies and items: the parts that accounts, users and contracts share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.values import Amount, Day, Identifier, Input, Name, Place, Places, Word

PartyRole = Literal[
    "applicant",
    "other_authorized_party",
    "purchaser",
    "intermediate_consignee",
    "ultimate_consignee",
    "end_user",
    "reseller",
    "owner",
    "director",
    "beneficial_owner",
]


class PartyIdentifier(Input):
    """A number or code under which somebody registered the party."""

    kind: Word = Field(description="Which register, such as `lei`, `vat`, `passport`, `company_number`.")
    value: Name = Field(description="The number or code as registered.")


class Party(Input):
    """A person or body that takes part (15 CFR 748.5, and owners, directors and beneficial owners)."""

    party_id: Identifier | None = Field(
        default=None, description="Handle by which `ownership` refers to this party; null: only by its name."
    )
    role: PartyRole = Field(description="Role per 15 CFR 748.5(a)-(f), or reseller, owner, director, beneficial owner.")
    name: Name = Field(description="Name as written by its bearer; it is screened against the lists in force.")
    aliases: Annotated[list[Name], Field(max_length=50)] | None = Field(
        default=None, description="Other names; null: not stated, []: stated to have none."
    )
    kind: Literal["individual", "organization", "government"] | None = Field(
        default=None, description="null: not stated, so it is screened as any kind."
    )
    countries: Places | None = Field(
        default=None,
        description="Of an individual: nationalities. Of any other: where it is registered and sits. null: not stated.",
    )
    located_in: Place | None = Field(
        default=None,
        description="Country or region of its address. Nationality is no place, so of an individual only this is one. "
        "null: not stated.",
    )
    birth_date: Day | None = Field(default=None, description="Of an individual; null: not stated.")
    identifiers: Annotated[list[PartyIdentifier], Field(max_length=50)] | None = Field(
        default=None, description="Register entries; null: not stated."
    )
    address_kind: Word | None = Field(
        default=None,
        description="What stands at its address, such as `office`, `residential`, `registered_agent`, "
        "`mail_drop`, `high_risk_listed` (15 CFR part 732, Supplement 3); null: not stated.",
    )


Parties = Annotated[list[Party], Field(max_length=200)]


class Item(Input):
    """One thing asked for: a model and its delivery. What it *is* stands in the policy's catalogue."""

    model: Identifier = Field(description="Model id of the catalogue, such as `fable-5`.")
    delivery: Literal["api", "weights", "fine_tuning", "compute"] = Field(description="How it reaches the customer.")
    volume: Amount | None = Field(default=None, description="Expected volume per month in tokens; null: not stated.")
    release: Literal["none", "source_code", "technology"] | None = Field(
        default=None,
        description="Whether source code or technology is released (15 CFR 734.13(a)(2)); null: not stated.",
    )


Items = Annotated[list[Item], Field(max_length=500)]


class Residence(Input):
    """A citizenship or permanent residency and its beginning (15 CFR 734.13(b): the most recent counts)."""

    country: Place = Field(description="ISO 3166-1 alpha-2.")
    since: Day | None = Field(default=None, description="First day, none after the event; null: not stated.")


Residences = Annotated[list[Residence], Field(max_length=20)]
