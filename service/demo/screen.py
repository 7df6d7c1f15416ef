"""What a person sees while the demo runs: one line a step, and how much was produced and decided."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@dataclass(frozen=True, slots=True)
class Bars:
    """Two bars: what the broker has taken, and what the service has decided."""

    progress: Progress
    produced: TaskID
    decided: TaskID

    def show(self, *, produced: int, decided: int) -> None:
        """Move both bars."""
        self.progress.update(self.produced, completed=produced)
        self.progress.update(self.decided, completed=decided)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(line)


@contextmanager
def bars(console: Console, total: int, *, hidden: bool = False) -> Iterator[Bars]:
    """Bars on a terminal; where there is none, or when they are `hidden`, only lines are printed."""
    columns = (TextColumn("  {task.description:<9}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    disable = hidden or not console.is_terminal
    with Progress(*columns, console=console, disable=disable, refresh_per_second=15) as progress:
        yield Bars(progress, progress.add_task("produced", total=total), progress.add_task("decided", total=total))
