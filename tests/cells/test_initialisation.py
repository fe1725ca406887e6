"""Initialisation schemes, on any cell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.cells.initialisation import Initialisation
from seqzoo.configuration.registry import names
from seqzoo.contracts.errors import ConfigError

INPUT, H, STEPS = 3, 400, 101
REMEMBERING = [
    "child_sum_tree_lstm",
    "coupled_lstm",
    "gru",
    "gru_d",
    "gru_reset_before",
    "hgrn",
    "janet",
    "layer_norm_gru",
    "layer_norm_lstm",
    "li_gru",
    "lstm",
    "lstm_linear_output",
    "mgu",
    "min_gru",
    "min_lstm",
    "multiplicative_lstm",
    "peephole_lstm",
    "projected_lstm",
    "qrnn",
    "s_lstm",
    "simplified_gru",
    "sru",
    "sru_peephole",
    "ugrnn",
]


def remembered(cell: Cell) -> Tensor:
    """(H,): what one step without input leaves of a memory of 1, if only the biases act."""
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            if name.startswith("weight"):
                parameter.zero_()
    state = tuple(torch.ones_like(part) for part in cell.initial_state(1))
    if len(state) == 4:  # sLSTM's m: nothing was scaled down
        state = (*state[:3], torch.zeros_like(state[3]))
    _, following = cell(torch.zeros(1, INPUT, dtype=torch.float64), state)
    if len(state) == 4:
        return following[1][0] * following[3][0].exp()
    if type(cell).__name__ == "HGRN":  # it turns a complex memory, and keeps of its length
        return torch.complex(*following)[0].abs() / math.sqrt(2)
    wide = [part for part in following if part.shape == (1, H)]
    return wide[-1][0]


@pytest.mark.parametrize("name", REMEMBERING)
def test_chrono_spreads_memories_from_two_steps_to_as_many_as_asked_for(name: str) -> None:
    torch.manual_seed(0)
    times = 1 / (1 - remembered(seqzoo.create_cell(name, INPUT, H, chrono=STEPS).double()))
    assert 2 <= times.min().item() + 1e-6 < 4
    assert STEPS - 3 < times.max().item() <= STEPS + 1e-3
    assert times.mean().item() == pytest.approx((2 + STEPS) / 2, abs=6)


def test_chrono_is_for_all_cells_that_name_their_gates_and_no_other() -> None:
    for name in names("cell"):
        if name not in REMEMBERING:
            with pytest.raises(
                ConfigError, match=r"^create_cell: chrono is set, but \w+ has no gate that keeps or writes"
            ):
                seqzoo.create_cell(name, INPUT, 4, chrono=10)


def test_chrono_leaves_all_other_biases() -> None:
    bias_i, bias_f, *others = seqzoo.create_cell("lstm", INPUT, H, chrono=STEPS, torch_init=False).bias_ih.chunk(4)
    assert torch.equal(bias_i, -bias_f)
    assert all((bias == 0).all() for bias in others)


def test_the_gate_that_writes_is_opened_as_far_as_the_other_forgets() -> None:
    cell = seqzoo.create_cell("qrnn", INPUT, H, chrono=STEPS, pooling="ifo")
    _, f, _, i = cell.bias.chunk(4)
    torch.testing.assert_close(torch.sigmoid(f) + torch.sigmoid(i), torch.ones(H))


def test_chrono_is_exact_after_torch_init() -> None:
    cell = seqzoo.create_cell("gru", INPUT, H, chrono=2, torch_init=True)
    assert (cell.bias_ih[H : 2 * H] == 0).all()
    assert (cell.bias_hh[H : 2 * H] == 0).all()
    assert (cell.bias_hh[:H] != 0).all()


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_before", "mgu", "lem", "elman", "multiplicative_lstm"])
def test_every_gate_starts_as_the_identity(name: str) -> None:
    cell = seqzoo.create_cell(name, INPUT, 5, recurrent_init="identity", recurrent_gain=0.5)
    matrices = [*cell.weight_hh.chunk(cell.num_gates), getattr(cell, "weight_mh", 0.5 * torch.eye(5))]
    for matrix in matrices:
        torch.testing.assert_close(matrix, 0.5 * torch.eye(5))


def test_heads_and_highway_layers_are_matrices_of_their_own() -> None:
    heads = seqzoo.create_cell("s_lstm", INPUT, 6, heads=2, recurrent_init="identity")
    assert torch.equal(heads.weight_hh, torch.eye(3).repeat(8, 1))
    highway = seqzoo.create_cell("recurrent_highway", INPUT, 4, depth=3, recurrent_init="identity")
    assert torch.equal(highway.weight_hh, torch.eye(4).repeat(3, 2, 1))


def test_xavier_and_orthogonal_are_torchs() -> None:
    limit = math.sqrt(6 / (H + H))
    for gate in seqzoo.create_cell("gru", INPUT, H, recurrent_init="xavier").weight_hh.chunk(3):
        assert 0.99 * limit < gate.abs().max() <= limit
    for gate in seqzoo.create_cell("lem", INPUT, 8, recurrent_init="orthogonal").weight_hh.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8))


def test_a_gain_alone_scales_what_the_cell_starts_with() -> None:
    torch.manual_seed(0)
    plain = seqzoo.create_cell("co_rnn", INPUT, 4)
    torch.manual_seed(0)
    cell = seqzoo.create_cell("co_rnn", INPUT, 4, recurrent_gain=3.0)
    torch.testing.assert_close(cell.weight_hh, 3 * plain.weight_hh)
    assert torch.equal(cell.weight_ih, plain.weight_ih)


@pytest.mark.parametrize(("name", "module"), [("lstm", nn.LSTM), ("gru", nn.GRU), ("elman", nn.RNN)])
def test_torch_init_draws_from_what_torch_draws_from(name: str, module: type[nn.RNNBase]) -> None:
    own, torchs = seqzoo.create_cell(name, INPUT, H, torch_init=True), module(INPUT, H)
    for parameter in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        mine, other = own.get_parameter(parameter), torchs.get_parameter(f"{parameter}_l0")
        assert mine.abs().max() <= 1 / math.sqrt(H)
        assert mine.mean().item() == pytest.approx(0, abs=0.1 / math.sqrt(H))
        assert mine.std().item() == pytest.approx(other.std().item(), rel=0.1)


def test_the_input_weights_of_each_gate_start_xavier_uniform() -> None:
    """The bound is that of one gate's matrix; all gates as one matrix would start about a third smaller."""
    bound = (6 / (40 + 60)) ** 0.5
    for gate in seqzoo.create_cell("gru", 40, 60).weight_ih.detach().chunk(3):
        assert 0.97 * bound < gate.abs().max() <= bound


