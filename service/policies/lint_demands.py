"""What a version asks of customers who are plainly fine. They are to be approved at once. Pure."""

from collections.abc import Iterator
from datetime import datetime

from service.decide.decision import Outcome, Reason, Result, Verdict
from service.decide.evaluate import evaluate
from service.decide.facts import Facts, Item
from service.decide.policy import Policy
from service.policies.cases import ALWAYS_KNOWN
from service.policies.lint_finding import Finding
from service.policies.lint_times import instants
from service.policies.load import LoadedPolicy

PLAIN_PLACES = ("DE", "GB", "JP")
"""A customer of each tells its name, seat and billing country, and is seen there from a business network."""
SUBJECTS = ("account", "contract", "user")


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """An error for each rule that all plain customers of a kind leave unknown, a warning where all of them are hit.

    A rule that holds some of the models only is fine: there the item makes the question necessary.
    """
    policy = loaded.policy
    told: set[tuple[str, Result]] = set()
    for at in instants(policy):
        for kind in SUBJECTS:
            verdicts = [evaluate(_plain(policy, kind, place), policy, at) for place in PLAIN_PLACES]
            for reason in _common(verdicts):
                if (reason.rule, reason.result) not in told:
                    told.add((reason.rule, reason.result))
                    yield from _finding(loaded, reason, f"every {kind}{_since(policy, at)}")


def _plain(policy: Policy, kind: str, place: str) -> Facts:
    values = {
        **ALWAYS_KNOWN,
        "subject.kind": kind,
        "customer.headquartered_in": place,
        "customer.billing_in": place,
        "location.evidence": ({"evidence.place": place, "evidence.kind": "business"},),
    }
    if policy.required_lists:
        values |= {"screening.state": "complete", "matches": ()}
    items = tuple(Item(model=model, delivery="api", release=None, volume=None) for model in sorted(policy.catalogue))
    return Facts(values=values, items=items, assurance={}, authorizations=())


def _common(verdicts: list[Verdict]) -> list[Reason]:
    """Reasons that every customer has for all that is asked for."""
    found = []
    for verdict in verdicts:
        whole = [one for one in verdict.reasons if not one.items or len(one.items) == len(verdict.items)]
        found.append({(one.rule, one.result) for one in whole if one.result is not Result.WAIVED})
    everywhere = set.intersection(*found)
    return [one for one in verdicts[0].reasons if (one.rule, one.result) in everywhere]


def _since(policy: Policy, at: datetime) -> str:
    return "" if len(instants(policy)) == 1 else f" at {at.isoformat().replace('+00:00', 'Z')}"


def _finding(loaded: LoadedPolicy, reason: Reason, whom: str) -> Iterator[Finding]:
    rule = loaded.policy.rule(reason.rule)
    place, about = loaded.where("rule", rule.name, ("when",)), f"rule {rule.name}"
    if reason.result is Result.UNKNOWN:
        facts, verb = ", ".join(reason.missing), reason.outcome.name.lower()
        yield Finding(
            level="error",
            check="demanded_of_everybody",
            place=place,
            about=about,
            what=f"it asks for {facts} without a guard, and would {verb} {whom} that does not tell it",
            todo=f"ask only where another fact makes it necessary, or add {{fact: {reason.missing[0]}, known: true}}",
        )
    elif rule.outcome is not Outcome.APPROVE:
        yield Finding(
            level="warning",
            check="hits_everybody",
            place=place,
            about=about,
            what=f"it would {rule.outcome.name.lower()} {whom}, plain ones in Berlin, London and Tokyo too",
            todo="go on if that is meant",
        )
