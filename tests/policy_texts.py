"""Small policy documents made of a head and one-line rules; tests of lint and coverage say what matters in a rule."""

from service.policies import LoadedPolicy
from service.policies import lint as every_check
from service.policies.lint_finding import Finding
from service.policies.load import load_document

HEAD = """\
policy: small
version: "1"
title: A small policy
instrument: {kind: rule, issuer: BIS, received_at: "2026-01-01T00:00:00Z"}
legal_status: in_force
enforcement: enforced
catalogue: {model-1: {eccn: EAR99}, model-2: {eccn: EAR99}}
"""


def load_text(text: str, **others: str) -> LoadedPolicy:
    def find(name: str) -> bytes:
        if name not in others:
            raise LookupError(name)
        return others[name].encode()

    return load_document(text.encode(), "p.yaml", find, find)


def lint(loaded: LoadedPolicy) -> list[Finding]:
    """What lint finds, but for what every version has to hold: these policies are never published."""
    return [one for one in every_check.lint(loaded) if one.check != "must_hold"]


def errors(loaded: LoadedPolicy) -> list[Finding]:
    return [one for one in lint(loaded) if one.level == "error"]


def rule_text(when: str, name: str = "r", more: str = "outcome: deny") -> str:
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    return (
        f"  - rule: {name}\n    title: t\n    citation: {{text: law}}\n    clears: [a license]\n"
        f"    customer_message: Please wait.\n{lines}    when: {when}\n"
    )


def policy_of(*rules: str, head: str = HEAD, tail: str = "") -> LoadedPolicy:
    return load_text(f"{head}rules:\n{''.join(rules)}{tail}")
