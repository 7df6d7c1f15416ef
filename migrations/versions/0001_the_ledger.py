"""The ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "decision",
        sa.Column("decision_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False, comment="account, user:<id> or contract:<id>"),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("cause_kind", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.Text(), nullable=False),
        sa.Column("policy_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("rules", sa.ARRAY(sa.Text()), nullable=False, comment="rules that were hit, unknown or waived"),
        sa.Column("supersedes", sa.Uuid(), nullable=True),
        sa.Column(
            "raw_sha256", sa.LargeBinary(), nullable=True, comment="the record that caused it; null when no record did"
        ),
        sa.Column("facts_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("decision_pkey")),
        sa.UniqueConstraint(
            "account_id",
            "subject_id",
            "epoch",
            "revision",
            name=op.f("decision_account_id_subject_id_epoch_revision_key"),
        ),
        sa.UniqueConstraint("lane", "seq", name=op.f("decision_lane_seq_key")),
        schema="ledger",
        comment="the columns people query of a decision; all recomputable from journal.body",
    )
    op.create_index(op.f("decision_cause_id_idx"), "decision", ["cause_id"], unique=False, schema="ledger")
    op.create_index(op.f("decision_decided_at_idx"), "decision", ["decided_at"], unique=False, schema="ledger")
    op.create_table(
        "evidence",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("evidence_pkey")),
        schema="ledger",
        comment="raw records and facts by their sha256; may hold personal data, may be erased",
    )
    op.create_table(
        "inbox",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("raw_sha256", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id", name=op.f("inbox_pkey")),
        schema="ledger",
        comment="ids of the events accepted, so that none is decided twice",
    )
    op.create_table(
        "installation",
        sa.Column("single", sa.Boolean(), server_default="true", nullable=False, comment="there is one row"),
        sa.Column(
            "lanes", sa.SmallInteger(), nullable=False, comment="lanes of accounts; the control lane has this number"
        ),
        sa.Column(
            "epoch",
            sa.Integer(),
            nullable=False,
            comment="raised after a restore that lost commits; leads in revision order",
        ),
        sa.CheckConstraint("single", name=op.f("installation_one_row_check")),
        sa.PrimaryKeyConstraint("single", name=op.f("installation_pkey")),
        schema="ledger",
        comment="what was fixed at `db init`",
    )
    op.create_table(
        "journal",
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the bytes that are hashed and published"),
        sa.Column("leaf", sa.LargeBinary(), nullable=False, comment="sha256(0x00 || body)"),
        sa.Column("link", sa.LargeBinary(), nullable=False, comment="sha256(0x02 || previous link || leaf)"),
        sa.PrimaryKeyConstraint("lane", "seq", name=op.f("journal_pkey")),
        schema="ledger",
        comment="everything that happened, in order, by lane",
    )
    op.create_table(
        "lane",
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("next_seq", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False, comment="link of the last journal entry"),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lane", name=op.f("lane_pkey")),
        schema="ledger",
        comment="the head of one lane's history; its row lock orders everything written about its accounts",
    )
    op.create_table(
        "policy",
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="of `resolved`"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="as the officer wrote it"),
        sa.Column("resolved", sa.LargeBinary(), nullable=False, comment="with parents, groups and catalogue inlined"),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column(
            "published_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("policy_pkey")),
        sa.UniqueConstraint("name", "version", name=op.f("policy_name_version_key")),
        schema="ledger",
        comment="policy documents; immutable",
    )
    op.create_table(
        "policy_activation",
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("activated_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("effective_at", name=op.f("policy_activation_pkey")),
        schema="ledger",
        comment="what is in force from when; the latest one that has begun is in force",
    )
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Text(),
            nullable=True,
            comment="whose account it holds; null when none is legible or nobody may be held",
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("record_offset", sa.BigInteger(), nullable=False),
        sa.Column("raw_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("quarantine_pkey")),
        sa.UniqueConstraint("lane", "seq", name=op.f("quarantine_lane_seq_key")),
        schema="ledger",
        comment="records that could not be decided",
    )
    op.create_index(op.f("quarantine_account_id_idx"), "quarantine", ["account_id"], unique=False, schema="ledger")
    op.create_table(
        "quarantine_resolution",
        sa.Column("quarantine_id", sa.Uuid(), nullable=False),
        sa.Column("resolution", sa.Text(), nullable=False, comment="redriven or dismissed"),
        sa.Column("resolved_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("quarantine_resolution_pkey")),
        schema="ledger",
        comment="what became of a quarantined record",
    )
    op.create_table(
        "relay_position",
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False, comment="last entry published"),
        sa.PrimaryKeyConstraint("lane", name=op.f("relay_position_pkey")),
        schema="ledger",
        comment="how far a lane is published to Kafka",
    )
    op.create_table(
        "stream_position",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("halted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("halt_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("cluster", "topic", "partition", name=op.f("stream_position_pkey")),
        schema="ledger",
        comment="how far one partition is done; the truth about offsets",
    )
    op.create_table(
        "subject",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False, comment="canonical bytes of the subject's own facts"),
        sa.Column(
            "version", sa.BigInteger(), nullable=False, comment="of the last state-carrying event; 0 before the first"
        ),
        sa.Column(
            "content_sha256", sa.LargeBinary(), nullable=False, comment="of that event's data; empty before the first"
        ),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("decision_id", sa.Uuid(), nullable=True, comment="the standing decision; null when none stands"),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "subject_id", name=op.f("subject_pkey")),
        schema="ledger",
        comment="what we currently know of an account, user or contract",
    )
    op.create_index(op.f("subject_lane_idx"), "subject", ["lane"], unique=False, schema="ledger")


def downgrade() -> None:
    op.drop_index(op.f("subject_lane_idx"), table_name="subject", schema="ledger")
    op.drop_table("subject", schema="ledger")
    op.drop_table("stream_position", schema="ledger")
    op.drop_table("relay_position", schema="ledger")
    op.drop_table("quarantine_resolution", schema="ledger")
    op.drop_index(op.f("quarantine_account_id_idx"), table_name="quarantine", schema="ledger")
    op.drop_table("quarantine", schema="ledger")
    op.drop_table("policy_activation", schema="ledger")
    op.drop_table("policy", schema="ledger")
    op.drop_table("lane", schema="ledger")
    op.drop_table("journal", schema="ledger")
    op.drop_table("installation", schema="ledger")
    op.drop_table("inbox", schema="ledger")
    op.drop_table("evidence", schema="ledger")
    op.drop_index(op.f("decision_decided_at_idx"), table_name="decision", schema="ledger")
    op.drop_index(op.f("decision_cause_id_idx"), table_name="decision", schema="ledger")
    op.drop_table("decision", schema="ledger")
