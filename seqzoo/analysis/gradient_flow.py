"""Vanishing and exploding gradients: how much the last output depends on what the state held some steps before.

Bengio, Simard & Frasconi, Learning Long-Term Dependencies with Gradient Descent is Difficult, 1994,
https://doi.org/10.1109/72.279181
Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013 (section 2),
https://arxiv.org/abs/1211.5063

    norm_k = mean over rows of |d (v . y_T) / d s_{T-k}|,    |v| = 1, its direction drawn for each row
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration import sweeps
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.errors import ConfigError
from seqzoo.inspection.drawing import need_matplotlib
from seqzoo.inspection.dynamics import first_cell, gradients_by_lag, recording
from seqzoo.training.record.tracking import Tracker

ROWS = 32
TABLE, PICTURE = "gradient_flow.csv", "gradient_flow.png"
TAG = "gradient_norm/by_lag"
# what is as good as nothing, or as infinite, would take the picture's room
SHOWN = (1e-8, 1e8)


class Curve(NamedTuple):
    """norms: (T + 1,), of lags 0 to T. setting: the options besides the cell in which curves differ, or ""."""

    cell: str
    setting: str
    norms: Tensor

    @property
    def name(self) -> str:
        return f"{self.cell} {self.setting}".strip()


def gradient_norms(cell: Cell, x: Tensor) -> Tensor:
    """The mean norm of the gradient at each lag, of a fresh cell or a trained one.

    x: (B, T, I) -> (T + 1,): entry k is of the state k steps before the last output, all parts of it together; entry 0
    is 1, the gradient that comes in. Counters have none.
    """
    with recording(cell) as recorded:
        outputs, _ = cell.scan(x)
    direction = torch.randn_like(outputs[:, -1])
    direction = direction / direction.norm(dim=-1, keepdim=True)
    norms = gradients_by_lag((outputs[:, -1] * direction).sum(), recorded)
    return torch.cat([direction.norm(dim=1).mean().to(norms)[None], norms])


def gradient_flow(overrides: list[str], steps: int) -> list[Curve]:
    """A curve for each configuration of a sweep: of the first cell of its model, untrained, and ROWS sequences of so
    many normal inputs.

    Raises ConfigError with every mistake in the overrides.
    """
    if steps < 1:
        raise ConfigError([f"--steps is {steps}: a gradient flows over at least one"])
    jobs = sweeps.jobs(*overrides)
    curves = []
    for job in jobs:
        experiment, mistakes = examine(*job)
        if mistakes or experiment is None:
            raise ConfigError(mistakes)
        torch.manual_seed(experiment.seed)
        cell = first_cell(build_model(experiment, build_data(experiment).expected_spec()))
        if cell is None:
            raise ConfigError([f"backbone={experiment.choices['backbone']} has no cell for a gradient to flow through"])
        norms = gradient_norms(cell, torch.randn(ROWS, steps, cell.input_size))
        varied = [text for text in job if not text.startswith("cell=") and any(text not in other for other in jobs)]
        setting = " ".join(text.removeprefix("cell.") for text in varied)
        curves.append(Curve(experiment.choices["cell"], setting, norms))
    return curves


def write(curves: list[Curve], folder: Path) -> list[Path]:
    """Write a picture, a table, and TensorBoard's events: a run for each curve, whose steps are lags, and the picture.

    Returns:
        The picture and the table.
    """
    figure = draw(curves)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / PICTURE, dpi=150)
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cell", "setting", "lag", "gradient_norm"])
        for curve in curves:
            rows = enumerate(curve.norms.tolist())
            writer.writerows([curve.cell, curve.setting, lag, f"{norm:.6g}"] for lag, norm in rows)
    for curve in curves:
        tracker = Tracker(folder / re.sub(r"[^\w=.,+-]+", "_", curve.name), {}, curve.name)
        for lag, norm in enumerate(curve.norms.tolist()):
            tracker.scalar(TAG, norm, lag)
        tracker.close("success")
    tracker = Tracker(folder, {}, folder.name)
    tracker.picture("gradient_norm", figure, 0)
    tracker.close("success")
    return [folder / PICTURE, folder / TABLE]


def draw(curves: list[Curve]) -> Any:
    """A matplotlib figure: norm by lag on a logarithmic scale, each curve with its name where it ends or leaves the
    picture; a panel for each setting. Raises ConfigError where matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    settings = list(dict.fromkeys(curve.setting for curve in curves))
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    norms = torch.cat([curve.norms for curve in curves])
    norms = norms[norms.isfinite()]
    limits = max(SHOWN[0], norms.min().item() / 2), min(SHOWN[1], norms.max().item() * 4)
    figure = Figure(figsize=(1 + 5 * len(settings), 4.5), layout="constrained")
    panels = figure.subplots(1, len(settings), sharey=True, squeeze=False)[0]
    for axes, setting in zip(panels, settings, strict=True):
        axes.axhline(1, color="grey", linewidth=0.8, linestyle=":")
        own = [curve for curve in curves if curve.setting == setting]
        for curve in own:
            axes.plot(curve.norms, color=f"C{cells.index(curve.cell) % 10}")
        axes.set(title=setting, xlabel="lag (steps before the last output)", yscale="log", ylim=limits)
        axes.spines[["top", "right"]].set_visible(False)
        for curve, (lag, norm, side) in zip(own, _label_places(own, limits), strict=True):
            color, aligned = f"C{cells.index(curve.cell) % 10}", {1: "left", -1: "right"}[side]
            style = {"textcoords": "offset points", "va": "center", "ha": aligned, "color": color}
            axes.annotate(curve.cell, (lag, norm), (5 * side, 0), **style)
    panels[0].set_ylabel("norm of the gradient")
    return figure


def _label_places(curves: list[Curve], limits: tuple[float, float]) -> list[tuple[int, float, int]]:
    """Lag, norm and side (1 right, -1 left) of each curve's name: at its last point in the picture, moved up where it
    would cover another, and to the left of a curve that leaves the picture just before another does.
    """
    low, high = limits
    apart = (high / low) ** 0.05
    near = len(curves[0].norms) / 6
    ends = []
    for curve in curves:
        lag = max(lag for lag, norm in enumerate(curve.norms.tolist()) if low * apart <= norm <= high / apart)
        ends.append((lag, curve.norms[lag].item()))
    places: list[tuple[int, float, int]] = [(0, 0.0, 0)] * len(curves)
    for index in sorted(range(len(curves)), key=lambda index: ends[index][::-1]):
        lag, norm = ends[index]
        others = [end for other, end in enumerate(ends) if other != index]
        leaves_before = any(0 < other - lag < 2 * near and max(norm, n) < apart * min(norm, n) for other, n in others)
        side = -1 if leaves_before else 1
        for other_lag, other, other_side in places:
            if other_side == side and abs(other_lag - lag) < near:
                norm = max(norm, other * apart)
        places[index] = (lag, norm, side)
    return places


def format_curves(curves: list[Curve]) -> str:
    """A line for each curve, with the norms at a few lags."""
    last = len(curves[0].norms) - 1
    lags = [lag for lag in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000) if lag <= last]
    width = max(len(curve.name) for curve in curves)
    lines = ["  ".join(["lag".ljust(width), *(f"{lag:>7}" for lag in lags)])]
    for curve in curves:
        lines.append("  ".join([curve.name.ljust(width), *(f"{curve.norms[lag]:7.1e}" for lag in lags)]))
    return "\n".join(lines)
