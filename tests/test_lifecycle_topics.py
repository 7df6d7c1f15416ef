"""What is done with policies is told: on the topic, in the metrics, and so that the checker has nothing against it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from service.policies.lifecycle import cancel
from tests.checker import check
from tests.events import signed_up
from tests.ledger import Ledger
from tests.policies import small_policy
from tests.signing import demand_signatures, published, put_in_force, sign_as
from tests.stream import Stream, eventually, eventually_shows, service

pytestmark = pytest.mark.embedded
SCHEMAS = Path(__file__).parents[1] / "schemas" / "json"
LATER = datetime(2099, 1, 1, tzinfo=UTC)


async def test_an_emergency_and_a_cancellation_are_published_measured_and_checked(
    stream: Stream, ledger: Ledger
) -> None:
    await demand_signatures(ledger)
    planned, urgent = await published(ledger, small_policy("3")), await published(ledger)
    await sign_as(ledger, planned, "bob", "cleo")
    await sign_as(ledger, urgent, "bob")
    await put_in_force(ledger, planned, at=LATER)
    await put_in_force(ledger, urgent, emergency=True)
    async with ledger.engine("policy_officer").begin() as tx:
        await cancel(tx, effective_at=LATER, cancelled_by="eve", reason="a test")

    async def is_told() -> bool:
        return len(await stream.events("export-policy.v1")) == 4

    async with service(stream.settings(ledger)) as (running, _):
        sent = await stream.send(signed_up())
        await eventually(lambda: stream.done(ledger, sent), "the record is done")
        await eventually(is_told, "what was done with policies is published")
        shown = ("signatures_demanded 1.0", "countersignatures_due 1.0", "countersignatures_overdue 0.0")
        await eventually_shows(running.http_port, *(f"exportgate_policy_{one}" for one in shown))

    told = await stream.events("export-policy.v1")
    assert [(one["type"], one["data"]["policy"]["version"]) for one in told] == [
        ("policy.activated.v1", "1"),
        ("policy.activated.v1", "3"),
        ("policy.activated.v1", "2"),
        ("policy.cancelled.v1", "3"),
    ]
    first, second, third, _ = (one["data"] for one in told)
    assert (first["signed_by"], first["signers_sha256"], first["emergency"]) == ([], None, False)
    assert (second["signed_by"], second["emergency"]) == (["bob", "cleo"], False)
    assert (third["signed_by"], third["emergency"]) == (["bob"], True)
    for one in told:
        schema = json.loads((SCHEMAS / f"{one['type']}.schema.json").read_text())
        Draft202012Validator(schema).validate(one)
    connection = stream.connection
    assert await check(ledger.superuser_url, connection.bootstrap, connection.topic_prefix) == []
