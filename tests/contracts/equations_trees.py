"""One step of the cells over trees, where the step before is the only child."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, lstm, sigmoid


def child_sum_tree_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    return lstm(x, state, p, {"activation": "tanh", "output_activation": "tanh"})


def nary_tree_lstm(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    return nary_node(x, [state, *[tuple(np.zeros_like(part) for part in state)] * (options["children"] - 1)], p)


def nary_node(x: np.ndarray, children: list[State], p: Parameters) -> tuple[np.ndarray, State]:
    """A node with a child, which may be of zeros, at each place."""
    size = children[0][0].shape[1]

    def gate(number: int, of_children: int) -> np.ndarray:
        rows, of_child = (slice(k * size, (k + 1) * size) for k in (number, of_children))
        total = x @ p["weight_ih"][rows].T + p["bias"][rows]
        for place, (h, _) in enumerate(children):
            total = total + h @ p["weight_hh"][of_child, place * size : (place + 1) * size].T
        return total

    c = sigmoid(gate(1, 1)) * np.tanh(gate(0, 0))
    for place, (_, of_child) in enumerate(children):
        c = c + sigmoid(gate(3, 3 + place)) * of_child
    h = sigmoid(gate(2, 2)) * np.tanh(c)
    return h, (h, c)


def recursive(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    return recursive_node(x, [state[0], *[np.zeros_like(state[0])] * (options["children"] - 1)], p)


def recursive_node(x: np.ndarray, children: list[np.ndarray], p: Parameters) -> tuple[np.ndarray, State]:
    """A node with a child, which may be of zeros, at each place; with a tensor if the cell has one."""
    a = np.concatenate(children, 1)
    total = x @ p["weight_ih"].T + a @ p["weight_hh"].T + p["bias"]
    if "weight_tensor" in p:
        total = total + np.einsum("bi,jik,bk->bj", a, p["weight_tensor"], a)
    return np.tanh(total), (np.tanh(total),)


def matrix_vector(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, deviation = state
    size = h.shape[1]
    first = h, np.eye(size) + deviation.reshape(-1, size, size)
    h, matrix = matrix_vector_node(x, [first, (np.zeros_like(h), np.broadcast_to(np.eye(size), first[1].shape))], p)
    return h, (h, (matrix - np.eye(size)).reshape(len(h), -1))


def matrix_vector_node(
    x: np.ndarray, children: list[tuple[np.ndarray, np.ndarray]], p: Parameters
) -> tuple[np.ndarray, np.ndarray]:
    """A node with two children, each a vector (B, H) and a matrix (B, H, H): zero and the identity if there is none."""
    (a, of_a), (b, of_b) = children
    size = a.shape[1]
    rank = (len(p["weight_word"]) // size - 1) // 2
    diagonal, u, v = np.split(x @ p["weight_word"].T, [size, (1 + rank) * size], 1)
    word = np.einsum("bi,ij->bij", diagonal, np.eye(size))
    word = word + u.reshape(-1, size, rank) @ v.reshape(-1, rank, size)
    both = np.concatenate([np.einsum("bij,bj->bi", of_b + word, a), np.einsum("bij,bj->bi", of_a + word, b)], 1)
    own = np.einsum("bij,bj->bi", of_a + of_b - np.eye(size), x @ p["weight_ih"].T)
    h = np.tanh(own + p["bias"] + both @ p["weight_hh"].T)
    return h, word + np.einsum("ij,bjk->bik", p["weight_matrix"], np.concatenate([of_a, of_b], 1))


STEPS = {
    "child_sum_tree_lstm": child_sum_tree_lstm,
    "nary_tree_lstm": nary_tree_lstm,
    "matrix_vector": matrix_vector,
    "recursive": recursive,
    "recursive_tensor": recursive,
}
