"""Guard of periodic work without which a run continues, such as its status."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from types import TracebackType


class Guard:
    """Context manager that reports exceptions and lets the code after it continue.

    Each kind of exception, by its type and the line that raised it, is reported once,
    so that a lasting fault fills no log. Interruptions pass.
    """

    def __init__(self, work: str, report: Callable[[str], None]):
        """Prepares.

        Args:
          work: what fails, for the message.
          report: receives one line for each kind of exception.
        """
        self._work = work
        self._report = report
        self._reported: set[tuple[type[BaseException], str, int]] = set()

    def __enter__(self) -> None:
        """Does nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        frame = traceback.extract_tb(where)[-1]
        key = (kind, frame.filename, frame.lineno or 0)
        if key not in self._reported:
            self._reported.add(key)
            text = " ".join(f"{kind.__name__}: {error}".split())
            with contextlib.suppress(Exception):  # the terminal may be what is gone
                self._report(
                    f"warning: {self._work} failed and continues ({text}, in "
                    f"{frame.filename}:{frame.lineno}); this is not reported again"
                )
        return True
