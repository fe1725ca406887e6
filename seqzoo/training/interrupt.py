"""SIGINT, SIGTERM and SIGHUP end a training after the step that is running."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopSignals:
    """While entered, remembers the first signal in `received`; a second one acts at once, as if nobody were
    listening.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        # only the main thread may listen; elsewhere a training cannot be stopped this way
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            # nohup asks for it to be ignored; Windows has none
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
                numbers.append(signal.SIGHUP)
            for number in numbers:
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def __exit__(self, *_: object) -> None:
        self._restore()
