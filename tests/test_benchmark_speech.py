"""scripts/benchmark_speech.py: a loop by hand with the loss of seqzoo, and a stream."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType


def test_rows(load_script: Callable[[str], ModuleType]) -> None:
    script = load_script("benchmark_speech")
    tones = ("task=transcription", "cell=gru", "data=dial_tones", "data.train_size=4", "data.batch_size=2",
             "backbone.hidden_size=4")  # fmt: skip
    rows = list(script.training(tones, 1))  # raises AssertionError if losses differ
    assert [row[1].partition(" ")[0] for row in rows] == ["nn.GRU", "nn.GRU", "seqzoo", "features", "reading"]
    streamed = (*tones, "backbone=unidirectional", "encoder.normalisation=training")
    [row] = script.recognition(streamed, 0.01)
    assert row[0] == "recognition"
    assert float(row[3]) > 0
