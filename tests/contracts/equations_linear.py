"""Cells that are linear in their state."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, sigmoid


def parts(x: np.ndarray, p: Parameters, number: int) -> list[np.ndarray]:
    return np.split(x @ p["weight_ih"].T + p["bias"], number, axis=1)


def min_gru(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    z, candidate = parts(x, p, 2)
    z = sigmoid(z)
    h = (1 - z) * h + z * candidate
    return h, (h,)


def min_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    f, i, candidate = parts(x, p, 3)
    f, i = sigmoid(f), sigmoid(i)
    h = f / (f + i) * h + i / (f + i) * candidate
    return h, (h,)


def lru(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h = state[0] + 1j * state[1]
    eigenvalues = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    b, c = p["b_real"] + 1j * p["b_imag"], p["c_real"] + 1j * p["c_imag"]
    h = eigenvalues * h + np.exp(p["gamma"]) * (x @ b.T)
    return (h @ c.T).real + x @ p["d"].T, (h.real.copy(), h.imag.copy())


def sru(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (c,) = state
    size = c.shape[1]
    v_f, v_r = np.split(p.get("v", np.zeros(2 * size)), 2)
    b_f, b_r = np.split(p["bias"], 2)
    w, w_f, w_r, w_x = np.split(p["weight_ih"], 4)
    f = sigmoid(x @ w_f.T + v_f * c + b_f)
    r = sigmoid(x @ w_r.T + v_r * c + b_r)
    c = f * c + (1 - f) * (x @ w.T)
    # the highway gate's bias starts at zero
    return r * act(options, c) + (1 - r) * np.sqrt(3) * (x @ w_x.T), (c,)


def qrnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    c, past = state
    before, now = p["weight_ih"][:, :, 0], p["weight_ih"][:, :, 1]
    z, f, o = np.split(past[:, 0] @ before.T + x @ now.T + p["bias"], 3, axis=1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(z)
    return sigmoid(o) * c, (c, x[:, None])


def hgrn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h = state[0] + 1j * state[1]
    mu, real, imaginary, g_real, g_imaginary = parts(x, p, 5)
    c = real * sigmoid(real) + 1j * imaginary * sigmoid(imaginary)
    gamma = options["lower_bound"]
    forget = gamma + (1 - gamma) * sigmoid(mu)
    h = forget * np.exp(1j * p["theta"]) * h + (1 - forget) * c
    gated = np.concatenate([sigmoid(g_real) * h.real, sigmoid(g_imaginary) * h.imag], axis=1)
    mean, variance = gated.mean(1, keepdims=True), gated.var(1, keepdims=True)
    normed = (gated - mean) / np.sqrt(variance + 1e-5) * p["norm.weight"] + p["norm.bias"]
    return normed @ p["weight_out"].T + p["bias_out"], (h.real.copy(), h.imag.copy())


STEPS = {
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "lru": lru,
    "sru": sru,
    "sru_peephole": sru,
    "qrnn": qrnn,
    "hgrn": hgrn,
}
