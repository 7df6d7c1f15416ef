"""YAML text -> a plain tree with the line of everything in it.

Nothing in a document is guessed: what other readers of YAML would turn into something else than the text says is
refused or stays text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from service.policies.refusal import PolicyRefused
from service.policies.wording import short

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40

Path = tuple[str | int, ...]
Tree = str | bool | int | None | list["Tree"] | dict[str, "Tree"]

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_OTHER_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?0[xob][0-9a-fA-F_]+|[-+]?\.(inf|nan)",
    re.IGNORECASE,
)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters but tab and line feed, halves of letters, and what makes a text read otherwise than it stands."""
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


@lru_cache(maxsize=16)  # A parent is read for each of its children.
def read_document(text: bytes, name: str) -> Document:
    """The tree of `text`. PolicyRefused for anything but one mapping of plain YAML without anchors, tags or floats."""
    if len(text) > MAX_BYTES:
        raise PolicyRefused(f"{name}:1: expected at most {MAX_BYTES} bytes, got {len(text)}; split the document")
    try:
        return _Reading(name, iter(_PARSER(text.decode("utf-8-sig")).get_event, None)).document()
    except UnicodeDecodeError as error:
        raise PolicyRefused(
            f"{name}:1: expected UTF-8, got byte {error.start} that is none; save it as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        # What is missing at the end is missed in the line behind it.
        last = text.rstrip().count(b"\n") + 1
        line = min(error.problem_mark.line + 1, last) if error.problem_mark is not None else 1
        raise PolicyRefused(f"{name}:{line}: expected YAML, but: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise PolicyRefused(f"{name}:1: expected YAML, but: {' '.join(str(error).split())}") from None


_Event = Any
"""An event of PyYAML; its published types leave out most of what an event has."""

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C, of which every wheel has one: without it, reading YAML is most of loading a policy."""


class _Reading:
    """One text while it is read, event by event, so that what is refused costs nothing before it is."""

    def __init__(self, name: str, events: Iterator[_Event]) -> None:
        self._name = name
        self._events = events
        self._lines: dict[Path, int] = {(): 1}

    def document(self) -> Document:
        """The whole of it."""
        start = self._next_but(yaml.StreamStartEvent)
        if isinstance(start, yaml.DocumentStartEvent) and (start.version or start.tags):
            raise PolicyRefused(f"{self._where(start)}: expected plain YAML, got a directive; remove the line with %")
        top = next(self._events) if isinstance(start, yaml.DocumentStartEvent) else start
        self._check_plain(top, 0)
        if not isinstance(top, yaml.MappingStartEvent):
            raise PolicyRefused(f"{self._name}:1: expected a mapping of keys to values at the top")
        tree = self._mapping((), 1)
        end = self._next_but(yaml.DocumentEndEvent)
        if not isinstance(end, yaml.StreamEndEvent):
            raise PolicyRefused(f"{self._where(end)}: expected YAML, but: here another document begins")
        return Document(self._name, tree, self._lines)

    def _next_but(self, passed: type[yaml.Event]) -> _Event:
        event = next(self._events)
        return next(self._events) if isinstance(event, passed) else event

    def _where(self, event: _Event) -> str:
        return f"{self._name}:{event.start_mark.line + 1}"

    def _check_plain(self, event: _Event, depth: int) -> None:
        """Anchors, tags and deep nesting are refused as soon as they are seen."""
        if type(event) is yaml.ScalarEvent and event.anchor is None and event.tag is None and depth < MAX_DEPTH:
            return
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PolicyRefused(
                f"{self._where(event)}: expected plain YAML, got an anchor or alias; write the value out"
            )
        if getattr(event, "tag", None) is not None:
            raise PolicyRefused(f"{self._where(event)}: expected plain YAML, got the tag '{event.tag}'; remove it")
        if depth >= MAX_DEPTH:
            raise PolicyRefused(
                f"{self._where(event)}: expected at most {MAX_DEPTH} levels; make the condition flatter"
            )

    def _tree(self, event: _Event, path: Path, depth: int) -> Tree:
        self._check_plain(event, depth)
        self._lines.setdefault(path, event.start_mark.line + 1)
        match event:
            case yaml.MappingStartEvent():
                return self._mapping(path, depth + 1)
            case yaml.SequenceStartEvent():
                return self._sequence(path, depth + 1)
            case _:
                return self._scalar(event)

    def _sequence(self, path: Path, depth: int) -> list[Tree]:
        parts = list[Tree]()
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            parts.append(self._tree(event, (*path, len(parts)), depth))
        return parts

    def _mapping(self, path: Path, depth: int) -> dict[str, Tree]:
        tree: dict[str, Tree] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth)
            inside = (*path, key)
            if key in tree:
                first = self._lines[inside]
                raise PolicyRefused(
                    f"{self._where(event)}: '{key}' stands here twice (first in line {first}); keep one"
                )
            self._lines[inside] = event.start_mark.line + 1
            tree[key] = self._tree(next(self._events), inside, depth)
        return tree

    def _key(self, event: _Event, depth: int) -> str:
        self._check_plain(event, depth)
        scalar = isinstance(event, yaml.ScalarEvent)
        key = self._scalar(event) if scalar else None
        if isinstance(key, str):
            return key
        shown = short(event.value) if scalar else "a list or mapping"
        raise PolicyRefused(f"{self._where(event)}: expected a name as key, got {shown}; quote it")

    def _scalar(self, event: _Event) -> str | bool | int | None:
        text = str(event.value)
        unseen = _UNSEEN.search(text)
        if unseen is not None:
            where = self._where(event)
            raise PolicyRefused(f"{where}: expected letters that are shown, got U+{ord(unseen[0]):04X}; remove it")
        if event.style:
            # Quoted, or a block of text.
            return text
        if text in _WORDS:
            return _WORDS[text]
        if text in _OTHER_WORDS:
            where = self._where(event)
            raise PolicyRefused(f"{where}: expected a value, got '{text}'; write {_OTHER_WORDS[text]}, or quote it")
        if text[0].isalpha():
            return text
        if _WHOLE.fullmatch(text):
            return int(text)
        if _OTHER_NUMBER.fullmatch(text):
            raise PolicyRefused(f"{self._where(event)}: '{text}' could be read as a number; quote it: \"{text}\"")
        return text
