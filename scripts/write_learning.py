"""Write docs/LEARNING.md: every learning rule, and how its gradient agrees with the true one for every cell.

python scripts/write_learning.py            # computes all gradients, some minutes
python scripts/write_learning.py --speed    # only measures results/learning_speed.csv, and writes the page again
python scripts/write_learning.py --page     # only writes the page again
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.components import Provided, make
from seqzoo.configuration.composing import load
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.state import State
from seqzoo.learning.influence import Influence
from seqzoo.learning.network_step import NetworkStep
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.encoders.features import FeatureEncoder
from seqzoo.network.model import Model
from seqzoo.runs.provenance import hardware
from seqzoo.tasks.regression import Regression

REPOSITORY = Path(__file__).resolve().parents[1]
CURVES, MEMORY = REPOSITORY / "results" / "loss_curves.csv", REPOSITORY / "results" / "learning_memory.csv"
PAGE, SPEED = REPOSITORY / "docs" / "LEARNING.md", REPOSITORY / "results" / "learning_speed.csv"
FEATURES, UNITS, STEPS, ROWS = 4, 8, 30, 8
SPEED_COLUMNS = ("cell", "rule", "hidden_size", "steps", "milliseconds", "kept", "device", "threads")
SPEED_UNITS = {"lru": 256, "ind_rnn": 256, "min_gru": 256, "elman": 64, "lstm": 64}
SPEED_FEATURES, SPEED_STEPS, SPEED_ROUNDS = 32, 100, 10
SPEED_RULES = ("bptt", "rtrl", "snap1", "uoro", "e_prop")
RANDOM = ("uoro", "kf_rtrl", "forward_gradient")
HEADER = """# Learning rules

`python scripts/write_learning.py` writes this page. `learning=NAME` chooses a rule, as in
`seqzoo train learning=rtrl cell=lru`. `tests/contracts/test_learning.py` tests that exact rules give the gradients of
backpropagation to 1e-9 in float64, for every cell, with lengths, resets and carried states, that unbiased ones do so in
expectation, and that all resume bit for bit. `seqzoo check` says which models a rule cannot train, before data is read.

| column | meaning |
|---|---|
| gradient | exact: that of backpropagation; unbiased: random, with that mean; else an approximation, measured below |
| reach | text: gradients reach back through all windows of a text; batch: to the beginning of a window |

"""
AGREEMENT = f"""
## Agreement with the true gradient

The cosine of the gradient of all weights of the cell with that of backpropagation, for one layer of {UNITS} units with
initial weights that reads {ROWS} rows of {STEPS} steps of {FEATURES} random numbers, and predicts others at every step.
The random rules `{"`, `".join(RANDOM)}` are left out: their cosine is that of one draw. `states per weight` is the
mean number of state variables that a weight influences, of all: what `rtrl` carries along for each weight. It is 1 or 2
for diagonal recurrences, for which the exact gradient costs as little as its approximations.
`rflo` and `feedback_alignment` begin with random feedback, to which the weights have not yet adapted.

"""
TIMES = f"""
## Time and memory

CPU time of a step in milliseconds, forward and backward, for one row of {SPEED_STEPS} steps of {SPEED_FEATURES} numbers
with an update at its end, and in brackets how many values a rule carries from step to step, whatever the number of
steps (`bptt` keeps all states of a row instead). `bptt` stands for truncation to windows of {SPEED_STEPS} steps; the
gradient of `rtrl` reaches back to the first step of all windows. With an update after every step, `bptt` would take
{SPEED_STEPS} times as long. `rtrl` goes back through each window once for every state variable that depends on others,
or, in diagonal cells, once or twice; windows of a few steps, or batches of many rows, are taken step by step, as by
`snap1`. The rules of a cell were measured in turn, on a machine that other programs used, too. {{devices}}

"""
LOSSES = """
## Quadratic loss and cross-entropy

![bits per character during training](losses.svg)

