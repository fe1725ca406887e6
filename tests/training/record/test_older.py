"""Runs of older versions: the options of task=transduction stood beside each other, and so did its weights."""

from __future__ import annotations

import pytest

from seqzoo import compose
from seqzoo.training.record.older import grouped, named_losses, renamed

TASK = {
    "class": "Transduction",
    "decoder": {"class": "Recurrent", "cell": None, "hidden_size": 192, "num_layers": 1, "dropout": 0.0},
    "context": "mean_state", "attention": "general", "attention_size": 128, "attention_heads": 4,
    "input_feeding": True, "embedding_size": 64, "embedding_std": 0.1, "tied_embeddings": True, "dropout": 0.3,
    "word_dropout": 0.1, "label_smoothing": 0.0, "scheduled_sampling": "linear", "sampling_steps": 500,
    "sampling_limit": 0.5, "max_length": 100, "beam_size": 5, "length_penalty": 1.0, "coverage_penalty": 0.0,
    "min_length": 0, "no_repeat": 0, "prefix": "", "metrics": ["exact_match"],
}  # fmt: skip
OVERRIDES = ["task.attention=general", "task.decoder.hidden_size=192", "task=transduction", "task.beam_size=5",
             "+task.sampling_steps=500", "cell=gru", "task.word_dropout=0.1", "data.word_dropout=0.5"]  # fmt: skip


def test_options_of_transduction_are_grouped() -> None:
    found = grouped({"task": TASK, "overrides": OVERRIDES, "seed": 0})
    assert found["overrides"] == [
        "task.decoder.attention=general", "task.decoder.backbone.hidden_size=192", "task=transduction",
        "task.search.beam_size=5", "+task.scheduled_sampling.steps=500", "cell=gru",
        "task.target_word_dropout=0.1", "data.word_dropout=0.5",
    ]  # fmt: skip
    decoder, search, sampling = (found["task"][name] for name in ("decoder", "search", "scheduled_sampling"))
    assert (decoder["backbone"], decoder["context"], decoder["dropout"]) == (TASK["decoder"], "mean_state", 0.3)
    assert (search["beam_size"], search["length_penalty"]) == (5, 1.0)
    assert sampling == {"kind": "linear", "steps": 500, "limit": 0.5}
    assert found["task"]["target_word_dropout"] == TASK["word_dropout"]
    known = compose("task=transduction").task
    assert found["task"].keys() <= known.keys()
    assert all(found["task"][name].keys() <= known[name].keys() for name in ("decoder", "search"))
    assert grouped(found) == found
    tagging = compose("task=tagging").to_plain()
    assert grouped(tagging) == tagging


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ({"class": "Regression"}, "loss"), ({"class": "Classification", "labels": "numbers"}, "loss"),
        ({"class": "Classification", "labels": "classes"}, "loss_nats"), ({"class": "Tagging"}, "loss_nats"),
    ],
)  # fmt: skip
def test_a_loss_that_is_not_a_likelihood_is_renamed(task: dict, name: str) -> None:
    task = {**task, "metrics": ["mae", "loss_nats"]}
    config = grouped({"task": task, "overrides": [], "seed": 0})
    assert config["task"]["metrics"] == ["mae", name]
    metrics = {"train": {"loss_nats": 0.5}, "test": {"mae": 1.0, "loss_nats": 2.0}, "seed": 3}
    assert named_losses(metrics, config["task"]) == {
        "train": {name: 0.5}, "test": {"mae": 1.0, name: 2.0}, "seed": 3,
    }  # fmt: skip


def test_options_of_generation_are_grouped() -> None:
    task = {"class": "Verse", "temperature": 0.8, "top_p": 0.9, "sample_length": 60, "beam_size": 3, "dropout": 0.2}
    found = grouped({"task": task, "overrides": ["task.sample_length=60", "task.dropout=0.2", "task=verse"], "seed": 0})
    search = {"temperature": 0.0, "top_p": 0.9, "max_length": 60, "beam_size": 3}  # a beam drew nothing
    assert found["task"] == {"class": "Verse", "dropout": 0.2, "search": search}
    assert found["overrides"] == ["task.search.max_length=60", "task.dropout=0.2", "task=verse"]
    assert search.keys() <= compose("task=verse").task["search"].keys()
    assert grouped(found) == found


def test_weights_get_their_current_names() -> None:
    old = ["encoder.embedding.weight", "task.embedding.weight", "task.decoder.layers.0.0.weight_ih",
           "task.bridge.bias", "task.attention.key.weight", "task.scheduled_sampling.batches"]  # fmt: skip
    new = ["encoder.embedding.weight", "task.decoder.embedding.weight", "task.decoder.backbone.layers.0.0.weight_ih",
           "task.decoder.bridge.bias", "task.decoder.attention.key.weight",
           "task.scheduled_sampling.batches"]  # fmt: skip
    assert list(renamed(dict.fromkeys(old))) == new
    assert list(renamed(dict.fromkeys(new))) == new
