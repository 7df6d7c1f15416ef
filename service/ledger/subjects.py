"""What we currently know of accounts, their users and their contracts."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from sqlalchemy import select, text

from service.ledger.engine import Tx
from service.ledger.tables import subject

ACCOUNT = "account"
"""The subject id of an account itself; users are `user:<id>`, contracts `contract:<id>`."""

SubjectKey = tuple[str, str]
"""(account_id, subject_id): a contract C of two accounts is two subjects."""


@dataclass(slots=True, kw_only=True)
class Subject:
    """The current state of one subject; the row's owner changes it and writes it back.

    `facts` are the canonical bytes of its own facts. `version` is 0 and `content_sha256` empty before the first state-
    carrying event. `decision_id` and `outcome` are None when no decision stands.
    """

    account_id: str
    subject_id: str
    lane: int
    facts: bytes
    version: int
    content_sha256: bytes
    revision: int
    decision_id: UUID | None
    outcome: str | None
    ended: bool

    @property
    def key(self) -> SubjectKey:
        """Which subject it is."""
        return self.account_id, self.subject_id

    @property
    def is_known(self) -> bool:
        """Of an account: whether it signed up and is open."""
        return self.version > 0 and not self.ended


@dataclass(frozen=True, slots=True)
class StandingAccount:
    """An account with its users and contracts, each with the sha256 of the facts its standing decision was made on."""

    subjects: list[tuple[Subject, bytes | None]]
    open_records: int


_COLUMNS = [subject.c[name] for name in Subject.__dataclass_fields__]


async def load_subjects(tx: Tx, keys: Collection[SubjectKey], whole_accounts: Collection[str]) -> list[Subject]:
    """The subjects of these keys, and all subjects of `whole_accounts`. Their lanes must be held."""
    parameters = {
        "accounts": [key[0] for key in keys],
        "subjects": [key[1] for key in keys],
        "whole": list(whole_accounts),
    }
    rows = (await tx.execute(_LOAD, parameters)).all()
    return [Subject(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name


async def find_subjects(tx: Tx, account_id: str) -> Sequence[Subject]:
    """All subjects of an account, for people to read."""
    statement = select(*_COLUMNS).where(subject.c.account_id == account_id).order_by(subject.c.subject_id)
    return [Subject(**row._mapping) for row in (await tx.execute(statement)).all()]  # noqa: SLF001 -- as above


async def walk_accounts(tx: Tx, lane: int, *, chunk: int = 500) -> AsyncIterator[StandingAccount]:
    """All accounts that have a subject in a lane, read in chunks so that memory stays flat."""
    after = ""
    while rows := (await tx.execute(_WALK, {"lane": lane, "after": after, "chunk": chunk})).all():
        for account_id, several in groupby(rows, key=lambda row: row.account_id):
            same = list(several)
            subjects = [(Subject(**{name: getattr(row, name) for name in _FIELDS}), row.facts_sha256) for row in same]
            yield StandingAccount(subjects, same[0].open_records)
            after = account_id


def saved_subjects(subjects: Sequence[Subject]) -> dict[str, object]:
    """The parameters of `SAVE_SUBJECTS`."""
    ordered = sorted(subjects, key=lambda one: one.key)
    return {name: [getattr(one, name) for one in ordered] for name in _FIELDS}


_FIELDS = tuple(Subject.__dataclass_fields__)
_NAMES = ", ".join(_FIELDS)
_TYPES = {
    "account_id": "text",
    "subject_id": "text",
    "lane": "smallint",
    "facts": "bytea",
    "version": "bigint",
    "content_sha256": "bytea",
    "revision": "bigint",
    "decision_id": "uuid",
    "outcome": "text",
    "ended": "boolean",
}
_WALK = text(
    f"""
    SELECT {", ".join(f"s.{name}" for name in _FIELDS)}, d.facts_sha256, (
        SELECT count(*) FROM ledger.quarantine AS q WHERE q.account_id = s.account_id AND NOT EXISTS (
            SELECT FROM ledger.quarantine_resolution AS r WHERE r.quarantine_id = q.quarantine_id)) AS open_records
    FROM ledger.subject AS s LEFT JOIN ledger.decision AS d USING (decision_id)
    WHERE s.account_id IN (
        SELECT DISTINCT account_id FROM ledger.subject WHERE lane = :lane AND account_id > :after
        ORDER BY account_id LIMIT :chunk)
    ORDER BY s.account_id, s.subject_id
    """  # noqa: S608 -- constants of ours
)
_LOAD = text(
    f"""
    SELECT {_NAMES} FROM ledger.subject WHERE (account_id, subject_id) IN (
        SELECT * FROM unnest(CAST(:accounts AS text[]), CAST(:subjects AS text[])))
    UNION
    SELECT {_NAMES} FROM ledger.subject WHERE account_id = ANY(CAST(:whole AS text[]))
    """  # noqa: S608 -- constants of ours
)
SAVE_SUBJECTS = f"""
    INSERT INTO ledger.subject ({_NAMES})
    SELECT * FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _TYPES.items())})
    ON CONFLICT (account_id, subject_id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _TYPES if name not in ("account_id", "subject_id", "lane"))}
"""  # noqa: S608 -- constants of ours
"""Writes subjects back, new ones included."""
