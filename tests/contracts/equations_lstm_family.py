"""The LSTM's relatives, each written out from its paper."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, act_out, gate, sigmoid


def peephole_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, c = state
    i, f, g, o = (sum(gate(number, x, h, p)) for number in range(4))
    to_input, to_forget, to_output = p["peepholes"]
    new_c = sigmoid(f + to_forget * c) * c + sigmoid(i + to_input * c) * act(options, g)
    h = sigmoid(o + to_output * new_c) * act_out(options, new_c)
    return h, (h, new_c)


def coupled_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, c = state
    f, g, o = (sum(gate(number, x, h, p)) for number in range(3))
    c = sigmoid(f) * c + (1 - sigmoid(f)) * act(options, g)
    h = sigmoid(o) * act_out(options, c)
    return h, (h, c)


def projected_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    r, c = state
    i, f, g, o = np.split(x @ p["weight_ih"].T + p["bias_ih"] + r @ p["weight_hh"].T + p["bias_hh"], 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * act(options, g)
    r = (sigmoid(o) * act_out(options, c)) @ p["weight_hr"].T
    return r, (r, c)


def multiplicative_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, c = state
    m = (x @ p["weight_mx"].T) * (h @ p["weight_mh"].T)
    i, f, g, o = (sum(gate(number, x, m, p)) for number in range(4))
    c = sigmoid(f) * c + sigmoid(i) * act(options, g)
    h = sigmoid(o) * act_out(options, c)
    return h, (h, c)


def janet(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    s, candidate = (sum(gate(number, x, h, p)) for number in range(2))
    h = sigmoid(s) * h + (1 - sigmoid(s - options["beta"])) * act(options, candidate)
    return h, (h,)


def s_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    """With one head and a sigmoid forget gate. A normaliser below 1, as only a made-up state has, counts as 1."""
    h, c, n, m = state
    i, f, z, o = (sum(gate(number, x, h, p)) for number in range(4))
    log_f = np.log(sigmoid(f))
    new_m = np.where(n == 0, i, np.maximum(log_f + m, i))
    i, f = np.exp(i - new_m), np.where(n == 0, 0, np.exp(log_f + m - new_m))
    c = f * c + i * act(options, z)
    n = f * n + i
    h = sigmoid(o) * c / np.maximum(n, 1)
    return h, (h, c, n, new_m)


def m_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    """With one head and a sigmoid forget gate, row by row."""
    outputs, following = [], []
    for x_t, memory, n, (m,) in zip(x, *state, strict=True):
        size = len(n)
        parts = np.split(p["weight_ih"] @ x_t + p["bias"], [size, 2 * size, 3 * size, 4 * size, 4 * size + 1])
        q, k, v, o, (i,), (f,) = parts
        k = k / np.sqrt(size)
        log_f = np.log(sigmoid(f))
        new_m = max(log_f + m, i)
        i, f = np.exp(i - new_m), np.exp(log_f + m - new_m)
        memory = f * memory + i * np.outer(v, k)
        n = f * n + i * k
        outputs.append(sigmoid(o) * (memory @ q) / max(abs(n @ q), np.exp(-new_m)))
        following.append((memory, n, np.array([new_m])))
    return np.stack(outputs), tuple(np.stack(part) for part in zip(*following, strict=True))


STEPS = {
    "coupled_lstm": coupled_lstm,
    "janet": janet,
    "m_lstm": m_lstm,
    "multiplicative_lstm": multiplicative_lstm,
    "peephole_lstm": peephole_lstm,
    "projected_lstm": projected_lstm,
    "s_lstm": s_lstm,
}
