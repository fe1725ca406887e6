"""Relatives of the GRU, from the papers in the heads of their cells."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, gate, sigmoid


def gru_reset_before(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    r, z = sigmoid(sum(gate(0, x, h, p))), sigmoid(sum(gate(1, x, h, p)))
    candidate = act(options, sum(gate(2, x, r * h, p)))
    h = z * h + (1 - z) * candidate
    return h, (h,)


def mgu(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    f = sigmoid(sum(gate(0, x, h, p)))
    candidate = act(options, sum(gate(1, x, f * h, p)))
    h = (1 - f) * h + f * candidate
    return h, (h,)


def ugrnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    g = sigmoid(sum(gate(0, x, h, p)))
    c = act(options, sum(gate(1, x, h, p)))
    h = g * h + (1 - g) * c
    return h, (h,)


def li_gru(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    driven = x @ p["weight_ih"].T
    driven = (driven - driven.mean(1, keepdims=True)) / np.sqrt(driven.var(1, keepdims=True) + 1e-5)
    x_z, x_n = np.split(driven * p["norm_x.weight"] + p["bias_ih"], 2, axis=1)
    h_z, h_n = np.split(h @ p["weight_hh"].T + p["bias_hh"], 2, axis=1)
    z = sigmoid(x_z + h_z)
    h = z * h + (1 - z) * act(options, x_n + h_n)
    return h, (h,)


def gru_d(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    times, channels = x, options["channels"]
    if channels is not None:
        values, known, times = x[:, :channels], x[:, channels : 2 * channels], x[:, 2 * channels :]
        decay = np.exp(-np.maximum(0, p["weight_x"] * times[:, :channels] + p["bias_x"]))
        x = np.concatenate([known * values + (1 - known) * decay * values, known, times], 1)
    h = np.exp(-np.maximum(0, times @ p["weight_g"].T + p["bias_g"])) * h
    return gru_reset_before(x, (h,), p, options)


STEPS = {
    "gru_d": gru_d,
    "gru_reset_before": gru_reset_before,
    "li_gru": li_gru,
    "mgu": mgu,
    "simplified_gru": ugrnn,
    "ugrnn": ugrnn,
}
