"""A stored decision in the words of a person: what was decided, why, under which law, what would clear it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.cli import words
from service.cli.found import Finder
from service.ledger.history import DecisionRow
from service.ledger.policies import Activation

Body = Mapping[str, Any]

_DONE = {"approve": "approved", "hold": "held", "deny": "denied"}
_DOES = {"hold": "holds", "deny": "denies"}
_STRICTNESS = {"deny": 0, "hold": 1, "approve": 2}
_ACTORS = {
    "customer": "The customer acts next, by sending what is missing.",
    "reviewer": "A reviewer acts next.",
    "licensing_officer": "The licensing officer acts next: a reviewer cannot sign away that a license is required.",
}
_AUTHORITIES = {
    "not_subject": "it is not subject to the export rules",
    "no_license_required": "no license is required",
    "license": "under license",
    "exception": "under license exception",
    "general_license": "under general license",
    "carve_out": "under carve-out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A decision with what surrounds it.

    `in_force` is the activation it was made under, `until` when that ends (None: no end is known). `replaced` and
    `replaced_by` are its neighbours, None where there is none. `stands` says whether it counts now.
    """

    body: Body
    finder: Finder
    in_force: Activation | None
    until: datetime | None
    replaced: DecisionRow | None
    replaced_by: DecisionRow | None
    stands: bool


def explain(story: Story) -> list[str]:
    """The paragraphs that explain a decision, most important first. Each is plain text on one line."""
    headline, *others = outline(story.body, story.finder)
    return [f"{headline} {_when(story.body)}", *others, _policy(story), _history(story)]


def outline(body: Body, finder: Finder) -> list[str]:
    """What is decided, why, and what comes next, whether or not the decision was ever made."""
    reasons = sorted(body["reasons"], key=lambda one: (_STRICTNESS[one["outcome"]], one["result"], one["rule"]))
    paragraphs = [_headline(body), *(_reason(one, body, finder) for one in reasons)]
    if not reasons:
        paragraphs.append(_plainly(finder))
    next_step = _next_step(body, reasons)
    if next_step:
        paragraphs.append(next_step)
    if body["access"] != "none":
        paragraphs.append(_open(body))
    return paragraphs


def subject(body: Body) -> str:
    """`account acct-1`, `user u1 of account acct-1`."""
    if body["subject_kind"] == "account":
        return f"account {body['account_id']}"
    return f"{body['subject_kind']} {body['subject_id']} of account {body['account_id']}"


def _headline(body: Body) -> str:
    who, done = subject(body), _DONE[body["outcome"]]
    approved = [one for one in body["items"] if one["outcome"] == "approve"]
    refused = [one for one in body["items"] if one["outcome"] != "approve"]
    if body["outcome"] == "approve":
        return f"Approved: {who} may use {words.items(approved) if approved else 'everything it asked for'}."
    wait = "for now " if body["outcome"] == "hold" else ""
    if approved:
        return (
            f"{done.capitalize()} in part: {who} may use {words.items(approved)}, but {wait}not {words.items(refused)}."
        )
    return f"{done.capitalize()}: {who} may {wait}not use {words.items(refused) if refused else 'anything'}."


def _when(body: Body) -> str:
    return f"This was decided on {words.moment(_at(body['decided_at']))} because {_cause(body['cause'])}."


def _cause(cause: Mapping[str, str]) -> str:
    own, _, rest = cause["id"].partition(" ")
    match cause["kind"]:
        case "event":
            return f"event {rest} came from {own}"
        case "quarantine" if rest:
            return f"quarantined record {own} was {rest}"
        case "quarantine":
            return f"a record about the account could not be accepted and was quarantined as {own}"
        case "policy":
            return f"the policy changed ({cause['id']})"
        case kind:
            return f"of {kind.replace('_', ' ')} {cause['id']}"


def _reason(reason: Body, body: Body, finder: Finder) -> str:
    rule = f"“{reason['title']}” ({reason['rule']})"
    told = [_finding(reason, rule, _about(reason, body), body)]
    told.append(f"The law: {words.sentence(reason['citation'])}")
    # Of what cannot be told, a message would state as a fact what is not known.
    if reason["message"] and reason["message"] != reason["title"] and reason["result"] != "unknown":
        told.append(words.sentence(reason["message"]))
    found = finder.found(reason)
    if found:
        told.append(f"It found: {'; '.join(found)}.")
    if reason["missing"]:
        told.append(f"What is not known: {'; '.join(map(words.fact, reason['missing']))}.")
    if reason["clears"] and reason["outcome"] != "approve":
        told.append(f"What would clear it: {_clears(reason['clears'])}")
    return " ".join(told)


