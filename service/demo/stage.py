"""Policies put in force as an officer does it."""

from pathlib import Path

from service.ledger.engine import open_engine
from service.policies import LoadedPolicy, load_file
from service.policies.lifecycle import activate, publish

OFFICER = "demo-officer"
BASELINE = "baseline-2026-02.yaml"
LETTER = "2026-06-12.yaml"
POLICIES = Path(__file__).resolve().parents[2] / "deploy" / "policies"


def shipped(document: str) -> LoadedPolicy:
    """A policy of deploy/policies."""
    return load_file(POLICIES / document)


async def put_in_force(url: str, loaded: LoadedPolicy, *, reason: str) -> None:
    """Publish a policy and activate it now, under the role that may."""
    engine = open_engine(url, role="policy_officer", application="exportgate demo")
    async with engine.begin() as tx:
        await publish(
            tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by=OFFICER
        )
        sha256 = bytes.fromhex(loaded.policy.sha256)
        await activate(tx, sha256=sha256, at=None, activated_by=OFFICER, reason=reason)
    await engine.dispose()
