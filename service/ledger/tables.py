"""The tables of the ledger. History is append-only: migrations grant no role UPDATE or DELETE on it."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

SCHEMA = "ledger"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "pk": "%(table_name)s_pkey",
    },
)


def _at(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())


def _place_in_history() -> tuple[Column[int], Column[int]]:
    return Column("lane", SmallInteger, nullable=False), Column("seq", BigInteger, nullable=False)


installation = Table(
    "installation",
    metadata,
    Column("single", Boolean, primary_key=True, server_default="true", comment="there is one row"),
    Column("lanes", SmallInteger, nullable=False, comment="lanes of accounts; the control lane has this number"),
    Column(
        "epoch",
        Integer,
        nullable=False,
        comment="raised after a restore that lost commits; leads in revision order",
    ),
    CheckConstraint("single", name="one_row"),
    comment="what was fixed at `db init`",
)

lane = Table(
    "lane",
    metadata,
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("next_seq", BigInteger, nullable=False, server_default="1"),
    Column("head", LargeBinary, nullable=False, comment="link of the last journal entry"),
    _at("last_at"),
    comment="the head of one lane's history; its row lock orders everything written about its accounts",
)

relay_position = Table(
    "relay_position",
    metadata,
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, server_default="0", comment="last entry published"),
    comment="how far a lane is published to Kafka",
)

relay_refused = Table(
    "relay_refused",
    metadata,
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False, comment="which topic refused it, and why"),
    _now("refused_at"),
    comment="journal entries that the brokers do not take; removed once they do",
)

stream_position = Table(
    "stream_position",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    _at("halted_at", nullable=True),
    Column("halt_reason", Text),
    comment="how far one partition is done; the truth about offsets",
)

inbox = Table(
    "inbox",
    metadata,
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("raw_sha256", LargeBinary, nullable=False),
    comment="ids of the events accepted, so that none is decided twice",
)

journal = Table(
    "journal",
    metadata,
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the bytes that are hashed and published"),
    Column("leaf", LargeBinary, nullable=False, comment="sha256(0x00 || body)"),
    Column("link", LargeBinary, nullable=False, comment="sha256(0x02 || previous link || leaf)"),
    comment="everything that happened, in order, by lane",
)

evidence = Table(
    "evidence",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    _now("stored_at"),
    comment="raw records and facts by their sha256; may hold personal data, may be erased",
)

decision = Table(
    "decision",
    metadata,
    Column("decision_id", Uuid, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("subject_id", Text, nullable=False, comment="account, user:<id> or contract:<id>"),
    Column("epoch", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("access", Text, nullable=False),
    Column("cause_kind", Text, nullable=False),
    Column("cause_id", Text, nullable=False),
    Column("policy_sha256", LargeBinary, nullable=False),
    Column("rules", ARRAY(Text), nullable=False, comment="rules that were hit, unknown or waived"),
    Column("supersedes", Uuid),
    Column("raw_sha256", LargeBinary, comment="the record that caused it; null when no record did"),
    Column("facts_sha256", LargeBinary, nullable=False),
    _at("decided_at"),
    _at("valid_until", nullable=True),
    *_place_in_history(),
    UniqueConstraint("lane", "seq"),
    UniqueConstraint("account_id", "subject_id", "epoch", "revision"),
    Index(None, "cause_id"),
    Index(None, "decided_at"),
    comment="the columns people query of a decision; all recomputable from journal.body",
)

subject = Table(
    "subject",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("subject_id", Text, primary_key=True),
    Column("lane", SmallInteger, nullable=False),
    Column("facts", LargeBinary, nullable=False, comment="canonical bytes of the subject's own facts"),
    Column("version", BigInteger, nullable=False, comment="of the last state-carrying event; 0 before the first"),
    Column("content_sha256", LargeBinary, nullable=False, comment="of that event's data; empty before the first"),
    Column("revision", BigInteger, nullable=False),
    Column("decision_id", Uuid, comment="the standing decision; null when none stands"),
    Column("outcome", Text),
    Column("ended", Boolean, nullable=False),
    Index(None, "lane"),
    comment="what we currently know of an account, user or contract",
)

policy = Table(
    "policy",
    metadata,
    Column("sha256", LargeBinary, primary_key=True, comment="of `resolved`"),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("document", LargeBinary, nullable=False, comment="as the officer wrote it"),
    Column("resolved", LargeBinary, nullable=False, comment="with parents, groups and catalogue inlined"),
    Column("published_by", Text, nullable=False),
    _now("published_at"),
    UniqueConstraint("name", "version"),
    comment="policy documents; immutable",
)

policy_activation = Table(
    "policy_activation",
    metadata,
    Column("effective_at", DateTime(timezone=True), primary_key=True),
    Column("policy_sha256", LargeBinary, nullable=False),
    Column("activated_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _now("recorded_at"),
    *_place_in_history(),
    Column("emergency", Boolean, nullable=False, server_default="false", comment="by one signature"),
    Column("rollback", Boolean, nullable=False, server_default="false", comment="back to what was before"),
    Column("signers_sha256", LargeBinary, comment="the list it was judged by; null before the first"),
    comment="what is in force from when; the latest one that has begun is in force",
)

policy_cancellation = Table(
    "policy_cancellation",
    metadata,
    Column("effective_at", DateTime(timezone=True), primary_key=True, comment="of the activation"),
    Column("cancelled_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _at("cancelled_at"),
    *_place_in_history(),
    UniqueConstraint("lane", "seq"),
    comment="activations that were taken back before they began",
)

policy_signer_list = Table(
    "policy_signer_list",
    metadata,
    Column("sha256", LargeBinary, primary_key=True, comment="of `resolved`"),
    Column("document", LargeBinary, nullable=False, comment="as the officer wrote it"),
    Column("resolved", LargeBinary, nullable=False, comment="canonical JSON: names, keys and dates"),
    Column("replaces", LargeBinary, comment="the list before it; null for the first"),
    Column("signatures", LargeBinary, nullable=False, comment="canonical JSON: of people of that list"),
    Column("published_by", Text, nullable=False),
    _at("published_at"),
    *_place_in_history(),
    UniqueConstraint("lane", "seq"),
    comment="who may sign policy versions; immutable, the latest list counts",
)

policy_signature = Table(
    "policy_signature",
    metadata,
    Column("policy_sha256", LargeBinary, primary_key=True),
    Column("signer", Text, primary_key=True),
    Column("public_key", LargeBinary, primary_key=True, comment="Ed25519"),
    Column("signature", LargeBinary, nullable=False, comment="Ed25519, of service/policies/signatures.py"),
    _at("signed_at"),
    *_place_in_history(),
    UniqueConstraint("lane", "seq"),
    comment="who approves of a policy version",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("quarantine_id", Uuid, primary_key=True),
    Column("account_id", Text, comment="whose account it holds; null when none is legible or nobody may be held"),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("source", Text),
    Column("event_id", Text),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("raw_sha256", LargeBinary, nullable=False),
    _at("opened_at"),
    *_place_in_history(),
    UniqueConstraint("lane", "seq"),
    Index(None, "account_id"),
    comment="records that could not be decided",
)

quarantine_resolution = Table(
    "quarantine_resolution",
    metadata,
    Column("quarantine_id", Uuid, primary_key=True),
    Column("resolution", Text, nullable=False, comment="redriven or dismissed"),
    Column("resolved_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _at("resolved_at"),
    *_place_in_history(),
    comment="what became of a quarantined record",
)

shadow = Table(
    "shadow",
    metadata,
    Column("shadow_id", Uuid, primary_key=True),
    Column("policy_sha256", LargeBinary, nullable=False, comment="of `resolved`; it need not be published"),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("resolved", LargeBinary, nullable=False, comment="with parents, groups and catalogue inlined"),
    Column("started_by", Text, nullable=False),
    Column("start_reason", Text, nullable=False),
    _at("started_at"),
    *_place_in_history(),
    Column("stopped_by", Text),
    Column("stop_reason", Text),
    _at("stopped_at", nullable=True),
    Column("stop_seq", BigInteger, comment="the entry of its end, in the same lane"),
    UniqueConstraint("lane", "seq"),
    CheckConstraint("policy_sha256 = sha256(resolved)", name="resolved"),
    # All are of the control lane, so that of those that run there is one.
    Index("shadow_one_runs_idx", "lane", unique=True, postgresql_where=text("stopped_at IS NULL")),
    comment="candidates that are evaluated beside the live policy; one runs at a time, and stops once",
)

shadow_position = Table(
    "shadow_position",
    metadata,
    Column("shadow_id", Uuid, primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("from_seq", BigInteger, nullable=False, comment="last entry before it started"),
    Column("seq", BigInteger, nullable=False, comment="last entry looked at"),
    comment="how far a shadow has followed a lane",
)

shadow_count = Table(
    "shadow_count",
    metadata,
    Column("shadow_id", Uuid, primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("before", Text, primary_key=True, comment="what was decided"),
    Column("after", Text, primary_key=True, comment="the candidate's outcome, or erased, unreadable, error"),
    Column("count", BigInteger, nullable=False),
    comment="the results of a shadow, counted: what metrics read every few seconds",
)

shadow_result = Table(
    "shadow_result",
    metadata,
    Column("shadow_id", Uuid, primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("decision_id", Uuid, nullable=False, comment="what was decided on the same facts, at `lane`, `seq`"),
    Column("outcome", Text),
    Column("access", Text),
    Column("rules", ARRAY(Text), nullable=False, comment="rules that were hit, unknown or waived"),
    Column(
        "failure",
        Text,
        comment="why there is no outcome: erased, unreadable, or an error with its traceback as a digest",
    ),
    CheckConstraint("num_nonnulls(outcome, failure) = 1 AND num_nonnulls(access, failure) = 1", name="outcome"),
    comment="what the candidate gave for each decision made since it started; never published",
)

HISTORY = (
    inbox,
    journal,
    evidence,
    decision,
    policy,
    policy_activation,
    policy_cancellation,
    policy_signer_list,
    policy_signature,
    quarantine,
    quarantine_resolution,
    shadow_result,
)
"""Tables nobody may update; `evidence` alone may be erased, by the eraser."""
