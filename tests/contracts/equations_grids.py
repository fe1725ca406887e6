"""One step of the cells over grids, where the step before is the node to the left and there is none above."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, sigmoid
from tests.contracts.equations_trees import recursive_node


def md_rnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    return recursive_node(x, [state[0], np.zeros_like(state[0])], p)


def md_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    return md_lstm_node(x, [state, nothing(state)], p)


def md_lstm_stable(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    return md_lstm_stable_node(x, [state, nothing(state)], p)


def md_gru(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    return md_gru_node(x, [state, nothing(state)], p)


def nothing(state: State) -> State:
    return tuple(np.zeros_like(part) for part in state)


def gates(x: np.ndarray, states: list[np.ndarray], p: Parameters) -> list[np.ndarray]:
    """W x + U_1 h_1 + U_2 h_2 + b of each gate."""
    size = states[0].shape[1]
    total = x @ p["weight_ih"].T + p["bias"]
    for place, h in enumerate(states):
        total = total + h @ p["weight_hh"][:, place * size : (place + 1) * size].T
    return np.split(total, total.shape[1] // size, 1)


def md_lstm_node(x: np.ndarray, beside: list[State], p: Parameters) -> tuple[np.ndarray, State]:
    (h_1, c_1), (h_2, c_2) = beside
    g, i, o, f_1, f_2 = gates(x, [h_1, h_2], p)
    p_i1, p_i2, p_f1, p_f2, p_o = p["peepholes"]
    c = sigmoid(i + p_i1 * c_1 + p_i2 * c_2) * np.tanh(g)
    c = c + sigmoid(f_1 + p_f1 * c_1) * c_1 + sigmoid(f_2 + p_f2 * c_2) * c_2
    h = sigmoid(o + p_o * c) * np.tanh(c)
    return h, (h, c)


def md_lstm_stable_node(x: np.ndarray, beside: list[State], p: Parameters) -> tuple[np.ndarray, State]:
    (h_1, c_1), (h_2, c_2) = beside
    g, i, f, o, mixture = gates(x, [h_1, h_2], p)
    mixture = sigmoid(mixture)
    c = sigmoid(i) * np.tanh(g) + sigmoid(f) * (mixture * c_1 + (1 - mixture) * c_2)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c)


def md_gru_node(x: np.ndarray, beside: list[State], p: Parameters) -> tuple[np.ndarray, State]:
    (h_1,), (h_2,) = beside
    r_1, r_2, *z, _ = gates(x, [h_1, h_2], p)
    n = gates(x, [sigmoid(r_1) * h_1, sigmoid(r_2) * h_2], p)[5]
    z_0, z_1, z_2 = np.exp(z) / np.exp(z).sum(0)
    h = z_0 * np.tanh(n) + z_1 * h_1 + z_2 * h_2
    return h, (h,)


STEPS = {"md_rnn": md_rnn, "md_lstm": md_lstm, "md_lstm_stable": md_lstm_stable, "md_gru": md_gru}
