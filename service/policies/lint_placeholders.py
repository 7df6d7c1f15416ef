"""What `policy new` left for the author to say, and the author has not said. Pure."""

from collections.abc import Iterator

from service.policies.document import Path, Tree
from service.policies.lint_finding import Finding
from service.policies.load import LoadedPolicy

PLACEHOLDER = "REPLACE:"
"""Stands in a draft before what is to be said there."""


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """An error for each text of the document that is still the draft's."""
    for path in _left(loaded.source.tree, ()):
        yield Finding(
            level="error",
            check="placeholder",
            place=loaded.source.where(path),
            about=".".join(str(part) for part in path if isinstance(part, str)),
            what=f"it still says '{PLACEHOLDER}', as the draft of `policy new` does",
            todo="write what the new text says, or drop the rule",
        )


def _left(tree: Tree, path: Path) -> Iterator[Path]:
    match tree:
        case str() if PLACEHOLDER in tree:
            yield path
        case dict():
            for key, part in tree.items():
                yield from _left(part, (*path, key))
        case list():
            for index, part in enumerate(tree):
                yield from _left(part, (*path, index))
