"""The likelihood of frames by hand, windows with carried state, heads, and a run."""

from __future__ import annotations

import json
import math
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.batch import Batch, Features
from seqzoo.contracts.note_notation import chords_of
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.sources.notes import read_notes
from seqzoo.network.model import Model
from seqzoo.tasks.polyphony import FrameSearch, Polyphony, melody
from seqzoo.training.evaluation import evaluate
from tests.conftest import Done
from tests.data.sources.test_notes import midi, note

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


def model_of(*overrides: str) -> Model:
    torch.manual_seed(0)
    return seqzoo.build(*SMALL, *overrides)[0].eval()


@pytest.mark.parametrize("head", ["independent", "nade"])
def test_the_score_of_a_continuation_is_its_log_probability(head: str) -> None:
    model = model_of(f"task.head={head}", "task.search.max_length=5")
    seeds = model.task.example_batch(2, 7).inputs
    frames, scores = model.task.draw(model, Batch(seeds, torch.tensor([7, 3])), 5)
    for row, length in enumerate((7, 3)):
        whole = torch.cat([seeds[row, :length], frames[row]])[None]
        batch = Batch(whole[:, :-1], torch.tensor([length + 4]), whole[:, 1:], padded=False)
        losses = model.task.head.loss(model.encode(batch).outputs, batch.targets)
        assert scores[row].item() == pytest.approx(-losses[0, -5:].sum().item(), rel=1e-4)
    answers = model.task.candidates(model, Batch(seeds, torch.tensor([7, 3])), 3)
    assert [[len(p.answer) for p in row] for row in answers] == [[5] * 3] * 2
    assert all(row[0].score >= row[1].score >= row[2].score for row in answers)


def test_the_melody_is_the_highest_note_of_each_frame() -> None:
    frames = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    assert melody(frames).tolist() == [[-1, -1, 1, 0], [-1, -1, -1, -1], [-1, -1, -1, 1]]


@pytest.mark.parametrize("head", ["independent", "nade", "rbm"])
def test_harmonies_keep_the_melody(head: str) -> None:
    metrics = ["task.metrics=[frame_nll_bound]", "task.annealing_steps=3"] if head == "rbm" else []
    model = model_of(f"task.head={head}", *metrics)
    inputs = model.task.example_batch(2, 9).inputs
    inputs[0, 2] = 0
    rows = model.task.harmonised(model, Batch(inputs, torch.tensor([9, 4])))
    assert [row.shape for row in rows] == [(9, 88), (4, 88)]
    for row, frames in enumerate(rows):
        given = melody(inputs[row, : len(frames)])
        assert (frames[given >= 0] == given[given >= 0]).all()
        assert ((frames == 0) | (frames == 1)).all()
    assert (rows[0] != inputs[0]).any()


def test_temperature_zero_is_determined_and_a_high_one_is_not() -> None:
    model = model_of("task.head=nade")
    seed = Batch(model.task.example_batch(1, 4).inputs, torch.tensor([4]), padded=False)

    def written(temperature: float) -> torch.Tensor:
        model.task.search = FrameSearch(temperature, 8)
        return model.task.continued(model, seed)[0]

    assert torch.equal(written(0.0), written(0.0))
    assert not torch.equal(written(1.0), written(1.0))
    assert written(5.0).mean() > 0.3  # the limit is a half


def test_wrong_options() -> None:
    for overrides, message in (
        (("task.hidden_size=0", "task.head=nade"), "hidden_size=0 is too small: it must be at least 1"),
        (("task.hidden_size=20",), "task.hidden_size"),
        (
            ("task.head=rbm",),
            "metrics names frame_nll, which cannot be computed for task.head=rbm: name frame_nll_bound",
        ),
        (("task.head=rbm", "task.metrics=[frame_nll_bound]", "task.gibbs_steps=0"), "gibbs_steps=0 is too small"),
        (("task.search.temperature=-1",), "temperature is -1: it is 0"),
        (("task.search.max_length=0",), "max_length is 0: it must be between 1 and 100,000"),
        (("backbone=bidirectional",), "reads future inputs"),
        (("data=narma10",), "choose task=forecasting, task=regression or other data"),
    ):
        _, mistakes = examine("task=polyphony", *overrides)
        assert any(message in mistake for mistake in mistakes), mistakes


def test_a_run_learns_chords_and_continues_pieces(command: Callable[..., Done], tmp_path: Path) -> None:
    done = command(
        "train", *SMALL, "task.head=nade", "task.hidden_size=8", "baseline=true", "data.window=16",
        "data.batch_size=16", "training.steps=60", "training.learning_rate=0.05", "training.validate_every=60",
        "training.threads=1", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert " -> " in done.out
    assert "note changes" in done.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["frame_nll"] < 12
    again = json.loads(command("evaluate", "run").out)
    assert again["frame_nll"] == pytest.approx(metrics["test"]["frame_nll"])

    short = ("--set", "search.max_length=6", "--set", "search.temperature=0.5")
    done = command("predict", "run", "C3+C4+E4+G4 F2+C4+F4+A4", *short, "--n-best", 2)
    assert [len(line.split()) for line in done.out.splitlines()] == [6, 6]
    seed = midi(tmp_path / "seed.mid", note(72, 0, 1920), note(48, 480, 960))
    done = command("predict", "run", seed, *short, "--to", "a.mid", "--to", "a.png", "--to", "a.wav")
    assert done.status == 0, done.err
    [written] = read_notes("a.mid", 1)[""]
    expected = [[48, 72] if step in (1, 2) else [72] for step in range(4)]
    assert [(frame.nonzero()[:, 0] + 21).tolist() for frame in written.frames[:4]] == expected
    assert 4 < len(written.frames) <= 10
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    with wave.open("a.wav") as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(10 * 0.6, abs=0.2)
    done = command("predict", "run", "C5 D5 rest B4+G4", "--harmonise")
    highest = [chord.split("+")[-1] for chord in done.out.split()]
    assert [highest[i] for i in (0, 1, 3)] == ["C5", "D5", "B4"]
    for wrong, message in (
        (("C4+X4",), "line 1: 'X4' is not a note: write C4"),
        (("C9",), "line 1: the input, step 1: note 120 is outside the 88 keys"),
        (("",), "line 1: the input is empty: give chords"),
        (("no.mid",), "line 1: there is no file no.mid"),
        ((seed, "--to", "a.mp3"), "--to is a.mp3: give it one of the suffixes .mid"),
    ):
        done = command("predict", "run", *wrong)
        assert (done.status, message in done.err, "Traceback" in done.err) == (2, True, False), done.err


def test_other_tasks_write_no_music(command: Callable[..., Done]) -> None:
    small = ("task=tagging", "debug=tiny", "data.train_size=8", "data.validation_size=4", "data.test_size=4")
    assert command("train", *small, "hydra.run.dir=run").status == 0
    done = command("predict", "run", "the dog", "--to", "a.mid")
    assert (done.status, "task=tagging does not write music: give a run of task=polyphony\n" in done.err) == (2, True)
