"""Cells with an external memory."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, gate


def controlled(
    x: np.ndarray, h: np.ndarray, read: np.ndarray, p: Parameters, options: Options
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The hidden units, the probabilities of the actions and the vector to write."""
    h = act(options, sum(gate(0, x, h, p)) + read)
    scores = h @ p["weight_actions"].T + p["bias_actions"]
    actions = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return h, actions, h @ p["weight_value"].T + p["bias_value"]


def stack_rnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, stack = state
    h, actions, value = controlled(x, h, stack[:, 0] @ p["weight_memory"].T, p, options)
    assert stack.shape[1:] == (options["memory_size"], options["memory_width"])
    after = np.zeros_like(stack)
    for row, (push, pop, keep) in enumerate(actions):
        for i in range(stack.shape[1]):
            above = value[row] if i == 0 else stack[row, i - 1]
            below = stack[row, i + 1] if i + 1 < stack.shape[1] else 0
            after[row, i] = push * above + pop * below + keep * stack[row, i]
    return h, (h, after)


def tape_rnn(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    h, tape, steps = state
    h, actions, value = controlled(x, h, tape[:, 0] @ p["weight_memory"].T, p, options)
    size = options["memory_size"]
    after = np.zeros_like(tape)
    for row, probabilities in enumerate(actions):
        written, jump = tape[row].copy(), round(float(steps[row]))
        written[0] = value[row]
        for i in range(size):
            for probability, shift in zip(probabilities, (0, -1, 1, -jump, jump), strict=True):
                after[row, i] += probability * written[(i + shift) % size]
    return h, (h, after, (steps + 1) % size)


STEPS = {"stack_rnn": stack_rnn, "tape_rnn": tape_rnn}
