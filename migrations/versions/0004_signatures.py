"""Policy versions are signed by people on a signed list; activations are emergencies, rollbacks, or cancelled."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERVICE = "exportgate_service"
OFFICER = "exportgate_policy_officer"
REVIEWER = "exportgate_reviewer"
AUDITOR = "exportgate_auditor"

TABLES = ("policy_signer_list", "policy_signature", "policy_cancellation")

SIGNERS = """
CREATE FUNCTION ledger.signers_of(resolved bytea)
RETURNS TABLE (name text, public_key bytea, valid_from timestamptz, valid_until timestamptz)
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT name, pg_catalog.decode(substr(public_key, 9), 'hex'), valid_from, valid_until
    FROM jsonb_to_recordset(pg_catalog.convert_from(resolved, 'UTF8')::jsonb -> 'signers')
        AS one (name text, public_key text, valid_from timestamptz, valid_until timestamptz)
$$
"""

APPROVERS = """
CREATE FUNCTION ledger.count_approvers(policy bytea, list bytea, at timestamptz) RETURNS bigint
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT least(count(DISTINCT s.signer), count(DISTINCT s.public_key))
    FROM ledger.policy p JOIN ledger.policy_signature s ON s.policy_sha256 = p.sha256
    JOIN ledger.policy_signer_list l ON l.sha256 = list
    CROSS JOIN LATERAL ledger.signers_of(l.resolved) AS allowed
    WHERE p.sha256 = policy AND allowed.name = s.signer AND allowed.public_key = s.public_key
      AND allowed.valid_from <= at AND (allowed.valid_until IS NULL OR at < allowed.valid_until)
      AND s.signer <> p.published_by AND NOT EXISTS (
          SELECT FROM ledger.policy_signer_list every
          CROSS JOIN LATERAL ledger.signers_of(every.resolved) AS author
          WHERE author.name = p.published_by AND author.public_key = s.public_key)
$$
"""
"""How many people other than its author have signed, of the list, valid at the instant, by name and by key."""

ACT_NOW = """
CREATE FUNCTION ledger.refuse_other_time(at timestamptz, said text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    last timestamptz;
BEGIN
    SELECT last_at INTO last FROM ledger.lane WHERE lane = (SELECT lanes FROM ledger.installation) FOR UPDATE;
    IF at < transaction_timestamp() OR at > greatest(clock_timestamp(), last + interval '1 second') THEN
        RAISE EXCEPTION '% is done now, and not at %', said, at USING ERRCODE = 'check_violation';
    END IF;
END $$
"""
"""Takes the control lane too, so that lists, signatures and activations come one after another."""

SIGNER_LIST = """
CREATE FUNCTION ledger.check_signer_list() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    judges ledger.policy_signer_list;
    signed bigint;
BEGIN
    PERFORM ledger.refuse_other_time(NEW.published_at, 'publishing a list of signers');
    SELECT * INTO judges FROM ledger.policy_signer_list ORDER BY seq DESC LIMIT 1;
    IF judges.seq >= NEW.seq OR judges.sha256 IS DISTINCT FROM NEW.replaces
       OR NEW.lane <> (SELECT lanes FROM ledger.installation) THEN
        RAISE EXCEPTION 'a list of signers replaces the list in force, and comes after it'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.sha256 <> pg_catalog.sha256(NEW.resolved) THEN
        RAISE EXCEPTION 'the list of signers has another sha256' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM ledger.signers_of(NEW.resolved) AS one
               HAVING count(*) < 2 OR count(DISTINCT name) < count(*) OR count(DISTINCT public_key) < count(*)
                   OR count(valid_from) < count(*) OR bool_or(octet_length(public_key) <> 32)) THEN
        RAISE EXCEPTION 'a list of signers names two people or more, each once and with a key of their own'
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT least(count(DISTINCT given.name), count(DISTINCT given.public_key)) INTO signed
    FROM ledger.signers_of(NEW.signatures) AS given
    JOIN ledger.signers_of(coalesce(judges.resolved, NEW.resolved)) AS allowed USING (name, public_key)
    WHERE allowed.valid_from <= NEW.published_at
      AND (allowed.valid_until IS NULL OR NEW.published_at < allowed.valid_until);
    IF signed < 2 THEN
        RAISE EXCEPTION 'a list of signers is signed by two people of the list in force, the first by two of its own'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""

