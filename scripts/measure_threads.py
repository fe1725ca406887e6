"""Measure from which size on more CPU threads are faster: the time on one thread divided by that on all, by size.

    python scripts/measure_threads.py

Above 1 all threads are faster. seqzoo.training.device.WORK_PER_THREAD was chosen from this table.
"""

from __future__ import annotations

import statistics
import time

import torch

import seqzoo
from seqzoo.training.device import available_cores

STEPS, REPEATS = 32, 7


def seconds(rnn: torch.nn.Module, x: torch.Tensor, threads: int) -> float:
    """The duration of a forward and a backward pass."""
    torch.set_num_threads(threads)
    started = time.perf_counter()
    rnn(x)[0].sum().backward()
    return time.perf_counter() - started


def main() -> None:
    cores = available_cores()
    print(f"cell  B    H    multiplications a step  time on 1 thread / time on {cores}")
    for cell in ("lstm", "gru"):
        for rows in (8, 32, 128):
            for width in (64, 128, 256, 512):
                rnn = seqzoo.RNN(cell, width, width, batch_first=True)
                x = torch.randn(rows, STEPS, width)
                for threads in (1, cores):
                    seconds(rnn, x, threads)
                # alternating, so that other programs affect both
                pairs = [(seconds(rnn, x, 1), seconds(rnn, x, cores)) for _ in range(REPEATS)]
                one_core, all_cores = (statistics.median(times) for times in zip(*pairs, strict=True))
                work = rows * rnn.backbone.layers[0][0].weight_hh.numel()
                print(f"{cell:5} {rows:<4} {width:<4} {work:>22,}  {one_core / all_cores:.2f}")


if __name__ == "__main__":
    main()
