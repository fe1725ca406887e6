"""Cells that remember by delay."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, act_out


def line(past: np.ndarray, new: np.ndarray) -> np.ndarray:
    return np.concatenate([past, new[:, None]], axis=1)


def weighted(steps: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The newest step last, in the weights, too."""
    return sum(steps[:, k] @ weight[:, :, k].T for k in range(steps.shape[1]))


def tdnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    steps = line(state[0], x)
    assert steps.shape[1] == options["window"]
    return act(options, weighted(steps, p["weight_ih"]) + p["bias"]), (steps[:, 1:],)


def narx(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    outputs, inputs = state
    steps = line(inputs, x)
    assert (steps.shape[1], outputs.shape[1]) == (options["input_window"], options["output_window"])
    hidden = act(options, weighted(steps, p["weight_ih"]) + weighted(outputs, p["weight_yh"]) + p["bias_h"])
    y = act_out(options, hidden @ p["weight_hy"].T + p["bias_y"])
    return y, (line(outputs, y)[:, 1:], steps[:, 1:])


STEPS = {"tdnn": tdnn, "narx": narx}
