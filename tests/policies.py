"""A small policy whose every rule a reader holds in the head; tests of the pipeline are about the pipeline."""

from service.policies.load import LoadedPolicy, load_document

SMALL = """\
policy: small
version: "{version}"
title: A small policy
instrument:
  {{kind: rule, issuer: BIS, claimed_authority: null, received_at: "2026-01-01T00:00:00Z", document_sha256: null}}
legal_status: in_force
enforcement: enforced
catalogue:
  fable-5: {{eccn: "EAR99", published: false}}
  sonata-4: {{eccn: "EAR99", published: false}}
valid_for: P180D
rules:
  - rule: embargoed_destination
    outcome: deny
    title: Embargoed destination
    citation: {{text: "15 CFR 746.7"}}
    when: {{fact: customer.places, overlaps: [IR, KP, UA-43]}}
  - rule: flagged_military
    outcome: hold
    hold_kind: red_flag
    title: Military use was reported
    citation: {{text: "15 CFR 744.21"}}
    when: {{exists: account.flags, where: {{fact: flag.category, is: military_use}}}}
  - rule: held_model
    outcome: hold
    hold_kind: license_required
    scope: item
    title: This model needs a license
    citation: {{text: "15 CFR 744.22(b)"}}
    when: {{fact: item.model, in: [{held}]}}
  - rule: unread_events
    outcome: hold
    hold_kind: unread_events
    title: Records of the account could not be read
    citation: {{text: "15 CFR 732 Supp. 3"}}
    when: {{fact: account.unread_events, above: 0}}
  - rule: from_the_future
    outcome: hold
    hold_kind: contradiction
    title: The event is dated in the future
    citation: {{text: "15 CFR 762.5"}}
    when: {{fact: account.from_future, is: true}}
  - rule: unknown_account
    outcome: hold
    hold_kind: unknown_account
    title: The account is not known
    citation: {{text: "15 CFR 732 Supp. 3"}}
    when: {{fact: account.known, is: false}}
  - rule: unreadable_places
    outcome: hold
    hold_kind: fact_missing
    title: A place of the customer could not be read
    citation: {{text: "15 CFR 732 Supp. 3"}}
    when: {{fact: customer.places_readable, is: false}}
"""

MUST_HOLD = """\
  - rule: must_hold
    outcome: hold
    hold_kind: fact_missing
    title: What every version has to hold
    citation: {text: law}
    clears: [the facts]
    customer_message: Please wait.
    when:
      any:
        - {fact: account.unread_events, above: 0}
        - {fact: account.known, is: false}
        - {fact: account.from_future, is: true}
        - {fact: customer.places_readable, is: false}
"""
"""One rule that a policy of a test needs to be published."""


def small_policy(version: str = "1", held: str = "nothing") -> LoadedPolicy:
    """The small policy; `held` names the models that version holds."""
    text = SMALL.format(version=version, held=held)
    return load_document(text.encode(), "small.yaml", nothing_beside, nothing_beside)


def nothing_beside(name: str) -> bytes:
    raise LookupError(name)
