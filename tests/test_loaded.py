"""A model back from its run directory."""

from __future__ import annotations

import pytest
import torch

from seqzoo.building import build_model
from seqzoo.config import compose
from seqzoo.contracts import DataSpec
from seqzoo.data.codec import TextCodec
from seqzoo.data.examples import encode_inputs
from seqzoo.errors import ConfigError, DataError
from seqzoo.loaded import Loaded
from seqzoo.tasks import Tagging


def language_model(alphabet: str) -> Loaded:
    codec = TextCodec.learn("characters", [list(alphabet)])
    spec = DataSpec("language_modeling", codec.size, codec.size, codec, codec)
    config = compose("task=language_modeling", "task.temperature=0", "task.sample_length=12", "backbone.hidden_size=8")
    return Loaded(build_model(config, spec).eval(), spec, config)


def test_a_language_model_continues_a_text_as_the_beginning_of_a_line() -> None:
    loaded = language_model("abc\n")
    direct = loaded.model.task.decode(loaded.model, encode_inputs(loaded.spec, ["\nab", "\nc"]))
    assert [p.answer for p in loaded.predict(["ab", "c"])] == [p.answer for p in direct]
    assert loaded.predict([""])[0].answer  # from nothing


def test_text_without_line_ends_is_continued_as_it_is() -> None:
    torch.manual_seed(1)
    loaded = language_model("abc")
    direct = loaded.model.task.decode(loaded.model, encode_inputs(loaded.spec, ["ab"]))
    assert loaded.predict(["ab"])[0].answer == direct[0].answer


def test_what_is_streamed_is_what_is_drawn_in_one_go() -> None:
    loaded = language_model("abcdefgh\n")
    loaded.model.task.temperature = 1.0
    torch.manual_seed(3)
    whole = loaded.predict(["ab"])[0]
    pieces: list[str] = []
    torch.manual_seed(3)
    assert loaded.stream("ab", pieces.append) == whole
    assert "".join(pieces) == whole.answer
    assert len(pieces) == 12


def test_the_scores_of_tokens_are_those_of_prefix_after_prefix() -> None:
    loaded = language_model("abc\n")
    task, codec = loaded.model.task, loaded.spec.inputs
    rows = loaded.score(["cab", "", "aa"])
    for text, row in zip(["cab", "", "aa"], rows, strict=True):
        assert "".join(token for token, _ in row) == text + "\n"
        for place, (token, score) in enumerate(row):
            output = loaded.model.encode(encode_inputs(loaded.spec, ["\n" + text[:place]])).last
            right = task.head.log_probabilities(output.detach())[0, codec.encode(token)[0]]
            assert score == pytest.approx(right.item())


def test_without_line_ends_the_first_token_is_given() -> None:
    loaded = language_model("abc")
    assert [token for token, _ in loaded.score(["cab"])[0]] == ["a", "b"]
    with pytest.raises(DataError, match="Line 2: the model knows no line ends"):
        loaded.score(["cab", "c"])


def test_only_language_models_score_and_stream() -> None:
    loaded = language_model("abc")
    loaded.model.task = Tagging(8, DataSpec("tagging", 5, 2), ["accuracy"])
    with pytest.raises(ConfigError, match="for language models, and the run is of task=tagging"):
        loaded.score(["a"])
    with pytest.raises(ConfigError, match="for language models"):
        loaded.stream("a", print)
