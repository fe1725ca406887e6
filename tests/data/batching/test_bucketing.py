from __future__ import annotations

import random

import pytest
import torch

from seqzoo.data.batching.bucketing import Plans, bucket, by_both_sides, padding_share

LENGTHS = [*random.Random(0).choices(range(1, 61), k=997), 500]


@pytest.mark.parametrize("max_tokens", [None, 200])
@pytest.mark.parametrize("seed", [None, 3])
def test_every_example_once_and_no_batch_too_big(max_tokens: int | None, seed: int | None) -> None:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    batches = bucket(LENGTHS, 16, max_tokens, generator)
    assert sorted(index for batch in batches for index in batch) == list(range(len(LENGTHS)))
    for batch in batches:
        assert 1 <= len(batch) <= 16
        padded = len(batch) * max(LENGTHS[index] for index in batch)
        assert max_tokens is None or padded <= max_tokens or len(batch) == 1


def test_the_generator_decides_the_order() -> None:
    def batches(seed: int) -> list[list[int]]:
        return bucket(LENGTHS, 16, None, torch.Generator().manual_seed(seed))

    assert batches(1) == batches(1)
    assert batches(1) != batches(2)


def test_shuffled_batches_waste_little_and_do_not_rise_in_length() -> None:
    lengths = LENGTHS[:800]
    batches = bucket(lengths, 16, None, torch.Generator().manual_seed(0))
    assert padding_share(lengths, batches) < 0.05
    longest = [max(lengths[index] for index in batch) for batch in batches]
    assert longest != sorted(longest)


def test_padding_share() -> None:
    assert padding_share([1, 3, 2], [[0, 1], [2]]) == pytest.approx(1 - 6 / 8)
    assert padding_share([], []) == 0


def test_without_a_generator_the_shortest_come_first() -> None:
    assert bucket([3, 1, 2, 1], 2) == [[1, 3], [2, 0]]


def test_a_batch_may_hold_exactly_the_maximum_number_of_tokens() -> None:
    assert bucket([2, 2, 2, 3], 16, max_tokens=6) == [[0, 1, 2], [3]]


def test_held_out_rows_have_one_order() -> None:
    plans = Plans({"train": 4, "validation": 4}, lambda split, epoch: [3, 1, 2, 1], seed=0, batch_size=2)
    for epoch in range(4):
        plans.of("train", epoch)
        assert plans.of("validation", epoch) == [[1, 3], [2, 0]]


def test_pairs_are_alike_on_both_sides() -> None:
    """Each pair of lengths once: there is less padding on either side than by the longer length alone."""
    pairs = [(source, target) for source in range(1, 13) for target in range(1, 13)]
    batches = bucket([by_both_sides(*pair) for pair in pairs], 4)
    assert sorted(index for batch in batches for index in batch) == list(range(len(pairs)))
    longest = [max(pairs[index]) for batch in batches for index in batch]
    assert longest == sorted(longest)
    plain = bucket([max(pair) for pair in pairs], 4)
    for side in (0, 1):
        lengths = [pair[side] for pair in pairs]
        assert padding_share(lengths, batches) < 0.75 * padding_share(lengths, plain)
    limited = bucket([by_both_sides(*pair) for pair in pairs], 100, max_tokens=24)
    assert all(len(batch) * max(max(pairs[index]) for index in batch) <= 24 for batch in limited)
