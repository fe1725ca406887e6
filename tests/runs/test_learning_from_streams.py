"""`seqzoo learn`: a language model that learns from text while it arrives."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.growing_text import GrowingText
from seqzoo.runs import learning_from_streams
from seqzoo.training.record.checkpoint import load_training

WORDS = "a cat saw the dog and the dog saw a cat on the mat .\n"
SMALL = (
    "debug=tiny", "task=language_modeling", "data=text_files", "data.train=first.txt", "data.tokenizer=characters",
    "data.window=5", "cell=ind_rnn", "learning=snap1", "encoder.embedding_size=4", "training.learning_rate=0.01",
)  # fmt: skip


def windows(text: GrowingText) -> list[list[int]]:
    return list(text.windows(lambda: False))


def test_windows_do_not_depend_on_when_the_text_arrived(tmp_path: Path) -> None:
    path, codec = tmp_path / "text", TextCodec.learn("characters", [WORDS + "é"])
    whole = (WORDS + "é" * 9).encode()
    path.write_bytes(whole)
    expected = windows(GrowingText(codec, 4, path))
    assert [i for ids in expected for i in ids[:-1]] == codec.encode(whole.decode())[: 4 * len(expected)]
    assert all(before[-1] == after[0] for before, after in itertools.pairwise(expected))

    parts, content = [], None
    for end in (7, 20, len(whole) - 1, len(whole)):  # the last but one is inside a character
        path.write_bytes(whole[:end])
        text = GrowingText(codec, 4, path)
        if content is not None:
            text.restore(content)
        parts += windows(text)
        content = text.content()
    assert parts == expected
    path.write_bytes(b"")
    with pytest.raises(DataError, match="fewer than the"):
        windows(text)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="not UTF-8 text"):
        windows(GrowingText(codec, 4, path))


def test_words_wait_for_the_end_of_their_line(tmp_path: Path) -> None:
    codec, path = TextCodec.learn("lines:whitespace", [WORDS]), tmp_path / "text"
    path.write_text(WORDS + "the do", encoding="utf-8")
    text = GrowingText(codec, 13, path)
    assert [codec.tokens(ids) for ids in windows(text)] == [[*WORDS.split(), "<eos>"][:14]]
    assert text.content()["rest"] == "the do"


def test_a_file_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is appended while the text is read arrives; `sleep` stands for the program that appends it."""
    codec, path, naps = TextCodec.learn("characters", [WORDS]), tmp_path / "text", []
    path.write_text("a cat", encoding="utf-8")

    def append(seconds: float) -> None:
        naps.append(seconds)
        with path.open("a", encoding="utf-8") as file:
            file.write(" saw")

    monkeypatch.setattr(time, "sleep", append)
    text = GrowingText(codec, 4, path, follow=True)
    read = list(text.windows(lambda: len(naps) > 1))
    assert [codec.decode(ids) for ids in read] == ["a cat", "t saw"]


