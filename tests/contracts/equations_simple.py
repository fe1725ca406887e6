"""Simple recurrent cells and those from dynamical systems, from the papers in the heads of their cells."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, act_out, gate, sigmoid


def irnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    h = act(options, sum(gate(0, x, h, p)))
    return h, (h,)


def jordan(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (y,) = state
    h = act(options, x @ p["weight_ih"].T + y @ p["weight_yh"].T + p["bias_h"])
    y = act_out(options, h @ p["weight_hy"].T + p["bias_y"])
    return y, (y,)


def ind_rnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    h = act(options, x @ p["weight_ih"].T + p["weight_hh"] * h + p["bias"])
    return h, (h,)


def skew_symmetric(size: int, p: Parameters) -> np.ndarray:
    above = np.zeros((size, size))
    above[np.triu_indices(size, 1)] = p["skew"]
    return above - above.T


def antisymmetric(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    size = h.shape[1]
    v_h, v_z = np.split(x @ p["weight_ih"].T + p["bias"], 2, axis=1)
    recurrent = h @ (skew_symmetric(size, p) - options["gamma"] * np.eye(size)).T
    h = h + options["epsilon"] * sigmoid(recurrent + v_z) * np.tanh(recurrent + v_h)
    return h, (h,)


def exponential(matrix: np.ndarray) -> np.ndarray:
    """By the eigenvalues of i A, which is Hermitian when A is skew-symmetric."""
    values, vectors = np.linalg.eigh(1j * matrix)
    return (vectors @ np.diag(np.exp(-1j * values)) @ vectors.conj().T).real


def unitary(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    a = x @ p["weight_ih"].T + h @ exponential(skew_symmetric(h.shape[1], p)).T
    size = np.abs(a)
    h = np.where(size + p["bias"] > 0, (size + p["bias"]) * a / size, 0)
    return h, (h,)


def co_rnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    y, z = state
    dt = options["dt"]
    of_y, of_z = np.split(p["weight_hh"], 2, axis=1)
    force = np.tanh(y @ of_y.T + z @ of_z.T + x @ p["weight_ih"].T + p["bias"])
    z = z + dt * (force - options["gamma"] * y - options["epsilon"] * z)
    y = y + dt * z
    return y, (y, z)


def lem(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    y, z = state
    step = options["dt"] * sigmoid(sum(gate(0, x, y, p)))
    step_bar = options["dt"] * sigmoid(sum(gate(1, x, y, p)))
    z = (1 - step) * z + step * act(options, sum(gate(2, x, y, p)))
    y = (1 - step_bar) * y + step_bar * act(options, sum(gate(3, x, z, p)))
    return y, (y, z)


STEPS = {
    "antisymmetric": antisymmetric,
    "co_rnn": co_rnn,
    "ind_rnn": ind_rnn,
    "irnn": irnn,
    "jordan": jordan,
    "lem": lem,
    "unitary": unitary,
}
