"""What every version has to hold, whatever else it says: customers of whom we know that we do not know enough. Pure."""

from collections.abc import Mapping
from datetime import datetime

from service.decide.decision import Outcome, Verdict
from service.decide.evaluate import evaluate
from service.decide.facts import Facts, Item, Value
from service.decide.policy import Policy
from service.policies.counterexample import PLAIN
from service.policies.lint_times import instants
from service.policies.refusal import PolicyRefused

PROBES: Mapping[str, tuple[str, Value]] = {
    "an account with a record that could not be read (account.unread_events: 1)": ("account.unread_events", 1),
    "an account that nobody signed up (account.known: false)": ("account.known", False),
    "a place that could not be read (customer.unreadable_places: [billing_in])": (
        "customer.unreadable_places",
        ("billing_in",),
    ),
    "an event that is dated in the future (account.from_future: true)": ("account.from_future", True),
}
"""What is said of each, and the one fact in which it differs from a plain London customer."""
_SUBJECTS = ("account", "contract", "user")


def approved_in_doubt(policy: Policy) -> list[str]:
    """Which of `PROBES` the policy does not hold, at one of its dates, by a rule that no authorization lifts."""
    return [
        told
        for told, (fact, value) in PROBES.items()
        if not all(_holds(policy, {**PLAIN, "subject.kind": kind, fact: value}, at) for at in instants(policy)
                   for kind in _SUBJECTS)
    ]  # fmt: skip


def refuse_approval_in_doubt(policy: Policy) -> None:
    """PolicyRefused, in one line, when the policy does not hold all of `PROBES`."""
    found = approved_in_doubt(policy)
    if found:
        raise PolicyRefused(
            f"policy {policy.version} does not hold what every version has to hold: {'; '.join(found)}; "
            "add a rule for each, or extend a version that has them"
        )


def _holds(policy: Policy, values: Mapping[str, Value], at: datetime) -> bool:
    items = tuple(Item(model=model, delivery="api", release=None, volume=None) for model in sorted(policy.catalogue))
    verdict = evaluate(Facts(values=values, items=items, assurance={}, authorizations=()), policy, at)
    return len(_firmly_held(policy, verdict)) == len(verdict.items)


def _firmly_held(policy: Policy, verdict: Verdict) -> set[int]:
    """The items that are not approved, and would not be with any authorization either."""
    held: set[int] = set()
    for reason in verdict.reasons:
        if reason.outcome > Outcome.APPROVE and not policy.rule(reason.rule).waivable_by:
            held.update(reason.items or range(len(verdict.items)))
    return held
