"""Neural cache and dynamic evaluation of language models."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch

from seqzoo import compose
from seqzoo.configuration.building import build_model
from seqzoo.contracts.batch import Batch
from seqzoo.data.running_text import RunningText
from seqzoo.network.model import Model
from seqzoo.training.adaptation import Adaptation, NeuralCache, evaluate_adapting
from seqzoo.training.evaluation import evaluate

CPU = torch.device("cpu")


@dataclass(eq=False, kw_only=True)
class Repeated(RunningText):
    text: str = "the same words|again and again|the same words|" * 6

    def read(self) -> dict[str, list[str]]:
        return {"train": [self.text], "validation": [self.text]}


def made(**options: object) -> tuple[Model, RunningText]:
    data = Repeated(window=7, evaluation_batch_size=2, **options)  # type: ignore[arg-type]
    data.load()
    torch.manual_seed(0)
    overrides = ("task=language_modeling", "cell=elman", "cell.engine=reference", "backbone.hidden_size=8")
    return build_model(compose(*overrides), data.spec).eval(), data


@torch.no_grad()
def nats_with_cache(model: Model, ids: list[int], size: int, flatness: float, weight: float) -> float:
    """Step by step, by the formulas of the paper."""
    state, seen, total = model.backbone.initial_state(1), [], 0.0
    for token, following in pairwise(ids):
        h, state = model.step(torch.tensor([token]), state)
        p = float(model.task.head.log_probabilities(h)[0, following].exp())
        if seen:
            likeness = torch.tensor([flatness * float(h[0] @ other) for other, _ in seen]).softmax(0)
            p_cache = sum(float(w) for w, (_, word) in zip(likeness, seen, strict=True) if word == following)
            p = (1 - weight) * p + weight * p_cache
        seen = [*seen, (h[0], following)][-size:]
        total -= math.log(p)
    return total


@pytest.mark.parametrize("size", [3, 20])
@pytest.mark.parametrize("separator", [None, "|"])
def test_the_cache_by_its_formula(size: int, separator: str | None) -> None:
    """Across windows, without the oldest steps; with documents, each has a cache of its own."""
    model, data = made(document_separator=separator)
    found = evaluate_adapting(model, data, "validation", CPU, "fp32", Adaptation(size, 1.5, 0.2))
    streams, expected = data._streams["validation"], 0.0
    for start, length in zip(streams.starts.tolist(), streams.lengths.tolist(), strict=True):
        ids = streams.ids[start : start + length + 1].tolist()
        begins = [0, *(i for i in range(1, length) if separator and ids[i] == data._separator), length]
        for begin, end in pairwise(begins):
            expected += nats_with_cache(model, ids[begin : end + 1], size, 1.5, 0.2)
    assert found["loss_nats_cache"] == pytest.approx(expected / int(streams.lengths.sum()), rel=1e-5)
    assert found.keys() == {"loss_nats_cache", "perplexity_cache"}


def test_a_cache_without_weight_changes_nothing() -> None:
    model, data = made()
    found = evaluate_adapting(model, data, "validation", CPU, "fp32", Adaptation(5, 1.0, 0.0))
    assert found["perplexity_cache"] == pytest.approx(evaluate(model, data, "validation", CPU)["perplexity"])


def test_dynamic_evaluation_is_descent_after_each_window() -> None:
    model, data = made()
    before = copy.deepcopy(model.state_dict())
    found = evaluate_adapting(model, data, "validation", CPU, "fp32", Adaptation(dynamic=0.3, dynamic_decay=0.1))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    total, count, state = 0.0, 0, None
    for batch in data.batches("validation"):
        outputs, state = model(batch, state)
        loss = model.task.loss(outputs, batch)
        total, count = total + loss.total.item(), count + int(loss.count)
        model.zero_grad()
        (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        state = tuple(tuple(tuple(part.detach() for part in cell) for cell in layer) for layer in state)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= 0.3 * parameter.grad
                parameter += 0.1 * (before[name] - parameter)
    assert found["loss_nats_dynamic"] == pytest.approx(total / count, rel=1e-5)
    model.load_state_dict(before)
    assert found["loss_nats_dynamic"] < evaluate(model, data, "validation", CPU)["loss_nats"]


def test_both_together_have_a_name_of_their_own() -> None:
    model, data = made()
    found = evaluate_adapting(model, data, "validation", CPU, "fp32", Adaptation(cache=9, dynamic=0.1))
    assert found.keys() == {"loss_nats_dynamic_cache", "perplexity_dynamic_cache"}


def test_the_cache_holds_earlier_steps_only() -> None:
    """In a row of equal features, the cache has the targets before a step, never its own."""
    outputs, targets = torch.ones(1, 3, 2), torch.tensor([[4, 5, 6]])
    cache = NeuralCache(5, 1.0, 0.5)
    found = cache(outputs, torch.zeros(1, 3), Batch(targets, torch.tensor([3]), targets))
    # nothing seen; then twice what was never seen before: half of the probability of 1 is left
    torch.testing.assert_close(found, torch.tensor([[0.0, math.log(0.5), math.log(0.5)]]))


@pytest.mark.parametrize(
    "options", [{"cache": -1}, {"dynamic": -0.1}, {"dynamic": math.nan}, {"cache_weight": 1.0}, {"dynamic_decay": 2.0}]
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Adaptation(**options)  # type: ignore[arg-type]
