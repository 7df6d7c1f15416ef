"""Who may do what: append-only history by privilege and trigger, and the auditor's views."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SERVICE = "exportgate_service"
OFFICER = "exportgate_policy_officer"
REVIEWER = "exportgate_reviewer"
AUDITOR = "exportgate_auditor"
ERASER = "exportgate_eraser"

HISTORY = (
    "inbox",
    "journal",
    "evidence",
    "decision",
    "policy",
    "policy_activation",
    "quarantine",
    "quarantine_resolution",
)

GRANTS = f"""
GRANT USAGE ON SCHEMA ledger TO {SERVICE}, {OFFICER}, {REVIEWER}, {AUDITOR}, {ERASER};
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO {SERVICE}, {OFFICER}, {REVIEWER}, {AUDITOR};

GRANT INSERT ON ledger.inbox, ledger.journal, ledger.evidence, ledger.decision, ledger.quarantine TO {SERVICE};
GRANT INSERT, UPDATE ON ledger.subject, ledger.stream_position TO {SERVICE};
GRANT UPDATE ON ledger.lane, ledger.relay_position TO {SERVICE};

GRANT INSERT ON ledger.policy, ledger.policy_activation, ledger.journal TO {OFFICER};
GRANT UPDATE ON ledger.lane TO {OFFICER};

GRANT INSERT ON ledger.inbox, ledger.journal, ledger.evidence, ledger.decision, ledger.quarantine,
    ledger.quarantine_resolution TO {REVIEWER};
GRANT INSERT, UPDATE ON ledger.subject TO {REVIEWER};
GRANT UPDATE ON ledger.lane TO {REVIEWER};

GRANT SELECT (sha256, stored_at), DELETE ON ledger.evidence TO {ERASER};
"""

REFUSE = """
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'ledger.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'A correction is a new row; see README, "why it is so".';
END $$
"""

OFFICERS_ENTRIES = """
CREATE FUNCTION ledger.check_officers_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF NEW.kind NOT IN ('policy_published', 'policy_activated')
       OR NEW.lane <> (SELECT lanes FROM ledger.installation) THEN
        RAISE EXCEPTION 'a policy officer writes about policies, in the control lane, and nothing else'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Decisions are made by the service.';
    END IF;
    RETURN NEW;
END $$
"""

ACTIVATION = """
CREATE FUNCTION ledger.check_activation() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    last timestamptz;
BEGIN
    PERFORM lane FROM ledger.lane ORDER BY lane FOR UPDATE;
    SELECT max(last_at) INTO last FROM ledger.lane;
    IF NEW.effective_at <= last OR NEW.effective_at < transaction_timestamp() THEN
        RAISE EXCEPTION 'an activation may not reach into the past: it begins at %, but decisions were made until %',
            NEW.effective_at, last USING ERRCODE = 'check_violation', HINT = 'Activate now, or at a later time.';
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.policy WHERE sha256 = NEW.policy_sha256) THEN
        RAISE EXCEPTION 'the policy to be activated is not stored' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END $$
