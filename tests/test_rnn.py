"""seqzoo.RNN is nn.LSTM, nn.GRU and nn.RNN: same weights, same outputs, same gradients."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import seqzoo
from seqzoo.contracts.errors import ConfigError

T, B, INPUT, H = 6, 3, 4, 5
LENGTHS = torch.tensor([3, 6, 1])
TORCH = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}


def pair(cell: str, layers: int, bidirectional: bool, batch_first: bool = False) -> tuple[seqzoo.RNN, nn.RNNBase]:
    """A layer of each library, with torch's weights in both."""
    theirs = TORCH[cell](INPUT, H, layers, bidirectional=bidirectional, batch_first=batch_first).double()
    ours = seqzoo.RNN(cell, INPUT, H, layers, bidirectional=bidirectional, batch_first=batch_first).double()
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
    with pytest.raises(RuntimeError, match=r"has shapes \(1, 1, 7\), .*: without a batch, as the input"):
        rnn(torch.randn(T, INPUT), (torch.zeros(1, 1, 7), torch.zeros(1, 1, 7)))
    for wrong, kind in (((), "tuple of nothing"), ((torch.zeros(1, B, H), None), "tuple of Tensor, NoneType")):
        with pytest.raises(TypeError, match=f"the state is a {kind}"):
            rnn(torch.randn(T, B, INPUT), wrong)
    with pytest.raises(RuntimeError, match="it must have"):
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
    with pytest.raises(ConfigError, match=r"^RNN: there is no option 'zonout'. Did you mean 'zoneout'\?$"):
        seqzoo.RNN("lstm", 5, 8, zonout=0.1)
    with pytest.raises(ConfigError, match=r"^create_cell: there is no option 'recurent_init'. Did you mean 'recurr"):
        seqzoo.create_cell("gru", 5, 8, recurent_init="identity")
    with pytest.raises(ConfigError, match=r"^RNN: there is no option 'bidirectionl'. Did you mean 'bidirectional'\?$"):
        seqzoo.RNN("lstm", 5, 8, bidirectionl=True)
    with pytest.raises(ConfigError, match=r"^create_cell: there is no option 'depth'. There are: activation, chrono, "):
        seqzoo.create_cell("lstm", 5, 8, depth=1)
    with pytest.raises(ConfigError, match=r"^RNN: zoneout is 2.0: it is a probability, 0 <= zoneout < 1$"):
        seqzoo.RNN("lstm", 5, 8, zoneout=2.0)


SIZES = [
    {"num_layers": layers, "bias": bias, "bidirectional": both, "batch_first": first}
    for layers, bias, both, first in product((1, 2), (True, False), (False, True), (False, True))
]
DROP_INS = [
    *((seqzoo.LSTM, nn.LSTM, {**sizes, "proj_size": width}) for sizes in SIZES for width in (0, 2)),
    *((seqzoo.GRU, nn.GRU, sizes) for sizes in SIZES),
    *((seqzoo.Elman, nn.RNN, {**sizes, "nonlinearity": name}) for sizes in SIZES for name in ("tanh", "relu")),
]


def assert_same_results(ours: nn.Module, theirs: nn.Module) -> None:
    """Outputs, states and gradients of sequences that start from a state."""
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    _, state = theirs(x)
    state = tuple(part.detach().cos() for part in state) if isinstance(state, tuple) else state.detach().cos()
    results = []
    for network in (ours, theirs):
        outputs, after = network(x, state)
        parts = after if isinstance(after, tuple) else (after,)
        loss = outputs.sin().sum() + sum(part.cos().sum() for part in parts)
        results.append((outputs, parts, torch.autograd.grad(loss, list(network.parameters()))))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("kind", "torchs", "options"), DROP_INS)
def test_drop_ins_load_both_ways(kind: type, torchs: type, options: dict[str, Any]) -> None:
    theirs, ours = torchs(INPUT, H, **options).double(), kind(INPUT, H, **options, dtype=torch.float64)
    shapes = [(name, weight.shape) for name, weight in theirs.state_dict().items()]
    assert [(name, weight.shape) for name, weight in ours.state_dict().items()] == shapes
    assert [(name, weight.shape) for name, weight in ours.named_parameters()] == shapes
    assert [[w.shape for w in ws] for ws in ours.all_weights] == [[w.shape for w in ws] for ws in theirs.all_weights]
    ours.load_state_dict(theirs.state_dict())
    assert_same_results(ours, theirs)
    other = torchs(INPUT, H, **options).double()
    other.load_state_dict(ours.state_dict())
    torch.testing.assert_close(other.state_dict(), theirs.state_dict(), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("kind", "torchs", "options"), DROP_INS[::5])