def test_standard_input_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pipe that is open, of which `select` says when it has something to read."""
    codec, (reading, writing) = TextCodec.learn("characters", [WORDS]), os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as pipe, os.fdopen(reading, "rb") as end:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=end))
        pipe.write(b"a cat saw")
        text = GrowingText(codec, 4, None)
        read = text.windows(lambda: False)
        assert [codec.decode(next(read)), codec.decode(next(read))] == ["a cat", "t saw"]
        pipe.write(b" the dog")
        assert codec.decode(next(read)) == "w the"
        pipe.close()
        assert [codec.decode(ids) for ids in read] == ["e dog"]


def test_a_stream_is_learned_from_and_continued_bit_for_bit(command: Callable, tmp_path: Path) -> None:
    Path("first.txt").write_text(WORDS * 30, encoding="utf-8")
    assert command("train", *SMALL, "hydra.run.dir=run").status == 0
    Path("whole.txt").write_text(WORDS * 3, encoding="utf-8")
    whole = command("learn", "run", "whole.txt", "log_every=8", "--to", "whole")
    assert whole.status == 0, whole.err
    losses = [float(loss) for loss in re.findall(r"lately ([\d.]+)$", whole.out, re.MULTILINE)]
    assert losses[-1] < losses[0] - 0.05

    text = (WORDS * 3).encode()
    Path("part.txt").write_bytes(text[:101])
    assert command("learn", "run", "part.txt", "log_every=8", "--to", "parts").status == 0
    Path("part.txt").write_bytes(text)
    again = command("learn", "parts", "part.txt", "log_every=8")
    assert again.status == 0, again.err
    assert again.out.splitlines()[-1] == whole.out.splitlines()[-1]
    parts, uncut = (load_training(tmp_path / name / "checkpoints/last.pt") for name in ("parts", "whole"))
    for name in ("model", "rule", "state"):
        torch.testing.assert_close(parts[name], uncut[name], rtol=0, atol=0)
    assert parts["stream"]["count"] == uncut["stream"]["count"] == 5 * ((len(text) - 1) // 5)

    assert command("predict", "parts", "a cat").status == 0


def test_a_signal_saves_and_the_command_to_go_on_is_printed(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("first.txt").write_text(WORDS * 30, encoding="utf-8")
    assert command("train", *SMALL, "hydra.run.dir=run").status == 0
    Path("short.txt").write_text(WORDS * 5, encoding="utf-8")
    update, calls = learning_from_streams.update, []

    def interrupted(*arguments: object, **options: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return update(*arguments, **options)

    monkeypatch.setattr(learning_from_streams, "update", interrupted)
    stopped = command("learn", "run", "short.txt", "--to", "stream")
    assert stopped.status == 130
    assert "stopped and saved after 15 tokens; to go on:" in stopped.out
    assert stopped.out.splitlines()[-1].endswith("learn stream [FILE]")
    monkeypatch.setattr(learning_from_streams, "update", update)
    assert command("learn", "stream", "short.txt").status == 0
    assert command("learn", "run", "short.txt", "--to", "whole").status == 0
    streams = [load_training(Path(name, "checkpoints/last.pt")) for name in ("stream", "whole")]
    torch.testing.assert_close(streams[0]["model"], streams[1]["model"], rtol=0, atol=0)
    assert streams[0]["stream"]["count"] == streams[1]["stream"]["count"] > 200


def test_what_was_learned_before_text_that_cannot_be_read_is_kept(command: Callable) -> None:
    Path("first.txt").write_text(WORDS * 30, encoding="utf-8")
    assert command("train", *SMALL, "hydra.run.dir=run").status == 0
    Path("bad.txt").write_bytes((WORDS * 1_500).encode() + b"\xff")
    done = command("learn", "run", "bad.txt", "--to", "stream", "window=2000", "learning_rate=1e-5")
    assert done.status == 2
    assert "bad.txt is not UTF-8 text" in done.err
    assert load_training(Path("stream/checkpoints/last.pt"))["stream"]["count"] > 60_000
    for number in ("inf", "1.5"):
        refused = command("learn", "run", "first.txt", "--to", "new", f"window={number}")
        assert (refused.status, f"window is '{number}': it must be a whole number" in refused.err) == (2, True)


def test_what_cannot_learn_from_a_stream_is_refused(command: Callable) -> None:
    assert "give a new folder for the stream by --to" in command("learn", "pretrained:tiny_shakespeare_lstm").err
    tags = command("train", "debug=tiny", "task=tagging", "training.steps=1", "hydra.run.dir=tags")
    assert tags.status == 0
    refused = command("learn", "tags", "--to", "new")
    assert refused.status == 2
    assert "a stream is text whose next token is predicted, and task=tagging does not" in refused.err
    assert not Path("new").exists()
    assert "nothing.txt is not a file" in command("learn", "tags", "nothing.txt", "--to", "new").err
    assert "'speed=1' is not an option of this command" in command("learn", "tags", "speed=1").err
    assert "learning_rate is 'fast': it must be a number" in command("learn", "tags", "learning_rate=fast").err
    assert "--follow waits for a file that grows" in command("learn", "tags", "--follow").err
