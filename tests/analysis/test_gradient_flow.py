"""Gradient norms by time lag: closed forms, and the table, picture and curves of `seqzoo gradients`."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from seqzoo import create_cell
from seqzoo.analysis import gradient_flow
from seqzoo.analysis.gradient_flow import TAG, Curve, draw, format_curves, gradient_norms
from seqzoo.cells.cell import Cell
from seqzoo.configuration.overrides import build
from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import not_installed
from seqzoo.inspection import drawing
from seqzoo.inspection.dynamics import first_cell


class Linear(Cell):
    """h' = U h + W x"""

    def __init__(self, recurrent: Tensor):
        super().__init__()
        self.recurrent, self.hidden_size = recurrent, len(recurrent)

    def initial_state(self, batch_size: int) -> State:
        return (torch.zeros(batch_size, self.hidden_size, dtype=self.recurrent.dtype),)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = state[0] @ self.recurrent.T + p
        return h, (h,)


@pytest.mark.parametrize("weight", [-0.5, 0.9, 1.0, 1.25])
def test_a_scalar_recurrence_has_powers_of_its_weight(weight: float) -> None:
    cell = Linear(torch.tensor([[weight]], dtype=torch.float64))
    norms = gradient_norms(cell, torch.randn(3, 40, 1, dtype=torch.float64))
    torch.testing.assert_close(norms, abs(weight) ** torch.arange(41, dtype=torch.float64))


def test_an_elman_cell_that_is_linear() -> None:
    """relu is the identity for positive states and weights."""
    cell = create_cell("elman", 1, 1, activation="relu").double()
    with torch.no_grad():
        cell.weight_hh.fill_(0.7)
        cell.weight_ih.fill_(1.0)
    norms = gradient_norms(cell, torch.rand(4, 12, 1, dtype=torch.float64) + 0.1)
    torch.testing.assert_close(norms, 0.7 ** torch.arange(13, dtype=torch.float64))


def test_a_leak_without_a_recurrence() -> None:
    """h' = (1 - alpha) h + alpha f(W x): after k steps, exp(-k / tau) remains."""
    cell = create_cell("leaky", 2, 3, tau_min=8.0, tau_max=8.0).double()
    torch.nn.init.zeros_(cell.weight_hh)
    norms = gradient_norms(cell, torch.randn(2, 30, 2, dtype=torch.float64))
    torch.testing.assert_close(norms, torch.exp(-torch.arange(31, dtype=torch.float64) / 8))


def test_a_rotation_keeps_the_norm_and_a_window_ends() -> None:
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    norms = gradient_norms(Linear(turn), torch.randn(5, 20, 2, dtype=torch.float64))
    torch.testing.assert_close(norms, torch.ones(21, dtype=torch.float64))
    norms = gradient_norms(create_cell("tdnn", 4, 6, window=4), torch.randn(5, 8, 4))
    assert (norms[:4] > 0).all()
    assert norms[4:].tolist() == [0] * 5


def test_all_parts_of_a_state_count_once() -> None:
    """The state of an LSTM before the last step, against autograd from that state."""
    cell, x = create_cell("lstm", 3, 5).double(), torch.randn(1, 6, 3, dtype=torch.float64)
    torch.manual_seed(1)
    norms = gradient_norms(cell, x)
    torch.manual_seed(1)
    direction = torch.randn(1, 5, dtype=torch.float64)
    _, state = cell.scan(x[:, :4])
    state = tuple(part.detach().requires_grad_() for part in state)
    outputs, _ = cell.scan(x[:, 4:], state)
    gradients = torch.autograd.grad((outputs[:, -1] * direction / direction.norm()).sum(), state)
    assert norms[2].item() == pytest.approx(torch.cat(gradients, 1).norm().item())


def test_exploding_gradients_stay_finite() -> None:
    norms = gradient_norms(Linear(torch.tensor([[2.0]])), torch.zeros(1, 100, 1))
    assert norms[100].item() == pytest.approx(2.0**100)


