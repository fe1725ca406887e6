"""Label tracks: which step has which label."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.label_tracks import Segment, check_inside, labels_of_steps, read_segments


def test_a_step_has_the_label_at_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0.3\t0.36\tb c\n0.05 0.15 a\n", encoding="utf-8")
    segments = read_segments(str(path), "utf-8")
    assert segments == [Segment(0.05, 0.15, "a"), Segment(0.3, 0.36, "b c")]
    assert labels_of_steps(segments, 5, 0.1, "-") == ["a", "-", "-", "b c", "-"]
    assert labels_of_steps([], 2, 0.1, "-") == ["-", "-"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 a\nb\n", ":2: found 'b', expected START END LABEL, with times in seconds"),
        ("0 1\n", ":1: found '0 1', expected START END LABEL"),
        ("1 0.5 a\n", ":1: the segment is from 1 to 0.5 seconds: correct the times"),
        ("0 inf a\n", ":1: the segment is from 0 to inf seconds"),
        ("nan 1 a\n", ":1: the segment is from nan to 1 seconds"),
        ("0 1 a\n0.9 2 b\n", ": the segments 'a' and 'b' overlap at 0.9 seconds: a step has one label"),
    ],
)
def test_mistakes(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_segments(str(path), "utf-8")
    assert str(error.value).startswith(f"{path}{message}")


def test_a_track_without_segments_is_silence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert read_segments(str(tmp_path / "a.txt"), "utf-8") == []


def test_segments_are_parts_of_their_recording() -> None:
    check_inside([Segment(0, 0.5, "a"), Segment(0.9, 1.5, "b")], 1.0)
    for segment in (Segment(1.0, 1.2, "a"), Segment(0, 5_000_000, "sil")):
        with pytest.raises(DataError, match=r"the recording lasts 1\.00: times must be in seconds"):
            check_inside([segment], 1.0)
