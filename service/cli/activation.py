"""`exportgate policy activate | rollback | cancel`: what decides, from when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy.exc import IntegrityError

from service.cli.connect import ledger, run, sqlstate
from service.cli.output import AsJson, By, Failed, Misuse, Reason, emit, example, read_time, say, say_command, warn
from service.cli.versions import NOBODY_SIGNS, Version, find_version
from service.cli.words import joined, moment, plural
from service.ledger.policies import list_activations, list_policies
from service.ledger.population import count_standing_approvals
from service.ledger.signers import COUNTERSIGN_WITHIN
from service.policies import PolicyRefused
from service.policies.lifecycle import Activated, activate, cancel

ACTIVATE_EXAMPLE = example(
    'exportgate policy activate 2026-06-12 --by bob --reason "letter received" --at 2026-06-12T21:21:00Z'
)
ROLLBACK_EXAMPLE = example('exportgate policy rollback --to 2026-06-12 --by bob --reason "the carve-out was misread"')
CANCEL_EXAMPLE = example('exportgate policy cancel 2026-12-01T00:00:00Z --by bob --reason "the date was moved"')
_UNIQUE = "23505"

Emergency = Annotated[
    bool, typer.Option("--emergency", help="One signature is enough; an alarm stands until another follows.")
]
At = Annotated[str | None, typer.Option("--at", metavar="RFC3339", help="From when; now when left out.")]


@dataclass(frozen=True, slots=True)
class InForce:
    """From when a version is in force, and until when which other version takes over; None when none is to come."""

    version: str
    sha256: bytes
    activated: Activated
    end: datetime | None
    followed_by: str | None

    @property
    def due(self) -> datetime | None:
        """Until when another person must countersign; None when nobody must."""
        return self.activated.effective_at + COUNTERSIGN_WITHIN if self.activated.emergency else None


def activate_version(
    version: Version,
    by: By,
    reason: Reason,
    at: At = None,
    *,
    emergency: Emergency = False,
    as_json: AsJson = False,
) -> None:
    """Put a published version in force, now or at a time to come; events are decided by it from then on.

    It needs the signatures of two people who are not its author, once there is a list of signers.
    """
    when = None if at is None else read_time(at, "--at")
    spell = run(_activate(version, when, by, reason, emergency=emergency))
    _tell(spell, emergency=emergency, is_planned=when is not None, as_json=as_json)


def rollback(
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="The version that was in force before.")],
    by: By,
    reason: Reason,
    at: At = None,
    *,
    emergency: Emergency = False,
    as_json: AsJson = False,
) -> None:
    """Put a version that was in force before in force again. It is a new activation, and needs what any other needs."""
    when = None if at is None else read_time(at, "--at")
    spell = run(_activate(to, when, by, reason, emergency=emergency, rollback=True))
    _tell(spell, emergency=emergency, is_planned=when is not None, as_json=as_json)


def cancel_activation(
    begins: Annotated[
        str, typer.Argument(metavar="ACTIVATION-TIME", help="When it was to begin, as `policy list --json` says.")
    ],
    by: By,
    reason: Reason,
    *,
    as_json: AsJson = False,
) -> None:
    """Take back an activation that has not begun. The cancellation is kept for ever."""
    when = read_time(begins, "ACTIVATION-TIME")
    version = run(_cancel(when, by, reason))
    if as_json:
        emit({"version": version, "cancelled": when})
    else:
        say(f"Cancelled: {version} does not come into force at {moment(when)}.")


def _tell(spell: InForce, *, emergency: bool, is_planned: bool, as_json: bool) -> None:
    activated, start, signed_by = spell.activated, spell.activated.effective_at, spell.activated.signed_by
    if as_json:
        emit({"version": spell.version, "sha256": spell.sha256, "stored": activated.is_new, "in_force_from": start,
              "in_force_until": spell.end, "followed_by": spell.followed_by, "signed_by": signed_by,
              "emergency": activated.emergency, "countersignature_due_by": spell.due})  # fmt: skip
        return
    end = "" if spell.end is None else f" until {moment(spell.end)}, when {spell.followed_by} takes over"
    if not activated.is_new:
        when = "is to be in force then" if is_planned else "is in force"
        say(f"{spell.version} {when} already, since {moment(start)}{end}. Nothing was stored.")
        return
    say(f"{spell.version} {'will be' if is_planned else 'is'} in force from {moment(start)}{end}.")
    say(NOBODY_SIGNS if signed_by is None else f"Signed by {joined(signed_by)}.")
    if is_planned:
        say("Until it begins it can be taken back:")
        begins = start.isoformat().replace("+00:00", "Z")
        say_command(f"exportgate policy cancel {begins} --by NAME --reason TEXT")
    else:
        say(f"What was decided before stands until something new comes about it{_approvals()}. Whom it would change:")
        say_command(f"exportgate policy simulate {spell.version} --samples 1000 --json")
    if spell.due is not None:
        warn(
            f"EMERGENCY: one signature only. Another person must countersign by {moment(spell.due)}, or an alarm "
            f"stands: exportgate policy sign {spell.version} --by NAME --key FILE"
        )
    elif emergency:
        warn(
            f"note: --emergency was not needed: {joined(signed_by or ())} have signed. It is stored as an ordinary "
            "activation."
        )


def _approvals() -> str:
    """How many approvals stand. Nothing where that cannot be read now: the activation stands all the same."""
    try:
        count = run(_count_approvals())
        return f"; {plural(count, 'approval stands', 'approvals stand')}"
    except Failed:
        return ""


async def _count_approvals() -> int:
    # Not while the lanes are held: counting takes a while, and everybody would wait.
    async with ledger("policy_officer") as tx:
        return await count_standing_approvals(tx)


async def _activate(
    version: str, at: datetime | None, by: str, reason: str, *, emergency: bool = False, rollback: bool = False
) -> InForce:
    try:
        async with ledger("policy_officer") as tx:
            sha256, _ = await find_version(tx, version)
            activated = await activate(
                tx, sha256=sha256, at=at, activated_by=by, reason=reason, emergency=emergency, rollback=rollback
            )
            later = [one for one in await list_activations(tx) if one.effective_at > activated.effective_at]
            versions = {one.sha256: one.version for one in await list_policies(tx)}
            end, follower = (later[0].effective_at, versions[later[0].policy_sha256]) if later else (None, None)
            return InForce(versions[sha256], sha256, activated, end, follower)
    except PolicyRefused as refusal:
        raise (Failed if at is None else Misuse)(str(refusal)) from None
    except IntegrityError as error:
        if sqlstate(error) != _UNIQUE:
            raise
        raise Misuse(
            f"another activation is noted for exactly {at}, and one that was cancelled keeps its instant; "
            "choose one a microsecond later"
        ) from None


async def _cancel(begins: datetime, by: str, reason: str) -> str:
    try:
        async with ledger("policy_officer") as tx:
            return await cancel(tx, effective_at=begins, cancelled_by=by, reason=reason)
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None
