"""`exportgate policy new`: begin a version that extends another one."""

import re
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from service import clock
from service.cli.documents import load
from service.cli.output import Failed, Misuse, example, say, say_command
from service.policies.draft import draft
from service.policies.model import KEY

EXAMPLE = example("exportgate policy new 2026-12-01 --from deploy/policies/2026-06-30.yaml")


def new(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The name of the new version.")],
    parent: Annotated[Path, typer.Option("--from", metavar="FILE", help="The document that it extends.")],
    *,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Its title.")] = "New rule",
) -> None:
    """Write VERSION.yaml beside the document that it extends, with an example of a rule and its case to replace.

    Nothing is ever overwritten. Until the example is replaced, the document can be tested and not be published.
    """
    if not re.fullmatch(KEY, version):
        raise Misuse(f"expected a version of letters, digits, '.', '_' and '-', at most 63, got {version!a}")
    if not title.strip() or not title.isprintable():
        raise Misuse(f"--title: expected text on one line that says something, got {title!a}")
    above = load(parent).policy
    if not above.catalogue:
        raise Failed(f"{parent} has an empty catalogue, so a version of it is about no model; name its models first")
    text = draft(
        version=version,
        title=_quoted(title),
        parent=above,
        now=clock.now(),
    )
    file = parent.parent / f"{version}.yaml"
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise Misuse(f"{file} exists already, and a version is never overwritten; choose another name") from None
    except OSError as error:
        raise Misuse(f"{file} cannot be written: {error.strerror}") from None
    say(f"{file} extends {above.version}. Replace the rule and its case, which only show the form, then:")
    for step in ("lint {file}", "test {file}", "diff {parent} {file}", "simulate {file}", "publish {file} --by NAME"):
        say_command(f"exportgate policy {step.format(file=quote(str(file)), parent=quote(str(parent)))}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
