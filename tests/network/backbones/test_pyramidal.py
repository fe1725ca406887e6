"""Subsampling: what each layer reads, and how many steps come out."""

from __future__ import annotations

import pytest
import torch

from seqzoo.configuration.building import build_data, build_model, cell_factory
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.state import flatten, reorder
from seqzoo.network.backbones.pyramidal import Pyramidal

B, T, INPUT, H = 3, 7, 4, 5
LENGTHS = torch.tensor([7, 5, 1])


def build(**options: object) -> Pyramidal:
    return Pyramidal(cell_factory("gru"), INPUT, hidden_size=H, **options).double().eval()


@pytest.mark.parametrize(
    ("factor", "expected"), [(2, [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]), (3, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1])]
)
def test_lengths_are_divided_and_rounded_up(factor: int, expected: list[int]) -> None:
    assert build(num_layers=3, factor=factor).output_lengths(torch.arange(10)).tolist() == expected


def test_neighbours_are_read_side_by_side() -> None:
    backbone = build(num_layers=2, factor=3)
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    outputs, _ = backbone(x)
    (low, low_back), (high, high_back) = backbone.layers
    below = torch.cat([low.scan(x)[0], low_back.scan(x.flip(1))[0].flip(1)], dim=-1)
    nothing = torch.zeros_like(below[:, 0])
    steps = [*below.unbind(1), nothing, nothing]
    groups = torch.stack([torch.cat(steps[start : start + 3], dim=-1) for start in (0, 3, 6)], dim=1)
    expected = torch.cat([high.scan(groups)[0], high_back.scan(groups.flip(1))[0].flip(1)], dim=-1)
    torch.testing.assert_close(outputs, expected)


def test_a_tanh_layer_reads_the_merged_steps() -> None:
    backbone = build(num_layers=2, bidirectional=False, feedforward_size=3)
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    outputs, _ = backbone(x, LENGTHS)
    low, high = (layer[0] for layer in backbone.layers)
    [between] = backbone.feedforward
    for row, length in enumerate(LENGTHS.tolist()):
        below, _ = low.scan(x[row : row + 1, :length])
        steps = [*below[0], *torch.zeros(length % 2, H, dtype=torch.float64)]
        pairs = [torch.cat(steps[start : start + 2]) for start in range(0, length, 2)]
        merged = torch.stack([torch.tanh(between.weight @ pair + between.bias) for pair in pairs])
        torch.testing.assert_close(outputs[row, : len(merged)], high.scan(merged[None])[0][0])


def test_a_stride_reads_the_last_real_step_of_each_group() -> None:
    backbone = build(num_layers=2, bidirectional=False, subsampling="stride")
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    outputs, _ = backbone(x, LENGTHS)
    low, high = (layer[0] for layer in backbone.layers)
    for row, steps in enumerate(([1, 3, 5, 6], [1, 3, 4], [0])):
        below, _ = low.scan(x[row : row + 1])
        torch.testing.assert_close(outputs[row, : len(steps)], high.scan(below[:, steps])[0][0])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": "stride"}, {"feedforward_size": 3}], ids=["concatenate", "stride", "feedforward"]
)
def test_a_padded_batch_is_each_row_alone(options: dict[str, object], bidirectional: bool) -> None:
    backbone = build(num_layers=3, bidirectional=bidirectional, **options)
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    outputs, after = backbone(x, LENGTHS)
    for row, (length, kept) in enumerate(zip([7, 5, 1], [2, 2, 1], strict=True)):
        alone, alone_after = backbone(x[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :kept], alone[0])
        assert (outputs[row, kept:] == 0).all()
        torch.testing.assert_close(flatten(reorder(after, torch.tensor([row]))), flatten(alone_after))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1}, "factor is 1: it must be at least 2"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"feedforward_size": 0}, "feedforward_size is 0: it must be at least 1"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_there_is_no_step(bidirectional: bool) -> None:
    backbone = build(bidirectional=bidirectional)
    assert not backbone.causal
    with pytest.raises(ValueError, match="cannot go step by step"):
        backbone.step(torch.zeros(B, INPUT), ())


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_a_task_reads_the_lengths_of_the_outputs(pooling: str) -> None:
    """Padding does not affect scores, whatever a task does with the remaining steps."""
    config = compose("task=classification", f"task.pooling={pooling}", "backbone=pyramidal", "backbone.hidden_size=8")
    model = build_model(config, build_data(config).expected_spec()).eval()
    inputs = torch.randint(2, 10, (B, 9))
    features = model.encode(Batch(inputs, torch.tensor([9, 5, 1])))
    assert features.lengths.tolist() == [3, 2, 1]
    assert features.outputs.shape[:2] == (B, 3)
    scores, _ = model(Batch(inputs, torch.tensor([9, 5, 1])))
    for row, length in enumerate((9, 5, 1)):
        alone, _ = model(Batch(inputs[row : row + 1, :length], torch.tensor([length]), padded=False))
        torch.testing.assert_close(scores[row], alone[0])


@pytest.mark.parametrize("task", ["tagging", "language_modeling", "regression"])
def test_a_task_that_needs_every_step_refuses_it(task: str) -> None:
    [mistake] = examine(f"task={task}", "backbone=pyramidal")[1]
    assert mistake == (
        f"backbone=pyramidal outputs fewer steps than it reads, and task={task} needs an output for each: choose "
        "another one, such as backbone=unidirectional or backbone=deep"
    )


@pytest.mark.parametrize("task", ["classification", "transduction"])
def test_other_tasks_take_it(task: str) -> None:
    assert examine(f"task={task}", "backbone=pyramidal")[1] == []
