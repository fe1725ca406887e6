"""Continuations of text; what holds for every task is in tests/contracts."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

import seqzoo
from seqzoo import compose
from seqzoo.baselines.kneser_ney import sequences
from seqzoo.configuration.building import build_model
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.batch import PAD, UNKNOWN, Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec
from seqzoo.network.heads import ngram_mixture
from seqzoo.network.heads.ngram_model import NgramModel
from seqzoo.network.model import Model
from seqzoo.runs import lifecycle as runs
from seqzoo.tasks.decoding import Search
from seqzoo.training.evaluation import calibrate, evaluate
from seqzoo.training.record.checkpoint import load_weights, save_weights

CODEC = TextCodec.learn("characters", [list("abcdefgh")])
SPEC = DataSpec("language_modeling", CODEC.size, CODEC.size, CODEC, CODEC)
LENGTHS = torch.tensor([5, 2])


def build(*overrides: str) -> Model:
    config = compose("task=language_modeling", "cell=lstm", "backbone.hidden_size=16", *overrides)
    return build_model(config, SPEC).eval()


def prompts() -> Batch:
    return Batch(torch.tensor([[2, 3, 4, 5, 6], [7, 8, PAD, PAD, PAD]]), LENGTHS)


def test_greedy_continuation_equals_repeated_prediction() -> None:
    """The state of each prompt is carried from its last token, whatever the padding."""
    model, batch = build("task.search.temperature=0", "task.search.max_length=8"), prompts()
    for row, found in enumerate(model.task.decode(model, batch)):
        ids = batch.inputs[row, : LENGTHS[row]].tolist()
        for _ in range(8):
            text = Batch(torch.tensor([ids]), torch.tensor([len(ids)]), padded=False)
            scores = model.task.head.log_probabilities(model(text)[0][0, -1])
            scores[[PAD, UNKNOWN]] = float("-inf")
            ids.append(int(scores.argmax()))
        assert found.answer == CODEC.decode(ids[int(LENGTHS[row]) :])


def test_top_1_sampling_is_greedy() -> None:
    model = build("task.search.temperature=0", "task.search.max_length=8")
    greedy = model.task.decode(model, prompts())
    model.task.search = Search(temperature=1.0, top_k=1, max_length=8)
    assert model.task.decode(model, prompts()) == greedy
    model.task.search = Search(temperature=1.0, top_p=1e-6, max_length=8)
    assert model.task.decode(model, prompts()) == greedy


def test_no_repeat_of_one_token_forbids_repetition() -> None:
    model = build("task.search.temperature=0", "task.search.max_length=8", "task.search.no_repeat=1")
    for found in model.task.decode(model, prompts()):
        assert sorted(found.answer) == list("abcdefgh")


def test_a_wide_beam_finds_the_best_continuation_under_constraints() -> None:
    model, batch = build("task.search.temperature=0"), prompts()
    torch.nn.init.normal_(model.task.head.weight, std=2.0)
    model.task.search = Search(beam_size=8**3, max_length=3, words=["ca"], no_repeat=1)
    texts = ["".join(letters) for letters in itertools.permutations("abcdefgh", 3) if "ca" in "".join(letters)]
    for row, found in enumerate(model.task.candidates(model, batch, 3)):
        prompt, scores = batch.inputs[row, : LENGTHS[row]].tolist(), {}
        for text in texts:
            ids = [*prompt, *CODEC.encode(text)]
            outputs = model(Batch(torch.tensor([ids]), torch.tensor([len(ids)])))[0][0].detach()
            logs = model.task._log_probabilities(outputs).detach()
            scores[text] = sum(float(logs[place - 1, ids[place]]) for place in range(len(prompt), len(ids)))
        best = sorted(scores, key=lambda text: -scores[text])[:3]
        assert [one.answer for one in found] == best
        assert [one.score for one in found] == pytest.approx([scores[text] for text in best], abs=1e-4)
    for search in (Search(same_length=True), Search(couplet=True)):
        model.task.search = search
        with pytest.raises(DataError, match="is for tasks that rewrite a source text"):
            model.task.decode(model, batch)
    with pytest.raises(ConfigError, match="same_length is for tasks that rewrite a source text"):
        build("+task.search.same_length=true")


WITH_NGRAMS = ("task.ngrams=3", "data.window=7", "data.batch_size=3", "data.evaluation_batch_size=2")


def with_ngrams(*overrides: str) -> tuple[Model, DataModule]:
    torch.manual_seed(0)
    options = ("task=language_modeling", "backbone.hidden_size=8", "data.train_size=2_000", *WITH_NGRAMS, *overrides)
    model, data = seqzoo.build(*options, "data.validation_size=200")
    torch.nn.init.normal_(model.task.head.weight, std=2.0)
    return model.eval(), data


@pytest.mark.parametrize(("separator", "few"), [("null", 1_000), ("'.'", 1_000), ("'.'", 0)])
def test_ngrams_alone_have_the_loss_of_the_baseline(separator: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_mixture, "FEW_TOKENS", few)
    model, data = with_ngrams(f"data.document_separator={separator}")
    texts = [sequences(data.plain_batches(split)) for split in ("train", "validation")]
    expected = NgramModel(texts[0], 3, data.spec.output_size).probabilities(texts[1], 3)
    model.task.ngrams.share.zero_()
    scores = evaluate(model, data, "validation", torch.device("cpu"))
    assert scores["loss_nats"] == pytest.approx(-numpy.log(expected).mean(), abs=1e-6)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss_nats"]))


def test_the_shares_of_the_mixture_are_fitted_to_validation() -> None:
    model, data = with_ngrams()
    before = evaluate(model, data, "validation", torch.device("cpu"))["loss_nats"]
    assert calibrate(model, data, torch.device("cpu"), "fp32")
    assert (model.task.ngrams.share != 0.5).any()
    assert evaluate(model, data, "validation", torch.device("cpu"))["loss_nats"] < before
    plain, _ = with_ngrams("task.ngrams=0")
    assert not calibrate(plain, data, torch.device("cpu"), "fp32")


def test_a_finished_run_has_the_fitted_shares_and_the_counts(tmp_path: Path) -> None:
    options = ("task=language_modeling", "debug=tiny", "data.train_size=500", "data.validation_size=200")
    metrics = runs.start(compose(*options, *WITH_NGRAMS, "data.test_size=100"), tmp_path)
    assert runs.evaluate_run(tmp_path, "test", {}, []) == ("test", metrics["test"])
    loaded = seqzoo.load(tmp_path)
    shares = loaded.model.task.ngrams.share
    assert (shares != 0.5).any()
    [scores] = loaded.score(["the dog sleeps."])
    shares.fill_(1.0)
    [of_network] = loaded.score(["the dog sleeps."])
    assert sum(token.score for token in scores) > sum(token.score for token in of_network)


def test_the_network_is_trained_by_its_own_loss() -> None:
    (model, data), (plain, _) = with_ngrams(), with_ngrams("task.ngrams=0")
    batch = next(data.batches("train"))
    losses = [of.train().loss(batch)[0].total for of in (model, plain)]
    assert losses[0] == losses[1]
    assert model.eval().loss(batch)[0].total < losses[0]


@pytest.mark.parametrize(
    "search",
    [Search(), Search(temperature=0), Search(temperature=0, beam_size=3)],
    ids=["sampling", "greedy", "beam"],
)
@pytest.mark.parametrize("few", [0, 1_000])
@torch.no_grad()
def test_texts_are_generated_from_the_mixture_that_scores_them(
    search: Search, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except that special tokens are never written; the shares depend on the known tokens, or on both models."""
    monkeypatch.setattr(ngram_mixture, "FEW_TOKENS", few)
    model, data = with_ngrams()
    assert model.task.ngrams.by_sureness == (few > 0)
    model.task.ngrams.share.uniform_(0.1, 0.9)
    model.task.search = dataclasses.replace(search, max_length=6)
    prompts = [data.spec.input_codec.encode(text) for text in ("the d", "a")]
    rows = pad_sequence([torch.tensor(ids) for ids in prompts], batch_first=True)
    lengths = torch.tensor([len(ids) for ids in prompts])
    hypotheses, _ = model.task.hypotheses(model, Batch(rows, lengths))
    for prompt, [best, *_] in zip(prompts, hypotheses, strict=True):
        ids = torch.tensor([*prompt, *best.ids])
        text = Batch(ids[None, :-1], torch.tensor([len(ids) - 1]), ids[None, 1:], padded=False)
        of_targets = model.task.target_scores(model.encode(text).outputs, text)[0, len(prompt) - 1 :]
        special = []
        for end in range(len(prompt), len(ids)):
            start = Batch(ids[None, :end], torch.tensor([end]), padded=False)
            outputs = model.encode(start).last
            network = model.task.head.log_probabilities(outputs)
            of_ngrams = model.task.ngrams.following(model.task.ngrams.contexts(start), network)
            logs = model.task.ngrams(network, *of_ngrams)
            assert float(logs.exp().sum()) == pytest.approx(1, abs=1e-5)
            special.append((1 - logs[0, [PAD, UNKNOWN]].exp().sum()).log())
        assert best.score == pytest.approx(float((of_targets - torch.stack(special)).sum()), abs=1e-4)


