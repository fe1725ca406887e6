"""Profiling of updates with torch.profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from seqzoo.training.record.files import TRACE, write_atomically
from seqzoo.training.record.run import Run

WARM_UP = 5
"""Updates before the profiled ones, in which code is compiled and memory is allocated."""
ROWS = 15


@contextmanager
def profiled(updates: int, run: Run) -> Iterator[Callable[[], None]]:
    """A context that profiles updates. It writes a trace, for chrome://tracing or https://ui.perfetto.dev, and logs a
    table.

    Args:
        updates: number of profiled updates; 0: none.
        run: to write to.

    Returns:
        A function to call after each update.
    """
    if not updates:
        yield lambda: None
        return

    def write(done: profile) -> None:
        write_atomically(run.folder / TRACE, lambda file: done.export_chrome_trace(file.name))
        key = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        run.log(f"{done.key_averages().table(sort_by=key, row_limit=ROWS)}trace: {run.folder / TRACE}")

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    when = schedule(wait=WARM_UP - 1, warmup=1, active=updates, repeat=1)
    with profile(activities=activities, schedule=when, on_trace_ready=write) as profiler:
        yield profiler.step
