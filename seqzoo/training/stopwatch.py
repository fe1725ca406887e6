"""The time of a training."""

from __future__ import annotations

import time

import torch

from seqzoo.training.interrupt import StopSignals
from seqzoo.training.processes import ALONE, Processes
from seqzoo.training.session import Position


class Stopwatch:
    """Adds elapsed time to a position.

    Args:
        position: of the training.
        device: of the training.
        processes: that train together.

    Attributes:
        seconds, cpu_seconds: times of the last lap.
    """

    def __init__(self, position: Position, device: torch.device, processes: Processes = ALONE):
        self.position, self.device, self.processes = position, device, processes
        self.seconds, self.cpu_seconds = time.monotonic(), time.process_time()

    def lap(self, stop: StopSignals) -> float:
        """Add the time since the last lap to the position and start a new lap. Several processes agree on the longest
        time, and on a signal that one of them has received.

        Args:
            stop: whose `agreed` is set.

        Returns:
            The seconds of the lap that count: on a CPU at most the CPU time of the process, so that time for which
            other programs had the CPU, or for which the process waited for a compiler, does not count. For several
            processes all seconds count, because they also wait for each other.
        """
        seconds, cpu_seconds = time.monotonic(), time.process_time()
        passed, cpu_passed = seconds - self.seconds, cpu_seconds - self.cpu_seconds
        passed, cpu_passed, signal = self.processes.largest(passed, cpu_passed, stop.received or 0)
        stop.agreed = int(signal) or None
        self.position.seconds += passed
        self.position.cpu_seconds += cpu_passed
        self.seconds, self.cpu_seconds = seconds, cpu_seconds
        return min(passed, cpu_passed) if self.device.type == "cpu" and self.processes.count == 1 else passed
