"""Activation functions as options of the cells."""

from __future__ import annotations

import functools

import pytest
import torch

import seqzoo
from seqzoo.analysis.cell_checks import check_equation, check_lengths, check_scan_equals_stepping
from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.composing import load
from seqzoo.configuration.registry import names
from seqzoo.contracts.errors import ConfigError
from tests.contracts.steps import STEPS

OPTIONS = ["activation", "output_activation"]
HAVE = [(name, option) for name in names("cell") for option in OPTIONS if option in load("cell", name)]


@pytest.mark.parametrize(
    ("name", "option", "activation"),
    # every option with one of them, in turns, and each of them with one cell
    [(*have, list(ACTIVATIONS)[i % len(ACTIVATIONS)]) for i, have in enumerate(HAVE)]
    + [("elman", "activation", activation) for activation in ACTIVATIONS],
)
def test_the_step_is_the_papers_with_another_activation(name: str, option: str, activation: str) -> None:
    options = {**load("cell", name), option: activation}
    check_equation(cell_factory(name, **{option: activation}), STEPS[name], options)


@pytest.mark.parametrize("activation", ["tanh", "relu", "softsign"])
@pytest.mark.parametrize("name", ["elman", "gru", "lstm", "projected_lstm", "clockwork", "tdnn"])
def test_what_scans_fast_scans_the_same_with_another_activation(name: str, activation: str) -> None:
    """torch's kernels support only some activations."""
    check_scan_equals_stepping(cell_factory(name, activation=activation))
    check_lengths(cell_factory(name, activation=activation))


@pytest.mark.parametrize(("name", "kernel"), [("lstm", "lstm"), ("gru", "gru"), ("elman", "rnn_tanh")])
def test_the_usual_activation_runs_on_torchs_kernel_and_another_does_not(
    name: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, own = [], getattr(torch, kernel)
    monkeypatch.setattr(torch, kernel, lambda *arguments: calls.append(1) or own(*arguments))
    x = torch.randn(2, 3, 4)
    usual, other = seqzoo.create_cell(name, 4, 5), seqzoo.create_cell(name, 4, 5, activation="hard_tanh")
    assert usual.torch_scan(x, usual.initial_state(2), None) is not None
    assert len(calls) == 1
    assert other.torch_scan(x, other.initial_state(2), None) is None


def test_default_activations_other_than_tanh() -> None:
    other = {name: load("cell", name)[option] for name, option in HAVE if option == "activation"}
    assert {name: value for name, value in other.items() if value != "tanh"} == {
        "ind_rnn": "relu",
        "irnn": "relu",
        "li_gru": "relu",
        "sru": "identity",
        "sru_peephole": "identity",
    }
    outputs = {name: load("cell", name)[option] for name, option in HAVE if option == "output_activation"}
    assert {name for name, value in outputs.items() if value != "tanh"} == {"lstm_linear_output"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("elman", "gru", "layer_norm_lstm") else pytest.mark.slow)
        for name in names("cell")
        if "layer_norm" in load("cell", name)
    ],
)
def test_activations_combine_with_layer_norm(name: str) -> None:
    create = functools.partial(seqzoo.create_cell, name, layer_norm=True, activation="softsign")
    torch.manual_seed(0)
    cell, x = create(4, 5).double(), torch.randn(2, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(cell.scan(x)[0], Cell.scan(cell, x)[0])
    other = seqzoo.create_cell(name, 4, 5, layer_norm=True, activation="gelu").double()
    other.load_state_dict(cell.state_dict())
    assert not torch.allclose(Cell.scan(other, x)[0], cell.scan(x)[0])


def test_an_unknown_activation_is_reported() -> None:
    sentence = (
        "create_cell: activation is 'swish': it must be one of tanh, relu, sigmoid, identity, softsign, hard_tanh, gelu"
    )
    with pytest.raises(ConfigError, match=sentence):
        seqzoo.create_cell("mgu", 4, 5, activation="swish")
    with pytest.raises(ConfigError, match=r"there is no option 'activatoin'. Did you mean 'activation'"):
        seqzoo.create_cell("projected_lstm", 4, 5, activatoin="relu")
