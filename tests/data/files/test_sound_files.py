"""Recordings with their texts or classes from tables, folders and names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import soundfile
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.sound_files import AudioFiles
from seqzoo.data.files.spoken_digits import SpokenDigitClasses, SpokenDigitStrings
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain

RATE = 1_000
WORDS = ["yes", "no", "go"]


def record(path: Path, samples: int = 100, value: float = 0.1, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, numpy.full(samples, value), rate)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = ["client\tpath\tsentence"]
    for number in range(20):
        record(tmp_path / "clips" / f"{number}.wav", 20 + 10 * number, 0.01 * number + 0.01)
        lines.append(f"s{number % 4}\tclips/{number}.wav\t{WORDS[number % 3]}")
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path / "train.tsv"


def loaded(train: Path | str, **options: Any) -> AudioFiles:
    data = AudioFiles(train=str(train), **options)
    data.load()
    return data


def texts(data: AudioFiles, split: str = "train") -> list[str]:
    return [text for batch in data.plain_batches(split) for [text] in batch.references]


def test_a_table_of_texts(table: Path) -> None:
    data = loaded(table, batch_size=6)
    assert data.splits() == {"train": 18, "validation": 2}
    assert (data.spec.kind, data.spec.input_size, data.spec.rate) == ("transduction", 10, RATE)
    assert sorted(texts(data) + texts(data, "validation")) == sorted(WORDS[n % 3] for n in range(20))
    for batch in data.batches("train", 0):
        assert batch.inputs.shape[2] == 10
        for row in range(batch.size):
            number = round(float(batch.inputs[row, 0, 0]) * 100) - 1
            assert batch.lengths[row] == 2 + number
            assert data.spec.targets.decode(batch.targets[row].tolist()) == WORDS[number % 3]
            assert not batch.inputs[row, batch.lengths[row] :].any()
    assert spec_from_plain(spec_to_plain(data.spec)).rate == RATE


def test_a_shorter_last_step_is_filled_up(tmp_path: Path, table: Path) -> None:
    batch = encode_inputs(loaded(table).spec, [str(record(tmp_path / "a.wav", 25))])
    assert batch.lengths.tolist() == [3]
    assert batch.inputs[0, 2].tolist() == [pytest.approx(0.1, abs=1e-4)] * 5 + [0] * 5


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_other_tables(table: Path, suffix: str) -> None:
    rows = [line.split("\t") for line in table.read_text().split("\n")[1:-1]]
    if suffix == "jsonl":
        content = "\n".join(json.dumps({"audio_filepath": path, "duration": 1, "text": text}) for _, path, text in rows)
    else:
        content = "\n".join(f"{path},{text}" for _, path, text in rows)  # without header
    other = table.with_name(f"other.{suffix}")
    other.write_text(content)
    assert texts(loaded(other)) == texts(loaded(table))


def test_classes_of_a_table_and_groups(table: Path) -> None:
    data = loaded(table, target="class", target_column="sentence", groups="client", fold=1)
    assert data.spec.targets.labels == ["go", "no", "yes"]
    assert data.splits() == {"train": 10, "validation": 5, "test": 5}
    assert sum(data.spec.class_counts) == 10
    assert data.remarks[-1] == "the test split is the group 's1'"


def test_folders_of_classes(tmp_path: Path) -> None:
    for word in WORDS:
        for number in range(10):
            record(tmp_path / "clips" / word / f"{number}.wav")
    data = loaded(tmp_path / "clips", target="class", validation_fraction=0.2, test_fraction=0.1)
    assert data.splits() == {"train": 21, "validation": 6, "test": 3}
    assert data.spec.class_counts == [7, 7, 7]
    assert set(data.files) == {str(tmp_path / "clips")}


def test_classes_in_names(tmp_path: Path) -> None:
    for number in range(12):
        record(tmp_path / "clips" / f"{number % 2}_speaker{number % 3}_{number}.wav")
    data = loaded(tmp_path / "clips", target="class", name="{label}_{group}_*", fold=0)
    assert data.spec.targets.labels == ["0", "1"]
    assert data.splits() == {"train": 4, "validation": 4, "test": 4}


def test_transcripts_of_librispeech(tmp_path: Path) -> None:
    folder = tmp_path / "train-clean-100"
    for speaker in (19, 26, 27):
        chapter = folder / str(speaker) / "198"
        lines = []
        for number in range(3):
            record(chapter / f"{speaker}-198-000{number}.flac")
            lines.append(f"{speaker}-198-000{number} {WORDS[number].upper()} NOW")
        (chapter / f"{speaker}-198.trans.txt").write_text("\n".join(lines))
    data = loaded(folder, fold=2)
    assert data.splits() == {"train": 3, "validation": 3, "test": 3}
    assert texts(data) == ["YES NOW", "NO NOW", "GO NOW"]


def test_a_text_beside_each_recording(tmp_path: Path) -> None:
    for number in range(10):
        record(tmp_path / "clips" / f"{number}.ogg", rate=8_000)
        (tmp_path / "clips" / f"{number}.txt").write_text(f"take {number}\n")
    assert len(texts(loaded(tmp_path / "clips"))) == 9


def test_segments_beside_each_recording_and_in_a_table(tmp_path: Path) -> None:
    for name in "abc":
        record(tmp_path / f"{name}.wav", samples=RATE // 10)
        (tmp_path / f"{name}.lab").write_text("0.02 0.06 yes\n", encoding="utf-8")
    expected = ["quiet", "quiet", *["yes"] * 4, *["quiet"] * 4]
    options = {"target": "segments", "validation_fraction": 0.4, "silence": "quiet"}
    (tmp_path / "list.csv").write_text("path,segments\n" + "".join(f"{name}.wav,{name}.lab\n" for name in "abc"))
    for train in (tmp_path, tmp_path / "list.csv"):
        data = loaded(train, **options)
        [batch, *_] = data.batches("train")
        assert data.spec.kind == "tagging"
        assert [data.spec.target_codec.labels[label] for label in batch.targets[0]] == expected
    (tmp_path / "b.lab").unlink()
    with pytest.raises(DataError, match=r"b\.wav has no segments: put them into b\.txt beside it"):
        loaded(tmp_path, **options)


def test_labels_follow_the_speed_of_their_recording(tmp_path: Path) -> None:
    for name in "abc":
        record(tmp_path / f"{name}.wav", samples=RATE)
        (tmp_path / f"{name}.txt").write_text("0.5 1 late\n", encoding="utf-8")
    data = loaded(tmp_path, target="segments", validation_fraction=0.4, speed=0.5, silence="early")
    lengths = set()
    for epoch in range(5):
        for batch in data.batches("train", epoch):
            for labels, length in zip(batch.targets, batch.lengths.tolist(), strict=True):
                lengths.add(length)
                late = data.spec.target_codec.labels.index("late")
                assert abs(int((labels[:length] == late).sum()) - length / 2) <= 1
    assert len(lengths) > 2


def test_the_usual_rate_and_another(table: Path) -> None:
    record(table.parent / "clips" / "3.wav", 200, rate=2 * RATE)
    data = loaded(table)
    assert data.spec.rate == RATE
    assert loaded(table, rate=500).spec.input_size == 5
    saved = loaded(table, rate=500).spec
    again = AudioFiles(train=str(table))
    again.load(saved)
    assert next(again.batches("validation")).inputs.shape[2] == 5
    other = AudioFiles(train=str(table), step=0.02)
    with pytest.raises(DataError, match=r"data\.step=0\.02 is not that of the saved run"):
        other.load(saved)


def test_recordings_read_on_demand_are_the_same(table: Path) -> None:
    for rate in (None, 700):
        kept, read = (loaded(table, keep=keep, rate=rate, seed=3) for keep in (True, False))
        for one, other in zip(kept.batches("train", 1), read.batches("train", 1), strict=True):
            torch.testing.assert_close(one.inputs, other.inputs)
            assert torch.equal(one.lengths, other.lengths)


def test_speed_changes_training_recordings_alone(table: Path) -> None:
    plain, data = loaded(table), loaded(table, speed=0.2)
    [first], [again], [later] = (list(data.batches("train", epoch)) for epoch in (0, 0, 1))
    assert torch.equal(first.inputs, again.inputs)
    expected = next(plain.batches("train", 0)).lengths
    assert not torch.equal(first.lengths, expected)
    assert sorted(first.lengths.tolist()) != sorted(later.lengths.tolist())
    assert ((first.lengths - expected).abs() <= 0.25 * expected + 1).all()
    for one, other in zip(plain.batches("validation"), data.batches("validation"), strict=True):
        assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(next(plain.plain_batches("train")).inputs, next(data.plain_batches("train")).inputs)


def remove(*names: str) -> Callable[[Path], None]:
    def change(table: Path) -> None:
        for name in names:
            (table.parent / "clips" / name).unlink()

    return change


def rewritten(old: str, new: str) -> Callable[[Path], None]:
    return lambda table: (table.write_text(table.read_text().replace(old, new)), None)[1]


MISTAKES: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "missing": (remove("3.wav", "7.wav"), {}, r"(?s)no recording \S+3\.wav.*no recording \S+7\.wav.*skip_unreadable"),
    "no column of recordings": (rewritten(".wav", ""), {}, "no column of recordings"),
    "no column of texts": (rewritten("sentence", "words"), {}, r"several columns for the text: .* of client, words"),
    "an empty text": (rewritten("clips/3.wav\tyes", "clips/3.wav\t"), {}, r"train\.tsv:5: the text is empty"),
    "too long": (lambda table: None, {"max_seconds": 0.15}, r"14\.wav\): it lasts 0\.2 seconds, more than"),
    "a fold too many": (lambda table: None, {"groups": "client", "fold": 4}, "out of range: there are 4 groups"),
    "no groups": (lambda table: None, {"fold": 0}, r"there are 0 groups; give data\.groups"),
    "one class": (rewritten("no", "yes"), {"target": "class", "target_column": "client", "limit": 1}, "every training"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(table: Path, case: str) -> None:
    change, options, message = MISTAKES[case]
    change(table)
    with pytest.raises(DataError, match=message):
        loaded(table, **options)


def test_unreadable_recordings_can_be_skipped(table: Path) -> None:
    remove("3.wav")(table)
    (table.parent / "clips" / "5.wav").write_text("no sound")
    data = loaded(table, skip_unreadable=True)
    assert sum(data.splits().values()) == 18
    assert "skipped recordings (2)" in data.remarks[-1]


def test_silence_is_remarked(table: Path) -> None:
    record(table.parent / "clips" / "5.wav", 100, 0.0)
    assert loaded(table).remarks[-1] == "silent recordings (1): 5.wav"


def test_names_of_another_form_and_folders_without_classes(tmp_path: Path) -> None:
    record(tmp_path / "clips" / "a.wav")
    with pytest.raises(DataError, match=r"a\.wav is not named like data\.name=\{label\}_\*"):
        loaded(tmp_path / "clips", target="class", name="{label}_*")
    with pytest.raises(DataError, match=r"a\.wav has no class: use a folder for each"):
        loaded(tmp_path / "clips", target="class")
    with pytest.raises(DataError, match=r"a\.wav has no text: put it into NAME\.txt"):
        loaded(tmp_path / "clips")
    with pytest.raises(ValueError, match=r"needs one \{label\}"):
        AudioFiles(train="a", name="*")


@pytest.fixture
def digits(tmp_path: Path) -> str:
    for speaker, level in (("ann", 0.1), ("bob", 0.2), ("cid", 0.4)):
        for digit in range(10):
            for number in range(10):
                record(tmp_path / "digits" / f"{digit}_{speaker}_{number}.wav", 20 + 10 * digit, level)
    return str(tmp_path / "digits")


def test_the_official_split_of_digits_and_a_speaker_left_out(digits: str) -> None:
    data = SpokenDigitClasses(audio_folder=digits)
    data.load()
    assert data.splits() == {"train": 60, "validation": 90, "test": 150}
    assert data.spec.targets.labels == list("0123456789")
    speakers = SpokenDigitClasses(audio_folder=digits, labels="speaker")
    speakers.load()
    assert speakers.spec.targets.labels == ["ann", "bob", "cid"]
    left_out = SpokenDigitClasses(audio_folder=digits, fold=1)
    left_out.load()
    assert left_out.splits() == {"train": 140, "validation": 60, "test": 100}
    assert {round(float(batch.inputs.max()), 1) for batch in left_out.batches("test")} == {0.2}
    assert left_out.remarks == ["the test split is the speaker bob"]
    with pytest.raises(ValueError, match="whom labels=speaker could not know"):
        SpokenDigitClasses(audio_folder=digits, labels="speaker", fold=1)
    with pytest.raises(DataError, match="out of range: there are 3 speakers"):
        SpokenDigitClasses(audio_folder=digits, fold=3).load()


def strings(digits: str, **options: Any) -> SpokenDigitStrings:
    sizes = {"train_size": 40, "validation_size": 10, "test_size": 10}
    data = SpokenDigitStrings(audio_folder=digits, noise=60.0, pause=0.05, **{**sizes, **options})
    data.load()
    return data


def test_strings_are_recordings_of_one_speaker_with_pauses(digits: str) -> None:
    data = strings(digits, longest=4)
    assert data.splits() == {"train": 40, "validation": 10, "test": 10}
    assert data.expected_spec().output_size == data.spec.output_size == 14
    for batch in data.batches("train"):
        for row, [text] in enumerate(batch.references):
            assert 1 <= len(text) <= 4
            samples = batch.inputs[row].flatten()[: batch.lengths[row] * 10]
            loud = samples[samples.abs() > 0.05]
            assert len(loud) == sum(20 + 10 * int(digit) for digit in text)  # each recording in full
            level = float(loud.mean())
            assert float((loud - level).abs().max()) < 0.05 * level + 0.01  # of one speaker
            assert len(samples) <= len(loud) + 50 * (len(text) + 1) + 10
            assert samples[samples.abs() < 0.05].any() or len(samples) - len(loud) < 10  # noise


def test_training_strings_are_new_in_each_epoch_and_the_others_always_the_same(digits: str) -> None:
    def written(data: SpokenDigitStrings, split: str, epoch: int) -> list[list[list[str]]]:
        return [batch.references for batch in data.batches(split, epoch)]

    data, other = strings(digits, seed=1), strings(digits, seed=2)
    assert written(data, "train", 0) != written(data, "train", 1)
    assert written(data, "train", 1) == written(strings(digits, seed=1), "train", 1)
    assert written(data, "train", 0) != written(other, "train", 0)
    for split in ("validation", "test"):
        assert written(data, split, 0) == written(data, split, 1) == written(other, split, 0)
    [batch] = data.batches("test")
    assert torch.equal(batch.inputs, next(other.batches("test")).inputs)
    later = list(data.batches("train", 2, start=1))
    assert torch.equal(later[0].inputs, list(data.batches("train", 2))[1].inputs)


def test_strings_of_a_speaker_left_out(digits: str) -> None:
    data = strings(digits, fold=2)
    levels = [float(row.max()) for batch in data.batches("test") for row in batch.inputs]
    assert min(levels) > 0.3
    assert max(float(batch.inputs.max()) for batch in data.batches("train")) < 0.3


def test_real_digits(real_data_root: Path) -> None:
    data = SpokenDigitStrings(audio_folder="fsdd/recordings", root=str(real_data_root), limit=100, train_size=5)
    data.load()
    assert data.spec.rate == 8_000
    assert data.spec.input_size == 80
    assert data.splits() == {"train": 5, "validation": 100, "test": 100}
