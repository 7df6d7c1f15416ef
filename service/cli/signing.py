"""`exportgate policy keygen | sign | signers`: keys, who may sign, and signing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer

from service.cli.connect import ledger, run
from service.cli.output import AsJson, By, Failed, Misuse, clock, emit, example, say, say_command, say_table, warn
from service.cli.versions import Version, find_version
from service.cli.words import joined, moment
from service.ledger.policies import Published, list_policies
from service.ledger.signers import SignerListRow, list_signer_lists
from service.policies import PolicyRefused
from service.policies.approval import Approval, read_judges
from service.policies.listing import (
    ListSignature,
    less_approved,
    list_changes,
    publish_signers,
    read_list_signature,
    sign_list,
)
from service.policies.refusal import one_line
from service.policies.signatures import PassphraseNeeded, SigningKey, key_text, read_signing_key
from service.policies.signers import NEEDED, SignerList, read_signer_list, stored_signer_list
from service.policies.signing import Signed, sign

KEYGEN_EXAMPLE = example("exportgate policy keygen --name ann --out ann.pem")
SIGN_EXAMPLE = example("exportgate policy sign 2026-06-12 --by ann --key ann.pem")
PUBLISH_EXAMPLE = example(
    "exportgate policy signers publish signers.yaml --by ann --key ann.pem --signature bob.json\n\n"
    "\b\nThe file, with a line for each person:\n"
    '  signers: "2026-06"\n'
    "  people:\n"
    '    - {name: ann, public_key: "ed25519:...", valid_from: "2026-06-01T00:00:00Z", valid_until: null}'
)
SIGN_LIST_EXAMPLE = example("exportgate policy signers sign signers.yaml --key bob.pem > bob.json")
signers_app = typer.Typer(
    help="Say who may sign versions.",
    epilog=example("exportgate policy signers list"),
)


def keygen(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Whose key it is, as given to --by later.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the private key goes; never overwritten.")],
    *,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase that the file needs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key to sign with. The private key goes into a file for its owner's eyes; the public key is printed."""
    secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True) if passphrase else None
    key = SigningKey.new()
    try:
        key.write(out, secret)
    except FileExistsError:
        raise Misuse(f"{out} is there already, and a key is never overwritten; name another file") from None
    except OSError as error:
        raise Misuse(f"{out} cannot be written: {error.strerror}") from None
    public = key_text(key.public)
    if as_json:
        emit({"name": name, "file": str(out), "public_key": public})
        return
    say(f"Wrote the private key of {name} to {out}. Whoever has it signs as {name}: keep it, and give it to nobody.")
    say(f"Its public key, for the list of signers:\n  {public}")


