"""`exportgate policy`: publish, activate, look at and test the law as it is decided by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import IntegrityError

from service.cli import vocabulary
from service.cli.connect import ledger, run, sqlstate
from service.cli.diff import EXAMPLE as DIFF_EXAMPLE
from service.cli.diff import diff_policies
from service.cli.documents import all_hold, changed_cases, check_documents, load, warn_of
from service.cli.lint import lint_documents
from service.cli.new import EXAMPLE as NEW_EXAMPLE
from service.cli.new import new
from service.cli.output import (
    AsJson,
    By,
    Failed,
    Misuse,
    Reason,
    clock,
    emit,
    emit_bytes,
    example,
    say,
    say_table,
    warn,
)
from service.cli.precheck import EXAMPLE as PRECHECK_EXAMPLE
from service.cli.precheck import precheck
from service.cli.simulate import EXAMPLE as SIMULATE_EXAMPLE
from service.cli.simulate import simulate_policy
from service.cli.words import moment, plural
from service.ledger.engine import Tx
from service.ledger.policies import (
    Activation,
    Published,
    list_activations,
    list_policies,
    policy_document,
    resolved_policy,
)
from service.policies import LoadedPolicy, PolicyRefused
from service.policies.cases import run_cases
from service.policies.lifecycle import activate as activate_policy
from service.policies.lifecycle import publish as publish_policy
from service.policies.lint import errors
from service.policies.model import read_instant
from service.policies.refusal import suggestion

app = typer.Typer(help="Publish, activate, show and test policy versions.")
app.command("facts", short_help="Print every fact a policy may ask for.", epilog=example("exportgate policy facts"))(
    vocabulary.facts
)
app.command(
    "test", short_help="Check documents and run their cases.", epilog=example("exportgate policy test deploy/policies")
)(check_documents)
app.command("diff", short_help="Show what two versions decide differently.", epilog=DIFF_EXAMPLE)(diff_policies)
app.command("new", short_help="Begin a version.", epilog=NEW_EXAMPLE)(new)
app.command("precheck", short_help="Decide and explain a prospect.", epilog=PRECHECK_EXAMPLE)(precheck)
app.command("simulate", short_help="Decide all again under a candidate.", epilog=SIMULATE_EXAMPLE)(simulate_policy)

app.command(
    "lint",
    short_help="Find what a document cannot mean.",
    epilog=example("exportgate policy lint deploy/policies"),
)(lint_documents)

Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version, or its sha256.")]
_UNIQUE = "23505"
_SHA256_LENGTH = 64


@app.command(
    short_help="Store a version whose golden cases hold.",
    epilog=example("exportgate policy publish deploy/policies/baseline-2026-02.yaml --by ann"),
)
def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The document; parents and catalogue lie beside it.")],
    by: By,
    *,
    as_json: AsJson = False,
) -> None:
    """Store a version whose golden cases all hold. Nothing is decided by it until it is activated."""
    loaded = load(file)
    failures = [result.failure for result in run_cases(loaded.policy, loaded.cases) if result.failure is not None]
    if failures:
        for failure in failures:
            warn(failure)
        cases = plural(len(loaded.cases), "case")
        raise Failed(f"not published: {len(failures)} of {cases} of {file.name} fail; correct the rules or the cases")
    _refuse_lint_errors(file, loaded)
    changed = changed_cases(file, loaded)
    before = run(_publish(loaded, by))
    policy = loaded.policy
    if not as_json:
        warn_of(loaded, changed)
    if as_json:
        emit({"name": policy.name, "version": policy.version, "sha256": policy.sha256, "stored": before is None,
              "cases": len(loaded.cases), "changed_parent_cases": changed})  # fmt: skip
    elif before is None:
        say(
            f"Published {policy.name} {policy.version} ({policy.sha256}); {all_hold(len(loaded.cases))}.\n"
            f"Nothing is decided by it yet: exportgate policy activate {policy.version} --by NAME --reason TEXT"
        )
    else:
        how = "exactly as it stands" if before == loaded.document else "with the same meaning"
        say(f"{policy.name} {policy.version} was published before, {how} ({policy.sha256}).")


@app.command(
    short_help="Put a version in force, now or later.",
    epilog=example(
        'exportgate policy activate 2026-06-12 --by bob --reason "letter received" --at 2026-06-12T21:21:00Z'
    ),
)
def activate(
    version: Version,
    by: By,
    reason: Reason,
    at: Annotated[str | None, typer.Option(metavar="RFC3339", help="From when; now when left out.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Put a published version in force, now or at a time to come; events are decided by it from then on."""
    when = None if at is None else _instant(at)
    spell = run(_activate(version, when, by, reason))
    if as_json:
        emit({"version": version, "sha256": spell.sha256, "in_force_from": spell.start, "in_force_until": spell.end,
              "followed_by": spell.followed_by})  # fmt: skip
        return
    end = "" if spell.end is None else f" until {moment(spell.end)}, when {spell.followed_by} takes over"
    later = "" if when is None else " It cannot be taken back, but another activation that begins later supersedes it."
    say(f"{version} is in force from {moment(spell.start)}{end}.{later}")


