"""NADE against the definition, note after note, and against all frames there are."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from seqzoo.network.heads.nade import Nade

O, H = 3, 4  # noqa: E741 (the letters of the shapes)


def nade(notes: int) -> Nade:
    head = Nade(O, notes, H).double()
    for weight in head.parameters():
        torch.nn.init.normal_(weight)
    return head


def stepwise(head: Nade, features: Tensor, frame: Tensor) -> Tensor:
    """The equations of the paper for one frame, from its highest note down."""
    a, b = head.hidden_bias(features), head.visible_bias(features)
    total = torch.zeros(())
    for i, note in enumerate(reversed(frame.tolist())):
        probability = torch.sigmoid(b[i] + head.weight_out[i] @ torch.sigmoid(a))
        total = total + torch.log(probability if note else 1 - probability)
        a = a + note * head.weight_in[i]
    return total


def test_values_and_gradients_are_those_of_the_definition() -> None:
    head, features = nade(88), torch.randn(5, 2, O, dtype=torch.double, requires_grad=True)
    frames = (torch.rand(5, 2, 88) < 0.05).double()
    frames[0, 0] = 0
    frames[1, 1] = 1
    found = head.log_probability(features, frames)
    pairs = zip(features.flatten(0, 1), frames.flatten(0, 1), strict=True)
    expected = torch.stack([stepwise(head, *pair) for pair in pairs])
    torch.testing.assert_close(found, expected.view(5, 2).float())
    inputs = [features, *head.parameters()]
    ours, theirs = (torch.autograd.grad(value.sum(), inputs) for value in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_probabilities_of_all_frames_sum_to_one() -> None:
    head, features = nade(6), torch.randn(O, dtype=torch.double)
    frames = torch.tensor([*product((0.0, 1.0), repeat=6)], dtype=torch.double)
    probabilities = head.log_probability(features.expand(64, -1), frames).exp()
    assert probabilities.sum().item() == pytest.approx(1)


def test_frames_are_drawn_with_their_probability() -> None:
    head, features = nade(3), torch.randn(O, dtype=torch.double)
    drawn = head.draw(features.expand(20_000, -1))
    frames = torch.tensor([*product((0.0, 1.0), repeat=3)], dtype=torch.double)
    expected = head.log_probability(features.expand(8, -1), frames).exp()
    found = (drawn[:, None].double() == frames).all(-1).double().mean(0)
    torch.testing.assert_close(found, expected.double(), rtol=0, atol=0.015)


def test_given_notes_are_kept_and_lower_ones_follow_their_conditional_distribution() -> None:
    """The highest note is given: the others are drawn from the exact posterior."""
    head, features = nade(3), torch.randn(O, dtype=torch.double)
    given = torch.tensor([-1.0, -1.0, 1.0])
    drawn = head.draw(features.expand(20_000, -1), given=given.expand(20_000, -1))
    frames = torch.tensor([[*lower, 1.0] for lower in product((0.0, 1.0), repeat=2)], dtype=torch.double)
    joint = head.log_probability(features.expand(4, -1), frames).exp()
    found = (drawn[:, None].double() == frames).all(-1).double().mean(0)
    torch.testing.assert_close(found, (joint / joint.sum()).double(), rtol=0, atol=0.015)
    kept = torch.tensor([0.0, -1.0, 1.0]).expand(50, -1)
    assert (head.draw(features.expand(50, -1), given=kept)[:, [0, 2]] == kept[:, [0, 2]]).all()


def test_temperature_zero_chooses_the_likelier_value_of_each_note_in_turn() -> None:
    head, features = nade(4), torch.randn(7, O, dtype=torch.double)
    drawn = head.draw(features, temperature=0.0)
    assert torch.equal(drawn, head.draw(features, temperature=0.0))
    for row in range(7):
        for note in range(4):  # given the higher notes, with the lower ones summed out
            others = [[*lower, value, *drawn[row, note + 1 :].tolist()] for value in (0.0, 1.0)
                      for lower in product((0.0, 1.0), repeat=note)]  # fmt: skip
            joint = head.log_probability(features[row].expand(len(others), -1), torch.tensor(others)).exp()
            off, on = joint.chunk(2)
            assert drawn[row, note] == float(on.sum() > off.sum())
