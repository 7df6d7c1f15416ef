"""Events about accounts and their users (topic accounts.v1). What is absent is unknown, never a default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.parties import Items, Parties, Residences
from schemas.values import (
    Assurances,
    Count,
    Day,
    Identifier,
    Input,
    Moment,
    Name,
    Percent,
    Place,
    Text,
    Version,
    Word,
)


class LocationEvidence(Input):
    """One observation of where the account is used from."""

    place: Place = Field(description="Country or region observed, such as `DE` or `UA-43`.")
    source: Word = Field(description="Who observed it, such as `gateway` or `billing`.")
    share: Percent | None = Field(default=None, description="Share of the traffic in percent; null: not measured.")
    days_seen: Count | None = Field(default=None, description="Days with traffic in the last 90; null: not measured.")
    kind: Literal["residential", "business", "mobile", "anonymizer", "cloud"] | None = Field(
        default=None,
        description="Kind of network. `anonymizer` is a VPN, proxy or Tor; `cloud` says where a server is, "
        "not where the user is; null: not known.",
    )


class Ownership(Input):
    """One edge of the ownership graph (OFAC's 50 percent rule; 15 CFR 744.11 affiliates)."""

    owner: Name = Field(description="Owner: a `party_id`, or else a name.")
    owned: Name = Field(description="Owned: a `party_id`, or else a name; the account itself is its `account_id`.")
    percent: Percent | None = Field(default=None, description="Share in percent; null: owner known, share unknown.")
    kind: Literal["equity", "voting", "profit"] = Field(description="What is owned; kinds are never added together.")
    as_of: Day | None = Field(default=None, description="Day the statement is about; null: not stated.")
    source: Word | None = Field(default=None, description="Where it comes from, such as `declared` or `registry`.")


class LinkedAccount(Input):
    """Another account that seems to be the same customer."""

    account_id: Identifier = Field(description="The other account.")
    linked_by: Word = Field(description="By what, such as `payment_card`, `device`, `address`.")


class RedFlagResolution(Input):
    """How a person resolved a red flag."""

    by: Name = Field(description="Who resolved it (id of a member of staff).")
    at: Moment = Field(description="When.")
    how: Text = Field(description="On what ground.")


class RedFlag(Input):
    """A red flag of the BIS "Know Your Customer" guidance (15 CFR part 732, Supplement No. 3)."""

    edition: Word = Field(description="Edition of the guidance, such as `2024-10`.")
    number: int = Field(ge=1, le=1000, description="Number of the flag in that edition.")
    raised_by: Name = Field(description="Who raised it.")
    raised_at: Moment = Field(description="When it was raised.")
    resolution: RedFlagResolution | None = Field(default=None, description="null: still open.")


class AccountData(Input):
    """The current picture of an account: account.signed_up.v1, account.updated.v1.

    What is null takes nothing back that was told before, `items` apart.
    """

    account_id: Identifier = Field(description="Also the record key.")
    version: Version = Field(description="Grows with each event of this account; an older one is kept as stale.")
    legal_name: Name | None = Field(default=None, description="Registered name; null: not stated.")
    trading_names: Annotated[list[Name], Field(max_length=50)] | None = Field(
        default=None, description="Names it trades under; null: not stated, []: none."
    )
    type: Literal["individual", "organization", "government"] | None = Field(
        default=None, description="null: not stated."
    )
    government_function: Literal["armed_forces", "police", "intelligence", "state_owned", "none"] | None = Field(
        default=None,
        description="What a government body does (15 CFR 744.21, 744.22); null: not stated.",
    )
    registered_in: Place | None = Field(default=None, description="Country of registration.")
    organized_in: Place | None = Field(default=None, description="Country under whose law it is organized (772.1).")
    headquartered_in: Place | None = Field(default=None, description="Country of its headquarters.")
    principal_place_in: Place | None = Field(default=None, description="Country of its principal place of business.")
    ultimate_parent_in: Place | None = Field(
        default=None, description="Country of the ultimate parent's headquarters (15 CFR 744.23, 742.6)."
    )
    relation_to_parent: Literal["branch", "subsidiary", "none"] | None = Field(
        default=None, description="What it is of its parent; a branch is the parent. null: not stated."
    )
    billing_in: Place | None = Field(default=None, description="Country of the billing address.")
    payment_in: Place | None = Field(default=None, description="Country of the means of payment.")
    declared_in: Place | None = Field(default=None, description="Where the customer says it uses the service.")
    location_evidence: Annotated[list[LocationEvidence], Field(max_length=500)] | None = Field(
        default=None, description="Where it was seen; null: nothing new, what was told earlier stands."
    )
    parties: Parties | None = Field(
        default=None,
        description="Persons and bodies that take part; null: nothing new, what was told earlier stands.",
    )
    ownership: Annotated[list[Ownership], Field(max_length=5000)] | None = Field(
        default=None,
        description="Ownership edges; null: nothing new, what was told earlier stands; []: none above the threshold.",
    )
    owners_disclosed: bool | None = Field(
        default=None, description="Whether the customer disclosed all its owners; null: not asked."
    )
    end_uses: Annotated[list[Word], Field(max_length=100)] | None = Field(
        default=None, description="Declared end uses (15 CFR part 744); null or []: not stated."
    )
    items: Items | None = Field(
        default=None, description="Requested items; null: every item of the catalogue; []: held, as nothing is asked."
    )
    channel: Literal["direct", "marketplace", "reseller"] | None = Field(
        default=None, description="Through whom it buys; null: not stated."
    )
    end_user_known_to: Literal["provider", "marketplace", "reseller", "nobody"] | None = Field(
        default=None, description="Who knows the end user; null: not stated."
    )
    users_population: Literal["us_only", "mixed", "unknown"] | None = Field(
        default=None, description="Whether only U.S. persons use it; null: not stated."
    )
    users_population_attested_by: Name | None = Field(default=None, description="Who attested it; null: nobody.")
    payment_terms_days: int | None = Field(
        default=None,
        ge=0,
        le=36500,
        description="Payment terms in days (31 CFR part 589, 587 debt directives).",
    )
    linked_accounts: Annotated[list[LinkedAccount], Field(max_length=500)] | None = Field(
        default=None, description="Accounts that seem to be the same customer; null: not looked for."
    )
    red_flags: Annotated[list[RedFlag], Field(max_length=200)] | None = Field(
        default=None,
        description="Red flags raised; null: nothing new. An open one stands until it is stated with a resolution.",
    )
    assurance: Assurances | None = Field(
        default=None, description="Field name of this event -> how it is known; not named: declared."
    )


class AccountFlagged(Input):
    """account.flagged.v1: what the provider's own monitoring saw, or the withdrawal of an earlier flag."""

    account_id: Identifier = Field(description="The account it is about; also the record key.")
    flag_id: Identifier = Field(description="Id of this flag, unique within the account.")
    category: Literal[
        "military_use",
        "cyber_operations",
        "mass_surveillance",
        "resale",
        "location_masking",
        "weapons_of_mass_destruction",
        "other",
    ] = Field(description="What was seen (15 CFR part 744).")
    severity: Literal["low", "medium", "high", "severe"] = Field(description="How grave the reporter finds it.")
    reporter: Name = Field(description="The system or person that reports.")
    evidence_reference: Name | None = Field(default=None, description="Where the evidence lies; never the evidence.")
    withdraws: Identifier | None = Field(
        default=None,
        description="`flag_id` of the flag that this event withdraws, if raised no later; null: a new flag.",
    )
    raised_at: Moment = Field(description="When it was seen, or the withdrawal was made.")


class AccountClosed(Input):
    """account.closed.v1: the account is no more; its approvals end."""

    account_id: Identifier = Field(description="Also the record key.")
    version: Version = Field(description="Grows with each event of this account.")
    reason: Word | None = Field(default=None, description="Why, as a code of the sender; null: not stated.")


class UserData(Input):
    """The current picture of a user (a seat): user.joined.v1, user.updated.v1.

    What is null takes nothing back that was told before, `items` apart.
    """

    user_id: Identifier = Field(description="Unique within the account.")
    account_id: Identifier = Field(description="The account the user belongs to; also the record key.")
    version: Version = Field(description="Grows with each event of this user.")
    name: Name | None = Field(default=None, description="Screened against the lists in force; null: not stated.")
    aliases: Annotated[list[Name], Field(max_length=50)] | None = Field(
        default=None, description="Other names; null: not stated, []: none."
    )
    birth_date: Day | None = Field(default=None, description="null: not stated.")
    citizenships: Residences | None = Field(default=None, description="15 CFR 734.13(b); null: not stated.")
    permanent_residencies: Residences | None = Field(default=None, description="null: not stated, []: none.")
    us_status: Literal["citizen", "permanent_resident", "protected", "none"] | None = Field(
        default=None,
        description="Foreign person or not (15 CFR 772.1; 8 U.S.C. 1324b(a)(3)); null: not stated.",
    )
    located_in: Place | None = Field(default=None, description="Country the user is physically in; null: not known.")
    employer_relation: Literal["employee", "contractor", "other"] | None = Field(
        default=None, description="Relation to the account's holder; null: not stated."
    )
    items: Items | None = Field(
        default=None, description="Items the user asks for; null: those of the account; []: held, as nothing is asked."
    )
    assurance: Assurances | None = Field(
        default=None, description="Field name of this event -> how it is known; not named: declared."
    )


class UserLeft(Input):
    """user.left.v1: the user is no longer of the account; the user's approval ends."""

    user_id: Identifier = Field(description="Unique within the account.")
    account_id: Identifier = Field(description="The account the user belonged to; also the record key.")
    version: Version = Field(description="Grows with each event of this user.")
