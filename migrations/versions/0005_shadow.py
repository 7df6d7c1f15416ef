"""A candidate in shadow: evaluated on what was decided, beside the live policy, into tables of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SERVICE = "exportgate_service"
OFFICER = "exportgate_policy_officer"
REVIEWER = "exportgate_reviewer"
AUDITOR = "exportgate_auditor"

TABLES = ("shadow", "shadow_position", "shadow_count", "shadow_result")

GRANTS = f"""
GRANT SELECT ON {", ".join(f"ledger.{table}" for table in TABLES)} TO {SERVICE}, {OFFICER}, {REVIEWER}, {AUDITOR};

GRANT INSERT ON ledger.shadow, ledger.shadow_position TO {OFFICER};
GRANT UPDATE (stopped_by, stop_reason, stopped_at, stop_seq) ON ledger.shadow TO {OFFICER};

GRANT INSERT ON ledger.shadow_result, ledger.shadow_count TO {SERVICE};
GRANT UPDATE (seq) ON ledger.shadow_position TO {SERVICE};
GRANT UPDATE (count) ON ledger.shadow_count TO {SERVICE};
"""
HOLD = """
CREATE FUNCTION ledger.hold_shadow(stopped uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM lane FROM ledger.shadow_position WHERE shadow_id = stopped ORDER BY lane FOR UPDATE;
END $$
"""
"""The officer moves no position, but who stops a shadow locks them, and for that one needs the right to update them."""

SHADOW = """
CREATE FUNCTION ledger.check_shadow() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM ledger.refuse_other_time(NEW.started_at, 'starting a shadow');
        IF NEW.lane <> (SELECT lanes FROM ledger.installation) OR num_nonnulls(
               NEW.stopped_by, NEW.stop_reason, NEW.stopped_at, NEW.stop_seq) > 0 THEN
            RAISE EXCEPTION 'a shadow starts in the control lane, and running' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.stopped_at IS NOT NULL THEN
        RAISE EXCEPTION 'a shadow that has stopped stays as it is' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM ledger.refuse_other_time(NEW.stopped_at, 'stopping a shadow');
    IF num_nulls(NEW.stopped_by, NEW.stop_reason, NEW.stopped_at, NEW.stop_seq) > 0 OR NEW.stop_seq <= OLD.seq
       OR (NEW.shadow_id, NEW.policy_sha256, NEW.name, NEW.version, NEW.resolved, NEW.started_by, NEW.start_reason,
           NEW.started_at, NEW.lane, NEW.seq) IS DISTINCT FROM (OLD.shadow_id, OLD.policy_sha256, OLD.name, OLD.version,
           OLD.resolved, OLD.started_by, OLD.start_reason, OLD.started_at, OLD.lane, OLD.seq) THEN
        RAISE EXCEPTION 'a shadow only ever stops, by name and with a reason' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

OFFICERS_ENTRIES = """
CREATE OR REPLACE FUNCTION ledger.check_officers_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF NEW.kind NOT IN ({kinds})
       OR NEW.lane <> (SELECT lanes FROM ledger.installation) THEN
        RAISE EXCEPTION 'a policy officer writes about policies, in the control lane, and nothing else'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Decisions are made by the service.';
    END IF;
    RETURN NEW;
END $$
"""
FORMER_KINDS = "'policy_published', 'policy_activated', 'policy_cancelled', 'policy_signed', 'signers_published'"
KINDS = f"{FORMER_KINDS}, 'shadow_started', 'shadow_stopped'"

VIEWS = {
    "shadows": (
        "Candidates that ran or run in shadow: whose, why, from when; stopped_at is null for the one that runs.",
        """
        SELECT s.started_at, s.stopped_at, s.name AS policy, s.version AS policy_version,
               encode(s.policy_sha256, 'hex') AS policy_sha256, s.started_by, s.start_reason,
               s.stopped_by, s.stop_reason,
               s.shadow_id, s.lane, s.seq, s.stop_seq
        FROM ledger.shadow s
        """,
    ),
    "shadow_results": (
        "What a candidate in shadow gave for a decision, beside what was decided; failure says why it gave nothing.",
        """
        SELECT d.decided_at, d.account_id, d.subject_id, s.version AS shadow_version, p.version AS policy_version,
               d.outcome, d.access, d.rules, r.outcome AS shadow_outcome, r.access AS shadow_access,
               r.rules AS shadow_rules, r.failure, d.decision_id, r.shadow_id, r.lane, r.seq
        FROM ledger.shadow_result r JOIN ledger.shadow s USING (shadow_id)
        JOIN ledger.decision d ON d.decision_id = r.decision_id
        LEFT JOIN ledger.policy p ON p.sha256 = d.policy_sha256
        """,
    ),
}


def upgrade() -> None:
    _tables()
    for grant in filter(str.strip, GRANTS.split(";")):
        op.execute(grant)
    op.execute(SHADOW)
    op.execute(HOLD)
    op.execute("REVOKE EXECUTE ON FUNCTION ledger.hold_shadow(uuid) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION ledger.hold_shadow(uuid) TO {OFFICER}")
    op.execute(
        "CREATE TRIGGER only_starts_and_stops BEFORE INSERT OR UPDATE ON ledger.shadow "
        "FOR EACH ROW EXECUTE FUNCTION ledger.check_shadow()"
    )
    for table, events in (("shadow", "DELETE OR TRUNCATE"), ("shadow_result", "UPDATE OR DELETE OR TRUNCATE")):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE {events} ON ledger.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
        )
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER append_only")
    op.execute(OFFICERS_ENTRIES.format(kinds=KINDS))
    for view, (comment, query) in VIEWS.items():
        op.execute(f"CREATE VIEW audit.{view} AS {query}")
        op.execute(f"COMMENT ON VIEW audit.{view} IS '{comment}'")
        op.execute(f"GRANT SELECT ON audit.{view} TO {AUDITOR}")


