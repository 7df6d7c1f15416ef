"""The auditor's views: documented, readable by the auditor alone of the acting roles, and true."""

import pytest

from tests.events import contract, event, signed_up
from tests.ledger import Ledger
from tests.policies import small_policy

VIEWS = (
    *("decisions", "reasons", "timeline", "policy_in_force", "quarantine", "positions"),
    *("policy_signatures", "policy_signers", "policy_cancellations", "shadows", "shadow_results"),
)


async def test_every_view_is_documented_and_readable(ledger: Ledger) -> None:
    query = """
        SELECT c.relname, obj_description(c.oid) AS doc FROM pg_class AS c
        WHERE c.relkind = 'v' AND c.relnamespace = 'audit'::regnamespace
    """
    found = {row.relname: row.doc for row in await ledger.rows(query)}
    assert set(found) == set(VIEWS)
    assert all(found.values())
    for view in VIEWS:
        await ledger.rows(f"SELECT * FROM audit.{view}")


async def test_the_views_tell_the_story_of_a_hold(ledger: Ledger) -> None:
    await ledger.use(small_policy("2", held="fable-5"))
    await ledger.decide(signed_up(), event("contract.signed.v1", contract()))
    (decision,) = await ledger.rows("SELECT * FROM audit.decisions WHERE subject_id = 'account'")
    assert (decision.outcome, decision.access, decision.policy_version) == ("hold", "none", "2")
    reasons = await ledger.rows("SELECT rule, citation, items FROM audit.reasons WHERE subject_id = 'account'")
    assert [(row.rule, row.citation, row.items) for row in reasons] == [
        ("held_model", "15 CFR 744.22(b)", ["fable-5/api"])
    ]
    in_force = await ledger.rows("SELECT policy_version FROM audit.policy_in_force WHERE in_force_until IS NULL")
    assert [row.policy_version for row in in_force] == ["2"]
    timeline = await ledger.rows("SELECT kind FROM audit.timeline WHERE account_id = 'acct-1' ORDER BY lane, seq")
    assert [row.kind for row in timeline] == ["decision", "decision"]


@pytest.mark.parametrize("role", ["service", "policy_officer", "reviewer", "eraser"])
async def test_the_views_are_the_auditors(ledger: Ledger, role: str) -> None:
    query = "SELECT has_schema_privilege(:role, 'audit', 'USAGE') AS may"
    (row,) = await ledger.rows(query, role=f"exportgate_{role}")
    assert row.may is False
