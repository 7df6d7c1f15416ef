"""Static checks of a loaded policy: what it says that cannot be meant, and what its author may not have seen. Pure.

What makes no sense at all is refused when a document is loaded. An error here lets a document load, and keeps it from
being published.
"""

from itertools import chain

from service.policies import (
    lint_catalogue,
    lint_demands,
    lint_document,
    lint_groups,
    lint_lists,
    lint_placeholders,
    lint_rules,
    lint_shadows,
    lint_wording,
)
from service.policies.lint_finding import Finding
from service.policies.load import LoadedPolicy

CHECKS = (
    lint_placeholders.findings,
    lint_rules.findings,
    lint_shadows.findings,
    lint_demands.findings,
    lint_wording.findings,
    lint_lists.findings,
    lint_groups.findings,
    lint_document.findings,
    lint_catalogue.findings,
)


def lint(loaded: LoadedPolicy) -> list[Finding]:
    """Every finding: errors first, then in the order of the text. Rules that are inherited are looked at as well."""
    found = chain.from_iterable(check(loaded) for check in CHECKS)
    return sorted(found, key=lambda one: (one.level, _order(one.place), one.about, one.check))


def errors(loaded: LoadedPolicy) -> list[Finding]:
    """The findings that keep a version from being published."""
    return [one for one in lint(loaded) if one.level == "error"]


def _order(place: str) -> tuple[str, int]:
    name, _, line = place.rpartition(":")
    return name, int(line)