def test_activation_regularization_by_its_formula() -> None:
    """On features after dropout, at real steps, and in training only; changes are between steps of the same row."""
    options = ("task.activation_regularization=2", "task.temporal_activation_regularization=3")
    model, batch = build(*options), training_batch()
    outputs = torch.randn(2, 5, 16).masked_fill(torch.arange(5)[None, :, None] >= LENGTHS[:, None, None], 0)
    plain, count = model.task.loss(outputs, batch)
    total, _ = model.train().task.loss(outputs, batch)
    rows = [outputs[0], outputs[1, :2]]
    activation = torch.cat(rows).square().mean()
    change = torch.cat([row[1:] - row[:-1] for row in rows]).square().mean()
    torch.testing.assert_close((total - plain) / count, 2 * activation + 3 * change)


def test_activation_regularization_is_after_locked_dropout() -> None:
    model = build("task.dropout=0.5", "task.locked=true", "task.activation_regularization=1").train()
    dropped = model.task.dropout(torch.ones(2, 5, 16))
    assert (dropped == dropped[:, :1]).all()
    torch.manual_seed(0)
    with_penalty = model.task.loss(torch.ones(2, 5, 16), training_batch()).total
    torch.manual_seed(0)
    dropped = model.task.dropout(torch.ones(2, 5, 16))
    model.task.alpha = 0.0
    torch.manual_seed(0)
    without = model.task.loss(torch.ones(2, 5, 16), training_batch()).total
    torch.testing.assert_close(with_penalty - without, dropped.square().sum() / 16)


