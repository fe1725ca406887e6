"""Telephone keys as pairs of tones."""

from __future__ import annotations

import numpy
import pytest
import torch

from seqzoo.data.generated.dial_tones import COLUMNS, KEYS, ROWS, DialTones, pair_of_tones


def loaded(**options: object) -> DialTones:
    data = DialTones(**{"train_size": 20, "validation_size": 5, "test_size": 5, **options})
    data.load()
    return data


def test_the_tones_of_each_key() -> None:
    for place, key in enumerate(KEYS):
        spectrum = numpy.abs(numpy.fft.rfft(pair_of_tones(key, 4_000, 4_000).numpy()))  # one point per Hz
        assert sorted(spectrum.argsort()[-2:]) == [ROWS[place // 4], COLUMNS[place % 4]]
    assert float(pair_of_tones("5", 4_000, 4_000).square().mean()) == pytest.approx(1)


def test_signals_are_tones_and_pauses() -> None:
    data = loaded(noise=0.0)
    assert data.expected_spec().output_size == 20
    assert data.spec.output_size <= 20
    for batch in data.batches("test"):
        for row, [keys] in enumerate(batch.references):
            loud = batch.inputs[row].abs().amax(-1) > 0.01
            starts = (loud[1:] & ~loud[:-1]).sum()  # two pauses of at least 30 ms have a silent step between them
            assert starts == len(keys)
            assert not loud[batch.lengths[row] :].any()
            assert 6 * len(keys) + 3 <= batch.lengths[row] <= 24 * len(keys) + 13


def test_training_signals_are_new_in_each_epoch() -> None:
    data = loaded()
    first, again, later = *(next(data.plain_batches("train")) for _ in range(2)), next(data.batches("train", 1))
    assert torch.equal(first.inputs, again.inputs)
    keys = {text for [text] in first.references}
    assert keys == {text for [text] in later.references}
    assert sorted(first.lengths.tolist()) != sorted(later.lengths.tolist())
    batches = [*data.batches("validation"), *data.batches("test")]
    held_out = {text for batch in batches for [text] in batch.references}
    assert not keys & held_out


def test_steps_are_labelled_with_the_key_that_sounds() -> None:
    data = loaded(noise=0.0, target="segments")
    assert data.expected_spec().kind == data.spec.kind == "tagging"
    labels = data.spec.target_codec.labels
    for batch in data.batches("test"):
        for row, length in enumerate(batch.lengths.tolist()):
            names = [labels[number] for number in batch.targets[row, :length]]
            power = batch.inputs[row, :length].square().mean(-1)
            assert all(
                power[step] == 0 for step in range(length) if names[max(step - 1, 0) : step + 2] == ["silence"] * 3
            )
            assert all(power[step] > 0 for step, name in enumerate(names) if name != "silence")