def _tables() -> None:
    op.create_table(
        "shadow",
        sa.Column("shadow_id", sa.Uuid(), nullable=False),
        sa.Column("policy_sha256", sa.LargeBinary(), nullable=False, comment="of `resolved`; it need not be published"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("resolved", sa.LargeBinary(), nullable=False, comment="with parents, groups and catalogue inlined"),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("start_reason", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("stopped_by", sa.Text(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_seq", sa.BigInteger(), nullable=True, comment="the entry of its end, in the same lane"),
        sa.CheckConstraint("policy_sha256 = sha256(resolved)", name=op.f("shadow_resolved_check")),
        sa.PrimaryKeyConstraint("shadow_id", name=op.f("shadow_pkey")),
        sa.UniqueConstraint("lane", "seq", name=op.f("shadow_lane_seq_key")),
        schema="ledger",
        comment="candidates that are evaluated beside the live policy; one runs at a time, and stops once",
    )
    op.create_index(
        "shadow_one_runs_idx",
        "shadow",
        ["lane"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_table(
        "shadow_position",
        sa.Column("shadow_id", sa.Uuid(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=False, comment="last entry before it started"),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="last entry looked at"),
        sa.PrimaryKeyConstraint("shadow_id", "lane", name=op.f("shadow_position_pkey")),
        schema="ledger",
        comment="how far a shadow has followed a lane",
    )
    op.create_table(
        "shadow_count",
        sa.Column("shadow_id", sa.Uuid(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("before", sa.Text(), nullable=False, comment="what was decided"),
        sa.Column("after", sa.Text(), nullable=False, comment="the candidate's outcome, or erased, unreadable, error"),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shadow_id", "lane", "before", "after", name=op.f("shadow_count_pkey")),
        schema="ledger",
        comment="the results of a shadow, counted: what metrics read every few seconds",
    )
    op.create_table(
        "shadow_result",
        sa.Column("shadow_id", sa.Uuid(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "decision_id", sa.Uuid(), nullable=False, comment="what was decided on the same facts, at `lane`, `seq`"
        ),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("access", sa.Text(), nullable=True),
        sa.Column("rules", sa.ARRAY(sa.Text()), nullable=False, comment="rules that were hit, unknown or waived"),
        sa.Column(
            "failure",
            sa.Text(),
            nullable=True,
            comment="why there is no outcome: erased, unreadable, or an error with its traceback as a digest",
        ),
        sa.CheckConstraint(
            "num_nonnulls(outcome, failure) = 1 AND num_nonnulls(access, failure) = 1",
            name=op.f("shadow_result_outcome_check"),
        ),
        sa.PrimaryKeyConstraint("shadow_id", "lane", "seq", name=op.f("shadow_result_pkey")),
        schema="ledger",
        comment="what the candidate gave for each decision made since it started; never published",
    )


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW audit.{view}")
    op.execute(OFFICERS_ENTRIES.format(kinds=FORMER_KINDS))
    for table in reversed(TABLES):
        op.drop_table(table, schema="ledger")
    op.execute("DROP FUNCTION ledger.check_shadow()")
    op.execute("DROP FUNCTION ledger.hold_shadow(uuid)")
