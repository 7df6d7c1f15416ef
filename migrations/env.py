"""Runs migrations on a connection that the caller opened: `service.ledger.schema` passes it in."""

from alembic import context
from sqlalchemy import Connection

from service.ledger.tables import SCHEMA, metadata


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
        version_table_schema=SCHEMA,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