def training_batch() -> Batch:
    batch = prompts()
    return Batch(batch.inputs, LENGTHS, torch.tensor([[3, 4, 5, 6, 7], [8, 2, PAD, PAD, PAD]]))


@pytest.mark.parametrize("width", [16, 10])
@pytest.mark.parametrize("head", ["task.softmax_cutoffs=null", "task.softmax_cutoffs=[4]", "task.softmax_mixtures=2"])
def test_tied_embeddings_are_saved_once_and_learned_from_both_ends(width: int, head: str, tmp_path: Path) -> None:
    options = ("task.tied_embeddings=true", f"encoder.embedding_size={width}", head)
    model, batch = build(*options), training_batch()
    assert model.task.head.weight is model.encoder.embedding.weight
    save_weights(tmp_path / "weights", model, {})
    copy = build(*options)
    load_weights(tmp_path / "weights", copy)
    torch.testing.assert_close(copy.task.loss(copy(batch)[0], batch), model.task.loss(model(batch)[0], batch))
    model.task.loss(model(batch)[0], batch).total.backward()
    assert (model.encoder.embedding.weight.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.search.temperature=-1", "task.search.temperature is -1: it is 0 (the most probable token) or more"),
        ("task.search.top_k=0", "task.search.top_k is 0: draw from at least one token, or null for all"),
        (
            "task.softmax_cutoffs=[9,3]",
            "task.softmax_cutoffs is [9, 3]: list rising ids below the size of the vocabulary, 100000, or give null",
        ),
        ("task.softmax_mixtures=0", "task.softmax_mixtures is 0: mix at least one softmax"),
        ("task.search.top_p=1.5", "task.search.top_p is 1.5: it is a probability above 0, and 1 draws from all tokens"),
    ],
)
def test_bad_options(override: str, message: str) -> None:
    assert examine("task=language_modeling", override)[1] == [message]


def test_bits_per_character_are_for_characters() -> None:
    metric = "task.metrics=[bits_per_character]"
    assert build(metric).task.metrics()[0].name == "bits_per_character"
    codec = TextCodec.learn("lines:whitespace", ["a b the\nc"])
    config = compose("task=language_modeling", "cell=lstm", "backbone.hidden_size=16", metric)
    with pytest.raises(ConfigError, match="tokens must be characters, and 'the' is none"):
        build_model(config, DataSpec("language_modeling", codec.size, codec.size, codec, codec))