SIGNATURE = """
CREATE FUNCTION ledger.check_signature() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    judges ledger.policy_signer_list;
BEGIN
    PERFORM ledger.refuse_other_time(NEW.signed_at, 'signing');
    SELECT * INTO judges FROM ledger.policy_signer_list ORDER BY seq DESC LIMIT 1;
    IF NOT EXISTS (SELECT FROM ledger.policy WHERE sha256 = NEW.policy_sha256) THEN
        RAISE EXCEPTION 'the policy to be signed is not stored' USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF octet_length(NEW.signature) <> 64 OR NEW.lane <> (SELECT lanes FROM ledger.installation) THEN
        RAISE EXCEPTION 'this is no signature' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.signer = (SELECT published_by FROM ledger.policy WHERE sha256 = NEW.policy_sha256) THEN
        RAISE EXCEPTION 'the author of a policy version does not approve it' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF judges.sha256 IS NULL OR NOT EXISTS (
        SELECT FROM ledger.signers_of(judges.resolved) AS allowed
        WHERE allowed.name = NEW.signer AND allowed.public_key = NEW.public_key AND allowed.valid_from <= NEW.signed_at
          AND (allowed.valid_until IS NULL OR NEW.signed_at < allowed.valid_until)) THEN
        RAISE EXCEPTION 'nobody of that name and key may sign now' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""

ACTIVATION = """
CREATE OR REPLACE FUNCTION ledger.check_activation() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    last timestamptz;
    judges bytea;
    needed int := CASE WHEN NEW.emergency THEN 1 ELSE 2 END;
    before bytea;
    was_in_force boolean;
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
    PERFORM ledger.refuse_other_time(NEW.recorded_at, 'activating');
    SELECT sha256 INTO judges FROM ledger.policy_signer_list ORDER BY seq DESC LIMIT 1;
    IF NEW.signers_sha256 IS DISTINCT FROM judges OR NEW.emergency AND judges IS NULL THEN
        RAISE EXCEPTION 'an activation is judged by the list of signers in force'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF judges IS NOT NULL AND ledger.count_approvers(NEW.policy_sha256, judges, NEW.recorded_at) < needed THEN
        RAISE EXCEPTION 'an activation needs the signatures of % people who are not its author', needed
            USING ERRCODE = 'insufficient_privilege', HINT = 'exportgate policy sign';
    END IF;
    SELECT policy_sha256 INTO before FROM ledger.activation_not_cancelled
    WHERE effective_at < NEW.effective_at ORDER BY effective_at DESC LIMIT 1;
    was_in_force := EXISTS (SELECT FROM ledger.activation_not_cancelled
        WHERE policy_sha256 = NEW.policy_sha256 AND effective_at <= greatest(last, clock_timestamp()));
    IF was_in_force AND NOT NEW.rollback AND before IS DISTINCT FROM NEW.policy_sha256 THEN
        RAISE EXCEPTION 'this version was in force before' USING ERRCODE = 'check_violation',
            HINT = 'To go back to it is a rollback.';
    END IF;
    IF NEW.rollback AND NOT was_in_force THEN
        RAISE EXCEPTION 'this version was never in force' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

FORMER_ACTIVATION = """
CREATE OR REPLACE FUNCTION ledger.check_activation() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
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

CANCELLATION = """
CREATE FUNCTION ledger.check_cancellation() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    PERFORM lane FROM ledger.lane ORDER BY lane FOR UPDATE;
    PERFORM ledger.refuse_other_time(NEW.cancelled_at, 'cancelling');
    IF NEW.effective_at <= NEW.cancelled_at OR NEW.effective_at <= (SELECT max(last_at) FROM ledger.lane) THEN
        RAISE EXCEPTION 'an activation that has begun cannot be cancelled: it began at %', NEW.effective_at
            USING ERRCODE = 'check_violation', HINT = 'Activate another version, or roll back.';
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.policy_activation WHERE effective_at = NEW.effective_at) THEN
        RAISE EXCEPTION 'no activation begins at %', NEW.effective_at USING ERRCODE = 'foreign_key_violation';
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
FORMER_KINDS = "'policy_published', 'policy_activated'"
KINDS = f"{FORMER_KINDS}, 'policy_cancelled', 'policy_signed', 'signers_published'"

