"""What is done to all tensors of a state."""

from __future__ import annotations

import pytest
import torch

from seqzoo.contracts.state import detach, flatten, map_state, reorder, resume, unflatten, where

COUNTER, H, C = torch.tensor([1, 2, 3]), torch.arange(6.0).view(3, 2), torch.arange(12.0).view(3, 2, 2)
STATE = (((H, C),), COUNTER)


def as_lists(state: tuple) -> list:
    return [tensor.tolist() for tensor in flatten(state)]


def test_tensors_come_depth_first_and_go_back_where_they_were() -> None:
    assert all(found is right for found, right in zip(flatten(STATE), (H, C, COUNTER), strict=True))
    ((h, c),), counter = unflatten([2 * H, 3 * C, 4 * COUNTER], STATE)
    assert (h.tolist(), c.tolist(), counter.tolist()) == ((2 * H).tolist(), (3 * C).tolist(), [4, 8, 12])


def test_states_of_unlike_structure_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="shorter"):
        map_state(torch.add, STATE, (((H, C),),))


def test_rows_are_chosen_in_every_tensor() -> None:
    assert as_lists(reorder(STATE, torch.tensor([2, 0]))) == [
        [[4, 5], [0, 1]],
        [[[8, 9], [10, 11]], [[0, 1], [2, 3]]],
        [3, 1],
    ]
    other = map_state(lambda tensor: -tensor, STATE)
    h, c, counter = as_lists(where(torch.tensor([True, False, True]), STATE, other))
    assert h == [[0, 1], [-2, -3], [4, 5]]
    assert c == [[[0, 1], [2, 3]], [[-4, -5], [-6, -7]], [[8, 9], [10, 11]]]
    assert counter == [1, -2, 3]


def test_a_row_goes_on_from_any_row_or_begins_anew() -> None:
    fresh = map_state(lambda tensor: torch.full_like(tensor[:2], 9), STATE)
    h, c, counter = as_lists(resume(STATE, torch.tensor([0, -1]), fresh))
    assert (h, c, counter) == ([[0, 1], [9, 9]], [[[0, 1], [2, 3]], [[9, 9], [9, 9]]], [1, 9])


def test_a_detached_state_has_the_same_values_and_no_graph() -> None:
    leaf = H.clone().requires_grad_()
    (found,) = detach((2 * leaf,))
    assert found.tolist() == (2 * H).tolist()
    assert not found.requires_grad
