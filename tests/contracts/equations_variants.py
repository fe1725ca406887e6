"""Variants by YAML of the three cells in equations.py."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, act_out, sigmoid


def normalised(values: np.ndarray, gain: np.ndarray) -> np.ndarray:
    mean = values.mean(-1, keepdims=True)
    variance = ((values - mean) ** 2).mean(-1, keepdims=True)
    return (values - mean) / np.sqrt(variance + 1e-5) * gain


def summed_inputs(x: np.ndarray, h: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """The two normalised sums with their biases, all gates side by side."""
    from_input = normalised(x @ p["weight_ih"].T, p["norm_ih.weight"]) + p["bias_ih"]
    from_state = normalised(h @ p["weight_hh"].T, p["norm_hh.weight"]) + p["bias_hh"]
    return from_input, from_state


def lstm_linear_output(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, c = state
    i, f, g, o = np.split(x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"], 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * act(options, g)
    h = sigmoid(o) * act_out(options, c)
    return h, (h, c)


def layer_norm_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, c = state
    i, f, g, o = np.split(sum(summed_inputs(x, h, p)), 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * act(options, g)
    h = sigmoid(o) * act_out(options, normalised(c, p["norm_c.weight"]) + p["norm_c.bias"])
    return h, (h, c)


def layer_norm_gru(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    from_input, from_state = summed_inputs(x, h, p)
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(from_input, 3, axis=1), np.split(from_state, 3, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = act(options, x_n + r * h_n)
    h = (1 - z) * n + z * h
    return h, (h,)


STEPS = {
    "lstm_linear_output": lstm_linear_output,
    "layer_norm_lstm": layer_norm_lstm,
    "layer_norm_gru": layer_norm_gru,
}
