"""What a static check found, and where."""

from dataclasses import dataclass
from typing import Literal

from service.policies.refusal import one_line

Level = Literal["error", "warning"]

REFUSED = "refused"
"""The check of a document that did not load; `what` says all of it, and `todo` is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`place` is `file:line`, `about` the rule, group, case or key, `check` the name of the check.

    An error keeps a version from being published; a warning is printed.
    """

    level: Level
    check: str
    place: str
    about: str
    what: str
    todo: str

    def __str__(self) -> str:
        if self.check == REFUSED:
            return one_line(f"{self.place}: {self.what}")
        return one_line(f"{self.place}: {self.about}: {self.what}; {self.todo}")
