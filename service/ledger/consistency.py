"""Whether the rows of the ledger agree with each other: a query a question, answered by the rows that do not."""

from sqlalchemy import text

from service.ledger.engine import Tx
from service.ledger.inbox import cause_id


async def mismatched_rows(tx: Tx) -> list[tuple[str, str]]:
    """(which row, what is wrong) for every row that claims what the journal does not say, or lacks what it does."""
    found: list[tuple[str, str]] = []
    for question in _QUESTIONS:
        found += [(row[0], row[1]) for row in (await tx.execute(text(question))).all()]
    return found


_LATEST = """
    SELECT DISTINCT ON (account_id, subject_id) * FROM (
        SELECT account_id, subject_id, epoch, revision, decision_id, outcome, lane, false AS ended
        FROM ledger.decision
        UNION ALL
        SELECT body ->> 'account_id',
               CASE body ->> 'subject_kind' WHEN 'account' THEN 'account'
                    ELSE body ->> 'subject_kind' || ':' || (body ->> 'subject_id') END,
               (body ->> 'epoch')::int, (body ->> 'revision')::bigint, NULL, NULL, lane, true
        FROM (SELECT convert_from(body, 'UTF8')::jsonb AS body, lane FROM ledger.journal WHERE kind = 'ended') AS ends
    ) AS every ORDER BY account_id, subject_id, epoch DESC, revision DESC
"""
_QUESTIONS = (
    """
    SELECT 'decision ' || decision_id AS row, 'the journal holds no decision at its place' AS fault
    FROM ledger.decision LEFT JOIN ledger.journal USING (lane, seq) WHERE kind IS DISTINCT FROM 'decision'
    """,
    """
    SELECT 'quarantine ' || quarantine_id, 'the journal does not say what the row says'
    FROM ledger.quarantine AS q LEFT JOIN ledger.journal USING (lane, seq)
    WHERE kind IS DISTINCT FROM 'quarantined' OR (
        jsonb_build_object(
            'quarantine_id', q.quarantine_id, 'reason', q.reason, 'detail', q.detail, 'source', q.source,
            'event_id', q.event_id, 'account_id', q.account_id, 'raw_sha256', encode(q.raw_sha256, 'hex'),
            'origin', jsonb_build_object('topic', q.topic, 'partition', q.partition, 'offset', q.record_offset))
        <@ convert_from(body, 'UTF8')::jsonb) IS NOT TRUE
       OR (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz IS DISTINCT FROM q.opened_at
    """,
    """
    SELECT 'activation ' || effective_at, 'the journal does not say what the row says'
    FROM ledger.policy_activation AS a LEFT JOIN ledger.journal USING (lane, seq)
    WHERE kind IS DISTINCT FROM 'policy_activated'
       OR (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz IS DISTINCT FROM a.recorded_at
       OR convert_from(body, 'UTF8')::jsonb -> 'policy' ->> 'sha256' IS DISTINCT FROM encode(a.policy_sha256, 'hex')
       OR (convert_from(body, 'UTF8')::jsonb ->> 'in_force_from')::timestamptz IS DISTINCT FROM a.effective_at
       OR convert_from(body, 'UTF8')::jsonb ->> 'activated_by' IS DISTINCT FROM a.activated_by
       OR convert_from(body, 'UTF8')::jsonb ->> 'reason' IS DISTINCT FROM a.reason
       OR coalesce((convert_from(body, 'UTF8')::jsonb ->> 'emergency')::boolean, false) <> a.emergency
       OR coalesce((convert_from(body, 'UTF8')::jsonb ->> 'rollback')::boolean, false) <> a.rollback
       OR convert_from(body, 'UTF8')::jsonb ->> 'signers_sha256' IS DISTINCT FROM encode(a.signers_sha256, 'hex')
    """,
    """
    SELECT 'cancellation ' || effective_at, 'the journal does not say what the row says'
    FROM ledger.policy_cancellation AS c LEFT JOIN ledger.journal USING (lane, seq)
    WHERE kind IS DISTINCT FROM 'policy_cancelled'
       OR (convert_from(body, 'UTF8')::jsonb ->> 'in_force_from')::timestamptz IS DISTINCT FROM c.effective_at
       OR (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz IS DISTINCT FROM c.cancelled_at
       OR convert_from(body, 'UTF8')::jsonb ->> 'cancelled_by' IS DISTINCT FROM c.cancelled_by
       OR convert_from(body, 'UTF8')::jsonb ->> 'reason' IS DISTINCT FROM c.reason
       OR c.cancelled_at >= c.effective_at
       OR c.effective_at NOT IN (SELECT effective_at FROM ledger.policy_activation)
    """,
    """
    SELECT 'signature ' || signer || ' ' || encode(policy_sha256, 'hex'), 'the journal does not say what the row says'
    FROM ledger.policy_signature AS s LEFT JOIN ledger.journal USING (lane, seq)
    WHERE kind IS DISTINCT FROM 'policy_signed'
       OR (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz IS DISTINCT FROM s.signed_at
       OR convert_from(body, 'UTF8')::jsonb -> 'policy' ->> 'sha256' IS DISTINCT FROM encode(s.policy_sha256, 'hex')
       OR (jsonb_build_object('signer', s.signer, 'public_key', 'ed25519:' || encode(s.public_key, 'hex'),
               'signature', encode(s.signature, 'hex')) <@ convert_from(body, 'UTF8')::jsonb) IS NOT TRUE
    """,
    """
    SELECT 'signers ' || encode(l.sha256, 'hex'), 'the journal does not say what the row says'
    FROM ledger.policy_signer_list AS l LEFT JOIN ledger.journal USING (lane, seq)
    WHERE kind IS DISTINCT FROM 'signers_published'
       OR (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz IS DISTINCT FROM l.published_at
       OR convert_from(body, 'UTF8')::jsonb ->> 'published_by' IS DISTINCT FROM l.published_by
       OR convert_from(body, 'UTF8')::jsonb ->> 'replaces' IS DISTINCT FROM encode(l.replaces, 'hex')
       OR convert_from(body, 'UTF8')::jsonb -> 'signatures'
           IS DISTINCT FROM convert_from(l.signatures, 'UTF8')::jsonb -> 'signers'
       OR (jsonb_build_object('signers_sha256', encode(sha256(l.resolved), 'hex'),
               'document_sha256', encode(sha256(l.document), 'hex')) <@ convert_from(body, 'UTF8')::jsonb) IS NOT TRUE
       OR l.sha256 <> sha256(l.resolved)
    """,
    """
    SELECT 'entry ' || lane || '/' || seq, 'what it tells of policies has no row'
    FROM ledger.journal LEFT JOIN (
        SELECT lane, seq, 'policy_signed' AS kind FROM ledger.policy_signature
        UNION ALL SELECT lane, seq, 'policy_cancelled' FROM ledger.policy_cancellation
        UNION ALL SELECT lane, seq, 'signers_published' FROM ledger.policy_signer_list
        UNION ALL SELECT lane, seq, 'shadow_started' FROM ledger.shadow
        UNION ALL SELECT lane, stop_seq, 'shadow_stopped' FROM ledger.shadow WHERE stopped_at IS NOT NULL
    ) AS rows USING (lane, seq, kind)
    WHERE kind IN ('policy_signed', 'policy_cancelled', 'signers_published', 'shadow_started', 'shadow_stopped')
      AND rows.kind IS NULL
    """,
    """
    SELECT 'shadow ' || shadow_id, 'the journal does not say what the row says'
    FROM (
        SELECT shadow_id, policy_sha256, 'shadow_started' AS kind, lane, seq, started_by AS by, start_reason AS reason,
               started_at AS at FROM ledger.shadow
        UNION ALL
        SELECT shadow_id, policy_sha256, 'shadow_stopped', lane, stop_seq, stopped_by, stop_reason, stopped_at
        FROM ledger.shadow WHERE stopped_at IS NOT NULL
    ) AS s LEFT JOIN ledger.journal AS j USING (lane, seq, kind)
    WHERE (jsonb_build_object('shadow_id', s.shadow_id, 'by', s.by, 'reason', s.reason,
               'policy', jsonb_build_object('sha256', encode(s.policy_sha256, 'hex')))
           <@ convert_from(body, 'UTF8')::jsonb) IS NOT TRUE
       OR (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz IS DISTINCT FROM s.at
    """,
    """
    SELECT 'shadow ' || shadow_id || ', entry ' || seq || ' of lane ' || lane,
           'it does not hold one result for the decision'
    FROM (
        SELECT p.shadow_id, d.lane, d.seq, d.decision_id
        FROM ledger.shadow_position AS p JOIN ledger.decision AS d
          ON d.lane = p.lane AND d.seq > p.from_seq AND d.seq <= p.seq
    ) AS due FULL JOIN ledger.shadow_result AS r USING (shadow_id, lane, seq, decision_id)
    WHERE due.shadow_id IS NULL OR r.outcome IS NULL AND r.failure IS NULL
    """,
    """
    SELECT 'shadow ' || shadow_id || ', lane ' || lane || ', ' || before || ' -> ' || after,
           'it counts ' || coalesce(c.count, 0) || ', and holds ' || coalesce(r.count, 0) || ' results'
    FROM ledger.shadow_count AS c FULL JOIN (
        SELECT r.shadow_id, r.lane, d.outcome AS before,
               CASE WHEN r.failure IN ('erased', 'unreadable') THEN r.failure
                    WHEN r.failure IS NULL THEN r.outcome ELSE 'error' END AS after, count(*) AS count
        FROM ledger.shadow_result AS r JOIN ledger.decision AS d USING (decision_id)
        GROUP BY 1, 2, 3, 4
    ) AS r USING (shadow_id, lane, before, after)
    WHERE c.count IS DISTINCT FROM r.count
    """,
    """
    SELECT 'resolution ' || quarantine_id, 'the journal does not say what the row says'
    FROM ledger.quarantine_resolution AS r LEFT JOIN ledger.journal USING (lane, seq)
    WHERE kind IS DISTINCT FROM 'quarantine_resolved' OR (
        jsonb_build_object('quarantine_id', r.quarantine_id, 'resolution', r.resolution, 'by', r.resolved_by,
                           'reason', r.reason) <@ convert_from(body, 'UTF8')::jsonb) IS NOT TRUE
       OR (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz IS DISTINCT FROM r.resolved_at
    """,
    """
    SELECT 'entry ' || lane || '/' || seq, 'a quarantined record has no row in `quarantine`'
    FROM ledger.journal LEFT JOIN ledger.quarantine USING (lane, seq)
    WHERE kind = 'quarantined' AND quarantine_id IS NULL
    """,
    """
    SELECT 'entry ' || lane || '/' || seq, 'an activation has no row in `policy_activation`'
    FROM ledger.journal LEFT JOIN ledger.policy_activation USING (lane, seq)
    WHERE kind = 'policy_activated' AND effective_at IS NULL
    """,
    """
    SELECT 'entry ' || lane || '/' || seq, 'a resolution has no row in `quarantine_resolution`'
    FROM ledger.journal LEFT JOIN ledger.quarantine_resolution USING (lane, seq)
    WHERE kind = 'quarantine_resolved' AND quarantine_id IS NULL
    """,
    """
    SELECT 'record ' || encode(raw_sha256, 'hex'), 'the record is not kept as evidence'
    FROM (SELECT raw_sha256 FROM ledger.inbox UNION SELECT raw_sha256 FROM ledger.quarantine
          UNION SELECT raw_sha256 FROM ledger.decision WHERE raw_sha256 IS NOT NULL) AS kept
    WHERE NOT EXISTS (SELECT FROM ledger.evidence WHERE evidence.sha256 = kept.raw_sha256)
    """,
    """
    SELECT 'entry ' || lane || '/' || seq AS row, 'the entry lies outside its lane' AS fault
    FROM ledger.journal LEFT JOIN ledger.lane USING (lane)
    WHERE next_seq IS NULL OR seq < 1 OR seq >= next_seq
    """,
    f"""
    SELECT 'installation' AS row,
           'its epoch is neither that of the newest decisions nor the next, nor the one it was raised to' AS fault
    FROM ledger.installation, (SELECT max(latest.epoch) AS newest FROM ({_LATEST}) AS latest) AS decided,
        (SELECT max((convert_from(body, 'UTF8')::jsonb ->> 'to_epoch')::bigint) AS epoch FROM ledger.journal
         WHERE kind = 'epoch_raised') AS raised
    WHERE installation.epoch NOT BETWEEN greatest(newest, raised.epoch) AND greatest(newest::bigint + 1, raised.epoch)
    """,  # noqa: S608 -- a constant of ours
    """
    SELECT 'lanes' AS row, 'they are not those that were made with the database' AS fault
    FROM ledger.installation WHERE (SELECT array_agg(lane ORDER BY lane) FROM ledger.lane)
        IS DISTINCT FROM (SELECT array_agg(number::smallint) FROM generate_series(0, installation.lanes) AS number)
    """,
    """
    SELECT 'relay ' || lane AS row, 'it claims to have published what was never written' AS fault
    FROM ledger.relay_position LEFT JOIN ledger.lane USING (lane)
    WHERE next_seq IS NULL OR relay_position.seq >= next_seq
    """,
    """
    SELECT 'policy ' || encode(p.sha256, 'hex') AS row, 'the row does not say what was published' AS fault
    FROM ledger.policy AS p LEFT JOIN (
        SELECT convert_from(body, 'UTF8')::jsonb AS body FROM ledger.journal WHERE kind = 'policy_published'
    ) AS published ON published.body -> 'policy' ->> 'sha256' = encode(p.sha256, 'hex')
    WHERE p.sha256 <> sha256(p.resolved) OR (
        jsonb_build_object('published_by', p.published_by, 'document_sha256', encode(sha256(p.document), 'hex'),
            'policy', jsonb_build_object('name', p.name, 'version', p.version, 'sha256', encode(p.sha256, 'hex')))
        <@ published.body) IS NOT TRUE OR (published.body ->> 'at')::timestamptz IS DISTINCT FROM p.published_at
    """,
    """
    SELECT 'published policy ' || (body -> 'policy' ->> 'sha256') AS row, 'its document is gone' AS fault
    FROM (
        SELECT convert_from(body, 'UTF8')::jsonb AS body FROM ledger.journal WHERE kind = 'policy_published'
    ) AS entries
    WHERE decode(body -> 'policy' ->> 'sha256', 'hex') NOT IN (SELECT sha256 FROM ledger.policy)
    """,
    """
    SELECT 'inbox ' || source || ' ' || event_id AS row, 'no entry tells what became of the event' AS fault
    FROM ledger.inbox LEFT JOIN (
        SELECT DISTINCT decode(body ->> 'raw_sha256', 'hex') AS raw_sha256
        FROM (SELECT convert_from(body, 'UTF8')::jsonb AS body FROM ledger.journal) AS entries
        WHERE body ->> 'raw_sha256' IS NOT NULL AND body ->> 'of' IS DISTINCT FROM 'event'
    ) AS told USING (raw_sha256) WHERE told.raw_sha256 IS NULL
    """,
    f"""
    SELECT 'decision ' || decision_id AS row, 'its event was never accepted' AS fault
    FROM ledger.decision AS d LEFT JOIN ledger.inbox AS i ON i.raw_sha256 = d.raw_sha256
        AND {cause_id("i.source", "i.event_id")} = d.cause_id
    WHERE d.cause_kind = 'event' AND i.raw_sha256 IS NULL
    """,  # noqa: S608 -- a constant of ours
    f"""
    SELECT 'subject ' || account_id || ' ' || subject_id AS row, 'it does not stand where its history ends' AS fault
    FROM ledger.subject AS s FULL JOIN ({_LATEST}) AS latest USING (account_id, subject_id)
    WHERE (s.revision, s.ended, s.decision_id, s.outcome, s.lane)
        IS DISTINCT FROM (latest.revision, latest.ended, latest.decision_id, latest.outcome, latest.lane)
    """,  # noqa: S608 -- a constant of ours
)
