"""Making and migrating the database: roles, tables, privileges and the rows that are fixed from the start."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.ledger.engine import ROLES, Tx, role_name
from service.ledger.lanes import GENESIS
from service.ledger.tables import SCHEMA, metadata

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_MIGRATION_LOCK = 0x65787067
"""Two deployments at once must not migrate at once: a PostgreSQL advisory lock of our own number."""


async def create_roles(tx: Tx) -> None:
    """Create the group roles that do not exist yet, and let the current user act as each of them.

    None of them may log in: a login user of the installation is granted the one role it needs.
    """
    known = set((await tx.execute(text("SELECT rolname FROM pg_roles"))).scalars())
    for role in map(role_name, ROLES):
        if role not in known:
            await tx.execute(text(f"CREATE ROLE {role} NOLOGIN"))
        await tx.execute(text(f"GRANT {role} TO CURRENT_USER"))
    await tx.execute(
        text(
            f"""
            DO $$ BEGIN
                EXECUTE format('GRANT CREATE ON DATABASE %I TO {role_name("owner")}', current_database());
                EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
                EXECUTE format('GRANT CONNECT ON DATABASE %I TO {", ".join(map(role_name, ROLES))}',
                current_database()); END $$
            """
        )
    )
    await tx.execute(text("REVOKE ALL ON SCHEMA public FROM PUBLIC"))


async def upgrade(engine: AsyncEngine) -> None:
    """Bring the tables to the newest version. Run by the owner role; idempotent."""
    await _with_alembic(engine, lambda config: command.upgrade(config, "head"))


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Take the tables back to a revision; `base` removes them with everything they hold."""
    await _with_alembic(engine, lambda config: command.downgrade(config, revision))


async def differences(engine: AsyncEngine) -> list[str]:
    """What differs between the migrated database and `tables.py`; empty when they agree."""

    def compare(connection: Connection) -> list[str]:
        options = {"include_schemas": True, "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA}
        context = MigrationContext.configure(connection, opts={**options, "version_table_schema": SCHEMA})
        return [repr(difference) for difference in compare_metadata(context, metadata)]

    async with engine.connect() as connection:
        return await connection.run_sync(compare)


async def install(tx: Tx, lanes: int) -> None:
    """Fix the number of account lanes, once; a database that is installed keeps what it has.

    LANES cannot change later: it decides which lane holds which account's history.
    """
    await tx.execute(
        text("INSERT INTO ledger.installation (lanes, epoch) VALUES (:lanes, 1) ON CONFLICT DO NOTHING"),
        {"lanes": lanes},
    )
    await tx.execute(
        text(
            """
            INSERT INTO ledger.lane (lane, next_seq, head, last_at)
            SELECT number, 1, :genesis, clock_timestamp()
            FROM ledger.installation, generate_series(0, installation.lanes) AS number ON CONFLICT DO NOTHING
            """
        ),
        {"genesis": GENESIS},
    )
    await tx.execute(
        text("INSERT INTO ledger.relay_position (lane, seq) SELECT lane, 0 FROM ledger.lane ON CONFLICT DO NOTHING")
    )


async def _with_alembic(engine: AsyncEngine, work: Callable[[Config], None]) -> None:
    def run(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_MIGRATIONS))
        work(config)

    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        await connection.execute(text("SET LOCAL lock_timeout = '4s'"))
        await connection.execute(text("SET LOCAL statement_timeout = '5s'"))
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        await connection.run_sync(run)
