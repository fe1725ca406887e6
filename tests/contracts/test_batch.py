"""What a batch and a spec hold only sometimes is asked for in one place, which says what is missing."""

from __future__ import annotations

import pytest
import torch

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec


def test_targets_that_are_missing() -> None:
    targets = torch.tensor([1, 0])
    assert Batch(torch.ones(2, 3), torch.tensor([3, 2]), targets).required_targets is targets
    with pytest.raises(DataError, match="no targets to learn from or compare with"):
        _ = Batch(torch.ones(2, 3), torch.tensor([3, 2])).required_targets


def test_lengths_of_targets_that_are_missing() -> None:
    lengths = torch.tensor([3, 2])
    assert Batch(torch.ones(2, 3), lengths, target_lengths=lengths).required_target_lengths is lengths
    with pytest.raises(DataError, match="does not say how long its targets are"):
        _ = Batch(torch.ones(2, 3), lengths, lengths).required_target_lengths


def test_a_vocabulary_that_is_missing() -> None:
    spec = DataSpec("regression", 3, 1)
    with pytest.raises(DataError, match="the inputs have no vocabulary: they are numbers"):
        _ = spec.input_codec
    with pytest.raises(DataError, match="the targets have no vocabulary"):
        _ = spec.target_codec