"""

VIEWS = {
    "decisions": (
        "One row a decision. access is what was granted, policy_version what decided, supersedes what it replaced.",
        """
        SELECT d.decided_at, d.account_id, d.subject_id, d.revision, d.outcome, d.access, d.rules, d.cause_kind,
               d.cause_id, p.name AS policy, p.version AS policy_version,
               encode(d.policy_sha256, 'hex') AS policy_sha256,
               d.valid_until, d.decision_id, d.supersedes, d.epoch, encode(d.raw_sha256, 'hex') AS raw_sha256,
               encode(d.facts_sha256, 'hex') AS facts_sha256, d.lane, d.seq
        FROM ledger.decision d LEFT JOIN ledger.policy p ON p.sha256 = d.policy_sha256
        """,
    ),
    "reasons": (
        "One row a reason of a decision: the rule, its law, what it found, and what would clear it.",
        """
        SELECT d.decided_at, d.account_id, d.subject_id, d.decision_id, r ->> 'rule' AS rule, r ->> 'result' AS result,
               r ->> 'hold_kind' AS hold_kind, r ->> 'title' AS title, r ->> 'citation' AS citation,
               r -> 'missing' AS missing, r -> 'clears' AS clears, r -> 'items' AS items
        FROM ledger.decision d JOIN ledger.journal j USING (lane, seq)
        CROSS JOIN LATERAL jsonb_array_elements(convert_from(j.body, 'UTF8')::jsonb -> 'reasons') AS r
        """,
    ),
    "timeline": (
        "Everything that happened, by lane in order. body is what was hashed and published.",
        """
        SELECT j.lane, j.seq, j.kind, j.body ->> 'account_id' AS account_id,
               coalesce(j.body ->> 'decided_at', j.body ->> 'at') AS at, j.body, j.leaf, j.link
        FROM (SELECT lane, seq, kind, convert_from(body, 'UTF8')::jsonb AS body, encode(leaf, 'hex') AS leaf,
                     encode(link, 'hex') AS link FROM ledger.journal) j
        """,
    ),
    "policy_in_force": (
        "Which policy version was in force from when until when; until is null for the one in force or planned last.",
        """
        SELECT a.effective_at AS in_force_from, lead(a.effective_at) OVER (ORDER BY a.effective_at) AS in_force_until,
               p.name AS policy, p.version AS policy_version, encode(a.policy_sha256, 'hex') AS policy_sha256,
               a.activated_by, a.reason, a.recorded_at
        FROM ledger.policy_activation a JOIN ledger.policy p ON p.sha256 = a.policy_sha256
        """,
    ),
    "quarantine": (
        "Records that could not be decided. resolution is null while the record is open.",
        """
        SELECT q.opened_at, q.account_id, q.reason, q.detail, q.topic, q.partition, q.record_offset, q.source,
               q.event_id, q.quarantine_id, r.resolution, r.resolved_by, r.reason AS resolved_because, r.resolved_at
        FROM ledger.quarantine q LEFT JOIN ledger.quarantine_resolution r USING (quarantine_id)
        """,
    ),
    "positions": (
        "How far each Kafka partition is decided. halted_at is null unless a person has to look first.",
        "SELECT cluster, topic, partition, next_offset, halted_at, halt_reason FROM ledger.stream_position",
    ),
}


def upgrade() -> None:
    for grant in filter(str.strip, GRANTS.split(";")):
        op.execute(grant)
    op.execute(REFUSE)
    op.execute(ACTIVATION)
    op.execute(OFFICERS_ENTRIES)
    op.execute(
        "CREATE TRIGGER officers_entries BEFORE INSERT ON ledger.journal "
        f"FOR EACH ROW WHEN (current_user = '{OFFICER}') EXECUTE FUNCTION ledger.check_officers_entry()"
    )
    for table in HISTORY:
        events = "UPDATE OR TRUNCATE" if table == "evidence" else "UPDATE OR DELETE OR TRUNCATE"
        op.execute(
            f"CREATE TRIGGER append_only BEFORE {events} ON ledger.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
        )
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER append_only")
    op.execute(
        "CREATE TRIGGER not_into_the_past BEFORE INSERT ON ledger.policy_activation "
        "FOR EACH ROW EXECUTE FUNCTION ledger.check_activation()"
    )
    op.execute("CREATE SCHEMA audit")
    for view, (comment, query) in VIEWS.items():
        op.execute(f"CREATE VIEW audit.{view} AS {query}")
        op.execute(f"COMMENT ON VIEW audit.{view} IS '{comment}'")
    op.execute(f"GRANT USAGE ON SCHEMA audit TO {AUDITOR}")
    op.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA audit TO {AUDITOR}")


def downgrade() -> None:
    op.execute("DROP SCHEMA audit CASCADE")
    op.execute("DROP TRIGGER not_into_the_past ON ledger.policy_activation")
    op.execute("DROP TRIGGER officers_entries ON ledger.journal")
    for table in HISTORY:
        op.execute(f"DROP TRIGGER append_only ON ledger.{table}")
    op.execute("DROP FUNCTION ledger.refuse_change()")
    op.execute("DROP FUNCTION ledger.check_activation()")
    op.execute("DROP FUNCTION ledger.check_officers_entry()")
    roles = f"{SERVICE}, {OFFICER}, {REVIEWER}, {AUDITOR}, {ERASER}"
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM {roles}")
    op.execute(f"REVOKE USAGE ON SCHEMA ledger FROM {roles}")
