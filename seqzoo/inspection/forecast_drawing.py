"""Drawing of forecasts with matplotlib."""

from __future__ import annotations

from typing import Any

import torch

from seqzoo.contracts.capabilities import Outlook
from seqzoo.inspection.drawing import need_matplotlib

MOST_PANELS = 6
SHOWN_BEFORE = 3
"""Steps that are shown before a forecast, as a multiple of its length, but at least FEWEST_BEFORE."""
FEWEST_BEFORE = 40


def draw_forecast(outlook: Outlook) -> Any:
    """Draw a forecast after the last known values, a panel for each of the first numbers of a step, with bands between
    quantiles of the same distance from the median.

    Returns:
        A matplotlib figure.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    names = outlook.names[:MOST_PANELS]
    steps, _, count = outlook.quantiles.shape
    known = outlook.known[-max(SHOWN_BEFORE * steps, FEWEST_BEFORE) :].cpu()
    quantiles = outlook.quantiles.cpu()
    past, future = torch.arange(1 - len(known), 1), torch.arange(steps + 1)
    figure = Figure(figsize=(8, 0.8 + 2.0 * len(names)), layout="constrained")
    for i, (name, axes) in enumerate(
        zip(names, figure.subplots(len(names), squeeze=False, sharex=True)[:, 0], strict=True)
    ):
        axes.plot(past, known[:, i], color="0.3", linewidth=1.2, label="known")
        last = known[-1:, i]
        for rank in range(count // 2):
            low, high = (torch.cat([last, quantiles[:, i, place]]) for place in (rank, count - 1 - rank))
            outer = f"{(rank + 1) / (count + 1):.0%} to {1 - (rank + 1) / (count + 1):.0%}"
            label = outer if rank == 0 else None
            axes.fill_between(future, low, high, color="C0", alpha=0.15, linewidth=0, label=label)
        axes.plot(future, torch.cat([last, quantiles[:, i, count // 2]]), color="C0", linewidth=1.5, label="forecast")
        if outlook.true is not None:
            axes.plot(future[1:], outlook.true[:, i].cpu(), color="C3", linewidth=1, linestyle="--", label="true")
        axes.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_ylabel(name[:30], parse_math=False)
        axes.spines[["top", "right"]].set_visible(False)
        if i == 0:
            axes.legend(loc="upper left", ncols=4, fontsize=8, frameon=False, bbox_to_anchor=(0, 1.15))
    axes.set_xlabel("steps after the last known one")
    return figure
