"""Continuations of text; what holds for every task is in tests/contracts."""

from __future__ import annotations

import pytest
import torch

from seqzoo import compose
from seqzoo.building import build_model
from seqzoo.contracts import PAD, UNKNOWN, Batch, DataSpec
from seqzoo.data.codec import TextCodec
from seqzoo.model import Model
from seqzoo.overrides import examine

CODEC = TextCodec.learn("characters", [list("abcdefgh")])
SPEC = DataSpec("language_modeling", CODEC.size, CODEC.size, CODEC, CODEC)
LENGTHS = torch.tensor([5, 2])


def build(*overrides: str) -> Model:
    config = compose("task=language_modeling", "cell=lstm", "backbone.hidden_size=16", *overrides)
    return build_model(config, SPEC).eval()


def prompts() -> Batch:
    return Batch(torch.tensor([[2, 3, 4, 5, 6], [7, 8, PAD, PAD, PAD]]), LENGTHS)


def test_the_most_probable_continuation_is_what_repeated_reading_gives() -> None:
    """The state of each prompt is carried from its own last token, whatever the padding."""
    model, batch = build("task.temperature=0", "task.sample_length=8"), prompts()
    for row, found in enumerate(model.task.decode(model, batch)):
        ids = batch.inputs[row, : LENGTHS[row]].tolist()
        for _ in range(8):
            text = Batch(torch.tensor([ids]), torch.tensor([len(ids)]), padded=False)
            scores = model.task.head.log_probabilities(model(text)[0][0, -1])
            scores[[PAD, UNKNOWN]] = float("-inf")
            ids.append(int(scores.argmax()))
        assert found.answer == CODEC.decode(ids[int(LENGTHS[row]) :])


def test_one_most_probable_token_leaves_nothing_to_draw() -> None:
    model = build("task.temperature=0", "task.sample_length=8")
    greedy = model.task.decode(model, prompts())
    model.task.temperature, model.task.top_k = 1.0, 1
    assert model.task.decode(model, prompts()) == greedy
    model.task.top_k, model.task.top_p = None, 1e-6
    assert model.task.decode(model, prompts()) == greedy


def test_no_token_is_drawn_twice_where_that_is_asked_for() -> None:
    model = build("task.temperature=0", "task.sample_length=8", "task.no_repeat=1")
    for found in model.task.decode(model, prompts()):
        assert sorted(found.answer) == list("abcdefgh")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.temperature=-1", "task.temperature is -1: it is 0 (the most probable token) or more"),
        ("task.top_k=0", "task.top_k is 0: draw from at least one token, or null for all"),
        ("task.top_p=1.5", "task.top_p is 1.5: it is a probability above 0, and 1 draws from all tokens"),
    ],
)
def test_bad_options(override: str, message: str) -> None:
    assert examine("task=language_modeling", override)[1] == [message]
