"""One step of each cell in NumPy, written from the papers' equations and not from our code.

(x (B, I), state, parameters and buffers by name, options of the YAML) -> (output (B, H), state); a state is the flat
tuple of its tensors. The families of the catalogue have a file each, equations_*.py, with a table STEPS like this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Parameters = dict[str, np.ndarray]
State = tuple[np.ndarray, ...]
Options = dict[str, Any]


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
    "identity": lambda a: a,
    "softsign": lambda a: a / (1 + np.abs(a)),
    "hard_tanh": lambda a: np.clip(a, -1, 1),
    "gelu": lambda a: a * (1 + np.vectorize(math.erf)(a / np.sqrt(2))) / 2,
}


def act(options: Options, a: np.ndarray) -> np.ndarray:
    """The activation that the YAML names."""
    return ACTIVATIONS[options["activation"]](a)


def act_out(options: Options, a: np.ndarray) -> np.ndarray:
    return ACTIVATIONS[options["output_activation"]](a)


def gate(number: int, x: np.ndarray, h: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """W x + b and U h + d of one gate."""
    rows = slice(number * h.shape[1], (number + 1) * h.shape[1])
    return x @ p["weight_ih"][rows].T + p["bias_ih"][rows], h @ p["weight_hh"][rows].T + p["bias_hh"][rows]


def elman(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    h = act(options, sum(gate(0, x, h, p)))
    return h, (h,)


def lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, c = state
    i, f, g, o = (sum(gate(number, x, h, p)) for number in range(4))
    c = sigmoid(f) * c + sigmoid(i) * act(options, g)
    h = sigmoid(o) * act_out(options, c)
    return h, (h, c)


def gru(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    r, z = sigmoid(sum(gate(0, x, h, p))), sigmoid(sum(gate(1, x, h, p)))
    from_input, from_state = gate(2, x, h, p)
    n = act(options, from_input + r * from_state)
    h = (1 - z) * n + z * h
    return h, (h,)


STEPS: dict[str, Callable[[np.ndarray, State, Parameters, Options], tuple[np.ndarray, State]]] = {
    "elman": elman,
    "gru": gru,
    "lstm": lstm,
}
