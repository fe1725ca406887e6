"""Pictures of attention, states and contributions, from trained models."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqzoo.commands import main as cli
from seqzoo.contracts.batch import Alignment, Explanation
from seqzoo.contracts.errors import ConfigError, not_installed
from seqzoo.inspection import drawing
from seqzoo.runs.loaded import Loaded
from seqzoo.runs.loading import load

SMALL = ("debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8", "training.examples=2")
LOOK = "training.diagnostics=1"
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "attention"
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main(
            [
                "train",
                "task.decoder.attention=additive",
                "backbone=bidirectional",
                LOOK,
                *SMALL,
                f"hydra.run.dir={folder}",
            ]
        )
    return folder


@pytest.fixture(autouse=True)
def pictures() -> None:
    """Pictures are drawn in these tests."""


@pytest.fixture
def loaded(run: Path) -> Loaded:
    return load(run)


def test_a_row_of_weights_for_each_token_that_is_written(loaded: Loaded) -> None:
    texts = ["1+2", "123+456"]
    for text, prediction, found in zip(texts, loaded.predict(texts), loaded.alignments(texts), strict=True):
        assert found.read == list(reversed(text))  # as it is read
        assert found.written == [*prediction.answer, "<eos>"]
        assert found.weights.shape == (len(found.written), len(text))
        torch.testing.assert_close(found.weights.sum(1), torch.ones(len(found.written)))
    [unknown] = loaded.alignments(["1x2"])
    assert unknown.read == ["2", "x", "1"]  # as it was written


def test_the_attention_of_an_ensemble_is_that_of_its_answer(run: Path) -> None:
    torch.manual_seed(0)
    loaded, other = load(run, options={"search": {"temperature": 1.0}}), load(run)
    torch.nn.init.normal_(other.model.task.decoder.head.weight)  # it writes something else
    loaded.others, texts = [other], ["1+2", "123+456"]
    torch.manual_seed(1)
    predictions = loaded.predict(texts)
    torch.manual_seed(1)
    for prediction, found in zip(predictions, loaded.alignments(texts), strict=True):
        assert found.written == [*prediction.answer, "<eos>"]


def test_captions_have_a_picture_per_word_with_attention() -> None:
    picture = torch.full((3, 8, 16), 0.5)
    weights = torch.zeros(2, 8)  # 2 rows of 4 regions
    weights[0, 7] = weights[1, 0] = 1
    read, *words = drawing.draw(Alignment([], ["dog", "<eos>"], weights, picture)).axes
    assert read.images[0].get_array().shape == (8, 16, 3)
    assert [axes.get_title() for axes in words] == ["dog", "<eos>"]
    dog, end = (torch.tensor(axes.images[0].get_array()).sum(2) for axes in words)
    assert dog[-1, -1] == end[0, 0] == dog.max() == end.max() == 3 * 0.75
    assert dog[0, 0] == end[-1, -1] == dog.min() == 3 * 0.25


def test_captions_fit_below_their_pictures() -> None:
    clips, line = torch.rand(2, 9, 1, 8, 8), "a line about what was seen there and what is right"
    for figure in (
        drawing.draw_pictures(torch.rand(3, 3, 8, 8), [line * 4, line, line]),
        drawing.draw_pictures(clips, [line] * 2),
    ):
        figure.draw_without_rendering()
        boxes = [axes.title.get_window_extent() for axes in figure.axes]
        assert all(figure.bbox.containsx(x) and figure.bbox.containsy(y) for box in boxes for x, y in box.get_points())
        for one, other in pairwise(boxes):
            assert one.x1 < other.x0 or one.y0 > other.y1
    clip = torch.rand(1, 5, 1, 8, 8)
    [axes] = drawing.draw_pictures(clip, ["a very long line about what was seen there"]).axes
    assert axes.images[0].get_array().shape == (8, 40, 3)
    assert axes.get_title().split() == ["a", "very", "long", "line", "about", "what", "was", "seen", "there"]


def test_validation_shows_pictures_with_attention(tmp_path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main(["train", "task=captioning", LOOK, *SMALL, f"hydra.run.dir={tmp_path / 'run'}"])
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert {"valid/pictures", "valid/attention_1", "valid/attention_2"} <= set(events.Tags()["images"])
    shown = events.Images("valid/pictures")
    assert [image.step for image in shown] == [4, 8]
    assert all(image.encoded_image_string.startswith(PNG) for image in shown)


def test_the_picture_shows_the_weights_and_their_tokens() -> None:
    weights = torch.tensor([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])
    [axes] = drawing.draw(Alignment(["ein", "Hund"], ["a", "dog", "<eos>"], weights)).axes
    assert axes.images[0].get_array().tolist() == weights.tolist()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ein", "Hund"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "dog", "<eos>"]


def test_attention_of_one_answer_is_coloured_text() -> None:
    words = ["a", "wonderful", *["very"] * 20, "film"]
    weights = torch.full((1, len(words)), 0.01)
    weights[0, 1] = 1.0
    [axes] = drawing.draw(Alignment(words, ["positive"], weights)).axes
    answer, *drawn = axes.texts
    assert answer.get_text() == "-> positive"
    assert [text.get_text() for text in drawn] == words
    shades = [text.get_bbox_patch().get_facecolor()[3] for text in drawn]
    assert shades.index(max(shades)) == 1
    assert len({text.get_position()[1] for text in drawn}) == 2  # lines
    assert all(text.get_position()[0] + len(text.get_text()) <= drawing.COLUMNS for text in drawn)


def test_text_in_any_script_is_drawn_without_a_warning(tmp_path: Path) -> None:
    read = ["很", "好", "$x_1$"]
    drawing.save(drawing.draw(Alignment(read, ["1"], torch.tensor([[0.2, 0.3, 0.5]]))), tmp_path / "out.png")
    weights = torch.full((2, 3), 1 / 3)
    drawing.save(drawing.draw(Alignment(read, ["$x_$", "<eos>"], weights)), tmp_path / "matrix.png")
    drawing.save(drawing.draw_states(read, {"output": torch.randn(3, 4)}), tmp_path / "states.png")
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


def test_a_confusion_matrix_shows_shares_and_counts() -> None:
    [axes] = drawing.draw_confusion(["no", "yes"], [[3, 1], [0, 0]]).axes
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0.0, 0.0]]
    assert [text.get_text() for text in axes.texts] == ["3", "1"]
    # each row by itself, however many examples the others have
    [axes] = drawing.draw_confusion(["no", "yes"], [[6, 2], [1, 1]]).axes
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_colours_of_states_and_gates() -> None:
    states = {"output": torch.tensor([[0.5, -1.0], [0.0, 2.0]]), "f": torch.tensor([[0.0, 1.0], [0.5, 0.25]])}
    [axes] = drawing.draw_states(["a", "b"], states).axes
    image = torch.from_numpy(axes.images[0].get_array().data)
    output, gate = image[:2], image[3:5]  # below each panel is a line
    assert output[0, 0, 0] > output[0, 0, 2]  # above 0: red
    assert output[1, 0, 2] > output[1, 0, 0]  # below 0: blue
    assert output[0, 1].tolist() == [1, 1, 1]
    torch.testing.assert_close(output[1, 1], torch.tensor([0.7, 0.09, 0.17]))  # the largest of all
    torch.testing.assert_close(1 - gate, torch.tensor([[0.0, 0.5], [1.0, 0.25]])[..., None].expand(-1, -1, 3))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["output\n±2", "f\n0 to 1"]
    assert axes.get_title("left") == "2 units"


def test_the_units_that_change_most_are_drawn() -> None:
    outputs, gates = torch.zeros(2, 100), torch.full((2, 100), 0.25)
    outputs[1, 3::3] = 1.0  # units 3, 6, ..., 99: one too many
    outputs[1, 99] = 0.5
    gates[:, 6] = 1.0
    [axes] = drawing.draw_states(["a", "b"], {"output": outputs, "f": gates}, "layer 1").axes
    assert axes.get_title("left") == f"layer 1: {drawing.UNITS} of 100 units, those that change most"
    image = torch.from_numpy(axes.images[0].get_array().data)
    assert image[: drawing.UNITS, 1].eq(0).all(dim=-1).all(), "each of them is open at the second step"
    gate = image[drawing.UNITS + 4 : 2 * drawing.UNITS + 4]
    assert gate[:, 0, 0].eq(0).nonzero().flatten().tolist() == [1], "unit 6 is the second of those that are drawn"


def test_non_finite_values_of_memory_are_not_drawn() -> None:
    forwards, backwards = drawing.draw_memory([1.0, 2.0], [10.0, 0.0, 0.1]).axes
    assert forwards.lines[0].get_xydata().tolist() == [[1, 1], [2, 2]]
    assert backwards.lines[0].get_xydata().tolist() == [[1, 1], [3, -1]]


def test_words_are_coloured_by_their_contribution() -> None:
    explanation = Explanation("gradient x input", ["so", "good"], torch.tensor([-0.25, 0.75]))
    against, good = drawing.coloured(explanation).split(" ")
    assert against == "\x1b[30;48;2;255;197;197mso\x1b[0m"
    assert good == "\x1b[30;48;2;80;255;80mgood\x1b[0m"
    assert drawing.plain(explanation) == "so (-0.25) good (0.75)"
    assert "\x1b[2J" not in drawing.coloured(Explanation("gradient x input", ["a\x1b[2J"], torch.tensor([1.0])))
    assert drawing.separator(["很", "好"]) == ""


def test_predict_draws_a_picture_for_each_text(run: Path, command: Callable, tmp_path: Path) -> None:
    command("predict", run, "1+2", "30+4", "--attention", "out.png")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["out-2.png", "out.png"]
    assert all(path.read_bytes().startswith(PNG) for path in tmp_path.glob("*.png"))


def test_explain_draws_layers_and_attention(run: Path, command: Callable, tmp_path: Path) -> None:
    done = command("explain", run, "1+23")
    assert done.status == 0, done.err
    *paths, order, answer = done.out.splitlines()
    names = ("layer_1", "layer_1_backwards", "attention")
    assert paths == [f"wrote explained/{name}.png" for name in names]
    assert order == "this run reads texts in reverse order, and the pictures do so from left to right"
    assert all((tmp_path / f"explained/{name}.png").read_bytes().startswith(PNG) for name in names)
    assert answer.startswith("answer: 1+23 -> ")
    (tmp_path / "file").touch()
    assert command("explain", run, "1+23", "--to", "file").err.startswith("seqzoo: --to is 'file', which cannot be a ")
    assert "is not a run directory" in command("explain", tmp_path, "1+23").err


def test_layers_are_recorded_in_reading_order(loaded: Loaded) -> None:
    inside = loaded.look_inside("1+23")
    ahead, behind = inside.layers.values()
    assert ahead.read == behind.read == ["3", "2", "+", "1"]  # as it is read
    assert list(ahead.states) == ["output", "f", "i", "o"]
    batch = loaded.read(["1+23"], [1])
    with torch.no_grad():
        outputs = loaded.model.encode(batch).outputs[0]
    torch.testing.assert_close(torch.cat([ahead.states["output"], behind.states["output"]], 1), outputs)


def test_predict_gives_the_best_candidates_of_a_beam(run: Path, command: Callable) -> None:
    lines = [
        json.loads(line) for line in command("predict", run, "1+2", "3+4", "--json", "--n-best", "3").out.splitlines()
    ]
    assert [line["input"] for line in lines] == ["1+2"] * 3 + ["3+4"] * 3
    for scores in ([line["score"] for line in lines[:3]], [line["score"] for line in lines[3:]]):
        assert scores == sorted(scores, reverse=True)
    best = command("predict", run, "1+2", "--set", "search.beam_size=3").out.rstrip("\n")
    assert lines[0]["prediction"] == best


def test_an_ensemble_predicts_with_one_vocabulary(run: Path, command: Callable, tmp_path: Path) -> None:
    """An ensemble of a model with copies of itself predicts as the model; empty lines are kept."""
    alone = command("predict", run, "1+2", "", "34+5", "--json").out
    lines = [json.loads(line) for line in alone.splitlines()]
    assert (lines[1]["input"], lines[1]["prediction"]) == ("", "")
    copies = [shutil.copytree(run, tmp_path / name) for name in ("first", "second")]
    beside = [argument for copy in copies for argument in ("--with", copy)]
    together = command("predict", run, "1+2", "", "34+5", "--json", *beside).out
    for line, other in zip(lines, map(json.loads, together.splitlines()), strict=True):
        assert (line["prediction"], line["score"]) == (other["prediction"], pytest.approx(other["score"], abs=1e-4))
    shutil.copytree(run, tmp_path / "other")
    spec = json.loads((tmp_path / "other" / "spec.json").read_text())
    spec["targets"]["tokens"].reverse()
    (tmp_path / "other" / "spec.json").write_text(json.dumps(spec))
    refused = command("predict", run, "1+2", "--with", tmp_path / "other")
    assert (
        refused.err
        == f"seqzoo: {tmp_path / 'other'} writes in another vocabulary than {run}: train both on the same data\n"
    )


def test_tensorboard_shows_the_same_sentences_at_each_validation(run: Path) -> None:
    events = EventAccumulator(str(run)).Reload()
    attention = ["valid/attention_1", "valid/attention_2"]
    assert events.Tags()["images"] == ["recurrence/memory", "recurrence/states", *attention]
    shown = events.Images("valid/attention_1")
    assert [image.step for image in shown] == [4, 8]
    assert all(image.encoded_image_string.startswith(PNG) for image in shown)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--attention", "out.text"), "seqzoo: the picture out.text cannot be written: Format 'text' is not supported"),
        (("--attention", "/dev/null/out.png"), "seqzoo: the picture /dev/null/out.png cannot be written: "),
        (("--set", "decoder.attention=none", "--attention", "out.png"), "belongs to another model"),
        (("--set", "beam_size=3"), "there is no option 'task.beam_size': it is 'task.search.beam_size'"),
    ],
)
def test_bad_input(run: Path, command: Callable, arguments: tuple[str, ...], message: str) -> None:
    done = command("predict", run, "1+2", *arguments)
    assert done.status == 2
    assert message in done.err


def test_a_run_without_attention_says_so(command: Callable) -> None:
    command("train", *SMALL, "hydra.run.dir=plain")
    done = command("predict", "plain", "1+2", "--attention", "out.png")
    assert done.status == 2
    assert "the run has no attention: train one with an attention, such as task.decoder.attention=general" in done.err


def test_without_matplotlib_a_sentence_says_what_to_install(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "can_draw", lambda: False)
    told = f"seqzoo: drawing needs {not_installed('matplotlib')}\n"
    for arguments in (("predict", "nowhere", "1+2", "--attention", "out.png"), ("explain", "nowhere", "1+2")):
        assert command(*arguments).err == told, "told before the run is read"
    with pytest.raises(ConfigError, match=re.escape(not_installed("matplotlib"))):
        drawing.draw(Alignment(["a"], ["b"], torch.ones(1, 1)))


def test_a_piano_roll_has_a_bar_for_each_note() -> None:
    frames = torch.zeros(6, 88)
    frames[0:4, 39] = 1  # C4 over a boundary: a grey bar and one in colour
    frames[5, 43] = 1
    axes = drawing.draw_piano_roll(frames, 2, given=2).axes[0]
    bars = [path.get_extents() for bar in axes.collections for path in bar.get_paths()]
    assert [(bar.x0, bar.x1, round(bar.y0 + 0.4)) for bar in bars] == [(0, 1, 60), (1, 2, 60), (2.5, 3, 64)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["C3", "C4", "C5"]
    assert drawing.draw_piano_roll(torch.zeros(3, 88), 1).axes[0].get_xlabel() == "quarter notes"
