"""Morse code as sound."""

from __future__ import annotations

import torch

from seqzoo.data.generated.morse import CODE, Morse, marks


def loaded(**options: object) -> Morse:
    data = Morse(**{"train_size": 20, "validation_size": 5, "test_size": 5, **options})
    data.load()
    return data


def test_durations() -> None:
    assert marks("ae", 2) == [(6, False), (2, True), (2, False), (6, True), (6, False), (2, True), (6, False)]
    assert len(CODE) == len(set(CODE.values())) == 26


def test_tones_are_where_marks_are() -> None:
    data = loaded(noise=0.0, longest=3)
    assert data.spec.output_size <= data.expected_spec().output_size == 30
    for batch in data.batches("test"):
        for row, [text] in enumerate(batch.references):
            loud = batch.inputs[row].abs().amax(-1) > 0.1
            signs = "".join(CODE[letter] for letter in text)
            units = sum(3 if sign == "-" else 1 for sign in signs)
            shortest, longest = 2.5 * units, 4 * units + 2 * len(signs)  # steps of 10 ms, units of 25 to 40 ms
            assert shortest - 1 <= int(loud.sum()) <= longest
            assert not batch.inputs[row, batch.lengths[row] :].any()


def test_training_tones_are_new_in_each_epoch() -> None:
    data = loaded()
    first, again, later = (next(iter(data.plain_batches("train"))), None, None)
    again, later = next(iter(data.plain_batches("train"))), next(data.batches("train", 1))
    assert torch.equal(first.inputs, again.inputs)
    texts = {text for batch in (first, later) for [text] in batch.references}
    assert texts == {text for [text] in first.references}
    assert first.inputs.shape != later.inputs.shape or not torch.equal(first.inputs, later.inputs)
    held_out = {
        text for split in ("validation", "test") for batch in data.batches(split) for [text] in batch.references
    }
    assert not texts & held_out
