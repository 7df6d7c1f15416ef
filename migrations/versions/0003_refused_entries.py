"""Entries that the brokers refuse for ever are put aside; a reviewer may lift a halt."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SERVICE = "exportgate_service"
OFFICER = "exportgate_policy_officer"
REVIEWER = "exportgate_reviewer"
AUDITOR = "exportgate_auditor"


def upgrade() -> None:
    op.create_table(
        "relay_refused",
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="which topic refused it, and why"),
        sa.Column(
            "refused_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("lane", "seq", name=op.f("relay_refused_pkey")),
        schema="ledger",
        comment="journal entries that the brokers do not take; removed once they do",
    )
    op.execute(f"GRANT SELECT ON ledger.relay_refused TO {SERVICE}, {OFFICER}, {REVIEWER}, {AUDITOR}")
    op.execute(f"GRANT INSERT, DELETE ON ledger.relay_refused TO {SERVICE}")
    op.execute(f"GRANT UPDATE ON ledger.stream_position TO {REVIEWER}")


def downgrade() -> None:
    op.execute(f"REVOKE UPDATE ON ledger.stream_position FROM {REVIEWER}")
    op.drop_table("relay_refused", schema="ledger")