def test_input_weights_start_small() -> None:
    cell = seqzoo.create_cell("ind_rnn", 20, H, input_std=0.01)
    assert cell.weight_ih.std().item() == pytest.approx(0.01, rel=0.05)


def test_recipes_and_modifiers_go_together() -> None:
    rnn = seqzoo.RNN("gru", INPUT, 5, chrono=2, recurrent_init="identity", zoneout=0.5)
    (cell,) = (module for module in rnn.modules() if hasattr(module, "weight_hh"))
    assert torch.equal(cell.weight_hh, torch.eye(5).repeat(3, 1))
    with torch.device("meta"):
        assert seqzoo.create_cell("lstm", INPUT, 5, chrono=9, torch_init=True).weight_hh.is_meta


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("gru", {"chrono": 1}, "create_cell: chrono is 1: it must be at least 2 steps, or null"),
        ("gru", {"recurrent_gain": 0.0}, "create_cell: recurrent_gain is 0.0: it must be above 0"),
        ("gru", {"input_std": -1.0}, "create_cell: input_std is -1.0: it must be above 0, or null"),
        (
            "gru",
            {"recurrent_init": "eye"},
            "create_cell: recurrent_init is 'eye': it must be one of orthogonal, identity, xavier",
        ),
        ("gru", {"chrono": "long"}, "create_cell: chrono is 'long': it must be an integer or null"),
        ("s_lstm", {"chrono": 9, "forget_gate": "exponential"}, "create_cell: chrono is set, but SLSTM has no gate"),
        ("projected_lstm", {"recurrent_init": "identity"}, "the hidden-to-hidden weights of ProjectedLSTM are 4 x 2"),
        (
            "ind_rnn",
            {"recurrent_init": "xavier"},
            "create_cell: recurrent_init is set, but IndRNN has no free hidden-to-hidden matrix",
        ),
        (
            "unitary",
            {"recurrent_gain": 2.0},
            "create_cell: recurrent_gain is set, but Unitary has no free hidden-to-hidden matrix",
        ),
        ("lru", {"torch_init": True}, "create_cell: torch_init is set, but LRU has no gates as in torch's cells"),
        (
            "echo_state",
            {"input_std": 1.0},
            "create_cell: input_std is set, but EchoState has no input weights to train",
        ),
    ],
)
def test_meaningless_combinations_are_refused(name: str, options: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^.*{sentence}"):
        seqzoo.create_cell(name, INPUT, 4, **options)


def test_default_options_change_nothing() -> None:
    torch.manual_seed(0)
    plain = seqzoo.create_cell("lstm", INPUT, 4)
    torch.manual_seed(0)
    with_defaults = seqzoo.create_cell("lstm", INPUT, 4, **vars(Initialisation()))
    for one, other in zip(plain.parameters(), with_defaults.parameters(), strict=True):
        assert torch.equal(one, other)
