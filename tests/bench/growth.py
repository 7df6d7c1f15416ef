"""A ledger that has grown: decisions that the service made, multiplied on the server under ids of their own."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from service.embedded.postgres import Server
from tests.bench.stage import LANES


async def multiply(server: Server, database: str, wanted: int) -> int:
    """Fill a database that holds some decisions of accounts until it holds about `wanted`; how many it holds then.

    Rows are as large as the service's own, hashes and ids are spread as its own, and every index is kept up row by row.
    """
    async with _quickly(server):
        first, second = [await asyncpg.connect(_url(server, database)) for _ in range(2)]
        made = int(await first.fetchval("SELECT count(*) FROM ledger.decision"))
        times = max(1, round(wanted / made) - 1)
        await first.execute(_PLAN.format(times=times))
        await asyncio.gather(_run(first, _HISTORY), _run(second, _STATE))
        await first.execute(_ADVANCE.format(lanes=LANES))
        await first.execute("DROP TABLE public.copy")
        await first.execute("VACUUM (ANALYZE)")
        for one in (first, second):
            await one.close()
    return made * (times + 1)


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", statements: tuple[str, ...]) -> None:
    for statement in statements:
        await connection.execute(statement)


@asynccontextmanager
async def _quickly(server: Server) -> AsyncIterator[None]:
    """Fill without waiting for the disk; when the block ends everything is on it, and fsync is as it was."""
    connection = await asyncpg.connect(_url(server, "postgres"))
    try:
        for name, value in _QUICK.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await connection.execute("SELECT pg_reload_conf()")
        yield
    finally:
        await connection.execute("ALTER SYSTEM RESET ALL")
        await connection.execute("SELECT pg_reload_conf()")
        await _until_fsync(connection)
        await connection.execute("CHECKPOINT")
        await connection.close()
        await asyncio.to_thread(os.sync)


async def _until_fsync(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    deadline = time.monotonic() + 10
    while await connection.fetchval("SHOW fsync") != "on":
        assert time.monotonic() < deadline, "fsync did not come back"
        await asyncio.sleep(0.05)


def _url(server: Server, database: str) -> str:
    return server.url(database).replace("+asyncpg", "")


_QUICK = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB", "autovacuum": "off"}

# One row for each decision that is to be: which one it copies, and its own ids.
_PLAN = """
CREATE UNLOGGED TABLE public.copy AS
SELECT d.decision_id AS of_decision, d.lane, d.seq AS of_seq, d.seq + n * (lane.next_seq - 1) AS seq,
       'acct-' || md5(d.account_id || n) AS account_id, md5(d.decision_id::text || n)::uuid AS decision_id,
       split_part(d.cause_id, ' ', 1) AS source, 'evt-' || md5(d.cause_id || n) AS event_id,
       sha256(d.raw_sha256 || int4send(n)) AS raw_sha256, sha256(d.facts_sha256 || int4send(n)) AS facts_sha256,
       d.decided_at - ({times} - n) * interval '1 minute' AS decided_at
FROM generate_series(1, {times}) AS n
CROSS JOIN (SELECT * FROM ledger.decision ORDER BY lane, seq) AS d JOIN ledger.lane USING (lane);
ANALYZE public.copy
"""
_HISTORY = (
    """
    INSERT INTO ledger.journal (lane, seq, kind, body, leaf, link)
    SELECT c.lane, c.seq, j.kind,
           convert_to(replace(convert_from(j.body, 'UTF8'), c.of_decision::text, c.decision_id::text), 'UTF8'),
           sha256(j.leaf || c.raw_sha256), sha256(j.link || c.raw_sha256)
    FROM public.copy AS c JOIN ledger.journal AS j ON j.lane = c.lane AND j.seq = c.of_seq
    """,
    """
    INSERT INTO ledger.decision (decision_id, account_id, subject_id, epoch, revision, outcome, access, cause_kind,
        cause_id, policy_sha256, rules, supersedes, raw_sha256, facts_sha256, decided_at, valid_until, lane, seq)
    SELECT c.decision_id, c.account_id, d.subject_id, d.epoch, d.revision, d.outcome, d.access, d.cause_kind,
           c.source || ' ' || c.event_id, d.policy_sha256, d.rules, d.supersedes, c.raw_sha256, c.facts_sha256,
           c.decided_at, d.valid_until, c.lane, c.seq
    FROM public.copy AS c JOIN ledger.decision AS d ON d.decision_id = c.of_decision
    """,
)
_STATE = (
    """
    INSERT INTO ledger.evidence (sha256, content)
    SELECT c.raw_sha256, e.content
    FROM public.copy AS c JOIN ledger.decision AS d ON d.decision_id = c.of_decision
    JOIN ledger.evidence AS e ON e.sha256 = d.raw_sha256
    """,
    """
    INSERT INTO ledger.evidence (sha256, content)
    SELECT c.facts_sha256, e.content
    FROM public.copy AS c JOIN ledger.decision AS d ON d.decision_id = c.of_decision
    JOIN ledger.evidence AS e ON e.sha256 = d.facts_sha256
    """,
    "INSERT INTO ledger.inbox (source, event_id, raw_sha256) SELECT source, event_id, raw_sha256 FROM public.copy",
    """
    INSERT INTO ledger.subject (account_id, subject_id, lane, facts, version, content_sha256, revision, decision_id,
        outcome, ended)
    SELECT c.account_id, s.subject_id, c.lane, s.facts, s.version, sha256(s.content_sha256 || c.raw_sha256),
           s.revision, c.decision_id, s.outcome, s.ended
    FROM public.copy AS c JOIN ledger.decision AS d ON d.decision_id = c.of_decision
    JOIN ledger.subject AS s ON s.account_id = d.account_id AND s.subject_id = d.subject_id
    """,
)
_ADVANCE = """
UPDATE ledger.lane SET next_seq = last.seq + 1, head = last.link
FROM (
    SELECT DISTINCT ON (lane) lane, seq, link FROM ledger.journal WHERE lane < {lanes} ORDER BY lane, seq DESC
) AS last
WHERE lane.lane = last.lane;
UPDATE ledger.relay_position SET seq = lane.next_seq - 1
FROM ledger.lane WHERE lane.lane = relay_position.lane AND lane.lane < {lanes}
"""
