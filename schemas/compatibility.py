"""Tells whether a changed JSON Schema still keeps what the published version promised.

Inputs may accept more and never less; outputs may say less and never more; no field goes away. New optional input
fields and new output fields are additions, which keep the version (design: events).
"""

from __future__ import annotations

from typing import Any, Literal

Schema = dict[str, Any]
Direction = Literal["in", "out"]

_UPPER = ("maxLength", "maxItems", "maximum", "exclusiveMaximum", "maxProperties")
_LOWER = ("minLength", "minItems", "minimum", "exclusiveMinimum", "minProperties")
_EXACT = ("pattern", "format")


def breaks(old: Schema, new: Schema, direction: Direction) -> list[str]:
    """What in `new` breaks the promise of `old`, one line each with a JSON pointer; [] when nothing does."""
    return _Comparison(old, new, direction).compare("", old, new)


class _Comparison:
    """Two documents, so that references can be followed in each."""

    def __init__(self, old: Schema, new: Schema, direction: Direction) -> None:
        self._old, self._new, self._is_input = old, new, direction == "in"

    def compare(self, path: str, old: Schema, new: Schema) -> list[str]:
        """Compare the alternatives of each JSON type on its own."""
        before, after = _alternatives(old, self._old), _alternatives(new, self._new)
        lost, gained = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
        found = []
        if self._is_input and lost:
            found.append(f"{path}: no longer accepts {', '.join(lost)}")
        if not self._is_input and gained:
            found.append(f"{path}: may now be {', '.join(gained)}")
        for kind in sorted(before.keys() & after.keys()):
            found += self._compare_one(path, before[kind], after[kind])
        return found

    def _compare_one(self, path: str, old: Schema, new: Schema) -> list[str]:
        found = self._compare_values(path, old, new) + self._compare_bounds(path, old, new)
        for part in ("items", "additionalProperties"):
            if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
                found += self.compare(f"{path}/*", old[part], new[part])
        return found + self._compare_properties(path, old, new)

    def _compare_values(self, path: str, old: Schema, new: Schema) -> list[str]:
        before, after = _values(old), _values(new)
        narrow, wide = (after, before) if self._is_input else (before, after)
        if narrow is None:  # The side that must not be narrower allows anything.
            return []
        if wide is None:
            return [f"{path}: " + ("accepts only listed values now" if self._is_input else "may be any value now")]
        verb = "no longer accepts" if self._is_input else "may now be"
        return [f"{path}: {verb} {value}" for value in sorted(wide - narrow)]

    def _compare_bounds(self, path: str, old: Schema, new: Schema) -> list[str]:
        narrow, wide = (new, old) if self._is_input else (old, new)
        found = [f"{path}: {name} changed" for name in _EXACT if name in narrow and narrow[name] != wide.get(name)]
        for names, sign in ((_UPPER, 1), (_LOWER, -1)):
            found += [
                f"{path}: {name} was {old.get(name)}, is {new.get(name)}"
                for name in names
                if name in narrow and (name not in wide or sign * wide[name] > sign * narrow[name])
            ]
        return found

    def _compare_properties(self, path: str, old: Schema, new: Schema) -> list[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        found = [f"{path}/{name}: removed" for name in sorted(before.keys() - after.keys())]
        required_before, required_after = set(old.get("required", [])), set(new.get("required", []))
        if self._is_input:
            found += [f"{path}/{name}: newly required" for name in sorted(required_after - required_before)]
        else:
            gone = (required_before - required_after) & after.keys()
            found += [f"{path}/{name}: may now be absent" for name in sorted(gone)]
        for name in sorted(before.keys() & after.keys()):
            found += self.compare(f"{path}/{name}", before[name], after[name])
        return found


def _alternatives(schema: Schema, document: Schema) -> dict[str, Schema]:
    """JSON type -> the schema for it, references followed and `anyOf` taken apart."""
    if "$ref" in schema:
        return _alternatives(document["$defs"][schema["$ref"].removeprefix("#/$defs/")], document)
    if "anyOf" in schema:
        return {kind: one for part in schema["anyOf"] for kind, one in _alternatives(part, document).items()}
    return {schema.get("type", "any"): schema}


def _values(schema: Schema) -> set[str] | None:
    """The values listed; None when any value of the type is allowed."""
    if "const" in schema:
        return {str(schema["const"])}
    return {str(value) for value in schema["enum"]} if "enum" in schema else None
