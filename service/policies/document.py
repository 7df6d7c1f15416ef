"""YAML text -> a plain tree with the line of everything in it.

Nothing in a document is guessed: what other readers of YAML would turn into something else than the text says is
refused or stays text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from service.policies.refusal import PolicyRefused

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40

Path = tuple[str | int, ...]
Tree = str | bool | int | None | list["Tree"] | dict[str, "Tree"]

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_OTHER_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?0[xob][0-9a-fA-F_]+|[-+]?\.(inf|nan)",
    re.IGNORECASE,
)
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}
_OTHER_WORDS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "": "null", "~": "null"}
_OTHER_WORDS |= {"Null": "null", "NULL": "null"}


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. `lines` holds the line of every key and list entry, counted from 1."""

    name: str
    tree: dict[str, Tree]
    lines: Mapping[Path, int]

    def where(self, path: Path) -> str:
        """`file:line` of what stands at `path`, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def read_document(text: bytes, name: str) -> Document:
    """The tree of `text`. PolicyRefused for anything but one mapping of plain YAML without anchors, tags or floats."""
    if len(text) > MAX_BYTES:
        raise PolicyRefused(f"{name}:1: expected at most {MAX_BYTES} bytes, got {len(text)}; split the document")
    try:
        node = _Composer(text.decode("utf-8-sig"), name).get_single_node()
    except UnicodeDecodeError as error:
        raise PolicyRefused(
            f"{name}:1: expected UTF-8, got byte {error.start} that is none; save it as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise PolicyRefused(f"{name}:{line}: expected YAML, got: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise PolicyRefused(f"{name}:1: expected YAML, got: {' '.join(str(error).split())}") from None
    if not isinstance(node, yaml.MappingNode):
        raise PolicyRefused(f"{name}:1: expected a mapping of keys to values at the top")
    lines: dict[Path, int] = {(): 1}
    return Document(name, _mapping(node, (), name, lines), lines)


class _Composer(yaml.SafeLoader):
    """PyYAML's reader, with anchors, aliases, tags and deep nesting refused before they cost anything."""

    def __init__(self, text: str, document: str) -> None:
        super().__init__(text)
        self._document = document
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        where = f"{self._document}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PolicyRefused(f"{where}: expected plain YAML, got an anchor or alias; write the value out")
        if getattr(event, "tag", None) is not None:
            raise PolicyRefused(f"{where}: expected plain YAML, got the tag '{event.tag}'; remove it")
        if self._depth >= MAX_DEPTH:
            raise PolicyRefused(f"{where}: expected at most {MAX_DEPTH} levels; make the condition flatter")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _tree(node: yaml.Node, path: Path, name: str, lines: dict[Path, int]) -> Tree:
    lines.setdefault(path, node.start_mark.line + 1)
    match node:
        case yaml.MappingNode():
            return _mapping(node, path, name, lines)
        case yaml.SequenceNode():
            return [_tree(part, (*path, index), name, lines) for index, part in enumerate(node.value)]
        case _:
            return _scalar(node, f"{name}:{node.start_mark.line + 1}")


def _mapping(node: yaml.MappingNode, path: Path, name: str, lines: dict[Path, int]) -> dict[str, Tree]:
    tree: dict[str, Tree] = {}
    for key_node, value_node in node.value:
        where = f"{name}:{key_node.start_mark.line + 1}"
        key = _scalar(key_node, where) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise PolicyRefused(f"{where}: expected a name as key, got {key_node.value!r}; quote it")
        if key in tree:
            first = lines[(*path, key)]
            raise PolicyRefused(f"{where}: '{key}' stands here twice (first in line {first}); keep one")
        lines[(*path, key)] = key_node.start_mark.line + 1
        tree[key] = _tree(value_node, (*path, key), name, lines)
    return tree


def _scalar(node: yaml.Node, where: str) -> str | bool | int | None:
    text = str(node.value)
    if getattr(node, "style", None) is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text in _OTHER_WORDS:
        raise PolicyRefused(f"{where}: expected a value, got '{text}'; write {_OTHER_WORDS[text]}, or quote it")
    if _WHOLE.fullmatch(text):
        return int(text)
    if _OTHER_NUMBER.fullmatch(text):
        raise PolicyRefused(f"{where}: '{text}' could be read as a number; quote it: \"{text}\"")
    return text
