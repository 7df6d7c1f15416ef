"""What a document says of a model more mildly than its parent does: one line in a catalogue opens it to many. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import orjson

from service.policies.lint_finding import Finding
from service.policies.load import LoadedPolicy

_Entry = Mapping[str, Any]


def findings(loaded: LoadedPolicy) -> Iterator[Finding]:
    """A warning for each statement about a model that frees it from what its parent says of it."""
    catalogue = orjson.loads(loaded.resolved)["catalogue"]
    for model, before in loaded.inherited.items():
        entry = catalogue[model]
        for what in _softened(before, entry) if isinstance(before, dict) and isinstance(entry, dict) else ():
            yield Finding(
                level="warning",
                check="softer_model",
                place=loaded.source.where(("catalogue", model)),
                about=f"model {model}",
                what=f"{what}, so rules of the parent may let it go",
                todo="go on if that is known of the model; `policy diff` shows who gets it",
            )


def _softened(before: _Entry, after: _Entry) -> Iterator[str]:
    if after.get("published") is True and before.get("published") is not True:
        yield "it is said to be published, and the parent does not say so"
    if after.get("eccn") == "EAR99" and before.get("eccn") != "EAR99":
        yield f"it is EAR99, and {before.get('eccn') or 'not classified'} in the parent"
    old, new = before.get("training_operations"), after.get("training_operations")
    if new is not None and (old is None or Decimal(new) < Decimal(old)):
        yield f"it took {new} training operations, and {old or 'an unknown number of them'} in the parent"
