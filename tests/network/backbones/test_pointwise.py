"""A backbone without recurrence."""

from __future__ import annotations

import pytest
import torch

from seqzoo.cells.elman import Elman
from seqzoo.network.backbones.pointwise import Pointwise


def test_the_last_output_is_the_largest_of_each_feature_over_the_real_steps() -> None:
    backbone = Pointwise(Elman, 3, hidden_size=4)
    outputs, state = backbone(torch.randn(2, 5, 3), torch.tensor([5, 2]))
    assert state == backbone.initial_state(2) == ()
    last = backbone.last(outputs, torch.tensor([5, 2]))
    torch.testing.assert_close(last[0], outputs[0].max(0).values)
    torch.testing.assert_close(last[1], outputs[1, :2].max(0).values)
    assert (outputs[1, 2:] == 0).all()


def test_steps_do_not_see_each_other() -> None:
    backbone = Pointwise(Elman, 3, hidden_size=4, num_layers=2).eval()
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(backbone(x.flip(1))[0], backbone(x)[0].flip(1))


def test_impossible_sizes_are_refused() -> None:
    for name in ("hidden_size", "num_layers"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            Pointwise(Elman, 3, **{name: 0})
