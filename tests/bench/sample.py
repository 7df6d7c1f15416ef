"""What the service really wrote and published for an event: what the raw loop has to write and publish as well."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import DECISIONS, PARTITIONS, STATUS
from tests.bench.stage import Place, Stage

_WAIT_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Of one decision: its id, the journal's body, the evidence of facts, the subject's facts, and both records."""

    decision_id: str
    rules: list[str]
    body: str
    facts: str
    subject_facts: str
    decision_record: str
    status_record: str

    def save(self, path: Path) -> None:
        """Keep it for the raw loop."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Sample":
        """What was kept."""
        return cls(**json.loads(path.read_text()))


async def take_sample(stage: Stage, place: Place) -> Sample:
    """A decision that was made and published at this place, whichever comes first."""
    decision = await _first_record(stage, place.prefix + DECISIONS.name)
    decision_id = json.loads(decision)["data"]["decision_id"]
    status = await _first_record(stage, place.prefix + STATUS.name, naming=decision_id)
    database = await asyncpg.connect(place.driver_url)
    row = await database.fetchrow(_ROW, decision_id)
    await database.close()
    assert row is not None
    return Sample(
        decision_id=decision_id,
        rules=list(row["rules"]),
        body=row["body"].decode(),
        facts=row["facts"].decode(),
        subject_facts=row["subject_facts"].decode(),
        decision_record=decision,
        status_record=status,
    )


async def _first_record(stage: Stage, topic: str, naming: str = "") -> str:
    """The first record of a topic that has `naming` in it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stage.broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        while polled := await consumer.getmany(timeout_ms=_WAIT_MS):
            for record in (record for several in polled.values() for record in several):
                if record.value is not None and naming.encode() in record.value:
                    return bytes(record.value).decode()
    finally:
        await consumer.stop()
    raise RuntimeError(f"nothing of {naming} on {topic}")


_ROW = """
SELECT d.rules, j.body, e.content AS facts, s.facts AS subject_facts
FROM ledger.decision d JOIN ledger.journal j USING (lane, seq) JOIN ledger.evidence e ON e.sha256 = d.facts_sha256
JOIN ledger.subject s USING (account_id, subject_id) WHERE d.decision_id = $1
"""
