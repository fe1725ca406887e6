"""Models loaded from run directories."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from seqzoo.configuration.building import build_model
from seqzoo.configuration.experiment import Parts, compose
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import LabelCodec, TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS
from seqzoo.runs.loaded import Loaded
from seqzoo.tasks.tagging import Tagging
from tests.contracts.test_tasks import SPECS, build


def language_model(alphabet: str) -> Loaded:
    codec = TextCodec.learn("characters", [list(alphabet)])
    spec = DataSpec("language_modeling", codec.size, codec.size, codec, codec)
    config = compose(
        "task=language_modeling", "task.search.temperature=0", "task.search.max_length=12", "backbone.hidden_size=8"
    )
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


def test_streamed_text_equals_a_single_call() -> None:
    loaded = language_model("abcdefgh\n")
    loaded.model.task.search = replace(loaded.model.task.search, temperature=1.0)
    torch.manual_seed(3)
    whole = loaded.predict(["ab"])[0]
    pieces: list[str] = []
    torch.manual_seed(3)
    assert loaded.generate("ab", pieces.append) == whole
    assert "".join(pieces) == whole.answer
    assert len(pieces) == 12


def test_ensembles_of_language_models_generate_and_score() -> None:
    """By the mean of their probabilities, token by token."""
    loaded, other = language_model("abcdefgh\n"), language_model("abcdefgh\n")
    torch.nn.init.normal_(other.model.task.head.weight, std=2.0)
    torch.nn.init.normal_(loaded.model.task.head.weight, std=2.0)
    loaded.others = [other]
    [found] = loaded.candidates(["ab"], 3)
    assert loaded.predict(["ab"])[0] == loaded.generate("ab", print)
    for candidate in found:
        together, first, second = (
            [score for _, score in one.score(["ab" + candidate.answer])[0]]
            for one in (loaded, Loaded(loaded.model, loaded.spec), other)
        )
        means = [math.log((math.exp(a) + math.exp(b)) / 2) for a, b in zip(first, second, strict=True)]
        assert together == pytest.approx(means, abs=1e-5)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


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
    with pytest.raises(DataError, match="line 2: the model knows no line ends"):
        loaded.score(["cab", "c"])


def test_tasks_that_do_not_generate_have_no_score_or_stream() -> None:
    loaded = language_model("abc")
    with pytest.raises(ConfigError, match="task=language_modeling does not score answers, but texts alone: leave"):
        loaded.score(["a"], ["b"])
    loaded.config = Parts()
    loaded.model.task = Tagging(8, DataSpec("tagging", 5, 2), ["accuracy"])
    with pytest.raises(ConfigError, match="the task Tagging does not compute the probability of a given"):
        loaded.score(["a"])
    with pytest.raises(ConfigError, match="the task Tagging does not write token by token"):
        loaded.generate("a", print)


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_an_empty_line_stays_empty_in_its_place(task: str) -> None:
    labels = LabelCodec(["left", "right"])
    source = TextCodec.learn("whitespace", [["a", "b"]])
    spec = DataSpec(task, source.size, labels.size, source, labels, class_counts=[1, 1])
    config = compose(f"task={task}", "backbone.hidden_size=8")
    loaded = Loaded(build_model(config, spec).eval(), spec, config)
    whole, nothing, rest = loaded.predict(["a b a", " ", "b"])
    assert (nothing.answer, [whole, rest]) == ("", loaded.predict(["a b a", "b"]))


def writer(seed: int = 0, **search: Any) -> Loaded:
    """An untrained model that maps letters to letters."""
    torch.manual_seed(seed)
    source = TextCodec.learn("characters", [list("abcdef")])
    target = TextCodec.learn("characters", [list("abcdef")], TARGET_SPECIALS)
    spec = DataSpec("transduction", source.size, target.size, source, target)
    options = [f"task.search.{name}={value}" for name, value in search.items()]
    config = compose("backbone.hidden_size=8", "encoder.initial_std=1", "task.search.max_length=9", *options)
    return Loaded(build_model(config, spec).eval(), spec, config)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_an_ensemble_streams_its_prediction(beam_size: int) -> None:
    loaded = writer(beam_size=beam_size)
    loaded.others = [writer(1)]
    for text in ("abc", "f", ""):
        pieces: list[str] = []
        [whole] = loaded.predict([text])
        streamed = loaded.generate(text, pieces.append)
        assert (streamed.answer, "".join(pieces)) == (whole.answer, whole.answer)
        assert streamed.score == pytest.approx(whole.score)
        assert beam_size > 1 or len(pieces) >= len(whole.answer)


def test_forced_scores_equal_those_of_search() -> None:
    loaded = writer(beam_size=3, length_penalty=0.5)
    loaded.others = [writer(1)]
    texts = ["abc", "f", "dada"]
    for text, candidates in zip(texts, loaded.candidates(texts, n_best=3), strict=True):
        answers = [candidate.answer for candidate in candidates if len(candidate.answer) < 9]  # these have an end
        for answer, candidate in zip(answers, candidates, strict=False):
            [tokens] = loaded.score([text], [answer])
            assert [token for token, _ in tokens] == [*answer, "<eos>"]
            assert sum(score for _, score in tokens) == pytest.approx(candidate.score, rel=1e-5)
    assert len(loaded.score(texts * 30, ["ab", "", "c"] * 30)) == 90


def test_unsatisfiable_constraints_are_reported_with_the_line() -> None:
    loaded = writer(words=["abc"], same_length=True)
    with pytest.raises(DataError, match=r"^line 14: search.words=.* needs 3 tokens, but an answer has at most 1"):
        loaded.predict([*["abcd"] * 4, "a"], batch_size=2, first_line=10)
    with pytest.raises(DataError, match=r"^line 1: search.words="):
        loaded.generate("a", print)
    with pytest.raises(DataError, match=r"^line 3: search.words="):
        loaded.predict(["", "abcd", "a"])


def test_constraints_do_not_apply_to_empty_lines() -> None:
    loaded = writer(words=["abc"], same_length=True)
    texts = ["", "abcd", " ", "dada", "fabcdef"]
    answers = [prediction.answer for prediction in loaded.predict(texts, batch_size=2)]
    assert [answers[0], answers[2]] == ["", ""]
    assert [len(answers[row]) for row in (1, 3, 4)] == [4, 4, 7]
    assert all("abc" in answers[row] for row in (1, 3, 4))


@pytest.mark.parametrize("method", ["alignments", "explain"])
def test_an_empty_line_has_no_attention(method: str) -> None:
    source = TextCodec.learn("whitespace", [["a", "b"]])
    spec = DataSpec("classification", source.size, 2, source, LabelCodec(["left", "right"]), class_counts=[1, 1])
    config = compose("task=classification", "task.pooling=attention", "backbone.hidden_size=8")
    loaded = Loaded(build_model(config, spec).eval(), spec, config)
    nothing, found, _ = getattr(loaded, method)(["", "a b a", " "])
    assert nothing is None
    assert found.read == ["a", "b", "a"]


def test_texts_may_come_from_an_iterator() -> None:
    loaded, texts, answers = writer(), ["ab", "xf", ""], ["b", "c", ""]
    assert loaded.predict(text for text in texts) == loaded.predict(texts)
    assert loaded.predict(["ab"])[0].answer
    assert loaded.candidates(iter(texts), 1) == loaded.candidates(texts, 1)
    assert loaded.count_unknown(iter(texts)) == loaded.count_unknown(texts) == (1, 4)
    assert loaded.score(iter(texts[:2]), iter(answers[:2])) == loaded.score(texts[:2], answers[:2])
    speaker = language_model("abc\n")
    assert [len(row) for row in speaker.score(iter(["cab", "b"]))] == [4, 2]


def test_at_least_one_candidate_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="n_best is 0: ask for at least one"):
        writer().candidates(["a"], n_best=0)


def test_answers_that_cannot_be_scored_are_reported() -> None:
    loaded = writer()
    with pytest.raises(DataError, match=r"line 8: of the answer 'bxc' the model knows only 'b<unk>c', so"):
        loaded.score(["ab", "c"], ["b", "bxc"], first_line=7)
    with pytest.raises(ValueError, match=r"^2 texts and 1 answer were given: give one answer per text"):
        loaded.score(["ab", "c"], ["b"])
    with pytest.raises(DataError, match="line 2: there is nothing before the answer"):
        loaded.score(["ab", " "], ["b", "c"])
    with pytest.raises(ConfigError, match="does not score texts, but an answer to each: give answers, too"):
        loaded.score(["ab"])


@pytest.mark.parametrize("task", ["classification", "tagging", "cloze", "language_modeling", "transduction"])
def test_nan_scores_are_an_error(task: str) -> None:
    model = build(task, "gru", "bidirectional" if task == "cloze" else "unidirectional").eval()
    with torch.no_grad():
        model.encoder.embedding.weight.fill_(float("nan"))
    loaded = Loaded(model, SPECS[task])
    for text in ("abc", "a_c"):
        with pytest.raises(DataError, match="scores are not numbers"):
            loaded.predict([text])