def _finding(reason: Body, rule: str, about: str, body: Body) -> str:
    match reason["result"]:
        case "waived":
            return f"The rule {rule} applies to {about}, but is lifted {_authority(body)}."
        case "unknown":
            done = _DONE[reason["outcome"]]
            return f"It cannot be told whether the rule {rule} applies, so {about} {_be(about)} {done}."
        case _ if reason["outcome"] == "approve":
            return f"Noted, and in the way of nothing: {rule}."
        case _:
            return f"The rule {rule} {_DOES[reason['outcome']]} {about}."


def _about(reason: Body, body: Body) -> str:
    """What a reason is about, as it stands inside a sentence."""
    named = [words.item(*key.rsplit("/", 1)) for key in reason["items"]]
    if not named or (len(named) == len(body["items"]) > 1):
        return f"the whole {body['subject_kind']}"
    return words.joined(named)


def _be(about: str) -> str:
    return "are" if " and " in about else "is"


def _clears(clears: Sequence[str]) -> str:
    if len(clears) == 1:
        return words.sentence(clears[0])
    return words.sentence("; ".join(f"({number}) {clear.rstrip('.')}" for number, clear in enumerate(clears, start=1)))


def _plainly(finder: Finder) -> str:
    count = words.plural(finder.rules_in_force(), "rule")
    return f"Nothing stands against it: of the {count} in force none applies, and no rule lacked a fact it needs."


def _next_step(body: Body, reasons: Sequence[Body]) -> str:
    told = [_ACTORS[body["next_actor"]]] if body["next_actor"] else []
    # A denial must not be blurred by what would help only if there were none.
    decisive = [one for one in reasons if one["outcome"] == body["outcome"] != "approve" and one["result"] != "unknown"]
    messages = [one["customer_message"] for one in decisive if one["customer_message"]]
    if messages:
        told.append(f"The customer may be told: “{' '.join(dict.fromkeys(messages))}”")
    return " ".join(told)


def _open(body: Body) -> str:
    approved = [one for one in body["items"] if one["outcome"] == "approve"]
    partly = body["access"] == "partial"
    told = [
        f"What stays open is {words.items(approved)}: {_authority(body)}."
        if partly
        else f"The ground: {_authority(body)}."
    ]
    for condition in body["conditions"]:
        places = words.joined(condition["places"])
        told.append(f"On condition that access from {places} is blocked." if condition["kind"] == "geo_block" else "")
    if body["valid_until"]:
        told.append(f"It holds until {words.day(_at(body['valid_until']))}, unless something changes before.")
    return " ".join(filter(None, told))


def _authority(body: Body) -> str:
    authority = body["authority"] or {"kind": "no_license_required", "number": None}
    return " ".join(filter(None, (_AUTHORITIES[authority["kind"]], authority["number"])))


def _policy(story: Story) -> str:
    policy, body = story.finder.policy, story.body["policy"]
    told = f"The policy was {body['name']}, version {body['version']} (“{policy.title}”)"
    if story.in_force is None:
        return f"{told}."
    told += f", in force since {words.moment(story.in_force.effective_at)}"
    if story.until is not None:
        told += f" and until {words.moment(story.until)}"
    return f"{told}; {story.in_force.activated_by} activated it (“{story.in_force.reason}”)."


def _history(story: Story) -> str:
    body = story.body
    place = f"It is decision {body['decision_id']}, entry {body['seq']} of lane {body['lane']} of the journal."
    return f"{_before(story)}, and {_after(story)}. {place}"


def _before(story: Story) -> str:
    before, kind = story.replaced, story.body["subject_kind"]
    if before is not None:
        return (
            f"It replaced the decision of {words.moment(before.decided_at)} ({_outcome(before)}, {before.decision_id})"
        )
    return f"It was the first decision about this {kind}" + (
        "" if story.body["revision"] == 1 else " since it had ended"
    )


def _after(story: Story) -> str:
    after = story.replaced_by
    if story.stands:
        return "it stands"
    if after is not None:
        when = words.moment(after.decided_at)
        return f"was itself replaced on {when} ({_outcome(after)}, {after.decision_id})"
    return f"no longer stands: the {story.body['subject_kind']} has ended, so nothing of it is approved"


def _outcome(row: DecisionRow) -> str:
    return _DONE[row.outcome] + (" in part" if row.access == "partial" else "")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
