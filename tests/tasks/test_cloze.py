from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from seqzoo.configuration.building import build_model
from seqzoo.configuration.composing import load
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.overrides import examine
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import BLANK, Batch
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS
from seqzoo.network.model import Model
from seqzoo.runs.loaded import Loaded

CODEC = TextCodec.learn("whitespace", ["a b c d e f"], (*SOURCE_SPECIALS, "___"))
SPEC = DataSpec("cloze", CODEC.size, CODEC.size, CODEC, CODEC)
B, T = 3, 7
LENGTHS = torch.tensor([7, 4, 1])


CONFIG = compose("task=cloze", "cell=gru", "backbone.hidden_size=6")


def build(**options: Any) -> Model:
    return build_model(replace(CONFIG, task={**CONFIG.task, **options}), SPEC).eval()


@pytest.mark.parametrize("backbone", names("backbone"))
def test_no_allowed_backbone_sees_the_blank_and_others_are_refused(backbone: str) -> None:
    """The score of a token never depends on that token."""
    options = {**load("backbone", backbone), "hidden_size": 6, "dropout": 0.0}
    one_layer = {
        **options,
        "num_layers": 1,
        "bidirectional": True,
        **({"cells": ["gru"]} if "cells" in options else {}),
    }
    for given in (options, one_layer) if "bidirectional" in options else (options,):
        config = replace(CONFIG, backbone=given)
        if given["class"] == "Pyramidal" or given.get("num_layers", 1) > 1 or not given.get("bidirectional"):
            with pytest.raises(ConfigError, match=r"does not keep what it read|fewer steps than it reads"):
                build_model(config, SPEC)
        else:
            assert_blind(build_model(config, SPEC).eval())


def assert_blind(model: Model) -> None:
    """Changing a token changes the scores of other steps, but not its own."""
    inputs = torch.randint(3, CODEC.size, (B, T))
    scores, _ = model(Batch(inputs, LENGTHS))
    for t in range(T):
        other = inputs.clone()
        other[:, t] = 3 + (inputs[:, t] - 3 + 1) % (CODEC.size - 3)
        changed, _ = model(Batch(other, LENGTHS))
        assert torch.equal(changed[:, t], scores[:, t])
        if t > 0:
            assert not torch.equal(changed[0, t - 1], scores[0, t - 1])
        if t + 1 < T:
            assert not torch.equal(changed[0, t + 1], scores[0, t + 1])


def test_the_default_backbone_suits_the_task_and_can_be_chosen() -> None:
    assert compose("task=cloze").choices["backbone"] == "bidirectional"
    assert compose("task=tagging").choices["backbone"] == "unidirectional"
    _, mistakes = examine("task=cloze", "backbone=deep_bidirectional")
    assert mistakes[0].startswith("backbone=deep_bidirectional does not keep what it read before a token apart from")


def test_a_step_sees_only_what_is_before_and_after_it() -> None:
    """As in two networks of one direction each, which read what is before the step and, backwards, what is after."""
    model = build()
    [[ahead, behind]], x = model.backbone.layers, torch.randint(3, CODEC.size, (1, T))
    vectors, zero = model.encoder(x), torch.zeros(1, 6)
    scores, _ = model(Batch(x, torch.tensor([T]), padded=False))
    for t in range(T):
        before = ahead.unroll(vectors[:, :t])[0][:, -1] if t > 0 else zero
        after = behind.unroll(vectors[:, t + 1 :].flip(1))[0][:, -1] if t + 1 < T else zero
        torch.testing.assert_close(model.task.head(torch.cat([before, after], 1)), scores[:, t])


def log_probability(model: Model, words: list[str], places: list[int]) -> float:
    """The log-probability of words at these positions, filled one after the other; the others are blanks."""
    total, text = 0.0, ["___" if place in places else word for place, word in enumerate(words)]
    for place in places:
        ids = torch.tensor([CODEC.encode(text)])
        scores, _ = model(Batch(ids, torch.tensor([len(text)]), padded=False))
        total += scores[0, place].log_softmax(-1)[CODEC.encode([words[place]])[0]].item()
        text[place] = words[place]
    return total


def filled(n_best: int, text: str, **options: Any) -> tuple[Model, list]:
    model = build(**options)
    return model, Loaded(model, SPEC).candidates([text], n_best)[0]


def test_blanks_are_filled_by_the_most_probable_words_in_order() -> None:
    model, found = filled(100, "a ___ c ___ ___", beam_size=216)
    every = [f"a {i} c {j} {k}" for i in "abcdef" for j in "abcdef" for k in "abcdef"]
    scores = {text: log_probability(model, text.split(), [1, 3, 4]) for text in every}
    expected = sorted(every, key=lambda text: -scores[text])[:100]
    assert [p.score for p in found] == pytest.approx([scores[text] for text in expected], abs=1e-4)
    assert {p.answer for p in found[:20]} <= set(expected[:30])


def test_greedily_each_blank_has_the_best_word_after_those_before_it() -> None:
    model, [found] = filled(1, "___ b ___")
    text = found.answer.split()
    assert text[1] == "b"
    first = max("abcdef", key=lambda word: log_probability(model, [word, "b", "___"], [0]))
    # what stands in the other blank is a blank
    model_input = torch.tensor([[BLANK, CODEC.encode("b")[0], BLANK]])
    scores, _ = model(Batch(model_input, torch.tensor([3]), padded=False))
    assert text[0] == CODEC.decode([3 + int(scores[0, 0, 3:].argmax())])
    assert first in "abcdef"
    assert found.score == pytest.approx(log_probability(model, text, [0, 2]), abs=1e-5)


def test_a_text_without_blanks_is_answered_word_by_word() -> None:
    model = build()
    [with_blank, without] = Loaded(model, SPEC).predict(["a ___ c", "a b c d"])
    assert with_blank.answer.split()[::2] == ["a", "c"]
    [unknown] = Loaded(model, SPEC).predict(["x ___ a yes"])
    assert [word for step, word in enumerate(unknown.answer.split()) if step != 1] == ["x", "a", "yes"]
    [unknown] = Loaded(model, SPEC).predict(["<unk> x ___ <pad> zebra"])
    assert [word for step, word in enumerate(unknown.answer.split()) if step != 2] == ["<unk>", "x", "<pad>", "zebra"]
    assert len(without.answer) == 4
    assert set(without.answer) <= set("abcdef")
    targets = torch.tensor([CODEC.encode("a b c")])
    [answer] = model.task.decode(model, Batch(torch.tensor([[3, BLANK, 5]]), torch.tensor([3]), targets))
    assert len(answer.answer) == 3  # a text whose tokens are known, as of a validation split
    batch = Batch(torch.tensor([CODEC.encode("a b c d")]), torch.tensor([4]))
    [line] = model.task.show(batch, [without])
    right = [
        word if answer == word else f"{answer}({word})" for word, answer in zip("abcd", without.answer, strict=True)
    ]
    assert line == " ".join(right), "brackets hold the right word"
