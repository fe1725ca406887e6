"""Tagging with a conditional random field, and schemes of span tags."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqzoo.contracts.batch import Batch, Features
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import IGNORED
from seqzoo.contracts.span_notation import is_broken, tags_of
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import LabelCodec
from seqzoo.tasks.tagging import Tagging

LENGTHS = torch.tensor([3, 1, 2])
B, T, F = 3, 3, 4


def made(scheme: str | None = "bio", **options: Any) -> Tagging:
    codec = LabelCodec(["X", "Y", "Z"] if scheme is None else tags_of(["A"], scheme), scheme)
    task = Tagging(F, DataSpec("tagging", 10, codec.size, None, codec), options.pop("metrics", ["accuracy"]), **options)
    if task.chain is not None:
        torch.nn.init.normal_(task.chain.transitions)
    return task


def features(seed: int = 0) -> Features:
    outputs = 3 * torch.randn(B, T, F, generator=torch.Generator().manual_seed(seed))
    return Features(outputs, outputs[:, -1], (), LENGTHS)


def scoring(task: Tagging) -> SimpleNamespace:
    """In place of a model whose features are given."""
    return SimpleNamespace(scores=lambda batch, features: task(features, batch))


def batch(targets: torch.Tensor | None = None) -> Batch:
    return Batch(torch.ones(B, T, dtype=torch.long), LENGTHS, targets)


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
@pytest.mark.parametrize("penalty", [0.0, 4.0])
def test_the_score_of_an_answer_is_its_negative_loss(penalty: float, decoder: str) -> None:
    task = made(decoder=decoder, outside_penalty=penalty).eval()
    predictions = task.decode(scoring(task), batch(), features())
    ids = [task.spec.targets.encode(prediction.answer) for prediction in predictions]
    answered = batch(torch.tensor([row + [0] * (T - len(row)) for row in ids]))
    loss = task.loss(task(features(), answered), answered)
    assert loss.total.item() == pytest.approx(-sum(prediction.score for prediction in predictions), abs=1e-5)
    assert int(loss.count) == 6


def test_steps_without_a_tag_are_neither_learned_nor_scored() -> None:
    task = made(None).eval()
    given = batch(torch.tensor([[0, IGNORED, 2], [IGNORED, 0, 0], [1, 1, 0]]))
    scores = task(features(), given)
    loss = task.loss(scores, given)
    expected = [
        scores[row, step].log_softmax(-1)[tag] for row, step, tag in [(0, 0, 0), (0, 2, 2), (2, 0, 1), (2, 1, 1)]
    ]
    assert int(loss.count) == 4
    torch.testing.assert_close(loss.total, -torch.stack(expected).sum())
    answers = [prediction.answer for prediction in task.decode(scoring(task), given, features())]
    assert [[bool(tag) for tag in row] for row in answers] == [[True, False, True], [False], [True, True]]
    assert task.references(given) == [["X", "", "Z"], [""], ["Y", "Y"]]
    with pytest.raises(
        ConfigError, match=r"^task\.decoder=crf needs a tag at every token, which these data do not have"
    ):
        made(None, decoder="crf").check_start(None, SimpleNamespace(batches=lambda split: [given]))


def test_the_crf_finds_the_best_of_all_tag_sequences_with_the_outside_penalty() -> None:
    task = made("bioes", decoder="crf").eval()
    scores, outside = task(features(), batch())[:1], task.spec.targets.encode(["O"])[0]
    ways = torch.tensor(list(itertools.product(range(task.spec.output_size), repeat=T)))
    found = task.chain(scores.expand(len(ways), -1, -1), ways, torch.full((len(ways),), T))
    outsides = []
    for penalty in (-5.0, 0.0, 5.0):
        other = made("bioes", decoder="crf", outside_penalty=penalty).eval()
        other.load_state_dict(task.state_dict())
        prediction = other.decode(scoring(other), batch(), features())[0]
        best = (found - penalty * (ways == outside).sum(1)).argmax()
        assert other.spec.targets.encode(prediction.answer) == ways[best].tolist()
        assert prediction.score == pytest.approx(found[best].item(), abs=1e-5)
        outsides.append(prediction.answer.count("O"))
    assert outsides == sorted(outsides, reverse=True)
    assert outsides[0] > outsides[-1]


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
def test_the_fitted_penalty_finds_spans_that_are_less_probable_than_none(decoder: str) -> None:
    task = made(decoder=decoder, fit_outside_penalty=True).eval()
    codec = task.spec.targets
    row = ["O", "B-A", "O"]
    scores = torch.zeros(1, T, codec.size).index_fill(2, torch.tensor(codec.encode(["I-A"])), -9.0)
    scores[:, :, codec.encode(["O"])] = torch.tensor([9.0, 2.0, 9.0]).view(1, T, 1)
    if task.chain is not None:
        torch.nn.init.zeros_(task.chain.transitions)
    model = SimpleNamespace(scores=lambda batch, features: scores)
    rows = Batch(torch.ones(1, T, dtype=torch.long), torch.tensor([T]), torch.tensor([codec.encode(row)]))
    assert task.decode(model, rows, features())[0].answer == ["O", "O", "O"]
    assert task.calibrate(model, [(rows, features())])
    assert task.penalty == 2.25  # the smallest that is enough
    before, after = made(decoder=decoder).eval(), task.decode(model, rows, features())[0]
    before.load_state_dict(task.state_dict(), strict=False)
    assert after.answer == row
    loss = before.loss(scores, rows).total.item()
    assert after.score == pytest.approx(-loss, abs=1e-5)  # without the penalty
    assert not before.calibrate(model, [(rows, features())])


def test_the_penalty_of_few_spans_stays_small() -> None:
    """Four spans of five instead of three are less than a standard error better."""
    task = made(fit_outside_penalty=True).eval()
    codec = task.spec.targets
    scores = torch.zeros(5, 1, codec.size).index_fill(2, torch.tensor(codec.encode(["I-A"])), -9.0)
    scores[:, 0, codec.encode(["O"])] = torch.tensor([-1.0, -1.0, -1.0, 1.0, 50.0]).view(5, 1)
    rows = Batch(torch.ones(5, 1, dtype=torch.long), torch.ones(5).long(), torch.tensor([codec.encode(["B-A"])] * 5))
    assert task.calibrate(SimpleNamespace(scores=lambda batch, features: scores), [(rows, features())])
    assert task.penalty == 0.0


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
@pytest.mark.parametrize("scheme", ["iob1", "bio", "bioes", "bmes", "bilou"])
def test_a_constrained_answer_never_breaks_its_scheme(decoder: str, scheme: str) -> None:
    free, constrained = made(scheme, decoder=decoder).eval(), made(scheme, decoder=decoder, constrained=True).eval()
    constrained.load_state_dict(free.state_dict())
    broke = 0
    for seed in range(20):
        pairs = zip(*(task.decode(scoring(task), batch(), features(seed)) for task in (free, constrained)), strict=True)
        for one, other in pairs:
            assert not is_broken(other.answer, scheme)
            if is_broken(one.answer, scheme):
                broke += 1
            else:
                assert other == (one.answer, pytest.approx(one.score, abs=1e-5))
    assert broke


def test_constraints_need_a_scheme() -> None:
    with pytest.raises(ValueError, match="constrained is true, but no tag marks a span"):
        made(None, constrained=True)
    with pytest.raises(ValueError, match=r"outside_penalty is 1\.0, but no tag marks a span"):
        made(None, outside_penalty=1.0)
    with pytest.raises(ValueError, match="fit_outside_penalty is true, but no tag marks a span"):
        made(None, fit_outside_penalty=True)
    with pytest.raises(ValueError, match="metrics contains span_f1, but no tag marks a span"):
        made(None, metrics=["span_f1"])
    assert made("bmes", metrics=["span_f1"]).metrics()[0].name == "span_f1"


def test_options_on_the_command_line(tmp_path: Any) -> None:
    import seqzoo

    seqzoo.build("task=tagging", "task.decoder=crf", "data.limit=10")
    with pytest.raises(ConfigError, match=r"task.constrained is true, but no tag marks a span"):
        seqzoo.build("task=tagging", "task.constrained=true", "data.limit=10")


def test_classes_are_the_tags() -> None:
    assert made("bio").classes() == ["O", "B-A", "I-A"]
    assert made(None).classes() == ["X", "Y", "Z"]


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
def test_a_linear_tagger_adds_its_scores(decoder: str) -> None:
    task = made(decoder=decoder, neighbours=1).eval()
    assert task.words is not None
    read = batch()
    read.inputs = torch.arange(read.inputs.shape[0] * read.inputs.shape[1]).view(read.inputs.shape[:2])
    network = task.head(features().outputs)
    torch.testing.assert_close(task(features(), read), network)
    torch.nn.init.normal_(task.words.weight)
    torch.testing.assert_close(task(features(), read), network + task.words(read.inputs, read.lengths, None))
