"""`exportgate policy lint`: what a document says that cannot be meant, before anybody publishes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from service.cli.documents import load, policy_paths
from service.cli.output import AsJson, Failed, emit, say, warn
from service.cli.words import plural
from service.policies.lint import lint
from service.policies.lint_finding import REFUSED, Finding


def lint_documents(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE-or-DIR...", help="Documents, or directories of them.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for what a document says that cannot be meant; exit 1 when it could not be published.

    Errors keep a version from being published: a document that is refused, a rule that can never hit, a fact asked of
    everybody. Warnings are printed. What a parent's rule causes is told once, at the parent's line.
    """
    files = [file for path in paths for file in policy_paths(path)]
    seen, counts = set[tuple[str, str]](), {"error": 0, "warning": 0}
    for finding in (one for file in files for one in _findings(file)):
        if (finding.place, str(finding)) in seen:
            continue
        seen.add((finding.place, str(finding)))
        counts[finding.level] += 1
        _tell(finding, as_json=as_json)
    told = f"{plural(counts['error'], 'error')}, {plural(counts['warning'], 'warning')}"
    summary = f"{plural(len(files), 'document')}: {told}"
    if counts["error"] or (strict and counts["warning"]):
        raise Failed(summary)
    if not as_json:
        say(f"{summary}.")


def _findings(file: Path) -> Iterator[Finding]:
    try:
        loaded = load(file)
    except Failed as refusal:
        place, _, what = str(refusal).partition(": ")
        yield Finding(level="error", check=REFUSED, place=place, about=file.name, what=what, todo="")
        return
    yield from lint(loaded)


def _tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        emit({"level": finding.level, "check": finding.check, "place": finding.place, "about": finding.about,
              "what": finding.what, "todo": finding.todo or None})  # fmt: skip
    else:
        warn(f"{finding.level}: {finding}")
