"""What the demo stands on: a fresh database, and policies put in force by an officer."""

from pathlib import Path

from sqlalchemy import make_url

from service.cli.database import DEFAULT_LANES, make_database
from service.embedded.postgres import Server
from service.ledger.engine import open_engine
from service.policies import LoadedPolicy, load_file
from service.policies.lifecycle import activate, publish

OFFICER = "demo-officer"
BASELINE = "baseline-2026-02.yaml"
LETTER = "2026-06-12.yaml"
_POLICIES = Path(__file__).resolve().parents[2] / "deploy" / "policies"
_DATABASE = "exportgate"


async def make_fresh_database(server: Server) -> str:
    """The URL of a new database, made as `exportgate db init` makes one."""
    await server.create_database(_DATABASE)
    url = server.url(_DATABASE)
    await make_database(make_url(url), DEFAULT_LANES)
    return url


def shipped(document: str) -> LoadedPolicy:
    """A policy of deploy/policies."""
    return load_file(_POLICIES / document)


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
