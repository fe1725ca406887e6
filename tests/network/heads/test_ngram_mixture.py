"""n-grams beside a language model: distributions, the text that is counted, and the shares of the mixture."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
import torch

from seqzoo.contracts.batch import BEFORE, Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec, TrainingText
from seqzoo.data.text.codec import TextCodec
from seqzoo.network.heads import ngram_mixture
from seqzoo.network.heads.ngram_mixture import DEGREES, PRIOR, NgramMixture
from seqzoo.network.heads.ngram_model import NgramModel
from seqzoo.network.heads.softmax import Softmax

V = 5


def text(seed: int, size: int) -> numpy.ndarray[Any, Any]:
    return numpy.random.default_rng(seed).choice(V - 1, size=size, p=[0.6, 0.2, 0.15, 0.05])


@pytest.fixture(params=[0, 1_000])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The vocabulary up to which shares depend on the probabilities of both models; else on the known tokens."""
    monkeypatch.setattr(ngram_mixture, "FEW_TOKENS", request.param)
    return request.param


def network() -> Softmax:
    """The head of a network with 4 features."""
    torch.manual_seed(0)
    head = Softmax(4, V, None)
    torch.nn.init.normal_(head.weight, std=2.0)
    return head


def mixture(longest: int = 3) -> NgramMixture:
    """Of two sequences: ids 0 to 100, and 100 to 199."""
    counted = TrainingText(200, torch.from_numpy(text(0, 200)), torch.tensor([0, 100]))
    return NgramMixture(longest, DataSpec("language_modeling", V, V, text=counted))


@pytest.mark.parametrize("length", [1, 2, 4])
def test_distributions_are_those_of_single_tokens(length: int) -> None:
    model = NgramModel([text(0, 100), text(1, 50)], 4, V)
    contexts = numpy.array([[0, 1, 0], [3, 3, 3], [V, V, 2], [4, 4, 0], [0, 0, 4], [V, V, V]])[:, 4 - length :]
    found, known = model.distributions(contexts, length)
    assert found.sum(1) == pytest.approx(numpy.ones(len(contexts)))
    for token in range(V):
        ids = numpy.concatenate([contexts, numpy.full((len(contexts), 1), token)], 1)
        single, of_single = model.target_probabilities(
            ids, numpy.arange(length) == numpy.full_like(ids, length - 1), length
        )
        assert found[:, token] == pytest.approx(single)
        assert known.tolist() == of_single.tolist()
    assert known[4] == 0, "4 was never seen"
    assert known[0] == min(length - 1, 3), "0 1 0 was"


def test_the_training_text_is_counted_by_sequences() -> None:
    ids = text(0, 200)
    reference = NgramModel([ids[:101], ids[100:]], 3, V)
    found, _ = mixture().model.distributions(numpy.array([[0, 1], [V, 2]]), 3)
    assert found == pytest.approx(reference.distributions(numpy.array([[0, 1], [V, 2]]), 3)[0])


def test_the_counts_follow_the_weights_that_are_loaded() -> None:
    trained, loaded = mixture(), NgramMixture(3, DataSpec("language_modeling", V, V, text=TrainingText(200)))
    with pytest.raises(DataError, match="the training text in the weights of the model"):
        _ = loaded.model
    loaded.load_state_dict(trained.state_dict())
    counts = loaded.model
    contexts = torch.tensor([[0, 1], [2, 0]])
    even = torch.full((2, V), -math.log(V))
    torch.testing.assert_close(loaded.following(contexts, even), trained.following(contexts, even))
    loaded.load_state_dict({**trained.state_dict(), "share": torch.ones(DEGREES**2)})
    assert loaded.model is counts
    loaded.load_state_dict({**trained.state_dict(), "text": trained.text.clamp(max=2)})
    assert loaded.model is not counts
    loaded.load_state_dict({**trained.state_dict(), "text": trained.text + 1_000})
    with pytest.raises(DataError, match="is damaged"):
        _ = loaded.model


@pytest.mark.parametrize("longest", [1, 3])
@torch.no_grad()
def test_a_window_is_scored_after_the_tokens_before_it(few: int, longest: int) -> None:
    ngrams, head, ids, features = mixture(longest), network(), torch.from_numpy(text(1, 12)), torch.randn(1, 11, 4)
    whole = Batch(ids[None, :-1], torch.tensor([11]), ids[None, 1:], padded=False)
    before = torch.full((2, BEFORE), -1)
    before[0, -6:], before[1, -1:] = ids[:6], ids[:1]
    rows = torch.stack([ids[6:-1], ids[1:6]])
    window = Batch(rows, torch.tensor([5, 5]), torch.stack([ids[7:], ids[2:7]]), padded=False, before=before)
    of_whole = ngrams.target_components(head, features, whole)
    of_window = ngrams.target_components(head, torch.cat([features[:, 6:], features[:, 1:6]]), window)
    for values, expected in zip(of_window, of_whole, strict=True):
        torch.testing.assert_close(values, torch.stack([expected[0, 6:], expected[0, 1:6]]))


