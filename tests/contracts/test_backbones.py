"""What every name in conf/backbone must do with every name in conf/cell. There is no list of exceptions: each quick
test tries a quarter of the pairs, and `-m slow` the rest (`pairs.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import seqzoo.network.backbones
from seqzoo.cells.cell import CellFactory
from seqzoo.configuration import composing
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import State
from seqzoo.contracts.parts import Backbone
from seqzoo.contracts.state import flatten, map_state, reorder
from seqzoo.contracts.steps import Steps
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.locked_dropout import LockedDropout
from tests.contracts.pairs import pairs

B, T, INPUT, H = 3, 6, 4, 5
LENGTHS = torch.tensor([6, 3, 1])

options_of = functools.cache(composing.load)


@functools.cache
def factory(cell: str) -> CellFactory:
    return cell_factory(cell)


def build(name: str, cell: str, **changes: Any) -> Backbone:
    """A small one in float64, every parameter away from its start, in evaluation mode."""
    options = {**options_of("backbone", name), "hidden_size": H, **changes}
    if "cells" in options:
        options["cells"] = [own and factory(own) for own in options["cells"]]
    constructor = getattr(seqzoo.network.backbones, options.pop("class"))
    backbone = constructor(factory(cell), INPUT, **options).double().eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return backbone


@pytest.fixture(params=names("cell"))
def cell(request: pytest.FixtureRequest) -> str:
    return request.param


def some_input() -> Tensor:
    return torch.randn(B, T, INPUT, dtype=torch.float64)


def assert_states_equal(one: State, other: State) -> None:
    for a, b in zip(flatten(one), flatten(other), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("name", "cell"), pairs(names("backbone"), names("cell")))
def test_causal_is_true(name: str, cell: str) -> None:
    backbone = build(name, cell)
    x = some_input()
    other = x.clone()
    other[:, 3] += 100  # enough for a neuron to fire
    outputs, changed = backbone(x)[0], backbone(other)[0]
    at = int(backbone.output_lengths(torch.tensor(4))) - 1
    assert not torch.equal(outputs[:, at], changed[:, at])
    assert torch.equal(outputs[:, :3], changed[:, :3]) == backbone.causal


@pytest.mark.parametrize(("name", "cell"), pairs(names("backbone"), names("cell"), shift=1))
def test_a_padded_batch_is_each_row_alone(name: str, cell: str) -> None:
    backbone = build(name, cell)
    x = some_input()
    x[1, 3:], x[2, 1:] = 1e3, -1e3
    outputs, after = backbone(x, LENGTHS)
    output_lengths = backbone.output_lengths(LENGTHS)
    last = backbone.last(outputs, output_lengths)
    assert outputs.shape == (B, output_lengths[0], backbone.output_size)
    assert backbone.keeps_time == torch.equal(output_lengths, LENGTHS)
    for row, (length, kept) in enumerate(zip(LENGTHS.tolist(), output_lengths.tolist(), strict=True)):
        alone, alone_after = backbone(x[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :kept], alone[0])
        torch.testing.assert_close(last[row], backbone.last(alone, None)[0])
        assert_states_equal(reorder(after, torch.tensor([row])), alone_after)
        assert (outputs[row, kept:] == 0).all()


@pytest.mark.parametrize(("name", "cell"), pairs(names("backbone"), names("cell"), shift=2))
def test_step_is_forward(name: str, cell: str) -> None:
    backbone = build(name, cell)
    x = some_input()
    state = map_state(lambda zero: torch.randn_like(zero), backbone.initial_state(B))
    if not backbone.causal:
        with pytest.raises(ValueError, match="cannot go step by step"):
            backbone.step(x[:, 0], state)
        return
    outputs, after = backbone(x, None, state)
    for t in range(T):
        output, state = backbone.step(x[:, t], state)
        torch.testing.assert_close(output, outputs[:, t])
    assert_states_equal(state, after)


@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "clockwork", "min_gru"])
@pytest.mark.parametrize("name", names("backbone"))
def test_a_state_that_starts_anew_cuts_rows(name: str, cell: str, carried: bool) -> None:
    """In both directions of all layers: outputs, last states and gradients are those of the segments one by one."""
    learned = {"learn_initial_state": True} if "learn_initial_state" in options_of("backbone", name) else {}
    backbone, x = build(name, cell, dropout=0.0, **learned), some_input().requires_grad_()
    resets = torch.zeros(B, T, dtype=torch.bool)
    resets[0, 2] = resets[0, 3] = resets[1, 0] = resets[1, 1] = resets[2, 4] = True
    steps = Steps(LENGTHS, resets)
    if "resets" not in backbone.supports:
        with pytest.raises(ValueError, match=f"{type(backbone).__name__} does not support `resets`"):
            backbone(x, steps)
        return
    state = map_state(lambda zero: torch.randn_like(zero).requires_grad_(), backbone.initial_state(B))
    runs = []
    for run in (backbone, functools.partial(cut_by_hand, backbone)):
        outputs, after = run(x, steps, state if carried else None)
        total = sum(((part + 1) ** 3).sum() for part in [outputs, *flatten(after)])
        leaves = [x, *backbone.parameters(), *(flatten(state) if carried else [])]
        gradients = torch.autograd.grad(total, leaves, materialize_grads=True)
        runs.append([outputs, *flatten(after), *gradients])
    torch.testing.assert_close(runs[0], runs[1])


def cut_by_hand(backbone: Backbone, x: Tensor, steps: Steps, state: State | None) -> tuple[Tensor, State]:
    rows, after = [], []
    for row, length in enumerate(LENGTHS.tolist()):
        own = backbone.initial_state(B) if state is None else state
        given, initial = reorder(own, torch.tensor([row])), backbone.initial_state(1)
        cuts = [0, *(t for t in range(1, length) if steps.resets[row, t]), length]
        forwards = initial if steps.resets[row, 0] and length else given
        pieces, ends = [], []
        for begin, end in pairwise(cuts):
            backwards = given if end == length else initial
            entering = tuple((a[0], *b[1:]) for a, b in zip(forwards, backwards, strict=True))
            outputs, left = backbone(x[row : row + 1, begin:end], None, entering)
            pieces.append(outputs)
            ends.append(left)
            forwards = initial
        rows.append(torch.cat([*pieces, x.new_zeros(1, T - length, backbone.output_size)], 1))
        after.append(tuple((a[0], *b[1:]) for a, b in zip(ends[-1], ends[0], strict=True)))
    return torch.cat(rows), map_state(lambda *parts: torch.cat(parts), *after) if after[0] else ()


def test_the_first_state_can_be_learned(cell: str) -> None:
    backbone = build("deep_bidirectional", cell, learn_initial_state=True, dropout=0.0)
    first = backbone.initial_state(B)
    assert all((part != 0).any() for part in flatten(first) if part.dim() > 1)  # a counter starts at zero
    assert all(torch.equal(row, part[0]) for part in flatten(first) for row in part)
    x = some_input()
    outputs, _ = backbone(x, LENGTHS)
    torch.testing.assert_close(outputs, backbone(x, LENGTHS, first)[0])
    outputs.sum().backward()
    learned = {name for name, p in backbone.named_parameters() if p.grad is not None and (p.grad != 0).any()}
    assert learned == {name for name, _ in backbone.named_parameters()}


def test_dropout_is_on_the_input_of_every_layer_but_the_first() -> None:
    backbone = build("unidirectional", "gru", num_layers=3, dropout=0.5)
    seen = inputs_of_layers(backbone)
    x = some_input()
    backbone.eval()(x)
    whole = [layer_input.clone() for layer_input in seen]
    seen.clear()
    backbone.train()(x)
    torch.testing.assert_close(seen[0], whole[0])
    dropped = seen[1] == 0
    assert 0 < dropped.sum() < dropped.numel()
    torch.testing.assert_close(seen[1], (2 * whole[1]).masked_fill(dropped, 0))
    assert (seen[2] == 0).any()
    assert not (dropped == dropped[:, :1]).all()


@pytest.mark.parametrize("name", names("backbone"))
def test_every_backbone_drops_in_training_alone(name: str) -> None:
    """Between layers, over a sequence and step by step."""
    several = {"num_layers": 2} if options_of("backbone", name).get("num_layers") == 1 else {}
    backbone, x = build(name, "gru", dropout=0.5, **several).train(), some_input()
    assert not torch.equal(backbone(x)[0], backbone(x)[0])
    if backbone.causal:
        state = backbone.initial_state(B)
        assert not torch.equal(backbone.step(x[:, 0], state)[0], backbone.step(x[:, 0], state)[0])
    assert torch.equal(backbone.eval()(x)[0], backbone(x)[0])


def test_locked_dropout_keeps_one_mask_for_all_steps() -> None:
    backbone = build("unidirectional", "gru", hidden_size=40, num_layers=2, dropout=0.5, locked=True).train()
    seen = inputs_of_layers(backbone)
    backbone(some_input())
    dropped = seen[1] == 0
    assert (dropped == dropped[:, :1]).all()
    assert 0 < dropped[:, 0].sum() < dropped[:, 0].numel()
    assert not (dropped == dropped[:1]).all()


def test_locked_dropout_by_value() -> None:
    locked = LockedDropout(0.25)
    dropped = locked(torch.ones(100, 3, 50))
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(locked.eval()(torch.ones(2, 3, 4)), torch.ones(2, 3, 4))


def inputs_of_layers(backbone: Backbone) -> list[Tensor]:
    """A list that fills with what each layer reads."""
    seen: list[Tensor] = []
    for layer in backbone.layers:
        layer[0].scan = recorded(layer[0].scan, seen)
    return seen


def recorded(scan: Callable, seen: list[Tensor]) -> Callable:
    def scan_and_record(x: Tensor, *rest: Any) -> Any:
        seen.append(x)
        return scan(x, *rest)

    return scan_and_record


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_residual_layer_adds_its_own_input(bidirectional: bool) -> None:
    options = {"hidden_size": [INPUT, INPUT, H], "num_layers": 3, "bidirectional": bidirectional}
    plain = build("unidirectional", "lstm", **options)
    residual = Recurrent(factory("lstm"), INPUT, residual=True, **options).double()
    residual.load_state_dict(plain.state_dict())
    x = some_input()

    def layer(depth: int, x: Tensor) -> Tensor:
        outputs, _ = plain.layers[depth].scan(x, plain.initial_state(B)[depth], LENGTHS)
        return outputs

    first = layer(0, x)  # as wide as its input, and without it: the input is not zero at padded steps
    second = layer(1, first) + first
    third = layer(2, second)  # of another width
    torch.testing.assert_close(residual(x, LENGTHS)[0], third)


def test_the_backward_half_reads_each_row_from_its_end(cell: str) -> None:
    backbone = build("bidirectional", cell)
    ahead, back = backbone.layers[0]
    x = some_input()
    outputs, after = backbone(x, LENGTHS)
    width = ahead.output_size
    for row, length in enumerate(LENGTHS.tolist()):
        real = x[row : row + 1, :length]
        forward_outputs, _ = ahead.scan(real)
        backward_outputs, backward_state = back.scan(real.flip(1))
        torch.testing.assert_close(outputs[row, :length, :width], forward_outputs[0])
        torch.testing.assert_close(outputs[row, :length, width:], backward_outputs[0].flip(0))
        assert_states_equal(reorder(after[0][1], torch.tensor([row])), backward_state)
        expected_last = torch.cat([forward_outputs[0, -1], backward_outputs[0, -1]])
        torch.testing.assert_close(backbone.last(outputs, LENGTHS)[row], expected_last)


def test_each_direction_goes_on_from_its_own_state() -> None:
    backbone, x = build("bidirectional", "gru"), some_input()
    ahead, back = backbone.layers[0]
    state = map_state(torch.randn_like, backbone.initial_state(B))
    outputs, after = backbone(x, None, state)
    forwards, after_forwards = ahead.scan(x, state[0][0])
    backwards, after_backwards = back.scan(x.flip(1), state[0][1])
    torch.testing.assert_close(outputs, torch.cat([forwards, backwards.flip(1)], dim=-1))
    assert_states_equal(after, ((after_forwards, after_backwards),))


def test_widths_may_differ_by_layer() -> None:
    backbone = build("bidirectional", "gru", hidden_size=[7, 2, 3], num_layers=3)
    outputs, after = backbone(some_input(), LENGTHS)
    assert backbone.output_size == outputs.shape[2] == 6
    assert [layer[0][0].shape[1] for layer in after] == [7, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"hidden_size": [4, 4]}, "lists 2 sizes for num_layers=1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recurrent(factory("gru"), INPUT, **options)
