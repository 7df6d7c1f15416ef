"""The document to begin a new version with: what it must say, and where the rule and its case go. Pure."""

from collections.abc import Container
from datetime import UTC, datetime
from itertools import chain, count

from service.decide.policy import Policy
from service.policies.lint_placeholders import PLACEHOLDER

_DRAFT = """\
# yaml-language-server: $schema=../../schemas/json/policy-document.schema.json
policy: "{policy}"
version: "{version}"
title: {title}
instrument:                     # the text that this version carries out
  kind: house_rule              # or rule, order, is_informed_letter ...
  issuer: us
  claimed_authority: null
  received_at: "{received_at}"
  document_sha256: null
legal_status: in_force          # proposed, in_force, suspended or rescinded
enforcement: enforced
extends: "{parent}"
groups:                         # a group of a name that the parent has would take that one's place
  {group}: [{model}]
rules:                          # added to those of {parent}; the same name replaces one, `drop: [name]` drops one
  - rule: {rule}          # the word in reasons, metrics and the audit trail
    outcome: hold               # approve (a note), hold or deny
    hold_kind: license_required
    scope: item                 # tried for each model that is asked for
    title: "{placeholder} what the rule says"    # lint and publish refuse what still has {placeholder} in it
    citation: {{text: "{placeholder} where that is written", href: null}}
    when: {{fact: item.model, in: {group}}}
    waivable_by: [license]
    clears: ["A BIS license that names the model"]
cases:                          # run before the version is published
  - case: A London bank is held for a model that is named
    given:
      customer.organized_in: GB
      customer.headquartered_in: GB
      customer.billing_in: GB
      items: [{{model: {model}, delivery: api}}]
    expect: {{outcome: hold, hits: [{rule}]}}
"""


def draft(*, version: str, title: str, parent: Policy, now: datetime) -> str:
    """A document that extends `parent`, names one of its models, and can be tested as it stands.

    The parent must have a model. The rule is an example, under names that the parent does not use; lint refuses it, and
    so does publishing, until it is replaced. `now` is when the text was received, until somebody says otherwise.
    """
    at = now.astimezone(UTC)
    return _DRAFT.format(
        policy=parent.name,
        version=version,
        title=title,
        parent=parent.version,
        rule=_free("named_model", {rule.name for rule in parent.rules}),
        group=_free("named_models", parent.groups),
        model=_quoted(min(parent.catalogue)),
        placeholder=PLACEHOLDER,
        received_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _free(name: str, taken: Container[str]) -> str:
    """`name`, or with the first number behind it that is free: what has a name of the parent takes its place."""
    return next(one for one in chain([name], (f"{name}_{number}" for number in count(2))) if one not in taken)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
