"""Clips of digits that move."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqzoo.data.generated.moving_digits import DIGIT, MOVES, MovingDigits, move


def test_digits_move_straight_ahead_and_bounce() -> None:
    images = torch.full((20, DIGIT, DIGIT), 200, dtype=torch.uint8)
    clips, moves = move(images, 30, 24)
    assert clips.shape == (20, 30, 1, 24, 24)
    assert set(clips.unique().tolist()) == {0, 200}
    assert (clips.flatten(2) > 0).sum(2).unique().tolist() == [DIGIT * DIGIT]
    down, right = ((clips[:, :, 0].amax(dim) > 0).long().argmax(2) for dim in (3, 2))
    assert (moves[:, 0] == 0).all()
    for name, sign_right, sign_down in (("left up", -1, -1), ("right up", 1, -1), ("left down", -1, 1)):
        chosen = moves[:, 1:] == MOVES.index(name)
        # a step that the edge cuts short may be none
        assert (sign_right * right.diff(dim=1)[chosen] >= 0).all()
        assert (sign_down * down.diff(dim=1)[chosen] >= 0).all()
    assert right.diff(dim=1).abs().max() <= 3
    assert len(set(moves[0, 1:].tolist())) > 1


@pytest.mark.parametrize(("labels", "task"), [("moves", "tagging"), ("digits", "classification")])
def test_clips_of_mnist(labels: str, task: str, real_data_root: Path) -> None:
    data = MovingDigits(
        train_images="mnist/train-images-idx3-ubyte.gz", train_labels="mnist/train-labels-idx1-ubyte.gz",
        root=str(real_data_root), labels=labels, limit=20, batch_size=20,
    )  # fmt: skip
    data.load()
    [batch] = data.batches("validation")
    assert batch.inputs.shape == (20, 12, 1, 32, 32)
    assert 0.9 < batch.inputs.max() <= 1
    assert data.spec.kind == task
    assert batch.targets.shape == ((20, 12) if labels == "moves" else (20,))
    assert data.expected_spec().output_size == data.spec.output_size
    data.load(data.spec)


def test_impossible_sizes_are_refused() -> None:
    for options in ({"size": DIGIT + 1}, {"frames": 0}, {"clips": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}="):
            MovingDigits(train_images="a", train_labels="b", **options)
