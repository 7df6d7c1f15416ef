"""What the walk through June 2026 comes to."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.demo.chapters import CHAPTERS
from service.demo.shell import Step
from service.demo.stream import Stage
from service.demo.watched import Sighting

MOST_SECONDS = 300.0
"""What the commands of one version may take: five minutes of a person's evening."""
_NO_DIFFERENCE = " 0 differences:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """A walk that has come to its end, its servers still running. `seen` has a round before and after each version."""

    steps: Sequence[Step]
    seen: Sequence[Sequence[Sighting]]
    stage: Stage

    def seconds(self, version: str | None) -> float:
        """What the commands of one version took, or of none."""
        return sum(step.seconds for step in self.steps if step.version == version)

    @property
    def replayed(self) -> str:
        """What replay said at the end."""
        return " ".join(line.strip() for line in self.steps[-1].said)

    @property
    def good(self) -> bool:
        """Whether every version took less than five minutes of commands, and replay found no difference."""
        in_time = all(self.seconds(chapter.version) < MOST_SECONDS for chapter in CHAPTERS)
        return in_time and _NO_DIFFERENCE in self.replayed