def test_from_torch_and_back(kind: type, torchs: type, options: dict[str, Any]) -> None:
    theirs = torchs(INPUT, H, **options, dtype=torch.float64).eval()
    theirs.weight_hh_l0.requires_grad_(False)
    ours = seqzoo.from_torch(theirs)
    assert type(ours) is kind
    assert not ours.training
    assert not ours.weight_hh_l0.requires_grad
    back = ours.to_torch()
    assert type(back) is torchs
    assert repr(back) == repr(theirs)
    assert not back.training
    assert not back.weight_hh_l0.requires_grad
    torch.testing.assert_close(back.state_dict(), theirs.state_dict(), rtol=0, atol=0)


def test_lengths_and_resets_without_values_are_refused() -> None:
    rnn, x = seqzoo.RNN("gru", INPUT, H), torch.randn(T, B, INPUT)
    with pytest.raises(ValueError, match="lengths are on meta and the input on cpu"):
        rnn(x, lengths=torch.ones(B, dtype=torch.long, device="meta"))
    with pytest.raises(ValueError, match="resets are on meta and the input on cpu"):
        rnn(x, resets=torch.zeros(T, B, dtype=torch.bool, device="meta"))


def test_one_width_of_a_projection_is_given() -> None:
    with pytest.raises(ValueError, match="proj_size is 2 and projection_size 3: give one of them"):
        seqzoo.RNN("projected_lstm", INPUT, H, proj_size=2, projection_size=3)


@pytest.mark.parametrize(("kind", "torchs"), [(seqzoo.LSTM, nn.LSTM), (seqzoo.GRU, nn.GRU), (seqzoo.Elman, nn.RNN)])
@pytest.mark.parametrize(
    "state",
    [
        torch.zeros(1, B, H, dtype=torch.float64),
        torch.zeros(1, B, H, dtype=torch.int64),
        torch.zeros(1, B, H, device="meta"),
        torch.zeros(2, B, H),
        torch.zeros(1, B, H + 1),
        torch.zeros(1, B + 1, H),
        torch.zeros(B, H),
    ],
)
def test_errors_of_states_are_of_torchs_kind(kind: type, torchs: type, state: torch.Tensor) -> None:
    for layer in (kind(INPUT, H), torchs(INPUT, H)):
        with pytest.raises(RuntimeError):
            layer(torch.randn(T, B, INPUT), (state, state) if kind is seqzoo.LSTM else state)


def test_only_an_lstm_has_a_projection() -> None:
    for kind in (seqzoo.GRU, seqzoo.Elman, nn.GRU, nn.RNN):
        with pytest.raises(ValueError, match=r"(?s)proj_size.*only.*LSTM"):
            kind(INPUT, H, proj_size=2)


def test_the_mode_is_torchs() -> None:
    assert (seqzoo.LSTM(INPUT, H).mode, seqzoo.GRU(INPUT, H).mode) == ("LSTM", "GRU")
    for name in ("tanh", "relu"):
        assert seqzoo.Elman(INPUT, H, nonlinearity=name).mode == nn.RNN(INPUT, H, nonlinearity=name).mode


def test_lengths_may_be_a_list_of_one_length_per_row() -> None:
    rnn, x = seqzoo.RNN("gru", INPUT, H), torch.randn(T, B, INPUT)
    torch.testing.assert_close(rnn(x, lengths=LENGTHS.tolist()), rnn(x, lengths=LENGTHS), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"^lengths have shape \(\): it must be \(3,\), a length for each row"):
        rnn(x, lengths=torch.tensor(3))


