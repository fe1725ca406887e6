"""Zoneout, recurrent dropout, weight drop and clipped gradients, on any cell."""

from __future__ import annotations

import pytest
import torch

import seqzoo
from seqzoo.analysis.cell_checks import check_lengths
from seqzoo.cells.cell import Cell
from seqzoo.cells.modified import ModifiedCell, Modifiers
from seqzoo.configuration.composing import load
from seqzoo.configuration.registry import names
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.state import flatten

B, T, INPUT, H = 4, 6, 3, 5


def modified(name: str = "lstm", **modifiers: float) -> ModifiedCell:
    return ModifiedCell(seqzoo.create_cell(name, INPUT, H).double(), Modifiers(**modifiers))


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, T, INPUT, dtype=torch.float64)


def test_dropout_is_off_in_evaluation(x: torch.Tensor) -> None:
    cell = modified(recurrent_dropout=0.5, weight_drop=0.5).eval()
    torch.testing.assert_close(cell.scan(x), cell.cell.scan(x))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_zoneout_keeps_units_in_training_and_their_mean_in_evaluation(name: str) -> None:
    torch.manual_seed(2)
    cell = modified(name, zoneout=0.25)
    x = torch.randn(2000, INPUT, dtype=torch.float64)
    p = cell.project(x)
    old = tuple(torch.randn(2000, H, dtype=torch.float64) for _ in cell.initial_state(1))
    _, new = cell.cell.step(cell.cell.project(x), old)
    output, mixed = cell.step(p, old)
    for before, after, found in zip(old, new, mixed, strict=True):
        kept = found == before
        assert kept.double().mean().item() == pytest.approx(0.25, abs=0.02)
        assert torch.equal(found[~kept], after[~kept])
    assert output is mixed[0]
    # each number of the state is kept or not by itself
    kept = torch.cat([found == before for before, found in zip(old, mixed, strict=True)], dim=1).double()
    chances = 0.25**2 + (0.25 - 0.25**2) * torch.eye(kept.shape[1], dtype=torch.float64)
    torch.testing.assert_close(kept.T @ kept / len(kept), chances, rtol=0, atol=0.04)
    cell.eval()
    _, mean = cell.step(cell.project(x), old)
    for before, after, found in zip(old, new, mean, strict=True):
        torch.testing.assert_close(found, 0.25 * before + 0.75 * after)


def test_zoneout_respects_lengths(x: torch.Tensor) -> None:
    cell = modified(zoneout=0.3).eval()
    outputs, (h, c) = cell.scan(x, None, torch.tensor([6, 2, 4, 1]))
    alone, (h_alone, c_alone) = cell.scan(x[1:2, :2])
    torch.testing.assert_close(outputs[1, :2], alone[0])
    torch.testing.assert_close((h[1], c[1]), (h_alone[0], c_alone[0]))
    assert (outputs[1, 2:] == 0).all()


def test_recurrent_dropout_has_one_mask_for_all_steps(x: torch.Tensor) -> None:
    cell = modified("elman", recurrent_dropout=0.5)
    inner = cell.cell
    with torch.no_grad():
        # each unit sees itself alone, and no input: a unit whose mask is 0 stays where its bias puts it, at every step
        inner.weight_hh.copy_(torch.eye(H))
        inner.weight_ih.zero_()
        inner.bias_ih.fill_(0.5)
    outputs, _ = cell.scan(x)
    still = (outputs == torch.tanh(torch.tensor(0.5, dtype=torch.float64))).all(dim=1)
    moving = (outputs[:, 1:] > outputs[:, :1]).all(dim=1)
    assert (still | moving).all()
    assert still.any()
    assert moving.any()
    first_moving = outputs[moving.nonzero()[0, 0], :2, moving.nonzero()[0, 1]]
    torch.testing.assert_close(first_moving[1], torch.tanh(0.5 + 2 * first_moving[0]))


def test_weight_drop_changes_the_weights_of_a_sequence_and_restores_them(x: torch.Tensor) -> None:
    torch.manual_seed(4)
    cell = modified(weight_drop=0.5)
    before = cell.cell.weight_hh.clone()
    first, second = cell.scan(x)[0], cell.scan(x)[0]
    assert not torch.allclose(first, second)
    assert torch.equal(cell.cell.weight_hh, before)
    first.sum().backward()
    dropped = cell.cell.weight_hh.grad == 0
    assert 0.3 < dropped.double().mean() < 0.7


@pytest.mark.parametrize("sign", [1, -1])
def test_the_states_gradient_is_clipped_at_every_step(sign: int, x: torch.Tensor) -> None:
    cell = modified("elman", clip_state_gradient=1e-3)
    with torch.no_grad():
        cell.cell.weight_hh.copy_(3 * torch.eye(H))
        cell.cell.weight_ih.mul_(0.01)
    x = x.requires_grad_()
    outputs, _ = cell.scan(x)
    clipped = torch.autograd.grad(sign * outputs[:, -1].sum(), x)[0]
    free = torch.autograd.grad(sign * Cell.unroll(cell.cell, x)[0][:, -1].sum(), x)[0]
    torch.testing.assert_close(clipped[:, -1], free[:, -1])
    # what reaches an earlier step has passed the clip: through W it is at most 1e-3 times the sum of the weights
    bound = 1e-3 * cell.cell.weight_ih.abs().sum(0)
    assert (clipped[:, :-1].abs() <= bound + 1e-12).all()
    assert (free[:, :-1].abs() > bound).any()


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match=r"zoneout is 1.5: it is a probability"):
        Modifiers(zoneout=1.5)
    with pytest.raises(ValueError, match="clip_state_gradient is -1"):
        Modifiers(clip_state_gradient=-1)


@pytest.mark.parametrize("name", names("cell"))
def test_all_at_once_on_every_cell(name: str) -> None:
    options: dict = {"zoneout": 0.2, "recurrent_dropout": 0.3, "clip_state_gradient": 50.0}
    if "weight_hh" in dict(seqzoo.create_cell(name, INPUT, H).named_parameters()):
        options["weight_drop"] = 0.3
    if "layer_norm" in load("cell", name):
        options["layer_norm"] = True
    check_lengths(lambda input_size, hidden_size: seqzoo.create_cell(name, input_size, hidden_size, **options).eval())

    cell = seqzoo.create_cell(name, INPUT, H, **options)
    x, lengths = torch.randn(B, T, INPUT, requires_grad=True), torch.tensor([6, 2, 4, 1])
    outputs, after = cell.scan(x, None, lengths)
    assert (outputs[1, 2:] == 0).all()
    assert all(part.isfinite().all() for part in (outputs, *flatten(after)))
    assert not torch.equal(outputs, cell.scan(x, None, lengths)[0])
    (gradient,) = torch.autograd.grad(outputs.square().sum(), x)
    assert (gradient[0] != 0).any()
    assert (gradient[1, 2:] == 0).all()


@pytest.mark.parametrize("name", ["echo_state", "min_gru"])
def test_weights_that_are_not_trained_are_not_dropped(name: str) -> None:
    with pytest.raises(ConfigError, match=r"weight_drop is set, but .* trains no hidden-to-hidden weights"):
        seqzoo.create_cell(name, INPUT, H, weight_drop=0.5)
