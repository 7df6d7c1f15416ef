"""The document to begin a new version with: what it must say, and where the rule and its case go. Pure."""

from datetime import UTC, datetime

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
groups:
  affected_models: [{model}]
rules:                          # added to those of {parent}; the same name replaces one, `drop: [name]` drops one
  - rule: affected_model        # the word in reasons, metrics and the audit trail
    outcome: hold               # approve (a note), hold or deny
    hold_kind: license_required
    scope: item                 # tried for each model that is asked for
    title: License required for the models that the letter names
    citation: {{text: "Letter of {day}", href: null}}
    when: {{fact: item.model, in: affected_models}}
    waivable_by: [license]
    clears: ["A BIS license that names the model"]
cases:                          # run before the version is published
  - case: A London bank is held for a model that is named
    given:
      customer.organized_in: GB
      customer.headquartered_in: GB
      customer.billing_in: GB
      items: [{{model: {model}, delivery: api}}]
    expect: {{outcome: hold, hits: [affected_model]}}
"""


def draft(*, policy: str, version: str, title: str, parent: str, models: list[str], now: datetime) -> str:
    """A document that extends `parent`, names one of its `models`, and can be tested as it stands.

    At least one model must be named. The rule is an example to be replaced. `now` is when the text was received, until
    somebody says otherwise.
    """
    at = now.astimezone(UTC)
    return _DRAFT.format(
        policy=policy,
        version=version,
        title=title,
        parent=parent,
        model=_quoted(models[0]),
        received_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        day=at.strftime("%Y-%m-%d"),
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