def test_the_first_cell_of_a_trained_model() -> None:
    model, _ = build("task=tagging", "cell=gru", "cell.zoneout=0.1", "data.train_size=20")
    cell = first_cell(model)
    assert cell.input_size == model.encoder.output_size
    assert gradient_norms(cell.eval(), torch.randn(2, 5, cell.input_size)).shape == (6,)


def test_names_do_not_cover_each_other() -> None:
    lags = torch.arange(101)
    curves = [
        Curve(f"cell_{rate}", "", torch.tensor(rate).double() ** lags) for rate in (0.6, 0.62, 0.9, 1.0, 1.001, 1.3)
    ]
    [axes] = draw(curves).axes
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.texts] == [curve.cell for curve in curves]
    low, high = axes.get_ylim()
    height = 0.05 * math.log(high / low)
    for i, one in enumerate(axes.texts):
        assert low < one.xy[1] < high
        for other in axes.texts[:i]:
            beside = abs(one.xy[0] - other.xy[0]) > 15 or one.get_ha() != other.get_ha()
            assert beside or abs(math.log(one.xy[1] / other.xy[1])) > 0.99 * height


def test_each_curve_has_a_line() -> None:
    curves = [Curve("a", "", torch.ones(6)), Curve("long_name", "x=1", 0.1 ** torch.arange(6.0))]
    assert format_curves(curves).splitlines() == [
        "lag                  1        2        5",
        "a              1.0e+00  1.0e+00  1.0e+00",
        "long_name x=1  1.0e-01  1.0e-02  1.0e-05",
    ]


def test_the_command_writes_a_picture_a_table_and_curves(command: Callable, tmp_path: Path) -> None:
    options = ("cell=elman,lstm", "cell.recurrent_gain=1,2", "backbone.hidden_size=8", "--steps", "12", "--to", "flow")
    done = command("gradients", *options)
    assert done.status == 0, done.err
    assert [line.split()[:2] for line in done.out.splitlines()[1:5]] == [
        [cell, f"recurrent_gain={gain}"] for cell in ("elman", "lstm") for gain in (1, 2)
    ]
    assert (tmp_path / "flow" / "gradient_flow.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "flow" / "gradient_flow.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 13
    own = [row for row in rows if (row["cell"], row["setting"]) == ("elman", "recurrent_gain=2")]
    events = EventAccumulator(str(tmp_path / "flow" / "elman_recurrent_gain=2")).Reload()
    assert [event.step for event in events.Scalars(TAG)] == list(range(13))
    values = [float(row["gradient_norm"]) for row in own]
    assert [event.value for event in events.Scalars(TAG)] == pytest.approx(values, rel=1e-5)
    assert values[0] == pytest.approx(1)
    assert EventAccumulator(str(tmp_path / "flow")).Reload().Tags()["images"] == ["gradient_norm"]

    assert command("gradients", *options).err == ("seqzoo: --to is 'flow', which is not empty: choose another folder\n")


def test_mistakes_are_told_in_a_sentence(command: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert command("gradients", "cell=elmann,lstm").err == (
        "seqzoo: there is no cell named 'elmann'. Did you mean 'elman'?\n"
    )
    assert command("gradients", "cell=lstm", "--steps", "0").err == (
        "seqzoo: --steps is 0: a gradient flows over at least one\n"
    )
    monkeypatch.setattr(drawing, "can_draw", lambda: False)
    monkeypatch.setattr(gradient_flow, "gradient_norms", lambda cell, x: pytest.fail("computed before it was asked"))
    done = command("gradients", "cell=lstm", "--steps", "2", "--to", "flow")
    assert (done.status, done.err) == (2, f"seqzoo: drawing needs {not_installed('matplotlib')}\n")
    assert not (tmp_path / "flow").exists()
