"""Poems of untrained models: whatever the model, the form holds, or a sentence says what stands in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqzoo.configuration.building import build_model
from seqzoo.configuration.composing import merged
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.verse_notation import FRAME, Form, lines_of, rhymes_of
from seqzoo.data.files.poems import GeneratedPoems
from seqzoo.data.text.codec import TextCodec
from seqzoo.runs.loaded import Loaded
from seqzoo.tasks.decoding.search_options import LEAVE_OUT

CHARACTERS = "".join(sorted(set("".join(line for poem in GeneratedPoems().poems()["test"] for line in poem))))
CODEC = TextCodec.learn("characters", [list(CHARACTERS + FRAME + "578246")])
SPEC = DataSpec("language_modeling", CODEC.size, CODEC.size, CODEC, CODEC)


CONFIG = compose("task=verse", "cell=elman", "backbone.hidden_size=8", "encoder.embedding_size=4")


def poet(seed: int = 0, **options: Any) -> Loaded:
    torch.manual_seed(seed)
    model = build_model(replace(CONFIG, task=merged(CONFIG.task, options)), SPEC)
    torch.nn.init.normal_(model.encoder.embedding.weight, std=3.0)  # far from equal probabilities
    return Loaded(model, SPEC)


def checked(answer: str, form: Form) -> list[str]:
    """The lines of an answer, which must have the form."""
    lines = lines_of(answer)
    assert answer == "".join(line + form.mark(number) for number, line in enumerate(lines))
    assert [len(line) for line in lines] == [form.characters] * form.lines
    return lines


def assert_rhymes(lines: list[str], numbers: list[int]) -> None:
    assert set.intersection(*(rhymes_of(lines[number - 1][-1]) for number in numbers)), lines


def assert_no_repeats(lines: list[str], given: str = "") -> None:
    text = list("".join(lines))
    for character in given:
        text.remove(character)
    assert len(set(text)) == len(text)
    assert not set(text) & set(given)


CHARACTER = st.sampled_from(CHARACTERS)


@given(
    seed=st.integers(0, 2),
    text=st.text(CHARACTER, min_size=1, max_size=24),
    acrostic=st.sampled_from([None, None, "first", "last", 1, 3, 5]),
    characters=st.sampled_from([5, 7]),
    lines=st.sampled_from([2, 3, 4, 6, 8]),
    rhyme=st.none() | st.lists(st.integers(1, 6), max_size=4),
    repeat=st.booleans(),
    search=st.sampled_from([{"beam_size": 3, "temperature": 0.0}, {"temperature": 0.0}, {}, {"temperature": 3.0}]),
    top_k=st.sampled_from([None, 1]),
)
@settings(max_examples=60, deadline=None)
def test_poems_have_the_required_form_or_an_error_says_why(
    seed: int, text: str, search: dict[str, Any], top_k: int | None, **options: Any
) -> None:
    options["search"] = {**search, "top_k": top_k}
    acrostic, rhyme, form = options["acrostic"], options["rhyme"], Form(options["characters"], options["lines"])
    try:
        [prediction] = poet(seed, **options).predict([text])
    except DataError as error:
        message = str(error)
        if "do not rhyme" in message:
            known, _, other = message.partition(" do not rhyme")[0].partition(": ")[2].partition(" and ")
            assert not set.intersection(*map(rhymes_of, [known, *other.split(" and ")]))
        elif "lines, more than" in message:
            room = form.lines * form.characters if acrostic is None else form.lines
            assert len(text) > room
        elif message.startswith("rhyme names line"):
            assert max(rhyme) > form.lines
        else:  # the poems of these few characters
            assert "are to rhyme" in message
        return
    lines = checked(prediction.answer, form)
    if acrostic is None:
        assert "".join(lines).startswith(text)
    else:
        place = {"first": 1, "last": form.characters}.get(acrostic, acrostic)
        assert "".join(line[place - 1] for line in lines).startswith(text)
    chosen = list(range(2, form.lines + 1, 2)) if rhyme is None else rhyme
    if len(set(chosen)) > 1:
        assert_rhymes(lines, chosen)
    if not options["repeat"]:
        assert_no_repeats(lines, text)


@pytest.mark.parametrize(
    ("text", "options", "form"),
    [
        ("青山入白雲", {}, Form(5, 4)),
        ("青山", {}, Form(5, 4)),
        ("年年青山入白雲", {}, Form(7, 4)),
        ("年年青山入白", {}, Form(7, 4)),
        ("年年青山", {"characters": 7}, Form(7, 4)),
        ("青山入白雲，春草過寒江。流水隨", {}, Form(5, 4)),
        ("青山入白雲\t春草過寒江 流水隨", {"lines": 8}, Form(5, 8)),
        ("青山入白雲春草過寒江", {}, Form(5, 4)),
        ("年年青山入白雲，處處春草過寒江。依依流水隨", {}, Form(7, 4)),
        ("青山白雲春", {"acrostic": "first"}, Form(5, 6)),
        ("青，山。", {"acrostic": "last", "characters": 7, "rhyme": []}, Form(7, 4)),
        ("7x2青", {}, Form(7, 2)),
    ],
)
def test_the_form_follows_from_what_is_given(text: str, options: dict[str, Any], form: Form) -> None:
    [prediction] = poet(**options).predict([text])
    lines = checked(prediction.answer, form)
    if "acrostic" not in options:
        assert "".join(lines).startswith("".join(lines_of(text.removeprefix("7x2"))))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("龍鳳青龍", {}, "the model does not know 龍 鳳: write the characters of its poems"),
        ("青山入白，春", {}, "'青山入白，春': '青山入白' has 4 characters, where a line has 5"),
        ("青山白雲古寺", {"acrostic": "first", "lines": 4}, "'青山白雲古寺' needs 6 lines, more than lines=4"),
        ("青山", {"acrostic": 6}, "acrostic is 6: a line has 5 characters, the first one is 1"),
        ("青山", {"rhyme": [2, 5]}, "rhyme names line 5: the poem has 4 lines, the first one is 1"),
        ("青山白雲", {"acrostic": "last"}, "青山白雲: 山 and 雲 do not rhyme: change them, or which lines rhyme"),
        ("青", {"lines": 60}, r"青: \d+ tokens are to be chosen, but only \d+ may be"),
    ],
)
def test_a_form_without_enough_characters_is_reported(text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        poet(**options).predict([text])


def test_the_best_poems_come_first_and_score_as_the_model_scores_them() -> None:
    loaded = poet(search={"beam_size": 4, "temperature": 0.0})
    [found] = loaded.candidates(["青山"], 3)
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert len({p.answer for p in found}) == 3
    text = CODEC.encode("\n5x4" + found[0].answer)
    model = loaded.model
    with torch.no_grad():
        outputs = model.encode(Batch(torch.tensor([text]), torch.tensor([len(text)]), padded=False)).outputs[0]
        scores = model.task._log_probabilities(outputs)
    expected = sum(scores[place - 1, text[place]].item() for place in range(4, len(text)))
    assert found[0].score == pytest.approx(expected, abs=1e-4)


def test_options_that_are_wrong() -> None:
    assert examine("task=verse", "task.characters=0")[1] == ["task.characters is 0: it is at least 1"]
    assert examine("task=verse", "task.acrostic=middle")[1] == [
        "task.acrostic is 'middle': it must be first or last or an integer or null"
    ]
    assert examine("task=verse", "task.search.words=[a]", "task.search.temperature=0")[1] == [
        f"task: a poem has a form of its own: {LEAVE_OUT}"
    ]


def test_other_texts_are_refused() -> None:
    with pytest.raises(Exception, match="task=verse reads poems as data=tang_poetry writes them"):
        build_model(
            CONFIG,
            DataSpec("language_modeling", 5, 5, *[TextCodec.learn("characters", ["abc"])] * 2),
        )


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_poem_is_streamed_in_its_form_and_scored_as_a_line(beam_size: int) -> None:
    loaded, pieces = poet(search={"beam_size": beam_size, "temperature": 0.0}), []
    prediction = loaded.generate("青山", pieces.append)
    assert "".join(pieces) == prediction.answer
    checked(prediction.answer, Form(5, 4))
    scores = loaded.score([Form(5, 4).header + prediction.answer])[0]
    assert [score.token for score in scores] == [*"5x4", *prediction.answer, "\n"]


def test_examples_show_only_forms_that_the_vocabulary_allows() -> None:
    loaded = poet()
    batch = loaded.model.task.samples(Batch(torch.zeros(4, 9, dtype=torch.long), torch.full((4,), 9)), 2)
    assert [loaded.spec.inputs.decode(row) for row in batch.inputs.tolist()] == ["5x4", "7x4"]
    codec = TextCodec.learn("characters", [list("青山" + FRAME + "578246")])
    task = build_model(CONFIG, DataSpec("language_modeling", codec.size, codec.size, codec, codec)).task
    none = task.samples(batch, 3)
    assert none.size == 0
    assert task.show(none, task.decode(None, none)) == []
