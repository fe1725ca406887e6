"""A growing sequence chunk by chunk: the outputs are those of the whole sequence."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor

from seqzoo import compose
from seqzoo.configuration.building import build_model
from seqzoo.contracts.batch import Batch, Prediction
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.sources.sound import sound_chunks
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS
from seqzoo.network.growing import Growing, advance, finish
from seqzoo.network.model import Model
from seqzoo.runs.loaded import Loaded

DIGITS = TextCodec.learn("characters", ["0123456789"], TARGET_SPECIALS)
SPEC = DataSpec("transduction", 20, DIGITS.size, None, DIGITS, rate=2_000)


def model(*overrides: str) -> Model:
    options = ("backbone=deep", "backbone.hidden_size=6", "encoder.normalisation=training", "encoder.bands=12")
    made = build_model(compose("task=transcription", *options, *overrides), SPEC)
    if made.encoder.normalisation == "training":
        with torch.no_grad():
            for _ in range(3):
                made(Batch(torch.randn(2, 30, 20), torch.tensor([30, 20])))
    return made.eval()


def chunks(x: Tensor, *sizes: int) -> Iterator[Tensor]:
    return iter(x.split([*sizes, len(x) - sum(sizes)]))


CASES = [
    (),
    ("encoder.channels=[]",),
    ("encoder.channels=[3,2,2]", "encoder.deltas=2"),
    ("encoder=mfcc", "encoder.bands=13"),
    ("encoder.normalisation=none", "backbone=unidirectional", "cell=gru"),
]


@pytest.mark.parametrize("overrides", CASES, ids=str)
@pytest.mark.parametrize("sizes", [(), (1,) * 30, (5, 1, 0, 13, 7), (40,)], ids=str)
@torch.no_grad()
def test_chunks_are_the_whole(overrides: tuple[str, ...], sizes: tuple[int, ...]) -> None:
    made, x = model(*overrides), torch.randn(43, 20)
    whole = made.encode(Batch(x[None], torch.tensor([43]), padded=False)).outputs
    growing, parts = Growing(), []
    for chunk in chunks(x, *sizes):
        parts.append(advance(made, [growing], Batch(chunk[None], torch.tensor([len(chunk)]), padded=False)))
    parts = [part.outputs for part in (*parts, finish(made, growing)) if part is not None]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)
    assert len(parts) > 3 or len(sizes) < 4  # outputs do not wait for the end


def test_what_cannot_be_streamed() -> None:
    with pytest.raises(ConfigError, match="reads future inputs, which a stream does not have"):
        Loaded(model("backbone=bidirectional"), SPEC).stream()
    with pytest.raises(ConfigError, match=r"train one with encoder\.normalisation=training"):
        Loaded(model("encoder.normalisation=recording"), SPEC).stream()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    sound = 0.1 * torch.randn(2_345, generator=torch.Generator().manual_seed(0))
    soundfile.write(tmp_path / "a.wav", sound.numpy(), 2_000)
    return tmp_path / "a.wav"


def heard(loaded: Loaded, recording: Path) -> tuple[list[str], Prediction | None]:
    """The pieces of a transcript, and the whole."""
    stream, pieces = loaded.stream(), []
    for chunk in sound_chunks(str(recording), 2_000, 20):
        pieces += stream.push(chunk).answers
    at_end = stream.end()
    return [*pieces, *at_end.answers], at_end.prediction


def test_a_recording_is_transcribed_while_it_is_read(recording: Path) -> None:
    loaded = Loaded(model(), SPEC)
    [whole] = loaded.predict([str(recording)])
    pieces, found = heard(loaded, recording)
    assert "".join(pieces) == found.answer == whole.answer
    assert len(pieces) > 1
    assert found.score == pytest.approx(whole.score, abs=1e-3)
    with pytest.raises(DataError, match="has no samples"):
        loaded.stream().end()


def test_samples_need_not_be_whole_steps(recording: Path) -> None:
    loaded = Loaded(model(), SPEC)
    stream, answers = loaded.stream(), []
    for samples in torch.from_numpy(soundfile.read(recording, dtype="float32")[0]).split(33):
        answers += stream.push(samples).answers
    at_end = stream.end()
    assert "".join([*answers, *at_end.answers]) == loaded.predict([str(recording)])[0].answer


def test_a_beam_writes_at_the_end(recording: Path) -> None:
    loaded = Loaded(model("task.search.beam_size=4"), SPEC)
    pieces, found = heard(loaded, recording)
    assert pieces == [loaded.predict([str(recording)])[0].answer] == [found.answer]


def test_standard_input_is_wav_or_raw_samples(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = torch.cat(list(sound_chunks(str(recording), 2_000, 20)))
    data = recording.read_bytes()
    for content in (data, data[data.index(b"data") + 8 :]):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        parts = list(sound_chunks("-", 2_000, 20))
        assert [len(part) for part in parts] == [10] * 11 + [8]
        torch.testing.assert_close(torch.cat(parts), expected)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    with pytest.raises(DataError, match="1 channels, 16 bits and 2,000 Hz: give 16 bit mono at 8,000 Hz"):
        list(sound_chunks("-", 8_000, 80))


def test_the_command_listens_to_standard_input(
    recording: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Loaded(model(), SPEC)
    monkeypatch.setattr("seqzoo.runs.loading.load", lambda *_: loaded)
    found = command("predict", "run", recording, "--stream")
    assert (found.status, found.err) == (0, "")
    monkeypatch.setattr("io.StringIO", lambda _: SimpleNamespace(buffer=io.BytesIO(recording.read_bytes())))
    assert command("predict", "run", "--stream").out == found.out
