"""What a long run shows: a progress bar on a terminal, plain lines every now and then elsewhere; on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

PLAIN_EVERY = 20.0  # seconds between lines where there is no terminal


class Progress(AbstractContextManager["Progress"]):
    """A bar over ``total`` units of work, with a line of figures beside it.

    Args:
        what: a word for the work.
        unit: what is counted, in the plural.
    """

    def __init__(self, what: str, total: int, unit: str = "tokens") -> None:
        self.what, self.total, self.unit = what, total, unit
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0
        self._done_at_start: int | None = None
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),  # the figures have to fit beside it in 80 columns
                TaskProgressColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(self.what, total=self.total, figures="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, figures: str) -> None:
        """Show that ``done`` units are done, with ``figures`` and the time that is left."""
        now = time.monotonic()
        if self._done_at_start is None:
            self._done_at_start, self._started, self._last = done, now, now if self._bar is None else 0.0
            return
        speed = (done - self._done_at_start) / max(now - self._started, 1e-9)
        left = max(0, self.total - done) / speed if speed else float("inf")
        figures = f"{figures} · {speed:,.0f} {self.unit}/s · {duration(left)} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, figures=figures)
        elif now - self._last >= PLAIN_EVERY:
            self._last = now
            self.line(f"{self.what}: {done:,} of {self.total:,} {self.unit} ({done / self.total:.1%}) · {figures}")

    def line(self, message: str) -> None:
        """A line above the bar, or on its own."""
        if self._bar is not None:
            self._bar.console.print(message, highlight=False, markup=False)
        else:
            print(message, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in the two largest units that fit, such as ``2 h 05 min``."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes >= 10 else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
