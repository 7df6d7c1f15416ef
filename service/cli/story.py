"""Collects what surrounds one decision, so that it can be told: its policy, facts, neighbours, and what stands now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from service.audit.facts import decode_facts
from service.cli.connect import ledger
from service.cli.explain import Story, explain
from service.cli.found import Finder
from service.cli.near import unknown
from service.cli.output import Failed, Misuse
from service.cli.words import few, joined
from service.decide.facts import Facts
from service.decide.policy import Policy
from service.ledger.engine import Tx
from service.ledger.history import DecisionRow, decisions_of, find_decision, journal_entry, read_evidence
from service.ledger.policies import Activation, list_activations
from service.ledger.subjects import ACCOUNT, find_subjects
from service.policies import PolicyRefused
from service.policies.refusal import suggestion
from service.policies.stored import stored_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A decision in words. `body` is what was published; `stands` says whether it counts now."""

    body: dict[str, Any]
    stands: bool
    paragraphs: list[str]


async def tell(decision_or_account: str, subject_id: str) -> Told:
    """A decision of the configured database by its id, or the latest one of an account's subject, in words."""
    async with ledger("auditor") as tx:
        return await told(tx, decision_or_account, subject_id)


async def told(tx: Tx, decision_or_account: str, subject_id: str) -> Told:
    """A decision by its id, or the latest one of an account's subject, in words. Misuse when there is none."""
    row = await _named(tx, decision_or_account) or await _latest(tx, decision_or_account, subject_id)
    content = await journal_body(tx, row)
    if content is None:
        raise Failed(f"the journal holds nothing at entry {row.seq} of lane {row.lane}; run: exportgate replay")
    body = orjson.loads(content)
    story = await _story(tx, row, body)
    paragraphs = explain(story)
    if row.subject_id == ACCOUNT:
        paragraphs += await _others(tx, row.account_id)
    return Told(body=body, stands=story.stands, paragraphs=paragraphs)


async def decision_named(tx: Tx, decision_id: UUID) -> DecisionRow:
    """The decision with this id. Misuse when there is none."""
    row = await find_decision(tx, decision_id)
    if row is None:
        raise Misuse(f"no decision {decision_id} was made; see: exportgate decisions tail")
    return row


async def journal_body(tx: Tx, row: DecisionRow) -> bytes | None:
    """The body of a decision's entry, None when the journal does not hold it: somebody tampered with it."""
    entry = await journal_entry(tx, row.lane, row.seq)
    return None if entry is None else entry.body


async def _named(tx: Tx, text: str) -> DecisionRow | None:
    try:
        return await find_decision(tx, UUID(text))
    except ValueError:
        return None


async def _latest(tx: Tx, account_id: str, subject_id: str) -> DecisionRow:
    rows = await decisions_of(tx, account_id)
    mine = [row for row in rows if row.subject_id == subject_id]
    if mine:
        return max(mine, key=_revision)
    others = list(dict.fromkeys(row.subject_id for row in rows))
    if others:
        near = [f"'{one}'" for one in others if one.partition(":")[2] == subject_id]
        meant = f" (did you mean {joined(near, 'or')}?)" if near else suggestion(subject_id, others)
        raise Misuse(
            f"nothing was decided about '{subject_id}' of account {account_id}{meant}, but about {few(others)}; "
            "expected a subject: account, user:ID or contract:ID"
        )
    raise Misuse(await unknown(tx, account_id))


def _revision(row: DecisionRow) -> tuple[int, int]:
    return row.epoch, row.revision


async def _law(tx: Tx, sha256: bytes) -> Policy:
    try:
        return await stored_policy(tx, sha256)
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None


async def _story(tx: Tx, row: DecisionRow, body: dict[str, Any]) -> Story:
    rows = [one for one in await decisions_of(tx, row.account_id) if one.subject_id == row.subject_id]
    later = sorted((one for one in rows if _revision(one) > _revision(row)), key=_revision)
    subjects = await find_subjects(tx, row.account_id)
    in_force, until = _activation(await list_activations(tx), row.decided_at)
    finder = Finder(
        policy=await _law(tx, row.policy_sha256),
        facts=await _facts(tx, row.facts_sha256),
        as_of=row.decided_at,
    )
    return Story(
        body=body,
        finder=finder,
        in_force=in_force,
        until=until,
        replaced=next((one for one in rows if one.decision_id == row.supersedes), None),
        replaced_by=later[0] if later else None,
        stands=any(one.decision_id == row.decision_id for one in subjects),
    )


async def _facts(tx: Tx, sha256: bytes) -> Facts | None:
    content = (await read_evidence(tx, [sha256])).get(sha256)
    return None if content is None else decode_facts(content)


def _activation(activations: Sequence[Activation], at: datetime) -> tuple[Activation | None, datetime | None]:
    """The activation in force at an instant, and when the next one took or takes over."""
    before = [one for one in activations if one.effective_at <= at]
    after = [one for one in activations if one.effective_at > at]
    return before[-1] if before else None, after[0].effective_at if after else None


async def _others(tx: Tx, account_id: str) -> list[str]:
    """A hint at what else of the account is decided."""
    found = [
        one.subject_id for one in await find_subjects(tx, account_id) if one.decision_id and one.subject_id != ACCOUNT
    ]
    if not found:
        return []
    example = f"exportgate decisions explain {account_id} {found[0]}"
    return [f"Also decided of this account: {few(found)}. To have one explained:\n  {example}"]
