"""Progress of long work, on stderr."""

from __future__ import annotations

from typing import Any

__all__ = ["Progress"]


class Progress:
    """A progress bar that may be off.

    Parameters
    ----------
    enabled
        Whether anything is shown.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._bar: Any = None
        self._task: Any = None

    def start(self, what: str, total: int) -> None:
        """Begin a phase of `total` steps."""
        if not self._enabled:
            return
        if self._bar is None:
            # Imported here: most writes show no bar.
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total)

    def advance(self, steps: int) -> None:
        """Count steps of the phase."""
        if self._bar is not None:
            self._bar.advance(self._task, steps)

    def stop(self) -> None:
        """Leave the bar as it is and end it."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
