"""A target in a text: how it is marked, and how files give it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.sources.marked_text import split_marked
from seqzoo.data.sources.reading import read_target_lines
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain

TWEETS = "i love $T$ so much\nwindows 7\n1\n$T$ again ?\nthe iphone\n-1\nno $T$ , no $T$ .\nwii\n0\n"


@pytest.fixture
def tweets(tmp_path: Path) -> ClassificationFiles:
    path = tmp_path / "train.raw"
    path.write_text(TWEETS)
    return ClassificationFiles(
        train=str(path), validation=str(path), format="target_lines", marked=True, tokenizer="whitespace"
    )


@pytest.mark.parametrize(
    ("text", "tokens", "span"),
    [
        ("i love [[windows 7]] so", ["i", "love", "windows", "7", "so"], (2, 4)),
        ("[[wii]]", ["wii"], (0, 1)),
        ("co[[dex]]es", ["co", "dex", "es"], (1, 2)),
    ],
)
def test_a_mark_is_no_token(text: str, tokens: list[str], span: tuple[int, int]) -> None:
    assert split_marked(text, str.split) == (tokens, span)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no target", "no target is marked"),
        ("[[one]] and [[two]]", "more than one target is marked"),
        ("an empty [[ ]] one", "the marked target has no tokens"),
    ],
)
def test_a_text_marks_one_target(text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint + r".*the \[\[battery\]\] dies too soon"):
        split_marked(text, str.split)


def test_three_lines_become_a_marked_text(tmp_path: Path) -> None:
    path = tmp_path / "some.raw"
    path.write_text(TWEETS)
    assert [row.fields for row in read_target_lines(str(path))] == [
        ["1", "i love [[windows 7]] so much"],
        ["-1", "[[the iphone]] again ?"],
        ["0", "no [[wii]] , no wii ."],
    ]


@pytest.mark.parametrize(
    ("text", "complaint"), [("a $T$\nb\n", "2 lines, but an example has three"), ("a\nb\n1\n", ":1: no \\$T\\$ in 'a'")]
)
def test_other_lines_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "some.raw"
    path.write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_target_lines(str(path))


def test_batches_hold_the_spans_of_their_rows(tweets: ClassificationFiles) -> None:
    assert tweets.expected_spec().marked
    tweets.load()
    spec = spec_from_plain(spec_to_plain(tweets.spec))
    assert spec.marked
    assert [spec.targets.decode([i]) for i in range(3)] == ["-1", "0", "1"]
    assert sum(spec.class_counts) == tweets.splits()["train"]
    rows = 0
    for split in tweets.splits():
        for batch in tweets.batches(split):
            for ids, (first, end) in zip(batch.inputs.tolist(), batch.spans.tolist(), strict=True):
                assert spec.inputs.decode(ids[first:end]) in ("windows 7", "the iphone", "wii")
                rows += 1
    assert rows == 6
    assert torch.equal(batch.first(1).spans, batch.spans[:1])


def test_a_trained_model_reads_marked_texts(tweets: ClassificationFiles) -> None:
    tweets.load()
    batch = encode_inputs(tweets.spec, ["[[wii]] again", "i love my [[windows 7]]"])
    assert batch.spans.tolist() == [[0, 1], [3, 5]]
    with pytest.raises(DataError, match="line 2: no target is marked"):
        encode_inputs(tweets.spec, ["[[wii]] again", "i love my wii"])


def test_a_target_is_never_cut_off(tweets: ClassificationFiles) -> None:
    tweets.max_length, tweets.truncate = 3, True
    with pytest.raises(DataError, match=r"marked target ends at token 4, beyond data.max_length=3"):
        tweets.load()


def test_targets_need_marks() -> None:
    with pytest.raises(ValueError, match="set marked=true"):
        ClassificationFiles(train="x", format="target_lines")
