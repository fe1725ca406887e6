"""The time of a training."""

from __future__ import annotations

import time

import torch

from seqzoo.training.session import Position


class Stopwatch:
    """Adds elapsed time to a position.

    Args:
        position: of the training.
        device: of the training.

    Attributes:
        seconds, cpu_seconds: times of the last lap.
    """

    def __init__(self, position: Position, device: torch.device):
        self.position, self.device = position, device
        self.seconds, self.cpu_seconds = time.monotonic(), time.process_time()

    def lap(self) -> float:
        """Add the time since the last lap to the position and start a new lap.

        Returns:
            The seconds of the lap that count: on a CPU at most the CPU time of the process, so that time for which
            other programs had the CPU, or for which the process waited for a compiler, does not count.
        """
        seconds, cpu_seconds = time.monotonic(), time.process_time()
        passed, cpu_passed = seconds - self.seconds, cpu_seconds - self.cpu_seconds
        self.position.seconds += passed
        self.position.cpu_seconds += cpu_passed
        self.seconds, self.cpu_seconds = seconds, cpu_seconds
        return min(passed, cpu_passed) if self.device.type == "cpu" else passed
