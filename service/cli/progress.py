"""A progress bar on stderr, where a terminal is; stdout stays for the answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar that is drawn."""

    _progress: Progress
    _task: TaskID

    def advance(self, done: int) -> None:
        """So many more are done."""
        self._progress.advance(self._task, done)


@contextmanager
def drawing() -> Iterator[Progress]:
    """Bars that are gone when the block ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Bar]:
    """One bar, which ends at `total`."""
    with drawing() as progress:
        yield Bar(progress, progress.add_task(what, total=total))
