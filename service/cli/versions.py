"""Published versions: as people name them on the command line, and `exportgate policy list`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from service.cli.connect import ledger, run
from service.cli.output import AsJson, Misuse, clock, emit, say, say_table, warn
from service.ledger.engine import Tx
from service.ledger.policies import (
    SHORTEST,
    Activation,
    Cancellation,
    Published,
    list_activations,
    list_cancellations,
    list_policies,
    policy_document,
    read_pin,
)
from service.ledger.signers import (
    Waiting,
    awaiting_countersignature,
    signatures_demanded,
)
from service.policies.approval import Approval, Judges, approvals, read_judges
from service.policies.refusal import PolicyRefused, suggestion

Version = Annotated[
    str,
    typer.Argument(metavar="VERSION", help=f"A version, or the first digits of its sha256, {SHORTEST} at least."),
]
NOBODY_SIGNS = (
    "Nobody's signature is demanded yet, since there is no list of signers; see: exportgate policy signers --help"
)
_FIRST = "exportgate policy publish deploy/policies/baseline-2026-02.yaml --by NAME"


async def find_version(tx: Tx, version: str) -> tuple[bytes, bytes]:
    """(sha256, document) of a published version, named so or by its sha256. Misuse when there is none, or several."""
    found = await policy_document(tx, version)
    if found is None:
        policies = await list_policies(tx)
        meant = [one for one in policies if version in {one.version, one.sha256.hex()[: max(len(version), SHORTEST)]}]
        if len(meant) > 1:
            raise Misuse(
                f"'{version}' may be any of {len(meant)} versions; give the whole sha256: exportgate policy list --json"
            )
        known = [one.version for one in policies]
        raise Misuse(f"no version '{version}' is published{suggestion(version, known)}; see: exportgate policy list")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spell:
    """One activation, and when another took over; `end` is None for what comes last."""

    activation: Activation
    end: datetime | None
    in_force: bool

    def told(self) -> str:
        """From when to when, in a table."""
        start = clock(self.activation.effective_at)
        period = f"{start} to {clock(self.end)}" if self.end else f"from {start}"
        return f"NOW: {period}" if self.in_force else period


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """All versions and what was done with them. `signers` says who signed each version, by its sha256."""

    policies: Sequence[Published]
    spells: Sequence[_Spell]
    cancelled: Mapping[datetime, Activation]
    cancellations: Sequence[Cancellation]
    signers: Mapping[bytes, Approval]
    waiting: Sequence[Waiting]
    is_demanded: bool

    def spells_of(self, sha256: bytes) -> list[_Spell]:
        """When this version was in force."""
        return [one for one in self.spells if one.activation.policy_sha256 == sha256]

    def due(self, sha256: bytes) -> Waiting | None:
        """The countersignature that this version waits for."""
        return next((one for one in self.waiting if one.policy_sha256 == sha256), None)


def list_versions(*, as_json: AsJson = False) -> None:
    """List every published version, who signed it, and from when to when it was in force, the latest first.

    Who has signed and does not count now stands in brackets, with the reason.
    """
    known = run(_list())
    if as_json:
        for one in known.policies:
            emit(_as_json(one, known))
        return
    rows = [
        [
            one.name,
            one.version,
            one.sha256.hex()[:12],
            f"{clock(one.published_at)} by {one.published_by}",
            known.signers[one.sha256].told() if one.sha256 in known.signers else "-",
            "; ".join(_state(one, known)),
        ]
        for one in known.policies
    ]
    nothing = f"No policy is published. Begin with:\n  {_FIRST}"
    say_table(["policy", "version", "sha256", "published", "signed by", "in force"], rows, none=nothing)
    if rows and not known.is_demanded:
        say(NOBODY_SIGNS)


def _as_json(one: Published, known: _Known) -> dict[str, object]:
    due, signed = known.due(one.sha256), known.signers.get(one.sha256)
    return {
        "name": one.name,
        "version": one.version,
        "sha256": one.sha256,
        "in_force": one.in_force,
        "published_by": one.published_by,
        "published_at": one.published_at,
        "signed_by": signed.names if signed else (),
        "signatures_that_do_not_count": [{"name": name, "why": why} for name, why in signed.others] if signed else [],
        "signatures_demanded": known.is_demanded,
        "countersignature_due_by": None if due is None else due.due_at,
        "spells": [
            {
                "from": spell.activation.effective_at,
                "to": spell.end,
                "in_force": spell.in_force,
                "by": spell.activation.activated_by,
                "emergency": spell.activation.emergency,
                "rollback": spell.activation.rollback,
            }
            for spell in known.spells_of(one.sha256)
        ],
        "cancelled": [
            {"from": each.effective_at, "by": each.cancelled_by, "reason": each.reason}
            for each in known.cancellations
            if known.cancelled[each.effective_at].policy_sha256 == one.sha256
        ],
    }


def _state(one: Published, known: _Known) -> Iterator[str]:
    yield ", ".join(spell.told() for spell in reversed(known.spells_of(one.sha256))) or "never activated"
    due = known.due(one.sha256)
    if due is not None:
        yield f"EMERGENCY, countersignature due by {clock(due.due_at)}{': OVERDUE' if due.is_overdue else ''}"
    for each in known.cancellations:
        if known.cancelled[each.effective_at].policy_sha256 == one.sha256:
            yield f"cancelled: {clock(each.effective_at)}"


async def _list() -> _Known:
    async with ledger("auditor") as tx:
        activations = await list_activations(tx)
        ends = [one.effective_at for one in activations[1:]]
        cancellations = await list_cancellations(tx)
        every = {one.effective_at: one for one in await list_activations(tx, with_cancelled=True)}
        pin = await read_pin(tx, None)
        return _Known(
            policies=await list_policies(tx),
            spells=[
                _Spell(activation=one, end=end, in_force=one.effective_at == pin.effective_at)
                for one, end in zip(activations, [*ends, None], strict=False)
            ],
            cancelled={one.effective_at: every[one.effective_at] for one in cancellations},
            cancellations=cancellations,
            signers={one.of.sha256: one for one in await _approvals(tx, pin.now)},
            waiting=await awaiting_countersignature(tx),
            is_demanded=await signatures_demanded(tx),
        )


async def _approvals(tx: Tx, at: datetime) -> Sequence[Approval]:
    try:
        return await approvals(tx, await read_judges(tx), at)
    except PolicyRefused as refusal:
        warn(f"warning: {refusal}; see: exportgate replay")
        return await approvals(tx, Judges(), at)
