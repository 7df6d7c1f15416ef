"""`exportgate policy precheck`: what would be decided for somebody who is no customer yet."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli.candidate import find_candidate
from service.cli.connect import ledger, now, run
from service.cli.explain import outline
from service.cli.found import Finder
from service.cli.output import AsJson, By, Failed, Misuse, Reason, emit, example, say, warn
from service.decide.policy import Policy
from service.ledger.policies import read_pin
from service.policies import PolicyRefused
from service.policies.document import read_document
from service.policies.refusal import one_line
from service.policies.stored import stored_policy
from service.prechecking import BadProspect, Prospect, decide_prospect, no_codes, note_precheck, read_prospect

EXAMPLE = example('exportgate policy precheck prospect.yaml --by ann --reason "tender 17"')


def precheck(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Account fields, as YAML or JSON; - reads stdin.")],
    by: By,
    reason: Reason,
    *,
    policy: Annotated[
        str | None, typer.Option(metavar="FILE-or-VERSION", help="Decide by this one, not the one in force.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide and explain a prospect. Nothing of it is stored: the journal notes who asked, why, and the answer.

    FILE holds what an account event's data would: a `legal_name`, countries such as `organized_in: GB`, and a `user` or
    `contract` if need be.
    """
    prospect, tree = _prospect(file)
    chosen = run(_in_force()) if policy is None else find_candidate(policy)[0]
    body = decide_prospect(prospect, chosen, run(now()), by)
    run(_note(body, by, reason))
    if as_json:
        emit(body)
        return
    for field, value in no_codes(prospect, tree):
        warn(f"note: {one_line(f'{field}: {value}')}: no ISO 3166 code, such as GB or UA-43, so its place is not known")
    finder = Finder(policy=chosen, facts=prospect.facts, as_of=run(now()))
    say(
        "\n\n".join(
            [*outline(body, finder), f"The policy was {chosen.name}, version {chosen.version}. Nothing stands."]
        )
    )


def _prospect(file: str) -> tuple[Prospect, dict[str, object]]:
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        tree: dict[str, object] = dict(read_document(text, "stdin" if file == "-" else Path(file).name).tree)
        return read_prospect(tree, run(now()).date()), tree
    except OSError as error:
        raise Misuse(f"expected a prospect, but {file} cannot be read: {error.strerror}") from None
    except (PolicyRefused, BadProspect) as error:
        raise Misuse(f"this is no prospect: {error}") from None


async def _in_force() -> Policy:
    async with ledger("auditor") as tx:
        pin = await read_pin(tx, None)
        if pin.policy_sha256 is None:
            raise Failed("no policy is in force; name one with --policy, or activate one")
        try:
            return await stored_policy(tx, pin.policy_sha256)
        except PolicyRefused as refusal:
            raise Failed(str(refusal)) from None


async def _note(body: dict[str, object], by: str, reason: str) -> None:
    async with ledger("reviewer") as tx:
        await note_precheck(tx, body, by, reason)
