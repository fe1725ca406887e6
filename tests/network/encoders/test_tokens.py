from __future__ import annotations

import pytest
import torch

from seqzoo.contracts.spec import DataSpec, WordVectors
from seqzoo.network.encoders.tokens import TokenEncoder


def test_vectors_are_looked_up() -> None:
    encoder = TokenEncoder(7, 5)
    ids = torch.tensor([[1, 2], [6, 0]])
    assert torch.equal(encoder(ids), encoder.embedding.weight[ids])
    assert torch.equal(encoder(ids[:, 0]), encoder.embedding.weight[ids[:, 0]])


def test_words_without_a_vector_are_as_far_spread_as_the_others() -> None:
    values = 3 * torch.randn(10, 50)
    spec = DataSpec("tagging", 2000, 2, vectors=WordVectors(0, 0, 0.0, torch.arange(10) + 5, values))
    weight = TokenEncoder(2000, 50, initial_std=0.1, spec=spec).embedding.weight
    assert torch.equal(weight[5:15], values)
    assert float(weight[15:].detach().std()) == pytest.approx(float(values.std()), rel=0.05)


def test_embedding_dropout_drops_all_occurrences_of_a_token() -> None:
    encoder = TokenEncoder(1000, 4, embedding_dropout=0.25)
    ids = torch.arange(1000).repeat(2, 1)
    found, whole = encoder(ids), encoder.embedding.weight.detach()
    assert torch.equal(found[0], found[1])
    dropped = (found[0] == 0).all(-1)
    assert float(dropped.float().mean()) == pytest.approx(0.25, abs=0.05)
    torch.testing.assert_close(found[0][~dropped], whole[~dropped] / 0.75)
    assert torch.equal(encoder.eval()(ids)[0], whole)


def test_dropout_is_element_wise() -> None:
    encoder = TokenEncoder(5, 1000, dropout=0.5, initial_std=1.0)
    found = encoder(torch.tensor([[3, 3]]))[0]
    assert float((found == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert not torch.equal(found[0], found[1])


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="embedding_dropout is 1: it is a probability"):
        TokenEncoder(5, 4, embedding_dropout=1)


def test_locked_dropout_has_one_mask_for_all_steps() -> None:
    found = TokenEncoder(5, 1000, dropout=0.5, initial_std=1.0, locked=True)(torch.tensor([[3, 3], [3, 3]]))
    assert torch.equal(found[0, 0], found[0, 1])
    assert not torch.equal(found[0], found[1])
