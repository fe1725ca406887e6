"""The page in the browser: what its tabs show, their limits, and that it is served."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import seqzoo
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.inspection.synthesizer import RATE
from seqzoo.runs.demo.comparing import read_by_each, while_reading
from seqzoo.runs.demo.controls import adjusted, controls_of
from seqzoo.runs.demo.replies import Reply, read_by, several_answers, views_of
from seqzoo.runs.demo.shown import shown_runs
from seqzoo.runs.loaded import Loaded

STORED = Path(__file__).parent / "stored"
ADDITION, CHORALES = "pretrained:addition_lstm", "pretrained:jsb_chorales_lstm"
CHORDS = "C3+E4+G4+C5 G2+D4+G4+B4"


def untrained(*overrides: str) -> Loaded:
    model, data = seqzoo.build(*overrides, "debug=tiny")
    return Loaded(model.eval(), data.spec, seqzoo.compose(*overrides, "debug=tiny"))


def labels(loaded: Loaded) -> list[str]:
    return [view.label for view in views_of(loaded)]


def contents(reply: Reply) -> dict:
    """What each view shows."""
    return {view.label: view.show(reply) for view in views_of(reply.loaded)}


def test_sums_are_answered_and_several_answers_are_numbered() -> None:
    addition = seqzoo.load(ADDITION)
    assert (read_by(addition.spec), several_answers(addition)) == ("text", True)
    assert contents(Reply(addition, "535+61")) == {"answer": "596", "attention": None}  # it has none
    first, second, third = contents(Reply(addition, "535+61", count=3))["answer"].split("\n")
    assert first == "1. 596"
    assert (second[:3], third[:3]) == ("2. ", "3. ")


def test_a_digit_has_probabilities_and_a_picture(tmp_path: Path) -> None:
    soundfile, _ = pytest.importorskip("soundfile"), pytest.importorskip("matplotlib")
    digits, rate = seqzoo.load("pretrained:fsdd_gru"), 8000
    seconds = numpy.arange(rate // 2) / rate
    soundfile.write(tmp_path / "tone.wav", 0.1 * numpy.sin(2 * numpy.pi * 500 * seconds), rate)
    shown = contents(Reply(digits, file=str(tmp_path / "tone.wav")))
    assert shown["answer"] is None  # the probabilities show it
    assert sorted(shown["probability"]) == list("0123456789")
    assert sum(shown["probability"].values()) == pytest.approx(1)
    samples, spectrogram = shown["the sound that was read"].axes
    assert samples.lines[0].get_xdata()[-1] == pytest.approx(0.5, abs=0.001)
    loudest = spectrogram.images[0].get_array().mean(1).argmax()  # the last row is 0 Hz
    rows = len(spectrogram.images[0].get_array())
    assert (rows - 1 - loudest) / (rows - 1) * rate / 2 == pytest.approx(500, abs=rate / 2 / rows)
    soundfile.write(tmp_path / "long.wav", numpy.zeros(31 * rate), rate)
    with pytest.raises(DataError, match="lasts 31 seconds: give at most 30"):
        Reply(digits, file=str(tmp_path / "long.wav"))
    with pytest.raises(DataError, match="empty: record a sound, or choose a file"):
        Reply(digits, "text.wav")


def test_chorales_are_continued_and_harmonised() -> None:
    pytest.importorskip("matplotlib")
    bach = adjusted(seqzoo.load(CHORALES), [1.0, 4])
    reply = Reply(bach, CHORDS)
    assert (len(reply.composition.frames), reply.composition.given) == (6, 2)
    shown = contents(reply)
    assert shown["sound"][0] == RATE
    assert len(shown["piano roll"].axes) == 1
    harmony = Reply(bach, CHORDS, harmonise=True).composition
    highest = [int(frame.nonzero().max()) for frame in harmony.frames]
    assert highest == [72 - 21, 71 - 21]  # C5 and B4, the melody
    with pytest.raises(DataError, match="the name of a file: write chords, or choose the file"):
        Reply(bach, "C4 /etc/secret.mid")
    with pytest.raises(DataError, match="has 513 steps: give at most 512"):
        Reply(bach, "C4 " * 513)


def test_other_runs_have_the_views_that_their_tasks_are_capable_of(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pictures = pytest.importorskip("PIL.Image")
    tagging = seqzoo.load(STORED / "tagging")
    assert labels(tagging) == ["tags"]
    tags = contents(Reply(tagging, "the cat sees a dog"))["tags"]
    assert "".join(token for token, _ in tags) == "the cat sees a dog "
    assert [tag for _, tag in tags] == tagging.predict(["the cat sees a dog"])[0].answer
    sentiment = untrained("task=classification")
    assert labels(sentiment) == ["answer", "probability", "contribution of each token"]
    weights = contents(Reply(sentiment, "a good film"))["contribution of each token"]
    assert max(abs(weight) for _, weight in weights) == pytest.approx(1)
    captions = untrained("task=captioning")
    assert (read_by(captions.spec), labels(captions)) == ("picture", ["answer", "attention"])
    pictures.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    shown = contents(Reply(captions, file=str(tmp_path / "red.png")))
    assert len(shown["attention"].axes) > len(shown["answer"].split())  # the picture, and one for each word
    assert labels(untrained("task=forecasting")) == ["forecast"]
    assert labels(untrained("task=tree_classification")) == ["tree"]
    with pytest.raises(ConfigError, match="pictures or clips of idx files"):
        read_by(replace(captions.spec, kind="classification"))


def test_options_stay_within_limits() -> None:
    addition = seqzoo.load(ADDITION)
    assert [control.label for control in controls_of(addition)] == ["temperature", "length", "beam"]
    changed = adjusted(addition, [0.5, 7, 4])
    assert (changed.model.task.search.temperature, changed.model.task.search.max_length) == (0.5, 7)
    assert changed.model.task.search.beam_size == 1  # tokens are drawn
    for name, weight in addition.model.state_dict().items():
        torch.testing.assert_close(changed.model.state_dict()[name], weight)
    with pytest.raises(DataError, match="length is 100000: choose a number from 1 to 1000"):
        adjusted(addition, [0, 100_000, 1])
    with pytest.raises(DataError, match="the text has 2,001 characters: write at most 2,000"):
        Reply(addition, "1" * 2001)
    with pytest.raises(DataError, match="answers is 6: choose a number from 1 to 5"):
        Reply(addition, "1+1", count=6)
    with pytest.raises(DataError, match="the input is empty: write a text"):
        contents(Reply(addition, "  "))


def test_poems_have_their_options() -> None:
    pytest.importorskip("pypinyin")
    poet = untrained("task=verse")
    names = {control.label: control.start(poet.config) for control in controls_of(poet)}
    assert names["acrostic"] == "none"
    values = {**names, "acrostic": "first", "characters per line": "7", "lines": "4", "rhyme": "1, 2 and 4"}
    text = "".join(character for character in poet.spec.inputs.vocabulary.tokens if "一" <= character <= "龥")[:4]
    poem = contents(Reply(adjusted(poet, [*values.values()]), text))["answer"]
    lines = poem.replace("。", "，").split("，")[:4]
    assert ["".join(line[0] for line in lines), {len(line) for line in lines}] == [text, {7}]
    with pytest.raises(DataError, match="acrostic is 'every': choose one of none, first, last"):
        adjusted(poet, [*{**values, "acrostic": "every"}.values()])


def test_two_runs_are_drawn_while_they_read() -> None:
    pytest.importorskip("matplotlib")
    runs = [(name, seqzoo.load(f"pretrained:tiny_shakespeare_{name}")) for name in ("lstm", "gru")]
    sides = read_by_each(runs, "HAMLET:", last_layer=True)
    assert [list(side.course.states) for side in sides] == [["output", "f", "i", "o"], ["output", "r", "z"]]
    figures = list(while_reading(sides))
    assert len(figures) == 6
    first, last = (torch.tensor(pair[0].axes[0].images[0].get_array()) for pair in (figures[0], figures[-1]))
    read = -(-8 // 6)  # the line end before the text is read, too
    assert torch.equal(first[:, :read], last[:, :read])
    assert bool((first[:, read:] == 1).all())
    assert not bool((last[:32, read:] == 1).all())
    with pytest.raises(DataError, match="write at most 120"):
        read_by_each(runs, "a" * 121, last_layer=False)


def test_tabs_have_names_of_their_own() -> None:
    addition, tagging, other = shown_runs([ADDITION, str(STORED / "tagging"), str(STORED / "transduction")])
    assert (addition.name, addition.example) == ("addition_lstm", "535+61")
    assert addition.about.endswith("exact_match 0.9996 (test)")
    assert tagging.name.startswith("tagging ")
    assert "parameters" in tagging.about
    assert len({addition.name, tagging.name, other.name}) == 3


def test_without_gradio_a_sentence_says_what_to_install(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = command("demo")
    assert done.status == 2
    assert done.err.startswith("seqzoo: the demo needs gradio, which is not installed: ")
    assert done.err.endswith(" install 'seqzoo[demo]'\n")


def test_the_page_answers_and_names_errors(tmp_path: Path) -> None:
    """In a process of its own, since gradio leaves sockets and event loops behind."""
    pytest.importorskip("gradio", reason="the demo needs gradio: pip install 'seqzoo[demo]'")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "seqzoo", "demo", ADDITION], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            url = process.stdout.readline().split()[0]
            with urllib.request.urlopen(url) as response:
                assert "default-src 'self'" in response.headers["content-security-policy"]

            def ask(text: str) -> tuple[str, Any]:
                """The name and the content of the event that ends a request."""
                address = f"{url}gradio_api/call/addition_lstm"
                content = json.dumps({"data": [text, None, "continue", 1, 0, 100, 1]}).encode()
                request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request) as response:
                    event = json.load(response)["event_id"]
                with urllib.request.urlopen(f"{address}/{event}") as response:
                    name, data = response.read().decode().split("\n")[:2]
                return name, json.loads(data.removeprefix("data: "))

            name, [answer, attention] = ask("12+30")
            assert (name, answer["value"], attention["visible"]) == ("event: complete", "42", False)
            name, error = ask(" ")
            assert (name, error["error"]) == ("event: error", "the input is empty: write a text")
            name, error = ask("1" * 2001)
            assert name == "event: error"
            assert "2000" in error["error"].replace(",", "")
        finally:
            process.terminate()
    assert process.returncode == 0
    assert list(tmp_path.glob("seqzoo-demo-*")) == []  # what was uploaded and drawn
