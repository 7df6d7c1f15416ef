"""Documents and their resolved bytes in, policies out: what the command line and the workers call."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import orjson

from service.decide.policy import Policy
from service.policies.build import Where, build
from service.policies.cases import Case, read_cases
from service.policies.document import Document, read_document
from service.policies.refusal import PolicyRefused
from service.policies.resolve import Json, Read, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """A checked document. `document` are its own bytes, `resolved` those that are hashed.

    `policy` follows from `resolved` alone. `source` and `where` tell a person the place of a thing in the text.
    `inherited` is the catalogue of the parent as it is written, `inherited_groups` are its groups in the resolved form;
    empty where there is none.
    """

    policy: Policy
    document: bytes
    resolved: bytes
    cases: tuple[Case, ...]
    source: Document = field(compare=False, repr=False)
    where: Where = field(compare=False, repr=False)
    inherited: Mapping[str, Json] = field(compare=False, repr=False)
    inherited_groups: Mapping[str, list[Json]] = field(compare=False, repr=False)


_OF_A_POLICY = frozenset({"policy", "version", "rules", "extends"})
"""A file with none of these keys is another kind of file: a catalogue, or groups."""


def load_document(text: bytes, name: str, parent: Read, file: Read) -> LoadedPolicy:
    """The policy of a document. `parent` finds a version to extend, `file` a file beside it; both raise LookupError.

    PolicyRefused where the document is malformed, means nothing, or may not change its parent so.
    """
    document = read_document(text, name)
    if not _OF_A_POLICY & document.tree.keys():
        raise PolicyRefused(
            f"{name}:1: this file is no policy document, which has 'policy:' and 'version:'; name one that is"
        )
    resolution = resolve(document, parent, file)
    resolved = orjson.dumps(resolution.tree, option=orjson.OPT_SORT_KEYS)

    def where(kind: str, part: str, inside: tuple[str | int, ...]) -> str:
        return document.where((part,)) if kind == "policy" else resolution.where(kind, part, inside)

    policy = build(resolution.tree, sha256(resolved).hexdigest(), where)
    return LoadedPolicy(
        policy=policy,
        document=text,
        resolved=resolved,
        cases=read_cases(document, policy),
        source=document,
        where=where,
        inherited=resolution.inherited,
        inherited_groups=resolution.inherited_groups,
    )


def load_file(path: Path) -> LoadedPolicy:
    """The policy of a file; parents and catalogue are looked up beside it. PolicyRefused, or OSError, otherwise."""
    directory = path.parent
    return load_document(
        path.read_bytes(),
        path.name,
        lambda name: _beside(directory, f"{name}.yaml"),
        lambda name: _beside(directory, name),
    )


def load_files(paths: Iterable[Path]) -> list[LoadedPolicy]:
    """The policies of all `paths`, in that order; a directory stands for the policies in it."""
    files = [file for path in paths for file in (policy_files(path) if path.is_dir() else [path])]
    return [load_file(file) for file in files]


def policy_files(directory: Path) -> list[Path]:
    """The YAML files of `directory` that are policies (a catalogue is none), in order of their names."""
    return [path for path in sorted(directory.glob("*.yaml")) if _is_policy(path)]


def load_resolved(resolved: bytes) -> Policy:
    """The policy of a stored resolved form, needing nothing else. PolicyRefused when this version cannot read it."""
    digest = sha256(resolved).hexdigest()
    try:
        tree = orjson.loads(resolved)
    except orjson.JSONDecodeError as error:
        raise PolicyRefused(f"policy {digest}: expected canonical JSON, got: {error}") from None
    if not isinstance(tree, dict):
        raise PolicyRefused(f"policy {digest}: expected a JSON object")
    try:
        return build(tree, digest, lambda kind, name, _inside: f"policy {digest} {kind} {name}")
    except (KeyError, TypeError, AttributeError) as error:
        raise PolicyRefused(f"policy {digest}: not a resolved form ({type(error).__name__}: {error})") from None


def _is_policy(path: Path) -> bool:
    return any(line.startswith(b"policy:") for line in path.read_bytes().splitlines())


def _beside(directory: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise LookupError(name)
    try:
        return (directory / name).read_bytes()
    except OSError:
        raise LookupError(name) from None
