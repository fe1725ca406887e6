"""Vanishing and exploding gradients: the norm of the gradient of the last output by earlier states.

Source: Bengio, Simard & Frasconi, Learning Long-Term Dependencies with Gradient Descent is Difficult, 1994,
https://doi.org/10.1109/72.279181
Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013 (section 2),
https://arxiv.org/abs/1211.5063

    norm_k = mean over rows of |d (v . y_T) / d s_{T-k}|,    |v| = 1, with a random direction for each row
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
# limits of the logarithmic axis; vanished and exploded norms are outside
SHOWN = (1e-8, 1e8)


class Curve(NamedTuple):
    """Gradient norms by lag.

    Attributes:
        cell: name of the cell.
        setting: other options in which the curves differ; may be empty.
        norms: at lags 0 to T, (T + 1,).
    """

    cell: str
    setting: str
    norms: Tensor

    @property
    def name(self) -> str:
        """Cell and setting."""
        return f"{self.cell} {self.setting}".strip()


def gradient_norms(cell: Cell, x: Tensor) -> Tensor:
    """The mean norm of the gradient at each lag, for an untrained or trained cell.

    Args:
        cell: the cell.
        x: inputs, (B, T, I).

    Returns:
        Norms (T + 1,): entry k is that of the whole state k steps before the last output, without counters; entry 0 is
        1, the norm of the gradient by the last output.
    """
    with recording(cell) as recorded:
        outputs, _ = cell.scan(x)
    direction = torch.randn_like(outputs[:, -1])
    direction = direction / direction.norm(dim=-1, keepdim=True)
    norms = gradients_by_lag((outputs[:, -1] * direction).sum(), recorded)
    return torch.cat([direction.norm(dim=1).mean().to(norms)[None], norms])


def gradient_flow(overrides: list[str], steps: int) -> list[Curve]:
    """Gradient norms of the first cell of each model of a sweep, untrained, on ROWS sequences of Gaussian noise.

    Args:
        overrides: of the sweep, as on the command line.
        steps: length of the sequences.

    Returns:
        A curve for each configuration.

    Raises:
        ConfigError: all errors in the overrides.
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
    """Write a figure, a table, and TensorBoard events: the figure, and a run for each curve with lags as steps.

    Args:
        curves: the curves.
        folder: output directory.

    Returns:
        The paths of the figure and the table.
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
    """A matplotlib figure of the norms by lag on a logarithmic scale, one panel per setting. Curves are labelled
    where they end or leave the panel. Raises ConfigError if matplotlib is not installed.
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
        in_panel = [curve for curve in curves if curve.setting == setting]
        for curve in in_panel:
            axes.plot(curve.norms, color=f"C{cells.index(curve.cell) % 10}")
        axes.set(title=setting, xlabel="lag (steps before the last output)", yscale="log", ylim=limits)
        axes.spines[["top", "right"]].set_visible(False)
        for curve, (lag, norm, side) in zip(in_panel, _label_places(in_panel, limits), strict=True):
            color, aligned = f"C{cells.index(curve.cell) % 10}", {1: "left", -1: "right"}[side]
            style = {"textcoords": "offset points", "va": "center", "ha": aligned, "color": color}
            axes.annotate(curve.cell, (lag, norm), (5 * side, 0), **style)
    panels[0].set_ylabel("norm of the gradient")
    return figure


def _label_places(curves: list[Curve], limits: tuple[float, float]) -> list[tuple[int, float, int]]:
    """Lag, norm and side (1 right, -1 left) of the label of each curve: at its last visible point, moved up where it
    would cover another label, and to the left if the curve leaves the panel just before another one does.
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
    """A table of the norms of each curve at a few lags."""
    last = len(curves[0].norms) - 1
    lags = [lag for lag in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000) if lag <= last]
    width = max(len(curve.name) for curve in curves)
    lines = ["  ".join(["lag".ljust(width), *(f"{lag:>7}" for lag in lags)])]
    for curve in curves:
        lines.append("  ".join([curve.name.ljust(width), *(f"{curve.norms[lag]:7.1e}" for lag in lags)]))
    return "\n".join(lines)
