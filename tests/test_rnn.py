"""seqzoo.RNN is nn.LSTM, nn.GRU and nn.RNN: same weights, same outputs, same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import seqzoo
from seqzoo.contracts.errors import ConfigError

T, B, INPUT, H = 6, 3, 4, 5
LENGTHS = torch.tensor([3, 6, 1])
TORCH = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}


def pair(cell: str, layers: int, bidirectional: bool, batch_first: bool = False) -> tuple[seqzoo.RNN, nn.RNNBase]:
    """One of each, with torch's weights copied over."""
    theirs = TORCH[cell](INPUT, H, layers, bidirectional=bidirectional, batch_first=batch_first).double()
    ours = seqzoo.RNN(cell, INPUT, H, layers, bidirectional, batch_first=batch_first).double()
    state = theirs.state_dict()
    with torch.no_grad():
        for depth, directions in enumerate(ours.backbone.layers):
            for direction, mine in enumerate(directions):
                suffix = f"_l{depth}" + ("_reverse" if direction else "")
                mine.load_state_dict({name: state[name + suffix] for name in mine.state_dict()})
    return ours, theirs


def by_torch_name(ours: seqzoo.RNN) -> dict[str, torch.Tensor]:
    return {
        f"{name}_l{depth}" + ("_reverse" if direction else ""): parameter.grad
        for depth, directions in enumerate(ours.backbone.layers)
        for direction, mine in enumerate(directions)
        for name, parameter in mine.named_parameters()
    }


@pytest.mark.parametrize("cell", TORCH)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_lengths", [False, True])
def test_equals_torch(cell: str, layers: int, bidirectional: bool, with_lengths: bool) -> None:
    ours, theirs = pair(cell, layers, bidirectional)
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    slots = layers * (1 + bidirectional)
    h = torch.randn(slots, B, H, dtype=torch.float64)
    state = (h, torch.randn_like(h)) if cell == "lstm" else h
    mine, my_state = ours(x, state, lengths=LENGTHS if with_lengths else None)
    if with_lengths:
        packed, their_state = theirs(pack_padded_sequence(x, LENGTHS, enforce_sorted=False), state)
        expected, _ = pad_packed_sequence(packed)
    else:
        expected, their_state = theirs(x, state)
    torch.testing.assert_close(mine, expected)
    torch.testing.assert_close(my_state, their_state)

    weights = torch.randn_like(expected)
    parts = my_state if cell == "lstm" else (my_state,)
    their_parts = their_state if cell == "lstm" else (their_state,)
    ((mine * weights).sum() + sum(part.cos().sum() for part in parts)).backward()
    ((expected * weights).sum() + sum(part.cos().sum() for part in their_parts)).backward()
    found = by_torch_name(ours)
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_a_packed_sequence_comes_back_packed(enforce_sorted: bool) -> None:
    ours, theirs = pair("lstm", 2, True, batch_first=True)
    lengths = torch.tensor([6, 3, 1]) if enforce_sorted else LENGTHS
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=enforce_sorted)
    mine, my_state = ours(packed)
    expected, their_state = theirs(packed)
    torch.testing.assert_close(mine.data, expected.data)
    torch.testing.assert_close(mine.batch_sizes, expected.batch_sizes)
    torch.testing.assert_close(my_state, their_state)


@pytest.mark.parametrize("cell", seqzoo.list_cells())
def test_every_cell_returns_a_state_that_it_takes_back(cell: str) -> None:
    rnn = seqzoo.RNN(cell, INPUT, H, 2).double()
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    whole, after = rnn(x)
    first, between = rnn(x[:2])
    second, end = rnn(x[2:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, after)


def test_without_a_batch() -> None:
    ours, theirs = pair("gru", 1, False)
    x, h = torch.randn(T, INPUT, dtype=torch.float64), torch.randn(1, H, dtype=torch.float64)
    mine, my_state = ours(x, h)
    expected, their_state = theirs(x, h)
    torch.testing.assert_close(mine, expected)
    torch.testing.assert_close(my_state, their_state)


def test_a_state_of_another_shape_is_refused() -> None:
    rnn = seqzoo.RNN("lstm", INPUT, H)
    with pytest.raises(ValueError, match="it must have"):
        rnn(torch.randn(T, B, INPUT), (torch.zeros(2, B, H), torch.zeros(2, B, H)))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_tensors_that_are_not_dense_are_refused() -> None:
    rnn, x, zeros = seqzoo.RNN("gru", INPUT, H), torch.randn(T, B, INPUT), torch.zeros(1, B, H)
    nested = torch.nested.nested_tensor([torch.randn(T, INPUT), torch.randn(2, INPUT)])
    with pytest.raises(ValueError, match=r"the input is a nested tensor: give a padded one"):
        rnn(nested)
    with pytest.raises(ValueError, match=r"the input is a tensor of layout torch.sparse_coo: make it dense"):
        rnn(x.to_sparse())
    with pytest.raises(ValueError, match=r"the state is a tensor of layout torch.sparse_coo: make it dense"):
        rnn(x, zeros.to_sparse())
    with pytest.raises(ValueError, match=r"lengths is a tensor of layout torch.sparse_coo: make it dense"):
        rnn(x, lengths=LENGTHS.to_sparse())


def test_torchs_cells_load_by_name() -> None:
    theirs, ours = nn.LSTMCell(INPUT, H), seqzoo.create_cell("lstm", INPUT, H)
    ours.load_state_dict(theirs.state_dict())
    x, state = torch.randn(B, INPUT), (torch.randn(B, H), torch.randn(B, H))
    torch.testing.assert_close(ours(x, state)[1], theirs(x, state))


def test_the_forget_gate_starts_open_and_recurrent_weights_orthogonal() -> None:
    cell = seqzoo.create_cell("lstm", INPUT, H)
    assert cell.bias_ih[H : 2 * H].tolist() == [1.0] * H
    assert cell.bias_ih[:H].tolist() == [0.0] * H
    for gate in cell.weight_hh.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(H), atol=1e-5, rtol=0)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_other_activations_of_elman(activation: str) -> None:
    rnn = seqzoo.RNN("elman", INPUT, H, activation=activation).double()
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    outputs, _ = rnn(x)
    cell = rnn.backbone.layers[0][0]
    expected = getattr(torch, activation)(x[0] @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh)
    torch.testing.assert_close(outputs[0], expected)


def test_a_misspelled_option_of_every_cell_is_recognized() -> None:
    with pytest.raises(ConfigError, match=r"there is no option 'cell.zonout'. Did you mean 'zoneout' or 'dropout'\?"):
        seqzoo.RNN("lstm", 5, 8, zonout=0.1)
    with pytest.raises(ConfigError, match=r"there is no option 'cell.recurent_init'. Did you mean 'recurrent_init'"):
        seqzoo.create_cell("gru", 5, 8, recurent_init="identity")
    with pytest.raises(ConfigError, match=r"there is no option 'cell.bidirectionl'. Did you mean 'bidirectional'\?"):
        seqzoo.RNN("lstm", 5, 8, bidirectionl=True)
