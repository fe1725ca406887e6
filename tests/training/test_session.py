"""Saving and restoring the state of a training."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy
import torch

from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.learning.bptt import BackpropagationThroughTime
from seqzoo.learning.rule import Objective
from seqzoo.training import loop
from seqzoo.training.record.checkpoint import fill, load_training, save_training
from seqzoo.training.session import Session


def assert_same(found: Any, expected: Any, path: str = "content") -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), path
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), path
        for key, value in expected.items():
            assert_same(found[key], value, f"{path}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), path
        for number, value in enumerate(expected):
            assert_same(found[number], value, f"{path}[{number}]")
    else:
        assert found == expected, path


class Counting(BackpropagationThroughTime):
    """Remembers the number of batches."""

    batches = 0

    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        self.batches += 1
        return super().gradients(objective, batch, state)

    def content(self) -> dict:
        return {"batches": self.batches}

    def restore(self, content: dict) -> None:
        self.batches = content["batches"]


def test_a_restored_session_has_all_that_was_saved(tmp_path: Path) -> None:
    """Every part differs from that of a new session."""
    config = compose(
        "task=language_modeling", "debug=tiny", "data.train_size=200", "data.validation_size=20", "data.test_size=20",
        "training.schedule=plateau", "training.plateau_patience=0",
        "training.plateau_factor=0.5", "training.average=ema", "training.optimizer=adamw",
    )  # fmt: skip
    data = build_data(config)
    data.load()

    def new() -> Session:
        model = build_model(config, data.spec)
        return Session(model, config.training, torch.device("cpu"), total_steps=50, rule=Counting())

    saved, fresh = new(), new()
    for batch, _ in zip(data.batches("train"), range(3), strict=False):
        loop.update(saved, [batch], stateful=True)
        saved.position.step += 1
    for number, name in enumerate(vars(saved.position)):
        setattr(saved.position, name, {"best": [-2.0, -0.7], "finished": True}.get(name, number + 1))
    saved.schedule.after_validation(False)
    saved.schedule.waited = 1
    saved.averaging.after_validation([-2.0, -0.7])
    saved.last_train_loss = 1.5
    content = saved.content()
    for name in content.keys() - {"scaler", "threads", "random"}:
        assert repr(fresh.content()[name]) != repr(content[name]), f"{name} is that of a new session"
    save_training(tmp_path / "last.pt", content)
    drawn = random.random(), numpy.random.random(), torch.rand(()).item()
    loaded = load_training(tmp_path / "last.pt")
    fill(fresh.model, loaded["model"], tmp_path / "last.pt")
    fresh.restore(loaded)
    assert_same(fresh.content(), {name: value for name, value in loaded.items() if name != "format"})
    assert (random.random(), numpy.random.random(), torch.rand(()).item()) == drawn
    assert fresh.schedule.rate(40) == saved.schedule.rate(40) == 0.5 * saved.settings.learning_rate
