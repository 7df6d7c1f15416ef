"""What a shadow has found, as a simulation tells it: the results that were stored, and samples explained. Pure."""

from collections.abc import Sequence

from service.audit.facts import decode_facts
from service.decide.evaluate import evaluate
from service.decide.facts import Facts
from service.decide.policy import Policy
from service.ledger.shadow import ERASED, UNREADABLE, Compared
from service.simulation import Change, Tally, answer_of, count_change, sample_of


def tally_results(policy: Policy, compared: Sequence[Compared], most_samples: int) -> Tally:
    """Count results of `policy`; those that change something are explained, up to `most_samples` a change.

    Where facts were erased after the result was stored, its country is unknown, it has no value, and is no sample.
    """
    tally = Tally()
    for one in compared:
        result, decided = one.result, one.decided
        match result.failure:
            case None:
                _count(tally, one, policy, most_samples)
            case failure if failure == ERASED:
                tally.erased += 1
            case failure if failure == UNREADABLE:
                tally.unreadable += 1
            case failure:
                tally.errors[failure] += 1
        if result.outcome == decided.outcome and result.access is not None and result.access != one.access:
            tally.access[Change(one.access, result.access)] += 1
    return tally


def _count(tally: Tally, one: Compared, policy: Policy, most_samples: int) -> None:
    change = Change(
        answer_of(one.decided.outcome, one.access), answer_of(str(one.result.outcome), str(one.result.access))
    )
    facts = _facts(one)
    count_change(tally, change, facts, set(one.result.rules))
    if facts is not None and change.before != change.after and len(tally.samples[change]) < most_samples:
        verdict = evaluate(facts, policy, one.decided.decided_at)
        tally.samples[change].append(sample_of(one.decided, facts, verdict, policy))


def _facts(one: Compared) -> Facts | None:
    if one.decided.facts is None:
        return None
    try:
        return decode_facts(one.decided.facts)
    except (ValueError, LookupError, TypeError):
        return None