@app.command("list", short_help="List versions and when they were in force.", epilog=example("exportgate policy list"))
def list_(*, as_json: AsJson = False) -> None:
    """List every published version, and from when to when it was in force."""
    policies, activations = run(_list())
    spells = _spells(activations)
    if as_json:
        for one in policies:
            mine = [{"from": start, "to": end, "by": by} for sha256, start, end, by in spells if sha256 == one.sha256]
            emit({"name": one.name, "version": one.version, "sha256": one.sha256, "in_force": one.in_force,
                  "published_by": one.published_by, "published_at": one.published_at, "spells": mine})  # fmt: skip
        return
    rows = [
        [
            one.name,
            one.version,
            one.sha256.hex()[:12],
            f"{clock(one.published_at)} by {one.published_by}",
            _state(one, spells),
        ]
        for one in policies
    ]
    first = "exportgate policy publish deploy/policies/baseline-2026-02.yaml --by NAME"
    nothing = f"No policy is published. Begin with:\n  {first}"
    say_table(["policy", "version", "sha256", "published", "in force"], rows, none=nothing)


@app.command(
    short_help="Print a version as it was published.", epilog=example("exportgate policy show 2026-06-12 --resolved")
)
def show(
    version: Version,
    *,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="The hashed form: JSON, parents, groups and catalogue written out.")
    ] = False,
) -> None:
    """Print a published version, byte for byte as it was published."""
    emit_bytes(run(_show(version, resolved=resolved)))


def _refuse_lint_errors(file: Path, loaded: LoadedPolicy) -> None:
    found = errors(loaded)
    for finding in found:
        warn(f"error: {finding}")
    if found:
        raise Failed(f"not published: {plural(len(found), 'error')} in {file.name}; see: exportgate policy lint --help")


def _instant(text: str) -> datetime:
    try:
        return read_instant(text)
    except ValueError as error:
        raise Misuse(f"--at: {error}") from None


async def _publish(loaded: LoadedPolicy, by: str) -> bytes | None:
    """Store a version; the document it was published with before, None when it is new."""
    try:
        async with ledger("policy_officer") as tx:
            is_new = await publish_policy(
                tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by=by
            )
            return None if is_new else (await _find(tx, loaded.policy.sha256))[1]
    except IntegrityError as error:
        if sqlstate(error) != _UNIQUE:
            raise
        version = loaded.policy.version
        raise Failed(
            f"version {version} is published already with other content, and never changes; "
            "give this one a version of its own"
        ) from None


@dataclass(frozen=True, slots=True)
class _InForce:
    """From when a version is in force, and until when which other version takes over; None when none is to come."""

    sha256: bytes
    start: datetime
    end: datetime | None
    followed_by: str | None


async def _activate(version: str, at: datetime | None, by: str, reason: str) -> _InForce:
    try:
        async with ledger("policy_officer") as tx:
            sha256, _ = await _find(tx, version)
            start = await activate_policy(tx, sha256=sha256, at=at, activated_by=by, reason=reason)
            later = [one for one in await list_activations(tx) if one.effective_at > start]
            if not later:
                return _InForce(sha256, start, None, None)
            versions = {one.sha256: one.version for one in await list_policies(tx)}
            return _InForce(sha256, start, later[0].effective_at, versions[later[0].policy_sha256])
    except PolicyRefused as refusal:
        raise (Failed if at is None else Misuse)(str(refusal)) from None
    except IntegrityError as error:
        if sqlstate(error) != _UNIQUE:
            raise
        raise Misuse(f"another version comes into force at exactly {at}; choose another time") from None


async def _find(tx: Tx, version: str) -> tuple[bytes, bytes]:
    found = None if _is_odd_hash(version) else await policy_document(tx, version)
    if found is None:
        known = [one.version for one in await list_policies(tx)]
        raise Misuse(f"no version '{version}' is published{suggestion(version, known)}; see: exportgate policy list")
    return found


def _is_odd_hash(version: str) -> bool:
    return len(version) == _SHA256_LENGTH and any(letter not in "0123456789abcdef" for letter in version)


async def _list() -> tuple[Sequence[Published], Sequence[Activation]]:
    async with ledger("auditor") as tx:
        return await list_policies(tx), await list_activations(tx)


async def _show(version: str, *, resolved: bool) -> bytes:
    async with ledger("auditor") as tx:
        sha256, document = await _find(tx, version)
        return await resolved_policy(tx, sha256) + b"\n" if resolved else document


Spell = tuple[bytes, datetime, datetime | None, str]
"""(sha256, from, to, activated by); `to` is None for what comes last."""


def _spells(activations: Sequence[Activation]) -> list[Spell]:
    ends = [one.effective_at for one in activations[1:]]
    return [
        (one.policy_sha256, one.effective_at, end, one.activated_by)
        for one, end in zip(activations, [*ends, None], strict=False)
    ]


def _state(one: Published, spells: Sequence[Spell]) -> str:
    mine = [(start, end) for sha256, start, end, _ in spells if sha256 == one.sha256]
    if not mine:
        return "never activated"
    told = ", ".join(f"{clock(start)} to {clock(end)}" if end else f"from {clock(start)}" for start, end in mine)
    return f"NOW: {told}" if one.in_force else told
