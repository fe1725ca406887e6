"""A model back from its run directory."""

from __future__ import annotations

import torch

from seqzoo.building import build_model
from seqzoo.config import compose
from seqzoo.contracts import DataSpec
from seqzoo.data.codec import TextCodec
from seqzoo.data.examples import encode_inputs
from seqzoo.loaded import Loaded


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
