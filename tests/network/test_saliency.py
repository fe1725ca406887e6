"""Contributions of inputs to an answer, from gradients."""

from __future__ import annotations

import pytest
import torch

from seqzoo.configuration.building import build_model
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import LabelCodec
from seqzoo.network.saliency import gradient_times_input
from tests.contracts.test_tasks import SOURCE, build, some_batch


class Linear(torch.nn.Module):
    """Scores that are linear in the encoder output: (B, T) ids -> (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 2)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, tuple]:
        return self.head(self.encoder(batch.inputs).sum(1)), ()


def test_contributions_in_a_linear_model_are_its_terms() -> None:
    model, ids = Linear(), torch.tensor([[1, 2, 3], [4, 4, 0]])
    found = gradient_times_input(model, Batch(ids, torch.tensor([3, 3])), lambda scores: scores[:, 1])
    torch.testing.assert_close(found, model.encoder(ids) @ model.head.weight[1])


@pytest.mark.parametrize(("ngrams", "of_network"), [(0, ""), (2, " of the network, without its n-grams")])
def test_an_explanation_weighs_the_real_steps(ngrams: int, of_network: str) -> None:
    model = build("classification", "gru", "bidirectional", pooling="max", ngrams=ngrams).eval()
    batch = some_batch("classification")
    before = [p.requires_grad for p in model.parameters()]
    with torch.no_grad():
        found = model.task.explain(model, batch)
    assert [len(explanation.read) for [explanation] in found] == batch.lengths.tolist()
    for [explanation] in found:
        assert explanation.method == "gradient x input" + of_network
        assert explanation.weights.abs().sum().item() == pytest.approx(1, abs=1e-4)
    assert [p.requires_grad for p in model.parameters()] == before
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("pooling", ["attention", ["max", "target_attention"]])
def test_pooling_by_attention_explains_itself(pooling: str | list[str]) -> None:
    model, batch = build("classification", "gru", pooling=pooling).eval(), some_batch("classification")
    with torch.no_grad():
        found = model.task.explain(model, batch)
        weights = model.task.pooling.weights(model.encode(batch))
    for [explanation], row in zip(found, weights, strict=True):
        assert explanation.method == "attention"
        torch.testing.assert_close(explanation.weights, row[: len(explanation.read)])


@pytest.mark.parametrize("labels", ["classes", "ordinal", "numbers"])
def test_each_class_has_an_explanation_of_its_own(labels: str) -> None:
    """The gradient of its log-probability; with a single score for all classes, the same for all."""
    spec = DataSpec("classification", SOURCE.size, 3, SOURCE, LabelCodec(["1", "2", "4"]))
    config = compose("task=classification", "cell=gru", f"task.labels={labels}", "task.pooling=max")
    model, batch = build_model(config, spec).eval(), some_batch("classification")
    with torch.no_grad():
        rows = model.task.candidates(model, batch, 5)
        explanations = model.task.explain(model, batch, 5)
        [best] = zip(*model.task.explain(model, batch), strict=True)
    for row, (predictions, explained) in enumerate(zip(rows, explanations, strict=True)):
        assert len(predictions) == len(explained) == 3
        torch.testing.assert_close(best[row].weights, explained[0].weights)
        for prediction, explanation in zip(predictions, explained, strict=True):
            [place] = spec.targets.encode(prediction.answer)

            def of_answer(scores: torch.Tensor, place: int = place) -> torch.Tensor:
                return scores if labels == "numbers" else scores.log_softmax(-1)[:, place]

            weights = gradient_times_input(model, batch, of_answer)[row, : len(explanation.read)]
            torch.testing.assert_close(explanation.weights, weights / weights.abs().sum())
        if labels != "ordinal" and len(explained[0].read) > 1:
            assert torch.allclose(explained[0].weights, explained[1].weights) == (labels == "numbers")