def sign_version(
    version: Version,
    by: By,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Your private key, from `policy keygen`.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Sign a published version: you have read it and approve that it is put in force. Its author cannot."""
    signed, stored = run(_sign(version, by, _read_key(key)))
    of, names = signed.version, signed.approvers
    if as_json:
        emit({"version": of.version, "sha256": of.sha256, "signed_by": names, "needed": NEEDED})
        return
    say(f"{by} has signed {of.name} {of.version} ({of.sha256.hex()}).")
    if len(names) < NEEDED:
        say(f"Signed by {joined(names)}: {NEEDED - len(names)} more must sign before it can be activated, with:")
        say_command(f"exportgate policy sign {of.version} --by NAME --key FILE")
    elif stored.in_force:
        say(f"Signed by {joined(names)}, which is enough. It is in force; an alarm for its emergency has ended.")
    elif stored.effective_at is None:
        say(f"Signed by {joined(names)}, which is enough. To put it in force:")
        say_command(f"exportgate policy activate {of.version} --by NAME --reason TEXT")
    else:
        say(f"Signed by {joined(names)}, which is enough. It was activated before, see `policy list`. To go back:")
        say_command(f"exportgate policy rollback --to {of.version} --by NAME --reason TEXT")


@signers_app.command(
    "publish",
    short_help="Replace the list of those who may sign.",
    epilog=PUBLISH_EXAMPLE,
)
def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The list: name, public key and dates of each person.")],
    by: By,
    signature: Annotated[
        list[Path],
        typer.Option(
            "--signature", metavar="FILE", help="What people have signed elsewhere, by `policy signers sign`."
        ),
    ] = [],  # noqa: B006 -- typer makes a list for each call
    key: Annotated[
        list[Path], typer.Option("--key", metavar="KEYFILE", help="Private keys of people who are here.")
    ] = [],  # noqa: B006 -- as above
    *,
    as_json: AsJson = False,
) -> None:
    """Let a list of signers count from now on. Two people of the list in force sign; of the first list, two of its own.

    From the first list on, nothing is put in force without signatures.
    """
    document, signers = _read_list(file)
    given = [_read_signature(one) for one in signature]
    before, less = run(_publish(signers, document, given, [_read_key(one) for one in key], by))
    if as_json:
        emit({"sha256": signers.sha256, "signers": [one.name for one in signers.signers],
              "replaces": None if before is None else before.sha256,
              "changes": list_changes(before, signers),
              "need_signatures": [{"version": one.of.version, "signed_by": one.names, "in_force": is_in_force}
                                  for one, is_in_force in less]})  # fmt: skip
    else:
        say(f"{joined(one.name for one in signers.signers)} may sign from now on ({signers.sha256.hex()}).")
    if before is None:
        warn(
            "FIRST LIST: nothing vouches for it but the two people who signed, who are on it. Compare every public key "
            f"with its owner now, by another way. From now on every activation needs {NEEDED} signatures."
        )
    _tell_changes(before, signers)
    for approval, is_in_force in less:
        version = approval.of.version
        what = "is in force and goes on deciding, but" if is_in_force else "was signed by enough, but"
        warn(
            f"{version} {what} fewer than {NEEDED} of those who signed count now: {approval.told()}. Before it can be "
            f"activated or gone back to: exportgate policy sign {version} --by NAME --key FILE"
        )
    if len(signers.signers) <= NEEDED:
        warn(
            f"Only {len(signers.signers)} people may sign: neither can be away, and what one of them publishes comes "
            "into force by emergency alone. Name three or more."
        )


@signers_app.command("sign", short_help="Sign for the next list.", epilog=SIGN_LIST_EXAMPLE)
def sign_next(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The list that is to replace the one in force.")],
    key: Annotated[Path, typer.Option("--key", metavar="KEYFILE", help="Your private key, which stays with you.")],
) -> None:
    """Sign for a list of signers, to be published by somebody else: what is printed holds no secret.

    What the list changes against the one in force is told on stderr: do not hand on what you did not want to sign.
    """
    _, signers = _read_list(file)
    signature, before = run(_sign_list(signers, _read_key(key)))
    _tell_changes(before, signers)
    emit(signature.as_json())


@signers_app.command(
    "list", short_help="List those who may sign.", epilog=example("exportgate policy signers list --json")
)
def list_(*, as_json: AsJson = False) -> None:
    """List the people of the list of signers that counts now, with their keys and dates, and who signed for it."""
    rows = run(_list())
    if not rows:
        if not as_json:
            say("Nobody's signature is demanded yet: there is no list of signers.")
        return
    row, signers = rows[-1], stored_signer_list(rows[-1].resolved)
    signed_by = [one["name"] for one in orjson.loads(row.signatures)["signers"]]
    if as_json:
        of = {"title": signers.title, "sha256": row.sha256, "signed_by": signed_by, "published_by": row.published_by,
              "published_at": row.published_at}  # fmt: skip
        for one in signers.signers:
            emit({"name": one.name, "public_key": key_text(one.public_key), "valid_from": one.valid_from,
                  "valid_until": one.valid_until, "list": of})  # fmt: skip
        return
    say(
        f"List {one_line(signers.title)} ({row.sha256.hex()}), signed by {joined(signed_by)}, published by "
        f"{row.published_by} on {moment(row.published_at)}."
    )
    cells = [
        [one.name, key_text(one.public_key), clock(one.valid_from), clock(one.valid_until)] for one in signers.signers
    ]
    say_table(["name", "public key", "from", "until"], cells, none="")


def _tell_changes(before: SignerList | None, after: SignerList) -> None:
    against = "the first list" if before is None else f"against the list {before.title}"
    for change in list_changes(before, after) or ["changes nobody"]:
        warn(one_line(f"list {after.title}, {against}: {change}"))


def _read_list(file: Path) -> tuple[bytes, SignerList]:
    try:
        document = file.read_bytes()
        return document, read_signer_list(document, file.name)
    except OSError as error:
        raise Misuse(f"{file} cannot be read: {error.strerror}") from None
    except PolicyRefused as refusal:
        raise Misuse(str(refusal)) from None


def _read_signature(path: Path) -> ListSignature:
    try:
        return read_list_signature(path.read_bytes(), path.name)
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror}") from None
    except PolicyRefused as refusal:
        raise Misuse(str(refusal)) from None


def _read_key(path: Path) -> SigningKey:
    try:
        try:
            return read_signing_key(path, None)
        except PassphraseNeeded:
            return read_signing_key(path, typer.prompt(f"Passphrase of {path}", hide_input=True, err=True))
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror}") from None
    except PolicyRefused as refusal:
        raise Misuse(str(refusal)) from None


async def _sign(version: str, by: str, key: SigningKey) -> tuple[Signed, Published]:
    """Sign; the signatures that count now, and whether the version decides already."""
    try:
        async with ledger("policy_officer") as tx:
            signed = await sign(tx, sha256=(await find_version(tx, version))[0], name=by, key=key)
            return signed, next(one for one in await list_policies(tx) if one.sha256 == signed.version.sha256)
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None


async def _sign_list(signers: SignerList, key: SigningKey) -> tuple[ListSignature, SignerList | None]:
    """Sign; the list in force that it is to replace, too."""
    try:
        async with ledger("auditor") as tx:
            return await sign_list(tx, signers=signers, key=key), (await read_judges(tx)).in_force
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None


async def _publish(
    signers: SignerList, document: bytes, given: Sequence[ListSignature], keys: Sequence[SigningKey], by: str
) -> tuple[SignerList | None, list[tuple[Approval, bool]]]:
    """The list before, and the versions that have too few signatures from now on; true for the one in force."""
    try:
        async with ledger("policy_officer") as tx:
            here, judges = [await sign_list(tx, signers=signers, key=key) for key in keys], await read_judges(tx)
            before = await publish_signers(
                tx, signers=signers, document=document, signatures=[*given, *here], published_by=by
            )
            in_force = {one.sha256 for one in await list_policies(tx) if one.in_force}
            less = await less_approved(tx, judges, await read_judges(tx))
            return before, [(one, one.of.sha256 in in_force) for one in less]
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None


async def _list() -> Sequence[SignerListRow]:
    async with ledger("auditor") as tx:
        return await list_signer_lists(tx)
