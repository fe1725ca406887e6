"""Temporary changes of a model are undone, even after an interruption."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from seqzoo.cells.gru import GRU
from seqzoo.configuration.overrides import build
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.inspection.dynamics import first_cell, recording
from seqzoo.inspection.model_graph import graph_of
from seqzoo.network.model import Model
from seqzoo.network.restoring import restored
from seqzoo.training import adaptation, evaluation
from seqzoo.training.adaptation import Adaptation, evaluate_adapting
from seqzoo.training.evaluation import decoded_examples, evaluate

CPU = torch.device("cpu")
SIZES = ("debug=tiny", "data.train_size=32", "data.validation_size=16", "data.test_size=16")


def built(*overrides: str) -> tuple[Model, DataModule]:
    """A model in training mode except for one part, with gradients."""
    model, data = build(*overrides, *SIZES, "cell.engine=reference")
    model.train()
    model.encoder.eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model, data


def snapshot(model: nn.Module) -> dict[str, object]:
    """Everything that must be restored: weights, gradients, modes, hooks and attributes of instances."""
    return {
        "weights": copy.deepcopy(model.state_dict()),
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "trainable": [p.requires_grad for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
        "replaced": [sorted({"scan", "coefficients"} & vars(module).keys()) for module in model.modules()],
        "random": torch.get_rng_state(),
    }


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, call: int = 1) -> None:
    """Raise KeyboardInterrupt after a call of a function has returned."""
    original, calls = getattr(owner, name), []

    def interrupted(*arguments: object, **options: object) -> object:
        result = original(*arguments, **options)
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, name, interrupted)


def assert_same(before: dict[str, object], after: dict[str, object]) -> None:
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0, msg=name)


def test_tensors_come_back_after_an_interruption() -> None:
    tensors = [torch.arange(3.0), torch.ones(2, dtype=torch.long)]

    def change() -> None:
        with restored(tensors) as before:
            tensors[0].add_(1)
            assert before[0].tolist() == [0, 1, 2]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change()
    assert [tensor.tolist() for tensor in tensors] == [[0, 1, 2], [1, 1]]


@pytest.mark.parametrize("interrupted", [False, True])
def test_dynamic_evaluation_restores_the_model(interrupted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = built("task=language_modeling")
    before = snapshot(model)
    weights = before["weights"]
    changed = []

    def follow(of: Model, *rest: object) -> None:
        original(of, *rest)
        changed.append(any(not torch.equal(value, weights[name]) for name, value in of.state_dict().items()))
        if interrupted:
            raise KeyboardInterrupt

    original = adaptation.follow
    monkeypatch.setattr(adaptation, "follow", follow)
    arguments = (model, data, "validation", CPU, "fp32", Adaptation(dynamic=0.5))
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            evaluate_adapting(*arguments)
    else:
        evaluate_adapting(*arguments)
    assert changed[0]
    assert_same(before, snapshot(model))


def scored(model: Model, data: DataModule) -> object:
    return evaluate(model, data, "validation", CPU)


def shown(model: Model, data: DataModule) -> object:
    return decoded_examples(model, data, "validation", CPU, 2)


def attended(model: Model, data: DataModule) -> object:
    return evaluation.alignments(model, data, "validation", CPU, 2)


def drawn(model: Model, data: DataModule) -> object:
    return graph_of(model, evaluation.middle(data, "validation"))


@pytest.mark.parametrize("use", [scored, shown, attended, drawn])
@pytest.mark.parametrize("interrupted", [False, True])
def test_analyses_leave_the_model_unchanged(
    use: Callable[[Model, DataModule], object], interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = built("data=reverse", "task.decoder.attention=general", "cell.zoneout=0.1")
    before = snapshot(model)
    if interrupted:
        with monkeypatch.context() as patch:
            interrupt(patch, model.backbone, "forward")
            with pytest.raises(KeyboardInterrupt):
                use(model, data)
    else:
        use(model, data)
    assert_same(before, snapshot(model))


def test_sampling_leaves_the_decoder_in_training_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = built("data=reverse", "task.self_critical.metric=chrf", "task.self_critical.after=0")
    before = snapshot(model)
    interrupt(monkeypatch, model.task, "next_token", call=2)
    with pytest.raises(KeyboardInterrupt):
        model(next(iter(data.batches("train"))))
    assert snapshot(model)["modes"] == before["modes"]


def test_a_recording_inside_a_recording() -> None:
    cell, x = GRU(2, 3), torch.randn(1, 4, 2)
    with recording(cell) as outer:
        with recording(cell) as inner:
            cell.scan(x)
        assert (len(inner.entered), len(outer.entered)) == (4, 0)
        cell.scan(x[:, :2])
    assert (len(inner.entered), len(outer.entered)) == (4, 2)
    assert "scan" not in vars(cell)


@pytest.mark.parametrize("cell", ["gru", "lru", "min_gru"])
def test_an_interrupted_recording(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = built("data=reverse", f"cell={cell}")
    before, recorded = snapshot(model), first_cell(model)
    interrupt(monkeypatch, recorded, "step", call=2)
    batch: Batch = evaluation.middle(data, "validation")
    with pytest.raises(KeyboardInterrupt), recording(recorded):
        model(batch)
    assert_same(before, snapshot(model))