The derivative of half the squared error of a sigmoid has the factor s(1 - s), which is nearly 0 for outputs that are
almost 0 or 1, also where they are wrong. In the derivative of the cross-entropy it drops out, and the error s - y
remains (`notebooks/10_losses.ipynb` derives both). An LSTM of 64 units with sigmoid
outputs (`task.outputs=sigmoid`) reads characters of Shakespeare for a short time, so that neither is at its best. The
band of the picture is the range over seeds, and the table has means and standard deviations. The commands are in
`results/loss_curves.csv`, which `python scripts/draw_losses.py RUN_DIR ...` writes with the picture.

"""
STREAM = """
## One long stream

The largest resident memory of a training on a stream of characters, Python and torch included, as
`python scripts/measure_stream.py` measures it. `rtrl` updates the weights after every 100 characters, and its gradient
reaches back to the first one. The gradient of `bptt` reaches as far in one update over the whole stream.

"""


def create(rule: str) -> LearningRule:
    return make("learning", load("learning", rule), Provided(), ())


def small_model(cell: str, features: int, units: int) -> Model:
    spec = DataSpec("regression", features, 2, per_step=True)
    backbone = Recurrent(cell_factory(cell), features, hidden_size=units)
    return Model(FeatureEncoder(features), backbone, Regression(backbone.output_size, spec, ["mse"]))


def some_batch(rows: int, steps: int, features: int) -> Batch:
    inputs, targets = torch.randn(rows, steps, features), torch.randn(rows, steps, 2)
    return Batch(inputs, torch.full((rows,), steps), targets, padded=False)


def run(rule: LearningRule, model: Model, batch: Batch, state: State | None = None) -> State | None:
    return rule.gradients(Objective(model, nullcontext, lambda tensor: tensor), batch, state)[1]


def gradient(rule: LearningRule, model: Model, batch: Batch) -> Tensor:
    """The gradient of all weights of the cell, as a vector."""
    model.zero_grad()
    run(rule, model, batch)
    weights = [weight for weight in model.backbone.parameters() if weight.requires_grad]
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    return torch.cat([part.flatten() for part in parts]) if parts else torch.zeros(0)


def agreement() -> str:
    """The table of cells and rules."""
    rules = [name for name in names("learning") if not create(name).solves and name not in RANDOM]
    rules = [name for name in rules if name not in ("bptt", "truncated")]
    lines = [f"| cell | states per weight | {' | '.join(rules)} |", "|---" * (len(rules) + 2) + "|"]
    for cell in names("cell"):
        torch.manual_seed(0)
        model = small_model(cell, FEATURES, UNITS).double()
        batch = some_batch(ROWS, STEPS, FEATURES).map(lambda part: part.double() if part.is_floating_point() else part)
        expected, marks = gradient(create("bptt"), model, batch), []
        for rule in rules:
            actual = gradient(create(rule), model, batch)
            if not len(expected):
                marks.append("nothing to learn")
            elif torch.allclose(actual, expected, rtol=1e-9, atol=1e-9):
                marks.append("exact")
            else:
                marks.append(f"{torch.cosine_similarity(actual, expected, dim=0):.3f}")
        step = NetworkStep(model)
        influence = Influence(step)
        weights = sum(step.count(group.names) for group in influence.groups)
        share = f"{influence.size / weights:.3g} of {step.size}" if weights else "none"
        lines.append(f"| `{cell}` | {share} | {' | '.join(marks)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def rules_table() -> str:
    lines = ["| rule | what it is | gradient | reach |", "|---|---|---|---|"]
    for name in names("learning"):
        rule = create(name)
        comment = (REPOSITORY / "conf" / "learning" / f"{name}.yaml").read_text(encoding="utf-8").split("\n")[0]
        kind = "exact" if rule.exact else "unbiased" if rule.unbiased else "in closed form" if rule.solves else ""
        reach = "" if rule.solves else "text" if rule.crosses_batches else "batch"
        lines.append(f"| `{name}` | {comment.lstrip('# ')} | {kind} | {reach} |")
    return "\n".join(lines) + "\n"


def measure_speeds() -> None:
    torch.set_num_threads(1)
    common = {"steps": str(SPEED_STEPS), "device": hardware(torch.device("cpu")), "threads": "1"}
    rows = []
    for cell, units in SPEED_UNITS.items():
        torch.manual_seed(0)
        model, batch = small_model(cell, SPEED_FEATURES, units), some_batch(1, SPEED_STEPS, SPEED_FEATURES)
        rules = {name: create(name) for name in SPEED_RULES}
        states = {name: run(rule, model, batch) for name, rule in rules.items()}
        times: dict[str, list[float]] = {name: [] for name in rules}
        for _ in range(SPEED_ROUNDS):  # one rule after the other, so that a busy machine slows all of them
            for name, rule in rules.items():
                start = time.process_time()  # other programs on the machine do not count
                states[name] = run(rule, model, batch, states[name])
                times[name].append(time.process_time() - start)
        for name, rule in rules.items():
            kept = sum(part.numel() for part in rule.content().get("memory", ()))
            measured = {"milliseconds": f"{1000 * min(times[name]) / SPEED_STEPS:.3g}", "kept": str(kept)}
            rows.append({"cell": cell, "rule": name, "hidden_size": str(units), **measured, **common})
            print(rows[-1], flush=True)
    write_table(SPEED, SPEED_COLUMNS, rows)


def times() -> str:
    rows = read_table(SPEED)
    if not rows:
        return ""
    devices = "; ".join(sorted({f"{row['device']}, threads: {row['threads']}" for row in rows}))
    lines = [TIMES.format(devices=f"{devices}."), f"| cell | units | {' | '.join(SPEED_RULES)} |", "|---" * 7 + "|"]
    for cell, units in SPEED_UNITS.items():
        of_cell = {row["rule"]: row for row in rows if row["cell"] == cell}
        marks = [
            of_cell[rule]["milliseconds"] + (f" ({int(of_cell[rule]['kept']):,})" if rule != "bptt" else "")
            for rule in SPEED_RULES
        ]
        lines.append(f"| `{cell}` | {units} | {' | '.join(marks)} |")
    return lines[0] + "\n".join(lines[1:]) + "\n"


def losses() -> str:
    rows = read_table(CURVES)
    if not rows:
        return ""
    last = max(int(row["update"]) for row in rows)
    lines = [f"| loss | seeds | bits per character after {last:,} updates |", "|---|---|---|"]
    for loss in sorted({row["loss"] for row in rows}):
        values = [float(row["bits_per_character"]) for row in rows if (row["loss"], row["update"]) == (loss, str(last))]
        mean, spread = statistics.fmean(values), statistics.stdev(values)
        lines.append(f"| `{loss}` | {len(values)} | {mean:.3f} ± {spread:.2g} |")
    return LOSSES + "\n".join(lines) + "\n"


def memory() -> str:
    rows = read_table(MEMORY)
    if not rows:
        return ""
    lines = ["| characters | rule | updates | MB | CPU seconds |", "|---|---|---|---|---|"]
    for row in rows:
        steps, updates = int(row["steps"]), int(row["updates"])
        lines.append(f"| {steps:,} | `{row['rule']}` | {updates:,} | {row['megabytes']} | {row['seconds']} |")
    return STREAM + "\n".join(lines) + f"\n\n    {rows[-2]['command']}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--speed", action="store_true", help="measure times, and keep the table of gradients")
    parser.add_argument("--page", action="store_true", help="measure nothing, and keep the table of gradients")
    chosen = parser.parse_args()
    if chosen.speed:
        measure_speeds()
    if chosen.speed or chosen.page:
        table = re.search(
            r"^\| cell \| states.*?\n(?=\n|\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        compared = table[0] if table else ""
    else:
        compared = agreement()
    PAGE.write_text(HEADER + rules_table() + AGREEMENT + compared + times() + memory() + losses(), encoding="utf-8")


if __name__ == "__main__":
    main()
