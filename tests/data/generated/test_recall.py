"""Associative recall, by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.generated.recall import Recall, answer

SMALL = {"train_size": 300, "validation_size": 40, "test_size": 60}


def test_the_answer_stands_behind_the_key() -> None:
    """The example of Ba et al. 2016."""
    assert answer("c9k8j3f1c") == "9"
    assert answer("c9k8j3f1j") == "3"
    assert answer("a1b1b") == "1"


def test_pairs_then_one_of_their_keys() -> None:
    data = Recall(pairs=3, keys=5, values=4, **SMALL)
    splits = data.read()
    examples = [example for found in splits.values() for example in found]
    assert len({example.source for example in examples}) == 400
    for example in examples:
        keys, values = example.source[:-1:2], example.source[1::2]
        assert len(example.source) == 7
        assert len(set(keys)) == 3
        assert set(keys) <= set("abcde")
        assert set(values) <= set("0123")
        assert example.target == dict(zip(keys, values, strict=True))[example.source[-1]]
    places = Counter(example.source.index(example.source[-1]) for example in examples)
    assert set(places) == {0, 2, 4}
    assert min(places.values()) > 100
    assert splits == Recall(pairs=3, keys=5, values=4, seed=9, **SMALL).read()


def test_batches_of_recall() -> None:
    data = Recall(pairs=3, keys=5, values=4, batch_size=60, **SMALL)
    data.load()
    # nine symbols, padding and the unknown
    assert (data.spec.input_size, data.spec.output_size) == (11, 4)
    assert (data.expected_spec().input_size, data.expected_spec().output_size) == (11, 4)
    [batch] = data.batches("test")
    assert batch.inputs.shape == (60, 7)
    assert not batch.padded
    for row, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert data.spec.targets.decode([target]) == data.spec.inputs.decode([row[row.index(row[-1]) + 1]])


def test_recall_refuses() -> None:
    for options, sentence in [
        ({"keys": 27}, "keys=27 must be between 1 and 26"),
        ({"values": 1}, "values=1 must be between 2 and 10"),
        ({"pairs": 0}, "pairs=0 must be between 1 and keys=26"),
        ({"pairs": 5, "keys": 4}, "pairs=5 must be between 1 and keys=4: no key occurs twice"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            Recall(**options)
    with pytest.raises(DataError, match="there are only 20 different examples where 400 are needed"):
        Recall(pairs=1, keys=5, values=4, **SMALL).load()
