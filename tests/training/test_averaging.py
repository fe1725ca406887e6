"""Averages of weights: by their definitions, over updates of a real training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from seqzoo.configuration.experiment import compose
from seqzoo.contracts.errors import ConfigError
from seqzoo.runs import lifecycle as runs
from seqzoo.training.averaging import Averaging
from seqzoo.training.record.checkpoint import load_training
from seqzoo.training.record.files import BEST, LAST


class Walk:
    """A model whose only weights take the values of `steps`, one per update."""

    def __init__(self, *overrides: str, updates: int = 40):
        self.model = nn.Linear(3, 2)
        self.model.bias.requires_grad_(False)
        self.averaging = Averaging(self.model, compose(*(f"training.{o}" for o in overrides)).training)
        self.steps = torch.randn(updates, 2, 3)

    def update(self, number: int) -> None:
        with torch.no_grad():
            self.model.weight.copy_(self.steps[number])
        self.averaging.after_update(number / len(self.steps))

    def averaged(self) -> torch.Tensor:
        with self.averaging.applied():
            return self.model.weight.detach().clone()


def test_no_average_is_the_last_weights() -> None:
    walk = Walk("average=none")
    for number in range(10):
        walk.update(number)
    assert torch.equal(walk.averaged(), walk.steps[9])


def test_a_moving_average() -> None:
    walk = Walk("average=ema", "average_decay=0.8")
    expected = walk.steps[0]
    for number in range(40):
        walk.update(number)
        if number:
            decay = min(0.8, (1 + number) / (10 + number))
            expected = decay * expected + (1 - decay) * walk.steps[number]
    torch.testing.assert_close(walk.averaged(), expected)


def test_an_equal_average_of_the_last_updates() -> None:
    walk = Walk("average=swa", "average_from=0.75")
    for number in range(40):
        walk.update(number)
        if number < 30:
            assert torch.equal(walk.averaged(), walk.steps[number])
    torch.testing.assert_close(walk.averaged(), walk.steps[30:].mean(0))


def test_averaging_begins_when_validation_stops_improving() -> None:
    walk = Walk("average=nt_asgd", "nonmonotone=2")
    losses = [5.0, 4.0, 4.5, 3.0, 3.5, 3.4, 3.2, 3.1]
    seen: list[float] = []
    started = None
    for number, loss in enumerate(losses):
        walk.update(number)
        # as in the authors' code, https://github.com/salesforce/awd-lstm-lm
        triggered = started is None and len(seen) > 2 and loss > min(seen[:-2])
        seen.append(loss)
        assert walk.averaging.after_validation([-loss, -loss]) == triggered
        if triggered:
            started = number
    assert started == 6
    torch.testing.assert_close(walk.averaged(), walk.steps[started + 1 : len(losses)].mean(0))


def test_weights_are_restored_after_an_error() -> None:
    walk = Walk("average=ema")
    for number in range(5):
        walk.update(number)
    with pytest.raises(ZeroDivisionError), walk.averaging.applied():
        _ = 1 / float(torch.equal(walk.model.weight, walk.steps[4]))
    assert torch.equal(walk.model.weight, walk.steps[4])


def test_the_best_weights_of_a_run_are_the_averages(tmp_path: Path) -> None:
    runs.start(
        compose("task=tagging", "debug=tiny", "training.average=swa", "training.average_from=0", "training.steps=6"),
        tmp_path / "run",
    )
    content, best = load_training(tmp_path / "run" / LAST), load_file(tmp_path / "run" / BEST)
    assert content["averaging"]["count"] == 6
    assert sum(tensor.numel() for tensor in content["averaging"]["weights"]) == sum(t.numel() for t in best.values())
    for average, own in zip(content["averaging"]["weights"], content["model"].values(), strict=True):
        assert any(torch.equal(average, tensor) for tensor in best.values())
        assert not torch.equal(average, own)


class Normalised:
    """A BatchNorm trained on batches with different statistics, one per update."""

    def __init__(self, *overrides: str):
        self.model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, affine=False))
        self.averaging = Averaging(self.model, compose(*(f"training.{o}" for o in overrides)).training)
        self.seen: list[dict[str, torch.Tensor]] = []

    def update(self, number: int) -> None:
        self.model(torch.randn(8, 2) * (number + 1) + number)
        self.averaging.after_update(number / 8)
        self.seen.append({name: value.clone() for name, value in self.model.state_dict().items()})

    def averaged(self) -> dict[str, torch.Tensor]:
        with self.averaging.applied():
            return {name: value.clone() for name, value in self.model.state_dict().items()}


def test_the_statistics_of_a_batch_norm_are_averaged_with_the_weights() -> None:
    of = Normalised("average=swa", "average_from=0.5")
    for number in range(8):
        of.update(number)
    averaged = of.averaged()
    for name in ("0.running_mean", "0.running_var", "1.running_mean", "1.running_var"):
        torch.testing.assert_close(averaged[name], torch.stack([seen[name] for seen in of.seen[4:]]).mean(0))
        assert not torch.equal(averaged[name], of.seen[-1][name])
    assert averaged["0.num_batches_tracked"] == 8
    for name, value in of.model.state_dict().items():
        assert torch.equal(value, of.seen[-1][name]), name


def test_a_checkpoint_without_averages_of_buffers_is_resumed() -> None:
    of = Normalised("average=ema")
    for number in range(3):
        of.update(number)
    content = of.averaging.content()
    content["weights"] = content["weights"][:2]  # as older versions wrote it: parameters alone
    other = Normalised("average=ema")
    other.model.load_state_dict(of.seen[-1])
    other.averaging.restore(content)
    other.update(3)
    assert len(other.averaging.weights) == 6
    share = 9 / (9 + 4)
    expected = torch.lerp(of.seen[2]["0.running_mean"], other.seen[0]["0.running_mean"], share)
    torch.testing.assert_close(other.averaged()["0.running_mean"], expected)


def test_weights_are_restored_after_an_interrupted_swap() -> None:
    of = Normalised("average=ema")
    of.update(0)
    of.update(1)
    of.averaging.weights[3] = torch.zeros(7)  # of another shape, so that the exchange fails in the middle
    with pytest.raises(RuntimeError), of.averaging.applied():
        pass
    for name, value in of.model.state_dict().items():
        assert torch.equal(value, of.seen[-1][name]), name


@pytest.mark.parametrize("option", ["average_decay=1.5", "average_from=-1", "nonmonotone=0", "average=mean"])
def test_wrong_options_are_reported(option: str) -> None:
    name = option.partition("=")[0]
    with pytest.raises(ConfigError, match=f"training.{name} is "):
        compose("task=tagging", f"training.{option}")