@torch.no_grad()
def test_targets_are_scored_by_the_distributions_after_their_contexts(few: int) -> None:
    ngrams, head, ids, features = mixture(), network(), torch.from_numpy(text(1, 13)), torch.randn(2, 11, 4)
    read = torch.stack([ids[:-2], ids[1:-1]])
    batch = Batch(read, torch.tensor([11, 6]), torch.stack([ids[1:-1], ids[2:]]))
    components = ngrams.target_components(head, features, batch)
    for row in range(2):
        for step in range(int(batch.lengths[row])):
            start = Batch(read[row : row + 1, : step + 1], torch.tensor([step + 1]))
            logs = head.log_probabilities(features[row, step : step + 1])
            following, share = ngrams.following(ngrams.contexts(start), logs)
            target = batch.required_targets[row, step]
            expected = logs[0, target], following[0, target], share[0, 0]
            torch.testing.assert_close(tuple(values[row, step] for values in components), expected)


@torch.no_grad()
def test_equal_shares_give_the_same_mixture_whatever_they_depend_on() -> None:
    ngrams, head, ids, features = mixture(), network(), torch.from_numpy(text(1, 12)), torch.randn(1, 11, 4)
    batch = Batch(ids[None, :-1], torch.tensor([11]), ids[None, 1:], padded=False)
    for shares in (torch.full((DEGREES**2,), 0.3), torch.linspace(0.1, 0.9, DEGREES**2)):
        ngrams.share.copy_(shares)
        expected = ngrams(*ngrams.target_components(head, features, batch))
        torch.testing.assert_close(ngrams.target_log_probabilities(head, features, batch), expected)


def test_a_share_belongs_to_the_largest_probabilities_of_both_models() -> None:
    ngrams, contexts = mixture(), torch.tensor([[0, 1], [V, 3]])
    probabilities = torch.tensor([[0.25, 0.75, 0, 0, 0], [0, 0, 1.0, 0, 0]])
    following, shares = ngrams.following(contexts, probabilities.log())
    of_ngrams = [int(10 * largest) for largest in following.exp().max(1).values.tolist()]
    assert shares[:, 0].tolist() == [70 + of_ngrams[0], 90 + of_ngrams[1]]


def test_shares_are_the_most_likely_ones(few: int) -> None:
    ngrams = mixture(2)
    network, other = torch.rand(4_000).clamp(0.01), torch.rand(4_000).clamp(0.01)
    known = (torch.arange(4_000) < 3_000).long()
    network = network.where(known == 0, network / 2)
    ngrams.fit(network.log(), other.log(), known)
    shares = torch.linspace(0.001, 0.999, 999)[:, None]
    assert len(ngrams.share) == (DEGREES**2 if few else 2)
    for number, share in enumerate(ngrams.share[:2].tolist()):
        p, q = network[known == number], other[known == number]
        likelihoods = (shares * p + (1 - shares) * q).log().sum(1) + PRIOR / 2 * (shares * (1 - shares)).log()[:, 0]
        assert share == pytest.approx(float(shares[likelihoods.argmax()]), abs=0.02)


def test_a_mixture_by_its_formula() -> None:
    ngrams = mixture(2)
    ngrams.share[:2] = torch.tensor([0.25, 1.0])
    found = ngrams(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.1, 0.1]).log(), torch.tensor([0, 1]))
    assert found.exp().tolist() == pytest.approx([0.25 * 0.5 + 0.75 * 0.1, 0.5])
    ngrams.share.zero_()
    assert math.exp(ngrams(torch.zeros(1), torch.tensor([0.1]).log(), torch.tensor([0]))) == pytest.approx(0.1)


def test_bad_options() -> None:
    spec = DataSpec("language_modeling", V, V)
    with pytest.raises(ValueError, match="ngrams is 11: it must be from 1 to 10, or 0 for none"):
        NgramMixture(11, spec)
    codec = TextCodec.learn("characters", ["ab"])
    with pytest.raises(ValueError, match="do not give their training text"):
        NgramMixture(2, DataSpec("language_modeling", codec.size, codec.size, codec, codec))
