"""The likelihood of frames by hand, windows with carried state, heads, and a run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.batch import Batch, Features
from seqzoo.contracts.note_notation import chords_of
from seqzoo.contracts.spec import DataSpec
from seqzoo.tasks.polyphony import Polyphony
from seqzoo.training.evaluation import evaluate
from tests.conftest import Done

SPEC = DataSpec("polyphony", 88, 88)
SMALL = ("task=polyphony", "backbone.hidden_size=6", "data.train_size=8", "data.validation_size=5", "data.test_size=3")


def test_the_loss_is_the_negative_log_likelihood_of_frames_in_nats() -> None:
    """Two notes with probabilities 0.2 and 0.75; padding and its contents do not count."""
    task = Polyphony(2, DataSpec("polyphony", 2, 2), ["frame_nll"])
    with torch.no_grad():
        task.head.output.weight.copy_(torch.eye(2))
        task.head.output.bias.zero_()
    logits = torch.tensor([math.log(0.2 / 0.8), math.log(3.0)]).expand(2, 2, 2)
    targets = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[0.0, 1.0], [math.nan, math.nan]]])
    batch = Batch(torch.zeros(2, 2, 2), torch.tensor([2, 1]), targets)
    total, count = task.loss(logits, batch)
    assert total.item() == pytest.approx(-math.log(0.2 * 0.75) - math.log(0.8 * 0.25) - math.log(0.8 * 0.75))
    assert count == 3
    features = Features(logits, logits[:, -1], (), batch.lengths)
    predictions = task.decode(_Fixed(logits), batch, features)
    assert [p.answer for p in predictions] == [["A#0", "A#0"], ["A#0"]]
    assert [p.score for p in predictions] == pytest.approx([2 * math.log(0.6), math.log(0.6)])


class _Fixed:
    def __init__(self, scores: torch.Tensor):
        self.fixed = scores

    def scores(self, batch: Batch, features: Features | None = None) -> torch.Tensor:
        return self.fixed


def test_chords_as_text_from_the_lowest_note() -> None:
    frames = torch.zeros(2, 3, 88)
    frames[0, 0, [39, 43, 46]] = 1
    frames[0, 2, [0, 87]] = 1
    frames[1, 0, 1] = 1
    assert chords_of(frames, torch.tensor([3, 1])) == [["C4+E4+G4", "rest", "A0+C8"], ["A#0"]]


@pytest.mark.parametrize("head", ["independent", "nade"])
def test_windows_with_carried_state_have_the_likelihood_of_whole_pieces(head: str) -> None:
    scores = []
    for window in (1_000, 7):
        torch.manual_seed(0)
        model, data = seqzoo.build(*SMALL, f"task.head={head}", f"data.window={window}")
        scores.append(evaluate(model, data, "validation", torch.device("cpu")))
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    assert scores[0]["frame_nll"] == scores[0]["loss_nats"]


@pytest.mark.parametrize("head", ["independent", "nade", "rbm"])
def test_every_parameter_of_every_head_learns_and_padding_changes_nothing(head: str) -> None:
    task = Polyphony(5, SPEC, ["frame_nll_bound"], head=head, hidden_size=7)
    batch = task.example_batch(3, 6)
    assert 1 < batch.targets.sum(-1).mean() < 8
    outputs = torch.randn(3, 6, 5)
    total, _ = task.loss(outputs, batch)
    total.backward()
    assert all(weight.grad.abs().sum() > 0 for weight in task.parameters())
    if head == "rbm":
        return  # its loss is drawn at random
    batch.lengths, batch.padded = torch.tensor([6, 2, 1]), True
    expected = sum(
        task.head.loss(outputs[row, :n], batch.targets[row, :n]).sum() for row, n in ((0, 6), (1, 2), (2, 1))
    )
    torch.testing.assert_close(task.loss(outputs, batch).total, expected)


def test_wrong_options() -> None:
    for overrides, message in (
        (("task.hidden_size=0", "task.head=nade"), "hidden_size=0 is too small: it must be at least 1"),
        (("task.hidden_size=20",), "task.hidden_size"),
        (
            ("task.head=rbm",),
            "metrics names frame_nll, which cannot be computed for task.head=rbm: name frame_nll_bound",
        ),
        (("task.head=rbm", "task.metrics=[frame_nll_bound]", "task.gibbs_steps=0"), "gibbs_steps=0 is too small"),
        (("backbone=bidirectional",), "sees what is ahead"),
        (("data=narma10",), "choose task=regression, or other data"),
    ):
        _, mistakes = examine("task=polyphony", *overrides)
        assert any(message in mistake for mistake in mistakes), mistakes


def test_a_run_learns_chords_and_beats_the_baselines(command: Callable[..., Done], tmp_path: Path) -> None:
    done = command(
        "train", *SMALL, "task.head=nade", "task.hidden_size=8", "baseline=true", "data.window=16", "training.steps=60",
        "training.learning_rate=0.05", "training.validate_every=60", "training.threads=1", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert " -> " in done.out
    assert "note changes" in done.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["frame_nll"] < 12
    again = json.loads(command("evaluate", "run").out)
    assert again["frame_nll"] == pytest.approx(metrics["test"]["frame_nll"])