NOT_CANCELLED = """
CREATE VIEW ledger.activation_not_cancelled AS
SELECT a.* FROM ledger.policy_activation a
WHERE NOT EXISTS (SELECT FROM ledger.policy_cancellation c WHERE c.effective_at = a.effective_at)
"""

IN_FORCE = (
    "Which policy version was in force from when until when; until is null for the one in force or planned last.",
    """
    SELECT a.effective_at AS in_force_from, lead(a.effective_at) OVER (ORDER BY a.effective_at) AS in_force_until,
           p.name AS policy, p.version AS policy_version, encode(a.policy_sha256, 'hex') AS policy_sha256,
           a.activated_by, a.reason, a.recorded_at{more}
    FROM ledger.{activations} a JOIN ledger.policy p ON p.sha256 = a.policy_sha256
    """,
)

VIEWS = {
    "policy_signatures": (
        "Who has signed which policy version, with which key, and who had published it.",
        """
        SELECT s.signed_at, p.name AS policy, p.version AS policy_version, s.signer, p.published_by,
               encode(s.policy_sha256, 'hex') AS policy_sha256, encode(s.public_key, 'hex') AS public_key,
               encode(s.signature, 'hex') AS signature, s.lane, s.seq
        FROM ledger.policy_signature s JOIN ledger.policy p ON p.sha256 = s.policy_sha256
        """,
    ),
    "policy_signers": (
        "Who may sign, by list and dates. in_force is true for the list that counts now; replaces is the one before.",
        """
        SELECT l.published_at, l.published_by, l.seq = max(l.seq) OVER () AS in_force, one.name,
               encode(one.public_key, 'hex') AS public_key, one.valid_from, one.valid_until,
               encode(l.sha256, 'hex') AS list_sha256, encode(l.replaces, 'hex') AS replaces
        FROM ledger.policy_signer_list l CROSS JOIN LATERAL ledger.signers_of(l.resolved) AS one
        """,
    ),
    "policy_cancellations": (
        "Activations that were cancelled before they began; no decision was made under them.",
        """
        SELECT c.cancelled_at, a.effective_at AS was_to_begin_at, p.name AS policy, p.version AS policy_version,
               c.cancelled_by, c.reason, a.activated_by, a.recorded_at
        FROM ledger.policy_cancellation c JOIN ledger.policy_activation a USING (effective_at)
        JOIN ledger.policy p ON p.sha256 = a.policy_sha256
        """,
    ),
}
TRIGGERS = {
    "policy_signer_list": ("only_signed_lists", "check_signer_list"),
    "policy_signature": ("only_by_signers", "check_signature"),
    "policy_cancellation": ("before_it_begins", "check_cancellation"),
}


def upgrade() -> None:
    _tables()
    for statement in (SIGNERS, APPROVERS, ACT_NOW, SIGNER_LIST, SIGNATURE, CANCELLATION, NOT_CANCELLED, ACTIVATION):
        op.execute(statement)
    op.execute(OFFICERS_ENTRIES.format(kinds=KINDS))
    readers = f"{SERVICE}, {OFFICER}, {REVIEWER}, {AUDITOR}"
    op.execute(f"GRANT SELECT ON ledger.activation_not_cancelled TO {readers}")
    for table, (trigger, function) in TRIGGERS.items():
        op.execute(f"GRANT SELECT ON ledger.{table} TO {readers}")
        op.execute(f"GRANT INSERT ON ledger.{table} TO {OFFICER}")
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
        )
        op.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER append_only")
        op.execute(
            f"CREATE TRIGGER {trigger} BEFORE INSERT ON ledger.{table} "
            f"FOR EACH ROW EXECUTE FUNCTION ledger.{function}()"
        )
    more = ", a.emergency, a.rollback, encode(a.signers_sha256, 'hex') AS signers_sha256"
    _view("policy_in_force", IN_FORCE[0], IN_FORCE[1].format(more=more, activations="activation_not_cancelled"))
    for view, (comment, query) in VIEWS.items():
        _view(view, comment, query)
        op.execute(f"GRANT SELECT ON audit.{view} TO {AUDITOR}")


