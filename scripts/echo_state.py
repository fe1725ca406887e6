"""Two benchmarks of echo state networks, solved by ridge regression in seconds, written to results/long_memory.csv.

python scripts/echo_state.py                        # both
python scripts/echo_state.py mackey_glass --seed 1  # one, with another reservoir
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import time
from pathlib import Path
from typing import NamedTuple

import torch
from record_results import RESULTS, record
from torch import Tensor

from seqzoo import create_cell
from seqzoo.data.generated.mackey_glass import WASHOUT, mackey_glass
from seqzoo.data.generated.narma10 import draw
from seqzoo.learning.ridge import Reservoir
from seqzoo.runs.provenance import commit, hardware

HORIZON = 84
STARTS, APART = 100, 50


class Score(NamedTuple):
    """A result.

    Attributes:
        metric: name of the score.
        value: the score.
        parameters: number of weights of the readout, the only ones that are fitted.
    """

    metric: str
    value: float
    parameters: int


def nrmse(predictions: Tensor, targets: Tensor, variance: Tensor) -> float:
    return float((predictions - targets).square().mean().div(variance).sqrt())


def score_mackey_glass(units: int) -> Score:
    """NRMSE84 (Jaeger & Haas 2004, who report 10^-4.2 with 1,000 units): the readout is fitted to the next value
    on 3,000 steps. From 100 points of another series, after 500 true steps, predictions are fed back for 84 steps, and
    the last one is compared.
    """
    reservoir = Reservoir(create_cell("echo_state", 1, units, spectral_radius=0.8, connectivity=0.01))
    washout, fitted, warm_up = 1_000, 3_000, 500
    x = mackey_glass(WASHOUT + washout + fitted + 1)[WASHOUT:, None] - 1
    reservoir.fit(x[None, :-1], x[None, 1:], washout, penalty=1e-16)

    test = mackey_glass(WASHOUT + warm_up + STARTS * APART + HORIZON, beginning=0.9)[WASHOUT:, None] - 1
    begins = range(0, STARTS * APART, APART)
    predictions, state = reservoir.predict(torch.stack([test[b : b + warm_up] for b in begins]))
    last = reservoir.run_free(predictions[:, -1], state, HORIZON - 1)[:, -1]
    targets = torch.stack([test[b + warm_up - 1 + HORIZON] for b in begins])
    return Score("nrmse84", nrmse(last, targets, test.var()), reservoir.readout.numel())


def score_narma10(units: int) -> Score:
    """NRMSE of the next output on 2,000 steps, fitted on 3,000 steps of another series."""
    reservoir = Reservoir(create_cell("echo_state", 1, units, spectral_radius=0.95, input_scale=0.1))
    washout, generator = 200, torch.Generator().manual_seed(10)
    u, y = (series[..., None] for series in draw(1, washout + 3_000, generator))
    reservoir.fit(u, y, washout, penalty=1e-8)
    u, y = (series[..., None] for series in draw(1, washout + 2_000, generator))
    predictions, _ = reservoir.predict(u)
    error = nrmse(predictions[:, washout:], y[:, washout:], y[:, washout:].var())
    return Score("nrmse", error, reservoir.readout.numel())


BENCHMARKS = {"mackey_glass": (score_mackey_glass, 1_000), "narma10": (score_narma10, 400)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("benchmarks", nargs="*", help=f"{', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the reservoir")
    parser.add_argument("--runs", type=Path, default=Path("runs/echo_state"), help="output folder of the metrics")
    parser.add_argument("--to", type=Path, default=RESULTS / "long_memory.csv", help="output table")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.benchmarks if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}")
    for name in chosen.benchmarks or BENCHMARKS:
        benchmark, units = BENCHMARKS[name]
        torch.manual_seed(chosen.seed)
        began, worked = time.perf_counter(), time.process_time()
        score = benchmark(units)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
        print(f"{name}  {units:,} units  {score.metric} {score.value:.3g}  {seconds:.1f} s")
        metrics = {
            "test": {score.metric: score.value},
            "parameters": score.parameters,
            "seconds": round(seconds, 2),
            "cpu_seconds": round(cpu_seconds, 2),
            "seed": chosen.seed,
            "choices": {"data": name, "cell": "echo_state", "backbone": "unidirectional", "task": "regression"},
            "device": hardware(torch.device("cpu")),
            "threads": torch.get_num_threads(),
            "command": shlex.join(["python", "scripts/echo_state.py", name, "--seed", str(chosen.seed)]),
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
        }
        folder = chosen.runs / name / f"seed_{chosen.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        record([folder], chosen.to)


if __name__ == "__main__":
    main()
