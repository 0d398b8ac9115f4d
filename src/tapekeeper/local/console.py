"""What the demo tells the person in front of it: pictures on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import rich.console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

PLAIN_LINE_EVERY_SECONDS: Final = 5.0
_PLAIN_WIDTH: Final = 120


class Console:
    """Prints steps, progress and tables; to standard error where standard output belongs to the result."""

    def __init__(self, *, to_standard_error: bool) -> None:
        stream = sys.stderr if to_standard_error else sys.stdout
        self._rich = rich.console.Console(
            file=stream, highlight=False, soft_wrap=True, width=None if stream.isatty() else _PLAIN_WIDTH
        )

    def say(self, text: str) -> None:
        """Print text as it is."""
        self._rich.print(text, markup=False)
        self._rich.file.flush()

    def show(self, table: Table) -> None:
        """Print a table."""
        self._rich.print(table)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show that a step is under way, then that it is done and how long it took."""
        started = time.monotonic()
        if self._rich.is_terminal:
            with self._rich.status(name):
                yield
        else:
            yield
        self.say(f"  {name} ({time.monotonic() - started:.1f} s)")

    @contextmanager
    def progress(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes how much of the total is there."""
        if not self._rich.is_terminal:
            yield self._plain_progress(name, total)
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._rich) as bar:
            task = bar.add_task(name, total=total)
            yield lambda completed: bar.update(task, completed=completed)

    def _plain_progress(self, name: str, total: int) -> Callable[[int], None]:
        said_at = time.monotonic()

        def update(completed: int) -> None:
            nonlocal said_at
            if time.monotonic() - said_at >= PLAIN_LINE_EVERY_SECONDS or completed >= total:
                self.say(f"  {name}: {completed:,} of {total:,}")
                said_at = time.monotonic()

        return update