def test_from_torch_takes_three_modules() -> None:
    with pytest.raises(TypeError, match=r"takes an nn.LSTM, nn.GRU or nn.RNN: this is of type Linear"):
        seqzoo.from_torch(nn.Linear(2, 3))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (nn.utils.parametrizations.weight_norm, "torch.nn.utils.parametrize.remove_parametrizations"),
        (nn.utils.parametrizations.spectral_norm, "torch.nn.utils.parametrize.remove_parametrizations"),
        (nn.utils.spectral_norm, "prune.remove, remove_weight_norm or remove_spectral_norm of torch.nn.utils"),
        (lambda *weight: prune.l1_unstructured(*weight, amount=2), "prune.remove, remove_weight_norm or remove_spect"),
    ],
)
def test_computed_weights_are_not_copied(change: Callable, told: str) -> None:
    ours, theirs = seqzoo.LSTM(INPUT, H), nn.LSTM(INPUT, H)
    for network in (ours, theirs):
        change(network, "weight_hh_l0")
    for copied in (lambda: seqzoo.from_torch(theirs), ours.to_torch):
        with pytest.raises(ValueError, match=rf"^weight_hh_l0 is computed from other weights.*: first apply {told}"):
            copied()


@pytest.mark.parametrize(("kind", "torchs"), [(seqzoo.LSTM, nn.LSTM), (seqzoo.GRU, nn.GRU), (seqzoo.Elman, nn.RNN)])
def test_tied_weights_stay_tied(kind: type, torchs: type) -> None:
    theirs = torchs(H, H, 2)
    theirs.weight_hh_l1, theirs.bias_hh_l1.requires_grad = theirs.weight_hh_l0, False
    x = torch.randn(T, B, H)
    ours = seqzoo.from_torch(theirs)
    for network in (ours, ours.to_torch()):
        assert network.weight_hh_l1 is network.weight_hh_l0
        assert network.weight_hh_l0 is not theirs.weight_hh_l0
        assert [name for name, weight in network.named_parameters() if not weight.requires_grad] == ["bias_hh_l1"]
        torch.testing.assert_close(network(x), theirs(x))
        gradients = [torch.autograd.grad(each(x)[0].sum(), each.weight_hh_l0) for each in (network, theirs)]
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("kind", "torchs"), [(seqzoo.LSTM, nn.LSTM), (seqzoo.GRU, nn.GRU), (seqzoo.Elman, nn.RNN)])
def test_drop_ins_start_from_the_same_weights(kind: type, torchs: type) -> None:
    states = []
    for network in (kind, torchs):
        torch.manual_seed(3)
        states.append(network(INPUT, H, 2, bidirectional=True).state_dict())
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_weights_of_drop_ins_have_torchs_names() -> None:
    ours, theirs = seqzoo.LSTM(INPUT, H, 2, bidirectional=True), nn.LSTM(INPUT, H, 2, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    assert ours.weight_hh_l1_reverse is ours.backbone.layers[1][1].weight_hh
    for missing in ("weight_ih_l2", "weight_hr_l0", "weight"):
        with pytest.raises(AttributeError, match=missing.partition("_l")[0]):
            getattr(ours, missing)
    x = torch.randn(T, B, INPUT)
    doubled = {name: 2 * weight for name, weight in theirs.state_dict().items()}
    torch.testing.assert_close(
        torch.func.functional_call(ours, doubled, (x,)), torch.func.functional_call(theirs, doubled, (x,))
    )
    torch.testing.assert_close(ours(x), theirs(x))
    ours.weight_ih_l0 = theirs.weight_ih_l0 = nn.Parameter(torch.zeros_like(theirs.weight_ih_l0))
    torch.testing.assert_close(ours(x), theirs(x))


def with_weight_norm(network: nn.Module) -> nn.Module:
    nn.utils.parametrizations.weight_norm(network, "weight_hh_l1_reverse")
    with torch.no_grad():
        network.parametrizations.weight_hh_l1_reverse.original0.mul_(2)
    return network


def with_dropped_weights(network: nn.Module) -> nn.Module:
    """As in AWD-LSTM: a plain tensor replaces the weight."""
    weight = network.weight_hh_l0
    del network._parameters["weight_hh_l0"]
    network.register_parameter("raw", weight)
    network.weight_hh_l0 = weight * (torch.arange(weight.numel()).view_as(weight) % 2)
    return network


@pytest.mark.parametrize("change", [with_weight_norm, with_dropped_weights])
@pytest.mark.parametrize(("kind", "torchs"), [(seqzoo.LSTM, nn.LSTM), (seqzoo.GRU, nn.GRU)])
def test_drop_ins_are_reparametrized_as_torchs(kind: type, torchs: type, change: Callable) -> None:
    theirs = torchs(INPUT, H, 2, bidirectional=True, dtype=torch.float64)
    ours, theirs = change(seqzoo.from_torch(theirs)), change(theirs)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    gradients = []
    for network in (ours, theirs):
        outputs, _ = network(x)
        gradients.append((outputs, torch.autograd.grad(outputs.sin().sum(), list(network.parameters()))))
    torch.testing.assert_close(*gradients)


def test_drop_ins_are_exported_and_take_all_dropout() -> None:
    ours = seqzoo.GRU(INPUT, H, 2, dropout=1.0)
    theirs, x = ours.to_torch(), torch.randn(T, B, INPUT)
    assert theirs.dropout == 1
    torch.testing.assert_close(ours(x), theirs(x))
    ours.eval(), theirs.eval()
    torch.testing.assert_close(torch.export.export(ours, (x,), strict=False).module()(x), theirs(x))


def test_resets_that_vmap_maps_over_are_refused_in_words() -> None:
    rnn, x, resets = seqzoo.RNN("gru", INPUT, H), torch.randn(T, B, INPUT), torch.zeros(3, T, B, dtype=torch.bool)
    with pytest.raises(ValueError, match="vmap maps over resets, by whose values rows are cut: give all rows as one"):
        torch.func.vmap(lambda resets: rnn(x, resets=resets)[0])(resets)
    many = torch.func.vmap(lambda x: rnn(x, resets=resets[0] | True)[0])(torch.stack([x, -x]))
    torch.testing.assert_close(many[1], rnn(-x, resets=resets[0] | True)[0])


def test_drop_ins_inside_other_modules_are_saved_copied_and_pickled() -> None:
    ours = nn.ModuleDict({"reader": seqzoo.GRU(INPUT, H), "other": seqzoo.RNN("gru", INPUT, H)})
    state = ours.state_dict()
    assert "reader.weight_ih_l0" in state
    assert "other.backbone.layers.0.0.weight_ih" in state
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        for weight in again.parameters():
            nn.init.zeros_(weight)
        again.load_state_dict(state)
        torch.testing.assert_close(dict(again.state_dict()), dict(state))
    with pytest.raises(RuntimeError, match="Missing key"):
        ours.load_state_dict({name: weight for name, weight in state.items() if name != "reader.weight_ih_l0"})


@pytest.mark.parametrize(("kind", "torchs"), [(seqzoo.LSTM, nn.LSTM), (seqzoo.GRU, nn.GRU), (seqzoo.Elman, nn.RNN)])
def test_the_signature_is_torchs(kind: type, torchs: type) -> None:
    ours = inspect.signature(kind).parameters
    defaults = {name: parameter.default for name, parameter in ours.items() if parameter.default is not parameter.empty}
    made = torchs(INPUT, H)
    defaults = {name: default for name, default in defaults.items() if default is not None}
    assert {name: getattr(made, name) for name in defaults} == defaults
    order = [
        "input_size",
        "hidden_size",
        "num_layers",
        "nonlinearity",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
    ]
    order += ["proj_size", "device", "dtype"]
    absent = {seqzoo.LSTM: {"nonlinearity"}, seqzoo.GRU: {"nonlinearity", "proj_size"}, seqzoo.Elman: {"proj_size"}}
    refused = [] if kind is seqzoo.LSTM else ["proj_size"]
    assert [*ours] == [name for name in order if name not in absent[kind]] + refused
    of_any_cell = [*inspect.signature(seqzoo.RNN).parameters]
    assert of_any_cell == ["cell", *(name for name in order if name != "nonlinearity"), "options"]


WRONG_ARGUMENTS: list[dict[str, Any]] = [
    {"input_size": 0}, {"input_size": 2.5}, {"hidden_size": 0}, {"hidden_size": "4"}, {"num_layers": 0},
    {"num_layers": 2.0}, {"bias": 1}, {"batch_first": None}, {"dropout": 1.5}, {"dropout": "0.1"}, {"dropout": True},
    {"proj_size": -1}, {"proj_size": H}, {"dtype": torch.int64, "bias": 2}, {"nonlinearity": "gelu"},
    {"dtype": torch.int64}, {"dtype": torch.bool}, {"dtype": "float32"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_ARGUMENTS, ids=str)
def test_wrong_arguments_raise_what_torch_raises(wrong: dict[str, Any]) -> None:
    kind, torchs = (seqzoo.Elman, nn.RNN) if "nonlinearity" in wrong else (seqzoo.LSTM, nn.LSTM)
    options = {"input_size": INPUT, "hidden_size": H, **wrong}
    with pytest.raises((TypeError, ValueError, RuntimeError)) as theirs:
        torchs(**options)
    with pytest.raises(theirs.type, match=f"^{next(iter(reversed(wrong)))} is "):
        kind(**options)


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers", "proj_size"])
def test_a_truth_value_is_not_a_number(name: str) -> None:
    """torch takes some of them for 1, as where `batch_first` is given in the place of `num_layers`."""
    with pytest.raises(TypeError, match=f"^{name} is True: it must be an integer"):
        seqzoo.LSTM(**{"input_size": INPUT, "hidden_size": H, name: True})


@pytest.mark.parametrize(
    "options", [{"bogus": 1}, {"zonout": 0.1}, {"zoneout": "much"}, {"device": "cpu", "depth": 2}], ids=str
)
def test_unknown_arguments_are_type_errors_as_in_python(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        nn.LSTM(INPUT, H, **options)
    for create in (seqzoo.RNN, seqzoo.create_cell):
        with pytest.raises(TypeError, match=rf"^{create.__name__}: (there is no option '|zoneout is 'much')") as error:
            create("lstm", INPUT, H, **options)
        assert isinstance(error.value, ConfigError)


@pytest.mark.parametrize(
    "cell", [lambda: None, 3, None, seqzoo.create_cell("gru", 3, 4)], ids=lambda cell: type(cell).__name__
)
def test_a_cell_is_a_name_or_a_class(cell: Any) -> None:
    for create in (seqzoo.RNN, seqzoo.create_cell):
        with pytest.raises(TypeError, match=r"^cell is .{1,60}: it must be a name, such as 'gru', or a class that inh"):
            create(cell, INPUT, H)


def test_messages_name_the_class_that_was_called() -> None:
    for create in (seqzoo.LSTM, seqzoo.GRU, seqzoo.Elman):
        with pytest.raises(RuntimeError, match=rf"^{create.__name__} reads \(T, B, {INPUT}\) or \(T, {INPUT}\)"):
            create(INPUT, H)(torch.zeros(T, B, INPUT + 1))
    with pytest.raises(ValueError, match=r"have a projection, not GRU$"):
        seqzoo.RNN(type(seqzoo.create_cell("gru", INPUT, H)), INPUT, H, proj_size=2)


@pytest.mark.parametrize("switch", [0, 1])
def test_bidirectional_may_be_0_or_1_as_in_torch(switch: int) -> None:
    assert repr(seqzoo.LSTM(INPUT, H, bidirectional=switch)) == repr(seqzoo.LSTM(INPUT, H, bidirectional=bool(switch)))


def test_dropout_of_one_layer_is_warned_of_as_by_torch() -> None:
    for network in (nn.LSTM, seqzoo.LSTM):
        with pytest.warns(UserWarning, match="dropout"):
            network(INPUT, H, dropout=0.1)


STATE = (torch.zeros(1, B, H), torch.zeros(1, B, H))
WRONG_CALLS: dict[str, tuple] = {
    "one dimension": (torch.zeros(INPUT),),
    "four dimensions": (torch.zeros(1, T, B, INPUT),),
    "another width": (torch.zeros(T, B, INPUT + 1),),
    "another type": (torch.zeros(T, B, INPUT, dtype=torch.float64),),
    "no steps": (torch.zeros(0, B, INPUT),),
    "state of another width": (torch.zeros(T, B, INPUT), (STATE[0], torch.zeros(1, B, H + 1))),
    "state of other rows": (torch.zeros(T, B + 1, INPUT), STATE),
    "state with no rows": (torch.zeros(T, B, INPUT), (STATE[0][:, 0], STATE[1][:, 0])),
}


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_wrong_calls_raise_what_torch_raises(call: str) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)) as theirs:
        nn.LSTM(INPUT, H)(*WRONG_CALLS[call])
    for ours in (seqzoo.LSTM(INPUT, H), seqzoo.RNN("lstm", INPUT, H)):
        with pytest.raises(theirs.type):
            ours(*WRONG_CALLS[call])


H0 = torch.zeros(1, B, H)
WRONG_TYPES: dict[str, tuple[type, type, Any, Any]] = {
    "LSTM, one tensor": (seqzoo.LSTM, nn.LSTM, torch.zeros(T, B, INPUT), H0),
    "LSTM, a list of one": (seqzoo.LSTM, nn.LSTM, torch.zeros(T, B, INPUT), [H0]),
    "LSTM, three": (seqzoo.LSTM, nn.LSTM, torch.zeros(T, B, INPUT), (H0, H0, H0)),
    "LSTM, numbers": (seqzoo.LSTM, nn.LSTM, torch.zeros(T, B, INPUT), (H0.tolist(), H0.tolist())),
    "GRU, a list": (seqzoo.GRU, nn.GRU, torch.zeros(T, B, INPUT), [H0]),
    "GRU, a pair": (seqzoo.GRU, nn.GRU, torch.zeros(T, B, INPUT), (H0, H0)),
    "Elman, an array": (seqzoo.Elman, nn.RNN, torch.zeros(T, B, INPUT), H0.numpy()),
    "input, a list": (seqzoo.LSTM, nn.LSTM, torch.zeros(T, B, INPUT).tolist(), None),
    "input, a list of tensors": (seqzoo.GRU, nn.GRU, [torch.zeros(B, INPUT)], None),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_wrong_types_are_type_errors_where_torch_stumbles(case: str) -> None:
    """Where torch looks for an attribute or an item that is not there, the error is about the type."""
    kind, torchs, x, state = WRONG_TYPES[case]
    with pytest.raises((AttributeError, IndexError, RuntimeError)) as theirs:
        torchs(INPUT, H)(x, state)
    wrong_number = isinstance(state, (tuple, list)) and theirs.type is not AttributeError
    with pytest.raises(RuntimeError if wrong_number else TypeError, match=r"the (state|input) (is|has) "):
        kind(INPUT, H)(x, state)


@pytest.mark.parametrize("cell", seqzoo.list_cells())
def test_without_biases_a_cell_computes_as_with_zeros(cell: str) -> None:
    options = {"engine": "reference", "dtype": torch.float64}
    bare, full = seqzoo.RNN(cell, INPUT, H, bias=False, **options), seqzoo.RNN(cell, INPUT, H, **options)
    assert not [name for name in bare.state_dict() if re.search(r"\.\d\.bias", name)]
    full.load_state_dict(bare.state_dict(), strict=False)
    for name, weight in full.state_dict().items():
        if re.search(r"\.\d\.bias", name):
            weight.zero_()
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    torch.testing.assert_close(bare(x), full(x))


@pytest.mark.parametrize("with_lengths", [False, True])
def test_a_projected_state_of_any_cells_signature(with_lengths: bool) -> None:
    rnn = seqzoo.RNN("lstm", INPUT, H, 2, True, False, 0.0, True, 3, "cpu", torch.float64)
    lengths = LENGTHS if with_lengths else None
    outputs, (h, c) = rnn(torch.randn(T, B, INPUT, dtype=torch.float64), lengths=lengths)
    assert (outputs.shape, h.shape, c.shape) == ((T, B, 6), (4, B, 3), (4, B, H))
    with pytest.raises(ValueError, match=r"proj_size is 3: only lstm and projected_lstm have a projection, not 'gru'"):
        seqzoo.RNN("gru", INPUT, H, proj_size=3)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "Elman"])
def test_dropout_can_be_changed_as_torchs(name: str) -> None:
    rnn, x = getattr(seqzoo, name)(3, 4, num_layers=2, dropout=0.9), torch.randn(5, 2, 3)
    assert not torch.equal(rnn(x)[0], rnn(x)[0])
    rnn.dropout = 0.0
    assert torch.equal(rnn(x)[0], rnn(x)[0])
    assert "dropout" not in repr(rnn)
    assert rnn.to_torch().dropout == 0.0
    with pytest.raises(ValueError, match=r"dropout is 2: it is a probability"):
        rnn.dropout = 2


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "Elman"])
def test_outputs_can_be_viewed_in_another_shape(name: str, options: dict[str, Any]) -> None:
    outputs, _ = getattr(seqzoo, name)(3, 4, **options)(torch.randn(5, 2, 3))
    assert outputs.view(10, -1).shape == (10, 8 if "bidirectional" in options else 4)


def test_sparse_resets_are_refused() -> None:
    with pytest.raises(ValueError, match="resets"):
        seqzoo.RNN("gru", 3, 4)(torch.randn(5, 2, 3), resets=torch.ones(5, 2, dtype=torch.bool).to_sparse())
