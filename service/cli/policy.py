"""`exportgate policy`: publish, activate, look at and test the law as it is decided by."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import IntegrityError

from service.cli import vocabulary
from service.cli.activation import (
    ACTIVATE_EXAMPLE,
    CANCEL_EXAMPLE,
    ROLLBACK_EXAMPLE,
    activate_version,
    cancel_activation,
    rollback,
)
from service.cli.connect import ledger, run, sqlstate
from service.cli.diff import EXAMPLE as DIFF_EXAMPLE
from service.cli.diff import diff_policies
from service.cli.documents import as_expected, changed_cases, check_documents, load, warn_of
from service.cli.lint import lint_documents
from service.cli.new import EXAMPLE as NEW_EXAMPLE
from service.cli.new import new
from service.cli.output import (
    AsJson,
    By,
    Failed,
    emit,
    emit_bytes,
    example,
    say,
    say_command,
    warn,
)
from service.cli.precheck import EXAMPLE as PRECHECK_EXAMPLE
from service.cli.precheck import precheck
from service.cli.shadow import app as shadow_app
from service.cli.signing import KEYGEN_EXAMPLE, SIGN_EXAMPLE, keygen, sign_version, signers_app
from service.cli.simulate import EXAMPLE as SIMULATE_EXAMPLE
from service.cli.simulate import simulate_policy
from service.cli.versions import Version, find_version, list_versions
from service.cli.words import plural
from service.ledger.signers import signatures_demanded
from service.policies import LoadedPolicy, PolicyRefused
from service.policies.cases import run_cases
from service.policies.lifecycle import publish as publish_policy
from service.policies.lint import errors
from service.policies.signers import NEEDED
from service.policies.stored import stored_bytes

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
app.command("list", short_help="List versions and when they were in force.", epilog=example("exportgate policy list"))(
    list_versions
)
app.command("activate", short_help="Put a version in force, now or later.", epilog=ACTIVATE_EXAMPLE)(activate_version)
app.command("rollback", short_help="Go back to a version.", epilog=ROLLBACK_EXAMPLE)(rollback)
app.command("cancel", short_help="Take back an activation that has not begun.", epilog=CANCEL_EXAMPLE)(
    cancel_activation
)
app.command("keygen", short_help="Make a key to sign with.", epilog=KEYGEN_EXAMPLE)(keygen)
app.command("sign", short_help="Approve of a version with your key.", epilog=SIGN_EXAMPLE)(sign_version)
app.add_typer(signers_app, name="signers")
app.add_typer(shadow_app, name="shadow")
app.command("simulate", short_help="Decide all again under a candidate.", epilog=SIMULATE_EXAMPLE)(simulate_policy)

app.command(
    "lint",
    short_help="Find what a document cannot mean.",
    epilog=example("exportgate policy lint deploy/policies"),
)(lint_documents)

_UNIQUE = "23505"


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
    before, demanded = run(_publish(loaded, by))
    policy = loaded.policy
    if not as_json:
        warn_of(loaded, changed)
    if as_json:
        emit({"name": policy.name, "version": policy.version, "sha256": policy.sha256, "stored": before is None,
              "cases": len(loaded.cases), "changed_parent_cases": changed})  # fmt: skip
    elif before is None:
        say(f"Published {policy.name} {policy.version} ({policy.sha256}); {as_expected(loaded.cases)}.")
        what, command = _next_step(policy.version, by, demanded=demanded)
        say(f"Nothing is decided by it yet. {what}")
        say_command(command)
    else:
        how = "exactly as it stands" if before == loaded.document else "with the same meaning"
        say(f"{policy.name} {policy.version} was published before, {how} ({policy.sha256}).")
        say("Who signed it, and whether it is in force:")
        say_command("exportgate policy list")


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


async def _publish(loaded: LoadedPolicy, by: str) -> tuple[bytes | None, bool]:
    """Store a version; the document it was published with before, None when it is new, and whether people must sign."""
    try:
        async with ledger("policy_officer") as tx:
            is_new = await publish_policy(
                tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by=by
            )
            before = None if is_new else (await find_version(tx, loaded.policy.sha256))[1]
            return before, await signatures_demanded(tx)
    except IntegrityError as error:
        if sqlstate(error) != _UNIQUE:
            raise
        version = loaded.policy.version
        raise Failed(
            f"version {version} is published already with other content, and never changes; "
            "give this one a version of its own"
        ) from None


def _next_step(version: str, author: str, *, demanded: bool) -> tuple[str, str]:
    """What is to be done now, and the command for it."""
    if demanded:
        sign = f"exportgate policy sign {version} --by NAME --key FILE"
        return f"Before it can be activated, {NEEDED} signers other than {author} must sign:", sign
    return "To put it in force:", f"exportgate policy activate {version} --by NAME --reason TEXT"


async def _show(version: str, *, resolved: bool) -> bytes:
    async with ledger("auditor") as tx:
        sha256, document = await find_version(tx, version)
        if not resolved:
            return document
        try:
            return await stored_bytes(tx, sha256) + b"\n"
        except PolicyRefused as refusal:
            raise Failed(str(refusal)) from None
