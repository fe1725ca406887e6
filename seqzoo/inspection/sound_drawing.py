"""Drawing of recordings with matplotlib."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqzoo.inspection.drawing import need_matplotlib

WINDOW = 0.025
"""Seconds of a window of the spectrogram; windows begin at every quarter of it."""
RANGE = 80.0
"""Decibels below the loudest value that are drawn."""


def draw_sound(samples: Tensor, rate: int) -> Any:
    """Draw a recording: its samples, and below them its spectrogram in decibels, dark where it is loud.

    Args:
        samples: (N,), 1 at full scale.
        rate: sampling rate in Hz.

    Returns:
        A matplotlib figure.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    values = samples.cpu().numpy()
    seconds = len(values) / rate
    size = max(16, round(WINDOW * rate))
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    over, below = figure.subplots(2, sharex=True, height_ratios=(1, 2))
    over.plot([number / rate for number in range(len(values))], values, linewidth=0.5, color="0.3")
    loudest = max(float(samples.abs().max()), 1e-6)
    over.set(ylabel="sample", ylim=(-1.05 * loudest, 1.05 * loudest))
    if len(values) > size:
        _, _, _, image = below.specgram(values + 1e-9, NFFT=size, Fs=rate, noverlap=size * 3 // 4, cmap="Greys")
        highest = image.get_array().max()
        image.set_clim(highest - RANGE, highest)
    below.set(xlabel="seconds", ylabel="Hz", ylim=(0, rate / 2), xlim=(0, seconds))
    for axes in (over, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