def _view(name: str, comment: str, query: str) -> None:
    op.execute(f"CREATE OR REPLACE VIEW audit.{name} AS {query}")
    op.execute(f"COMMENT ON VIEW audit.{name} IS '{comment}'")


def _tables() -> None:
    op.create_table(
        "policy_signer_list",
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="of `resolved`"),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="as the officer wrote it"),
        sa.Column("resolved", sa.LargeBinary(), nullable=False, comment="canonical JSON: names, keys and dates"),
        sa.Column("replaces", sa.LargeBinary(), nullable=True, comment="the list before it; null for the first"),
        sa.Column("signatures", sa.LargeBinary(), nullable=False, comment="canonical JSON: of people of that list"),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("policy_signer_list_pkey")),
        sa.UniqueConstraint("lane", "seq", name=op.f("policy_signer_list_lane_seq_key")),
        schema="ledger",
        comment="who may sign policy versions; immutable, the latest list counts",
    )
    op.create_table(
        "policy_signature",
        sa.Column("policy_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False, comment="Ed25519"),
        sa.Column("signature", sa.LargeBinary(), nullable=False, comment="Ed25519, of service/policies/signatures.py"),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("policy_sha256", "signer", "public_key", name=op.f("policy_signature_pkey")),
        sa.UniqueConstraint("lane", "seq", name=op.f("policy_signature_lane_seq_key")),
        schema="ledger",
        comment="who approves of a policy version",
    )
    op.create_table(
        "policy_cancellation",
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False, comment="of the activation"),
        sa.Column("cancelled_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("effective_at", name=op.f("policy_cancellation_pkey")),
        sa.UniqueConstraint("lane", "seq", name=op.f("policy_cancellation_lane_seq_key")),
        schema="ledger",
        comment="activations that were taken back before they began",
    )
    op.add_column(
        "policy_activation",
        sa.Column("emergency", sa.Boolean(), server_default="false", nullable=False, comment="by one signature"),
        schema="ledger",
    )
    op.add_column(
        "policy_activation",
        sa.Column("rollback", sa.Boolean(), server_default="false", nullable=False, comment="back to what was before"),
        schema="ledger",
    )
    op.add_column(
        "policy_activation",
        sa.Column(
            "signers_sha256",
            sa.LargeBinary(),
            nullable=True,
            comment="the list it was judged by; null before the first",
        ),
        schema="ledger",
    )


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW audit.{view}")
    op.execute("DROP VIEW audit.policy_in_force")
    _view("policy_in_force", IN_FORCE[0], IN_FORCE[1].format(more="", activations="policy_activation"))
    op.execute(f"GRANT SELECT ON audit.policy_in_force TO {AUDITOR}")
    op.execute(FORMER_ACTIVATION)
    op.execute(OFFICERS_ENTRIES.format(kinds=FORMER_KINDS))
    op.execute("DROP VIEW ledger.activation_not_cancelled")
    for table in TABLES:
        op.drop_table(table, schema="ledger")
    for column in ("signers_sha256", "rollback", "emergency"):
        op.drop_column("policy_activation", column, schema="ledger")
    for function in ("check_signer_list()", "check_signature()", "check_cancellation()",
                     "count_approvers(bytea, bytea, timestamptz)", "signers_of(bytea)",
                     "refuse_other_time(timestamptz, text)"):  # fmt: skip
        op.execute(f"DROP FUNCTION ledger.{function}")
