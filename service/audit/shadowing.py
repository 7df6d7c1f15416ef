"""What a candidate in shadow gives for a decision, and whether what is stored as its results follows again."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from service.audit.facts import decode_facts
from service.audit.retelling import UNREADABLE as TAMPERED
from service.decide.decision import OUTCOME_WORDS, Access
from service.decide.evaluate import evaluate
from service.decide.policy import Policy
from service.ledger.engine import Tx
from service.ledger.population import Decided
from service.ledger.shadow import (
    ERASED,
    UNREADABLE,
    Compared,
    ShadowResult,
    list_shadows,
    shadow_document,
    shadow_results,
)

_CHUNK = 500


def judge(lane: int, seq: int, decided: Decided, policy: Policy) -> ShadowResult:
    """What a candidate gives on the facts and at the instant of a decision. Raises what the candidate raises."""
    nothing = ShadowResult(lane, seq, decided.decision_id, None, None, (), ERASED)
    if decided.facts is None:
        return nothing
    try:
        facts = decode_facts(decided.facts)
    except (ValueError, LookupError, TypeError):
        return nothing._replace(failure=UNREADABLE)
    verdict = evaluate(facts, policy, decided.decided_at)
    rules = tuple(dict.fromkeys(reason.rule for reason in verdict.reasons))
    return nothing._replace(
        outcome=OUTCOME_WORDS[verdict.outcome], access=verdict.access.value, rules=rules, failure=None
    )


async def shadow_faults(
    tx: Tx, load_policy: Callable[[bytes], Policy], since: datetime | None
) -> AsyncIterator[tuple[str, str]]:
    """(which result, what is wrong) for every result of a shadow that does not follow again from what is stored.

    Decisions made before `since` are left out, None leaves out none.
    """
    for shadow in await list_shadows(tx):
        where = f"shadow {shadow.shadow_id}"
        try:
            policy = load_policy(await shadow_document(tx, shadow.shadow_id))
        except TAMPERED as error:
            yield where, f"its candidate cannot be loaded ({type(error).__name__})"
            continue
        last: Compared | None = None
        while chunk := await shadow_results(tx, shadow.shadow_id, last, _CHUNK):
            for one in chunk:
                fault = None if since is not None and one.decided.decided_at < since else _fault(one, policy)
                if fault is not None:
                    yield f"{where}, entry {one.result.seq} of lane {one.result.lane}", fault
            last = chunk[-1]


def _fault(one: Compared, policy: Policy) -> str | None:
    stored = one.result
    if one.decided.facts is None:
        return None if _can_be(stored, policy) else "no candidate gives such a result"
    try:
        again = judge(stored.lane, stored.seq, one.decided, policy)
    except Exception as error:  # noqa: BLE001 -- a candidate may raise anything, and did so when it was in shadow
        kind = type(error).__name__
        # Not the rest: the traceback is that of another release.
        same = (stored.failure or "").startswith(f"{kind}, traceback ")
        return None if same else f"evaluating the candidate again raises {kind}"
    return None if again == stored else "evaluating the candidate again gives another result"


def _can_be(stored: ShadowResult, policy: Policy) -> bool:
    """Whether a result can be one of the candidate; its facts are erased, so nobody can say more."""
    if stored.failure is not None:
        return not stored.rules
    return (
        stored.outcome in OUTCOME_WORDS.values()
        and stored.access in {access.value for access in Access}
        and set(stored.rules) <= {rule.name for rule in policy.rules}
    )
