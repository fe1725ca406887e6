"""Backpropagation in pieces of time: truncated, and with states that are computed again."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.state import detach
from seqzoo.learning.bptt import BackpropagationThroughTime, CheckpointedBackpropagation, TruncatedBackpropagation
from seqzoo.learning.rule import LearningRule
from tests.contracts.test_learning import collected, objective, small_model, some_batch


def test_truncation_is_a_window_of_the_batch() -> None:
    """The last output of each row and the state enter the loss, so the pieces are compared by a loss of outputs."""
    model, batch = small_model("gru"), some_batch()
    head = model.task.head
    model.task.forward = lambda features, batch: head(features.outputs).sin().sum(2)
    TruncatedBackpropagation(steps=2).gradients(objective(model), batch, None)
    truncated = collected(model)
    state = None
    for first in (0, 2):
        window = batch.map(lambda part, first=first: part[:, first : first + 2] if part.dim() > 1 else part)
        window = dataclasses.replace(window, lengths=(batch.lengths - first).clamp(min=0, max=2))
        loss, state = model.loss(window, state)
        loss.total.backward()
        state = detach(state)
    torch.testing.assert_close(truncated, collected(model))
    BackpropagationThroughTime().gradients(objective(model), batch, None)
    assert not torch.allclose(
        collected(model)["backbone.layers.0.0.weight_hh"], truncated["backbone.layers.0.0.weight_hh"]
    )


@pytest.mark.parametrize("steps", [None, 1, 3, 100])
def test_checkpoints_change_nothing(steps: int | None) -> None:
    model, batch = small_model("lstm", num_layers=2, dropout=0.3), some_batch()
    outcomes = []
    for rule in (BackpropagationThroughTime(), CheckpointedBackpropagation(steps)):
        model.eval()
        loss, state = rule.gradients(objective(model), batch, None)
        outcomes.append((loss, state, collected(model)))
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-9, atol=1e-9)


def kept(rule: LearningRule, time: int) -> int:
    """The number of bytes that the backbone keeps for the backward pass, which computes one piece again at a time."""
    model, batch = small_model("lstm"), some_batch(resets=False)
    batch.inputs, batch.padded = torch.zeros(3, time, dtype=torch.long), False
    vectors, steps, _ = model.read(batch)
    state, size, sizes = model.backbone.initial_state(3), rule.size(time), dict[int, int]()

    def pack(part: Tensor) -> Tensor:
        sizes[part.untyped_storage().data_ptr()] = part.untyped_storage().nbytes()
        return part

    outputs = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda part: part):
        for first in range(0, time, size):
            part, state = rule.run(model.backbone, vectors[:, first : first + size], steps, state)
            outputs.append(part)
    return sum(sizes.values())


def test_checkpoints_save_memory() -> None:
    as_a_whole, in_pieces = TruncatedBackpropagation(steps=10**6), CheckpointedBackpropagation()
    assert in_pieces.size(144) == 12
    assert kept(in_pieces, 144) < kept(as_a_whole, 144) / 10


def test_pieces_need_a_network_that_goes_forward() -> None:
    rule = CheckpointedBackpropagation()
    (ahead,) = rule.misfits(small_model("gru", bidirectional=True))
    assert ahead.startswith("goes through time in pieces, and {backbone} reads steps that are ahead")
    (locked,) = rule.misfits(small_model("gru", num_layers=2, dropout=0.1, locked=True))
    assert locked.endswith("each would draw a mask: set backbone.locked=false")
    with pytest.raises(ValueError, match="steps is 0: it must be at least 1, or null"):
        CheckpointedBackpropagation(0)
    with pytest.raises(ValueError, match="steps is 0: it must be at least 1"):
        TruncatedBackpropagation(0)
