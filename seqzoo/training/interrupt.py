"""SIGINT, SIGTERM and SIGHUP end a training after the current update."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Stopped(Exception):
    """A signal ended the training after an update, and a checkpoint has been saved.

    Args:
        signal_number: of the signal.
    """

    def __init__(self, signal_number: int):
        super().__init__(signal_number)
        self.signal_number = signal_number


class StopSignals:
    """A context that stores the first signal. A second signal has its usual effect.

    Attributes:
        received: the signal; None: none so far.
        agreed: that which any of the processes of a training had received after the last update.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.agreed: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        # only the main thread can install signal handlers
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            # nohup ignores it; Windows does not have it
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
