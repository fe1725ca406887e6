"""Cells with time scales of their own."""

from __future__ import annotations

import numpy as np

from tests.contracts.equations import Options, Parameters, State, act, gate, sigmoid
from tests.contracts.equations_variants import normalised


def leaky(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    if not options["learned"]:  # built in single precision
        expected = np.geomspace(options["tau_min"], options["tau_max"], h.shape[1])
        np.testing.assert_allclose(np.exp(p["log_tau"]), expected, rtol=1e-5)
    tau = np.exp(p["log_tau"])
    kept = np.exp(-1 / tau)
    h = kept * h + (1 - kept) * act(options, sum(gate(0, x, h, p)))
    return h, (h,)


def clockwork(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    """5 units in 4 modules: two of them share the first."""
    h, t = state
    periods = np.array([1, 1, 2, 4, 8])
    u = np.where(periods[:, None] <= periods[None, :], p["weight_hh"], 0)
    new = act(options, x @ p["weight_ih"].T + p["bias_ih"] + h @ u.T + p["bias_hh"])
    due = np.round(t)[:, None] % periods == 0
    h = np.where(due, new, h)
    return h, (h, (t + 1) % 8)


def echo_state(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (h,) = state
    a = options["leak"]
    h = (1 - a) * h + a * np.tanh(x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"])
    return h, (h,)


def recurrent_highway(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    (s,) = state
    for layer in range(options["depth"]):
        from_state, from_input = s @ p["weight_hh"][layer].T, x @ p["weight_ih"].T
        if options["layer_norm"]:
            from_state = normalised(from_state, p[f"norm_hh.{layer}.weight"])
            from_input = normalised(from_input, p["norm_ih.weight"])
        sums = from_state + p["bias_hh"][layer]
        if layer == 0:
            sums = sums + from_input + p["bias"]
        if options["coupled"]:
            new, transform = np.split(sums, 2, axis=1)
            carry = 1 - sigmoid(transform)
        else:
            new, transform, carry = np.split(sums, 3, axis=1)
            carry = sigmoid(carry)
        s = act(options, new) * sigmoid(transform) + s * carry
    return s, (s,)


def lif(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    z, v = state
    theta = options["threshold"]
    v = np.exp(-1 / options["tau"]) * v + sum(gate(0, x, z, p)) - theta * z
    z = (v > theta).astype(float)
    return z, (z, v)


def alif(x: np.ndarray, state: State, p: Parameters, options: Options) -> tuple[np.ndarray, State]:
    z, v, a = state
    theta = options["threshold"]
    v = np.exp(-1 / options["tau"]) * v + sum(gate(0, x, z, p)) - theta * z
    z = (v > theta + options["adaptation"] * a).astype(float)
    return z, (z, v, np.exp(-1 / options["tau_adaptation"]) * a + z)


STEPS = {
    "lif": lif,
    "alif": alif,
    "leaky": leaky,
    "leaky_learned": leaky,
    "clockwork": clockwork,
    "echo_state": echo_state,
    "recurrent_highway": recurrent_highway,
    "recurrent_highway_uncoupled": recurrent_highway,
}
