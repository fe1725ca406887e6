"""Embeddings, outputs and states of texts."""

from __future__ import annotations

import pytest
import torch

import seqzoo


def test_features_are_those_of_each_text_alone() -> None:
    loaded = seqzoo.load("pretrained:addition_lstm")
    empty, short, long = loaded.features(["", "1+2", "535+61"])
    assert empty is None
    assert short is not None
    assert long is not None
    assert sorted(short.tokens) == ["+", "1", "2"]
    assert (len(short.outputs), len(long.outputs)) == (3, 6)
    [alone] = loaded.features(["1+2"])
    assert alone is not None
    torch.testing.assert_close(short.outputs, alone.outputs)
    ids = loaded.spec.input_codec.encode("1+2")
    torch.testing.assert_close(short.embeddings, loaded.model.encoder(torch.tensor(ids)))
    outputs, state = loaded.model.backbone(short.embeddings[None])
    torch.testing.assert_close(short.outputs, outputs[0])
    torch.testing.assert_close(short.last, outputs[0, -1])
    torch.testing.assert_close(short.state, state)


def test_ids_are_not_tokens() -> None:
    with pytest.raises(TypeError, match="texts contains 3: it must be a list of texts, or of lists of tokens"):
        seqzoo.load("pretrained:addition_lstm").features([[3]])  # type: ignore[list-item]
