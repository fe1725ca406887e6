"""Growing inputs: the answers to pieces are those to the whole, one input at a time or many together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.configuration.building import build_model
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.registry import names
from seqzoo.contracts.capabilities import Streams
from seqzoo.contracts.class_index import class_of
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import Channels, DataSpec, TrainingText
from seqzoo.runs.answering import Stream
from seqzoo.runs.loaded import Loaded
from tests.contracts.test_tasks import SOURCE, build, load, spec_of

STREAMING = [
    task for task in names("task") if issubclass(class_of("seqzoo.tasks", load("task", task)["class"]), Streams)
]
CASES = [*((task, "gru") for task in STREAMING), ("tagging", "lstm"), ("tagging", "narx"), ("regression", "lru")]
SERIES = DataSpec("regression", 1, 1, per_step=True, next_values=True)
REMEMBERING = {"forecasting": {"linear_window": 4, "horizon": 1}, "regression": {"washout": 3}}
"""Options with which tasks remember earlier steps."""


def loaded(task: str, cell: str = "gru", **options: Any) -> Loaded:
    torch.manual_seed(0)
    model = build(task, cell, **{**REMEMBERING.get(task, {}), **options}).eval()
    return Loaded(model, spec_of(task))


def an_input(run: Loaded, steps: int) -> Tensor:
    if run.spec.inputs is None:
        return torch.randn(steps, run.spec.input_size)
    return torch.randint(2, run.spec.input_size, (steps,))


def pushed(run: Loaded, x: Tensor, *sizes: int) -> tuple[list[str], Tensor]:
    """The answers to pieces of these sizes and the rest, and the scores of all steps."""
    stream = run.stream()
    results = [stream.push(piece) for piece in x.split([*sizes, len(x) - sum(sizes)])]
    results.append(stream.end())
    return [answer for result in results for answer in result.answers], torch.cat(
        [result.scores for result in results if result.scores is not None]
    )


def test_the_tasks_that_stream() -> None:
    assert STREAMING == ["forecasting", "language_modeling", "regression", "tagging", "transcription", "verse"]


@pytest.mark.parametrize(("task", "cell"), CASES)
def test_pieces_are_the_whole(task: str, cell: str) -> None:
    run = loaded(task, cell)
    x = an_input(run, 23)
    answers, whole = pushed(run, x)
    for sizes in ((1,) * 22, (5, 1, 0, 13)):
        found, scores = pushed(run, x, *sizes)
        torch.testing.assert_close(scores, whole, atol=1e-6, rtol=1e-6)
        if task == "forecasting":  # one for each piece
            found, answers = found[-run.model.task.horizon :], answers[-run.model.task.horizon :]
            assert numbers(found) == pytest.approx(numbers(answers), abs=1e-5)
        elif task == "regression":
            assert len(found) == 20
        else:
            assert found == answers


@pytest.mark.parametrize("task", STREAMING)
def test_many_inputs_are_read_together(task: str) -> None:
    run = loaded(task)
    inputs = [an_input(run, steps) for steps in (9, 14, 3)]
    alone = [pushed(run, x)[1] for x in inputs]
    streams = [run.stream() for _ in inputs]
    scores: list[list[Tensor]] = [[] for _ in inputs]
    for begin in range(0, 14, 4):
        results = Stream.push_together(streams, [x[begin : begin + 4] for x in inputs])
        for row, result in enumerate(results):
            scores[row] += [result.scores] if result.scores is not None else []
    for row, stream in enumerate(streams):
        scores[row] += [last] if (last := stream.end().scores) is not None else []
        torch.testing.assert_close(torch.cat(scores[row]), alone[row], atol=1e-6, rtol=1e-6)


def test_a_tagger_answers_as_for_the_whole_text() -> None:
    run = loaded("tagging")
    stream = run.stream()
    streamed = [stream.push(text) for text in ("ab", "c", "gfe")]
    [whole] = run.predict(["abcgfe"])
    assert [tag for part in streamed for tag in part.answers] == whole.answer
    assert sum(float(part.scores.max(-1).values.sum()) for part in streamed) == pytest.approx(whole.score, abs=1e-5)


def test_a_language_model_predicts_what_it_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """With n-grams, too, which see the tokens of earlier pieces."""
    ids = torch.randint(2, SOURCE.size, (300,))
    text = TrainingText(300, ids, torch.tensor([0]))
    spec = dataclasses.replace(spec_of("language_modeling"), text=text)
    monkeypatch.setitem(spec_of.__globals__["SPECS"], "language_modeling", spec)
    for ngrams in (0, 3):
        run = loaded("language_modeling", ngrams=ngrams)
        _, scores = pushed(run, torch.tensor(SOURCE.encode("abcabd")), 2, 1)
        [rated] = run.score(["abcabd"])
        following = torch.tensor(SOURCE.encode("bcabd"))
        assert [score for _, score in rated] == pytest.approx(scores[range(5), following].tolist(), abs=1e-5)


@pytest.mark.parametrize("options", ["head=point task.linear_window=5", "head=quantiles", "head=mixture"])
def test_a_forecast_begins_after_the_last_piece(options: str) -> None:
    torch.manual_seed(0)
    spec = dataclasses.replace(SERIES, channels=Channels(["a"], [3.0], [2.0], [1.0]))
    chosen = ("task=forecasting", "backbone.hidden_size=4", "task.horizon=3", *f"task.{options}".split())
    run = Loaded(build_model(compose(*chosen), spec).eval(), spec)
    stream = run.stream()
    stream.push("3.5, 3.25")
    [whole] = run.predict(["3.5, 3.25, 3.75"])
    assert numbers(stream.push("3.75").answers) == pytest.approx(numbers(whole.answer), abs=1e-4)


REFUSED: dict[str, tuple[str, dict[str, Any], Any, str]] = {
    "crf": ("tagging", {"decoder": "crf"}, {}, r"chooses the tags of a whole text together.*task.decoder=softmax"),
    "classes": ("classification", {}, {}, "the task Classification does not answer before the end of its input"),
    "numbers": ("regression", {"washout": 0}, {"per_step": False}, "answers a whole sequence"),
    "ahead": ("forecasting", {"horizon": 2}, {}, "does not have those of the 1 steps ahead: add --set horizon=1"),
    "windows": (
        "forecasting", {}, {"channels": Channels(["a", "b", "c"], [0.0] * 3, [1.0] * 3, [1.0] * 3, window=9)},
        "relative to the first step of a window",
    ),
    "missing": (
        "regression", {}, {"channels": Channels(["a"], [0.0], [1.0], [1.0], masked=True)}, "values may be missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_answered_as_a_whole(reason: str) -> None:
    task, options, fields, message = REFUSED[reason]
    run = loaded(task, **options)
    run.spec = run.model.task.spec = dataclasses.replace(run.spec, **fields)
    with pytest.raises(ConfigError, match=message):
        run.stream()


def test_nothing_follows_the_end_of_an_input() -> None:
    stream = loaded("tagging").stream()
    stream.push(torch.tensor([2]))
    stream.end()
    with pytest.raises(ValueError, match="the input of a stream has ended: begin another one for the next input"):
        stream.push(torch.tensor([2]))
    with pytest.raises(TypeError, match="a piece is int: give a text, a list of tokens or a tensor"):
        loaded("tagging").stream().push(3)


def test_pieces_of_the_wrong_form() -> None:
    tagger, series = loaded("tagging"), loaded("regression")
    stream = tagger.stream()
    with pytest.raises(ValueError, match=r"are not in the vocabulary: they must be from 0 to 9"):
        stream.push(torch.tensor([SOURCE.size]))
    with pytest.raises(ValueError, match=r"the shape \(1, 2\) of torch.int64: give ids \(n,\), integers"):
        stream.push(torch.ones(1, 2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"the shape \(1, 2\) of torch.float32: give \(n, 3\)"):
        series.stream().push(torch.ones(1, 2))
    with pytest.raises(ValueError, match="one is given twice"):
        Stream.push_together([stream, stream], ["a", "b"])
    with pytest.raises(ValueError, match=r"^1 stream and 2 pieces were given: give"):
        Stream.push_together([stream], ["a", "b"])
    with pytest.raises(TypeError, match="a piece contains 3: it must be a text, a list of tokens"):
        stream.push([3])
    with pytest.raises(TypeError, match="some pieces are tensors and some are not"):
        Stream.push_together([stream, tagger.stream()], ["a", torch.tensor([1])])


def test_the_command_answers_line_by_line(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = loaded("tagging")
    monkeypatch.setattr("seqzoo.runs.loading.load", lambda *_: run)
    done = command("predict", "run", "--stream", stdin="ab\nc\n")
    answers = run.predict(["abc"])[0].answer
    assert (done.status, done.out, done.err) == (0, f"{' '.join(answers[:2])}\n{answers[2]}\n", "")


def numbers(answers: list[str]) -> list[float]:
    return [float(number) for number in " ".join(answers).replace("(", "").replace(")", "").split()]
