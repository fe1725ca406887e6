"""Diagnostics of the recurrence in TensorBoard, and their share of the training time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqzoo.configuration.overrides import build
from seqzoo.configuration.registry import names
from seqzoo.inspection.dynamics import first_cell
from seqzoo.inspection.model_graph import graph_of
from seqzoo.inspection.recurrence import recurrence
from seqzoo.training.diagnostics import TimeShare
from seqzoo.training.evaluation import middle

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ("debug=tiny", "data=reverse", "data.train_size=64", "data.validation_size=8", "data.test_size=8")


@pytest.fixture(autouse=True)
def pictures() -> None:
    """Pictures are drawn in these tests."""


def test_diagnostics_do_not_change_training(command: Callable, tmp_path: Path) -> None:
    for share in ("0", "1"):
        done = command("train", *SMALL, "cell=gru", f"training.diagnostics={share}", f"hydra.run.dir={share}")
        assert done.status == 0
    scores = [json.loads((tmp_path / share / "metrics.json").read_text()) for share in ("0", "1")]
    for name in ("train", "validation", "test"):
        assert scores[0][name] == scores[1][name]
    states = [torch.load(tmp_path / share / "checkpoints/last.pt", weights_only=True) for share in ("0", "1")]
    for name, tensor in states[0]["model"].items():
        assert torch.equal(tensor, states[1]["model"][name])
    assert torch.equal(states[0]["random"]["torch"], states[1]["random"]["torch"])

    tags = [EventAccumulator(str(tmp_path / share)).Reload().Tags() for share in ("0", "1")]
    assert not [tag for tag in tags[0]["scalars"] if tag.startswith("recurrence/")]
    numbers = {tag.removeprefix("recurrence/") for tag in tags[1]["scalars"] if tag.startswith("recurrence/")}
    assert numbers == {
        "gate_r/open", "gate_r/shut", "gate_z/open", "gate_z/shut", "jacobian_largest_singular_value",
        "jacobian_spectral_radius", "lyapunov_exponent", "share_of_time",
    }  # fmt: skip
    page = (REPOSITORY / "docs/TENSORBOARD.md").read_text(encoding="utf-8")
    for name in numbers:
        assert re.sub("gate_.", "gate_f", name) in page
    assert [tag["graph"] for tag in tags] == [False, True]
    assert tags[1]["histograms"] == ["recurrence/log10_time_constant"]
    assert {"recurrence/memory", "recurrence/states"} <= set(tags[1]["images"])


def test_an_error_in_diagnostics_does_not_end_training(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a step without a derivative")

    monkeypatch.setattr("seqzoo.training.diagnostics.recurrence", fail)
    done = command("train", *SMALL, "cell=gru", "training.diagnostics=1", "hydra.run.dir=run")
    assert done.status == 0
    assert done.out.count("diagnostics are switched off: a step without a derivative") == 1
    assert (tmp_path / "run" / "metrics.json").exists()


def test_memory_capacity_is_logged_once(command: Callable, tmp_path: Path) -> None:
    command("train", *SMALL, "cell=echo_state", "training.diagnostics=1", "hydra.run.dir=run")
    [point] = EventAccumulator(str(tmp_path / "run")).Reload().Scalars("recurrence/memory_capacity")
    assert 0 < point.value <= 16


@pytest.mark.parametrize(
    "overrides",
    [
        ("data=reverse", "backbone=dilated"),
        ("data=adding", "backbone=bidirectional", "cell.zoneout=0.1"),
        ("data=reverse", "backbone=pyramidal", "task.decoder.attention=general"),
    ],
)
def test_diagnostics_run_on_every_backbone(overrides: tuple[str, ...]) -> None:
    sizes = ("data.train_size=64", "data.validation_size=8", "data.test_size=8", "backbone.hidden_size=8")
    task = "regression" if "data=adding" in overrides else "transduction"
    model, data = build(f"task={task}", *overrides, *sizes)
    found = recurrence(model.eval(), middle(data, "validation").first(4))
    assert {len(found.read)} == {states.shape[0] for states in found.states.values()}
    assert found.gradient_norms.isfinite().all()
    assert set(found.states) == {"output", "f", "i", "o"}
    assert "scan" not in vars(first_cell(model))


@pytest.mark.parametrize("task", names("task"))
def test_diagnostics_run_on_every_task(task: str) -> None:
    sizes = ("data.train_size=64", "data.validation_size=8", "data.test_size=8", "backbone.hidden_size=8")
    model, data = build(f"task={task}", "cell=gru", *(sizes if task != "verse" else sizes[-1:]))
    batch = middle(data, "validation").first(2)
    # what an answer in the middle rests on is read before the end; trees have no time
    in_time = first_cell(model) is not None and "parents" not in data.structure
    if in_time:
        found = recurrence(model.eval(), batch)
        assert found.gradient_norms.isfinite().all()
        assert (found.gradient_norms[0] > 0) == (not model.task.needs_two_sides)
        assert set(found.states) == {"output", "r", "z"}

    # the graph leads from the inputs to the loss
    nodes = {node.name: node for node in graph_of(model, batch).node}
    assert not any("scan" in vars(module) for module in model.modules())
    if first_cell(model) is not None:
        assert "backbone/layers/0/0/weight_hh" in nodes
    if in_time:
        shape = nodes["backbone/layers/0/0/step_2/tanh"].attr["_output_shapes"].list.shape[0]
        assert [side.size for side in shape.dim] == [2, 8]
    fed = {"inputs"}
    for name, node in nodes.items():  # in the order of the calls
        assert set(node.input) <= nodes.keys()
        if fed & set(node.input):
            fed.add(name)
    assert any(name.startswith(("loss/", "task/objective/")) for name in fed)


def test_work_keeps_to_its_share_of_the_time() -> None:
    now = 0.0
    share = TimeShare(0.1, 1.0, lambda: now)
    spent = []
    for second in range(100):
        if share.is_enough:
            with share.spending():
                now += 2.0
            spent.append(second)
        now += 1.0
    assert spent[0] == 9  # one expected second in ten
    assert len(spent) == 5
    assert share.spent / now < 0.1
    assert not TimeShare(0.0, 1.0, lambda: now).is_enough
    assert TimeShare(1.0, 100.0, lambda: now).is_enough


def test_a_validation_piece_is_continued_drawn_and_played(command: Callable, tmp_path: Path) -> None:
    small = ("task=polyphony", "debug=tiny", "data.train_size=8", "data.validation_size=4", "data.test_size=4")
    for share in ("0", "1"):
        options = (f"training.diagnostics={share}", "task.search.max_length=5", f"hydra.run.dir={share}")
        assert command("train", *small, *options).status == 0
    scores = [json.loads((tmp_path / share / "metrics.json").read_text())["test"] for share in ("0", "1")]
    assert scores[0] == scores[1]
    events = EventAccumulator(str(tmp_path / "1")).Reload()
    assert "valid/piano_roll" in events.Tags()["images"]
    sounds = events.Audio("valid/music")
    assert [sound.step for sound in sounds] == [4, 8]
    assert sounds[0].encoded_audio_string.startswith(b"RIFF")
    assert sounds[0].length_frames / sounds[0].sample_rate == pytest.approx((16 + 5) * 0.6, abs=0.2)
