"""What the demo stands on: a fresh database with its roles and tables, and policies put in force by an officer."""

from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine

from service.embedded.postgres import Server
from service.ledger import schema
from service.ledger.engine import open_engine
from service.policies import load_file
from service.policies.lifecycle import activate, publish

LANES = 16
POLICIES = Path(__file__).resolve().parents[2] / "deploy" / "policies"
BASELINE = "baseline-2026-02.yaml"
LETTER = "2026-06-12.yaml"
_DATABASE = "exportgate"


async def make_database(server: Server) -> str:
    """The URL of a new database, made as `exportgate db init` makes one."""
    await server.create_database(_DATABASE)
    url = server.url(_DATABASE)
    superuser = create_async_engine(url)
    async with superuser.begin() as tx:
        await schema.create_roles(tx)
    await superuser.dispose()
    owner = open_engine(url, role="owner", application="exportgate-demo")
    await schema.upgrade(owner)
    async with owner.begin() as tx:
        await schema.install(tx, lanes=LANES)
    await owner.dispose()
    return url


async def put_in_force(url: str, document: str, *, officer: str, reason: str) -> str:
    """Publish a document of deploy/policies and activate it now, under the role that may. Returns its version."""
    loaded = load_file(POLICIES / document)
    engine = open_engine(url, role="policy_officer", application="exportgate-demo")
    async with engine.begin() as tx:
        await publish(
            tx, policy=loaded.policy, document=loaded.document, resolved=loaded.resolved, published_by=officer
        )
        sha256 = bytes.fromhex(loaded.policy.sha256)
        await activate(tx, sha256=sha256, at=None, activated_by=officer, reason=reason)
    await engine.dispose()
    return loaded.policy.version
