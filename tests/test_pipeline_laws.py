"""Laws of the batch, for histories nobody thought of: where a batch ends changes nothing, each record has one fate."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.reading import Record
from tests.events import account, closed, contract, event, flag, left, terminated, user
from tests.ledger import Ledger

Json = dict[str, Any]
_EXAMPLES = count()
_ACCOUNTS = st.sampled_from(["x", "y"])
_VERSIONS = st.integers(1, 4)


def _happenings() -> st.SearchStrategy[tuple[str, tuple[str, Json], int]]:
    """(account, (type, data), number of the id); the type `unreadable` stands for bytes that cannot be read."""
    places = st.sampled_from(["GB", "IR", "UA", "uk"])
    made = st.one_of(
        st.builds(lambda v, p: ("account.updated.v1", account(version=v, headquartered_in=p)), _VERSIONS, places),
        st.builds(lambda v: ("user.joined.v1", user(version=v)), _VERSIONS),
        st.builds(lambda v, p: ("contract.signed.v1", contract(version=v, deliver_to=[p])), _VERSIONS, places),
        st.builds(lambda n: ("account.flagged.v1", flag(flag_id=f"f{n}")), _VERSIONS),
        st.builds(lambda n: ("account.flagged.v1", flag(flag_id="w", withdraws=f"f{n}")), _VERSIONS),
        st.builds(lambda v: ("account.closed.v1", closed(version=v)), _VERSIONS),
        st.builds(lambda v: ("user.left.v1", left(version=v)), _VERSIONS),
        st.builds(lambda v: ("contract.terminated.v1", terminated(version=v)), _VERSIONS),
        st.just(("unreadable", {})),
    )
    return st.tuples(_ACCOUNTS, made, st.integers(0, 30))


def _record(happening: Any, offset: int, partition: int, suffix: str) -> Record:
    name, (kind, data), number = happening
    account_id = f"{name}-{suffix}"
    value = b"{"
    if kind != "unreadable":
        # A small range of ids, so that duplicates and conflicts happen.
        value = json.dumps(event(kind, data | {"account_id": account_id}, id=f"{suffix}-{number}")).encode()
    return Record(
        topic="contracts.v1" if kind.startswith("contract.") else "accounts.v1",
        partition=partition,
        offset=offset,
        key=account_id.encode(),
        value=value,
        timestamp_ms=None,
    )


async def _run(ledger: Ledger, batches: Sequence[Sequence[Record]]) -> Counter[str]:
    fates: Counter[str] = Counter()
    for batch in batches:
        fates.update((await ledger.decide_records(batch)).fates)
    return fates


def _numbered(happenings: Sequence[Any], partition: int, suffix: str) -> list[Record]:
    offsets: Counter[str] = Counter()
    records = []
    for happening in happenings:
        topic = _record(happening, 0, partition, suffix).topic
        records.append(_record(happening, offsets[topic], partition, suffix))
        offsets[topic] += 1
    return records


async def _told(ledger: Ledger, suffix: str) -> list[Any]:
    query = """
        SELECT subject_id, revision, outcome, rules, cause_kind FROM ledger.decision
        WHERE account_id = :account ORDER BY lane, seq
    """
    return [tuple(map(str, row)) for name in "xy" for row in await ledger.rows(query, account=f"{name}-{suffix}")]


async def test_where_a_batch_ends_changes_no_decision(ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(happenings=st.lists(_happenings(), min_size=1, max_size=14), cut=st.integers(1, 13))
    def law(happenings: list[Any], cut: int) -> None:
        asyncio.run_coroutine_threadsafe(_compare(ledger, happenings, cut), loop).result()

    await asyncio.to_thread(law)
    assert await ledger.replay() == []


async def _compare(ledger: Ledger, happenings: list[Any], cut: int) -> None:
    example = next(_EXAMPLES)
    # One topic order: contracts come after accounts within a batch, so the cut is made in that order too.
    ordered = sorted(happenings, key=lambda one: one[1][0].startswith("contract."))
    whole = _numbered(ordered, 2 * example, f"{example}w")
    parts = _numbered(ordered, 2 * example + 1, f"{example}p")
    fates = await _run(ledger, [whole])
    assert fates == await _run(ledger, [part for part in (parts[:cut], parts[cut:]) if part])
    assert sum(fates.values()) == len(happenings)
    assert await _told(ledger, f"{example}w") == await _told(ledger, f"{example}p")
    await _no_approval_on_doubt(ledger, f"{example}w")


async def _no_approval_on_doubt(ledger: Ledger, suffix: str) -> None:
    """An account with an open record has no standing approval, nor has any of its users and contracts."""
    query = """
        SELECT 1 FROM ledger.subject
        WHERE outcome = 'approve' AND NOT ended AND account_id LIKE :like AND account_id IN (
            SELECT account_id FROM ledger.quarantine
            WHERE quarantine_id NOT IN (SELECT quarantine_id FROM ledger.quarantine_resolution))
    """
    assert await ledger.rows(query, like=f"%-{suffix}") == []
