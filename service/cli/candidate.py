"""The policy a command is asked about: a document beside us, or a version that was published."""

import os
from pathlib import Path

from service.cli.connect import ledger, run
from service.cli.documents import is_directory, is_file, load
from service.cli.output import Failed, Misuse
from service.decide.policy import Policy
from service.ledger.policies import list_policies, policy_document
from service.policies import PolicyRefused, load_resolved
from service.policies.refusal import suggestion
from service.policies.stored import stored_bytes


def find_candidate(text: str, *, role: str = "auditor") -> tuple[Policy, bytes]:
    """The policy of a file, or else of a published version, with its resolved form; read as the role of the command.

    Misuse when there is neither, Failed when the document is refused.
    """
    file = Path(text)
    if is_file(file):
        loaded = load(file)
        return loaded.policy, loaded.resolved
    if is_directory(file):
        raise Misuse(f"expected a document or a published version, but {text} is a directory; name one document in it")
    try:
        resolved = run(_published(text, role))
        return load_resolved(resolved), resolved
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None


def _names_a_file(text: str) -> bool:
    return text.endswith((".yaml", ".yml")) or os.sep in text


async def _published(version: str, role: str) -> bytes:
    async with ledger(role) as tx:
        found = await policy_document(tx, version)
        if found is None:
            known = [one.version for one in await list_policies(tx)]
            near = suggestion(version, known)
            if _names_a_file(version):
                raise Misuse(f"expected a file or a published version, but there is no file {version}{near}")
            see = near or "; see: exportgate policy list"
            raise Misuse(f"expected a file or a published version, got '{version}'{see}")
        return await stored_bytes(tx, found[0])
