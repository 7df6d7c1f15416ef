"""The policy a command is asked about: a document beside us, or a version that was published."""

from pathlib import Path

from service.cli.connect import ledger, run
from service.cli.documents import load
from service.cli.output import Misuse
from service.decide.policy import Policy
from service.ledger.policies import list_policies, policy_document, resolved_policy
from service.policies import load_resolved
from service.policies.refusal import suggestion


def find_candidate(text: str) -> tuple[Policy, bytes]:
    """The policy of a file, or else of a published version, with its resolved form.

    Misuse when there is neither, Failed when the document is refused.
    """
    file = Path(text)
    if file.is_file():
        loaded = load(file)
        return loaded.policy, loaded.resolved
    resolved = run(_published(text))
    return load_resolved(resolved), resolved


async def _published(version: str) -> bytes:
    async with ledger("auditor") as tx:
        found = await policy_document(tx, version)
        if found is None:
            known = [one.version for one in await list_policies(tx)]
            raise Misuse(f"expected a file or a published version, got '{version}'{suggestion(version, known)}")
        return await resolved_policy(tx, found[0])
