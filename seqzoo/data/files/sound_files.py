"""Recordings in files, with texts, classes or segments from a table, from files beside them, or from their names."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, TypeVar

from torch import Tensor

from seqzoo.contracts.errors import DataError, listed, located
from seqzoo.data.files.base import Files, GivenSplits
from seqzoo.data.sounds import HIGHEST_RATE, SoundData, Sounds, TranscribedData
from seqzoo.data.sources.dialects import find_dialect
from seqzoo.data.sources.label_tracks import SUFFIXES as SEGMENTS
from seqzoo.data.sources.label_tracks import Segment, read_segments
from seqzoo.data.sources.locations import LocatedData, data_root
from seqzoo.data.sources.reading import filled_lines, read_text
from seqzoo.data.sources.sound import SUFFIXES, Header, read_header, read_sound, resample, sound_files, soundfile
from seqzoo.data.sources.tables import JSON, dialect_by_name, json_objects, split_rows
from seqzoo.data.splits import evenly, held_out_keys, missing_fractions, parted

T = TypeVar("T")

LISTED = 20
"""Maximum number of names that a message lists."""
TEXT_COLUMNS = ("text", "sentence", "transcript", "transcription", "normalized_text", "target")
CLASS_COLUMNS = ("label", "class", "category", "digit", "target")
SEGMENT_COLUMNS = ("segments", "labels", "label_file", "target")
"""Names of columns that are taken for texts, classes and files of segments, the first one that a table has."""


class Recording(NamedTuple):
    """A recording and what is known about it.

    Attributes:
        path: of its file.
        target: its text, its class or its segments.
        where: file and line that say so, for messages.
        group: recordings of the same group, such as a speaker, belong to the same split; empty: there are no groups.
    """

    path: Path
    target: str | tuple[Segment, ...]
    where: str
    group: str = ""


class SoundFiles:
    """The recordings of a split, in memory or read on demand.

    Args:
        recordings: the files.
        lengths: their numbers of samples.
        sounds: their samples; None: they are read on demand.
        rate: sampling rate in Hz.
    """

    def __init__(self, recordings: Sequence[Recording], lengths: list[int], sounds: list[Tensor] | None, rate: int):
        self.recordings, self.sounds, self.rate = recordings, sounds, rate
        self.where = [recording.where for recording in recordings]
        self._lengths = lengths

    def targets(self, epoch: int) -> list[str | tuple[Segment, ...]]:
        return [recording.target for recording in self.recordings]

    def lengths(self, epoch: int) -> list[int]:
        return self._lengths

    def gather(self, rows: list[int], epoch: int) -> list[Tensor]:
        return [self.sound(row) for row in rows]

    def sound(self, row: int) -> Tensor:
        """The samples of one recording."""
        return read_sound(self.recordings[row].path, self.rate)[0] if self.sounds is None else self.sounds[row]


@dataclass(eq=False, kw_only=True)
class RecordedData(LocatedData, SoundData):
    """Data sets of recordings in files. A subclass implements `recordings`.

    Args:
        keep: keep the recordings in memory, 4 bytes per sample; otherwise they are read whenever they are used.
        skip_unreadable: leave out recordings that are missing or damaged; a remark lists them.
    """

    keep: bool = True
    skip_unreadable: bool = False

    @abstractmethod
    def recordings(self) -> dict[str, list[Recording]]:
        """The recordings of each split."""

    def read(self, rate: int | None) -> tuple[dict[str, Sounds], int]:
        soundfile()
        self.remarks = []
        splits = {split: evenly(recordings, self.limit) for split, recordings in self.recordings().items()}
        listed = [recording for recordings in splits.values() for recording in recordings]
        sounds: dict[Recording, tuple[Tensor, int]] = {}
        if self.keep:
            sounds, errors = _each(listed, lambda recording: read_sound(recording.path))
            headers = {recording: Header(rate, len(sound)) for recording, (sound, rate) in sounds.items()}
        else:
            headers, errors = _each(listed, lambda recording: read_header(recording.path))
        self._report(errors)
        if rate is None:
            rate = _usual_rate(headers[recording] for recording in splits.get("train", []) if recording in headers)
        silent = [recording.path.name for recording, (sound, _) in sounds.items() if not sound.any()]
        if silent:
            self.remarks = [*self.remarks, f"silent recordings ({len(silent):,}): {', '.join(silent[:LISTED])}"]
        files: dict[str, Sounds] = {}
        for split, recordings in splits.items():
            if readable := [recording for recording in recordings if recording in headers]:
                samples = None
                if self.keep:
                    samples = [resample(sounds[of][0], Fraction(rate, sounds[of][1])) for of in readable]
                files[split] = SoundFiles(readable, [headers[of].resampled(rate) for of in readable], samples, rate)
        return files, rate

    def _report(self, errors: list[str]) -> None:
        """Raise DataError for unreadable recordings or, where these are skipped, add a remark."""
        if not errors:
            return
        message = listed(errors)
        if not self.skip_unreadable:
            raise DataError(f"{message}\nRepair these recordings, or skip them with data.skip_unreadable=true")
        self.remarks = [*self.remarks, f"skipped recordings ({len(errors):,}):\n{message}"]


@dataclass(eq=False, kw_only=True)
class AudioFiles(GivenSplits, Files, RecordedData, TranscribedData):
    """Recordings of one's own. A split is given as one of:

    - a table (TSV, CSV, JSON) with the path of a recording and its text, its class, or the path of a file of its
      segments in each row;
    - a folder of LibriSpeech's form: FILE.trans.txt with lines of NAME TEXT beside NAME.flac (or another suffix);
    - a folder of recordings NAME.wav, each with its text in NAME.txt, or its segments in NAME.txt or NAME.lab;
    - a folder with a folder of recordings for each class;
    - a folder of recordings whose names contain the class, see `name`.

    Args:
        train, validation, test: the table or folder of this split; None: it is held out, see the fractions.
        target: "text": what is said; "class": a label for the recording; "segments": labels of its parts, see
            `seqzoo.data.sources.label_tracks`.
        name: the form of the names of recordings, without suffix: {label} stands for the class or text, {group} for a
            speaker, and a star for any text, as in "{label}_{group}_*". None: names have no meaning.
        audio_folder: the folder of the paths in a table; None: they are relative to that of the table.
        path_column, target_column: names in the header of a table, or zero-based indices; None: found by name.
        silence: with target "segments", the label of steps in no segment.
        groups: a column, such as that of a speaker; all recordings of a group are in the same split.
        validation_fraction, test_fraction: fraction of the training recordings, or of their groups, that is held out
            where the split is not given. With classes, each has about the same share of every class.
        fold: leave one group out: the number of the group, from 0 in alphabetic order, that is the test split.
    """

    acts_with: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("tokenizer", "min_frequency", "vocabulary_size"), "target=text"),
        "test_fraction": "test=null and fold=null",
        "silence": "target=segments",
    }

    target: Literal["text", "class", "segments"] = "text"
    name: str | None = None
    audio_folder: str | None = None
    path_column: str | int | None = None
    target_column: str | int | None = None
    groups: str | int | None = None
    silence: str = "silence"
    fold: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._name = None if self.name is None else _pattern_of(self.name)
        if self.fold is not None and self.test is not None:
            raise ValueError(f"fold={self.fold} and test={self.test} both define a test split: give one of them")
        if self.fold is not None and self.fold < 0:
            raise ValueError(f"fold={self.fold} must be at least 0")

    @property
    def kind(self) -> str:
        return {"text": "transduction", "class": "classification", "segments": "tagging"}[self.target]

    def recordings(self) -> dict[str, list[Recording]]:
        self._detected = {}
        splits = {split: self._read(place) for split, place in self.given().items()}
        if self.fold is not None:
            groups = sorted({recording.group for recording in splits["train"] if recording.group})
            if self.fold >= len(groups):
                how = "give data.groups, or {group} in data.name" if not groups else "they are counted from 0"
                raise DataError(f"data.fold={self.fold} is out of range: there are {len(groups)} groups; {how}")
            left_out = groups[self.fold]
            splits["test"] = [recording for recording in splits["train"] if recording.group == left_out]
            splits["train"] = [recording for recording in splits["train"] if recording.group != left_out]
            self.remarks = [*self.remarks, f"the test split is the group {left_out!r}"]
        missing = missing_fractions(self, splits)
        self.remarks = [*self.statements(), *self.remarks]
        whole = splits["train"]
        keys = [recording.group or str(recording.path) for recording in whole]
        grouped = len(set(keys)) < len(keys)
        labels = None
        if self.target == "class" and not grouped:
            labels = {key: str(recording.target) for key, recording in zip(keys, whole, strict=True)}
        least = {split: max(share, 0.51 / len(set(keys))) for split, share in missing.items()}  # at least one group
        split_of = held_out_keys(keys, least if grouped else missing, labels)
        return splits | parted(whole, keys, split_of, missing)

    def _read(self, place: str) -> list[Recording]:
        if not self.is_pattern(place):
            return self._of_table(self.path(place))
        folder = Path(self.folder(place))
        recordings = self._of_folder(folder)
        self.note(place, str(folder), (str(recording.path) for recording in recordings))
        return recordings

    def _of_folder(self, folder: Path) -> list[Recording]:
        transcripts = sorted(folder.rglob("*.trans.txt"))
        if self.target == "text" and transcripts:
            return [recording for path in transcripts for recording in self._of_transcript(path)]
        files = sound_files(folder)
        if not files:
            raise DataError(f"{folder} has no recordings ({', '.join(SUFFIXES[:3])}, ...): give a folder that has some")
        return [self._of_file(folder, path) for path in files]

    def _of_file(self, folder: Path, path: Path) -> Recording:
        if self.target == "segments":
            files = [file for file in map(path.with_suffix, SEGMENTS) if file.is_file()]
            if not files:
                raise DataError(f"{path} has no segments: put them into {path.stem}{SEGMENTS[0]} beside it")
            return Recording(path, self._segments(files[0]), str(path), self._parts(path).get("group", ""))
        beside = path.with_suffix(".txt")
        parts = self._parts(path)
        target = parts.get("label")
        if target is None and self.target == "text" and beside.is_file():
            target = " ".join(read_text(str(beside), self.encoding_of(str(beside))).split())
        if target is None and self.target == "class" and path.parent != folder:
            target = path.relative_to(folder).parts[0]
        if target is None:
            place = "put it into NAME.txt beside it" if self.target == "text" else "use a folder for each"
            raise DataError(f"{path} has no {self.target}: {place}, or give data.name, such as {{label}}_*")
        return Recording(path, target, str(path), parts.get("group", ""))

    def _segments(self, path: Path) -> tuple[Segment, ...]:
        return tuple(read_segments(str(path), self.encoding_of(str(path))))

    def _parts(self, path: Path) -> dict[str, str]:
        """The label and the group in the name of a file; empty where names have no meaning."""
        if self._name is None:
            return {}
        match = self._name.fullmatch(path.stem)
        if match is None:
            raise DataError(f"{path} is not named like data.name={self.name}: rename it, or change the form")
        return match.groupdict()

    def _of_transcript(self, path: Path) -> Iterator[Recording]:
        names = {file.stem: file for file in sorted(path.parent.iterdir()) if file.suffix.lower() in SUFFIXES}
        for number, line in filled_lines(str(path), self.encoding_of(str(path))):
            name, _, text = line.strip().partition(" ")
            where = f"{path}:{number}"
            if not text:
                raise DataError(f"{where}: found {line[:40]!r}, expected the name of a recording, a space and its text")
            speaker = name.partition("-")[0] if "-" in name else ""
            yield Recording(names.get(name, path.parent / f"{name}.flac"), text.strip(), where, speaker)

    def _of_table(self, path: str) -> list[Recording]:
        place, target = self._columns(path)
        columns: list[str | int] = [place, target]
        options = ["path_column", "target_column"]
        if self.groups is not None:
            columns, options = [*columns, self.groups], [*options, "groups"]
        folder = Path(path).parent if self.audio_folder is None else Path(self.folder(self.audio_folder))
        recordings = []
        for fields, where in self.table(path, columns, options):
            group = fields[2] if self.groups is not None else ""
            if not fields[1]:
                raise DataError(f"{where}: the {self.target} is empty: remove the row or fill it in")
            said: str | tuple[Segment, ...] = fields[1]
            if self.target == "segments":
                with located(where):
                    said = self._segments(self._file(fields[1], folder))
            recordings.append(Recording(self._file(fields[0], folder), said, f"{where} ({fields[0]})", group))
        return recordings

    def _file(self, name: str, folder: Path) -> Path:
        """The file of a path in a table."""
        places = [folder / name, Path(name).expanduser(), data_root(self.root) / name]
        return next((place for place in places if place.is_file()), places[0])

    def _columns(self, path: str) -> tuple[str | int, str | int]:
        """The columns of path and target in a table: as given, or found in its first rows."""
        place, target = self.path_column, self.target_column
        if place is not None and target is not None:
            return place, target
        text = read_text(path, self.encoding_of(path))
        dialect = find_dialect(path, text) or dialect_by_name(path)
        if dialect.separator == JSON:
            objects = [values for _, values in _first(json_objects(path, text), 2)]
            names, rows = list(objects[0]), [[str(value) for value in values.values()] for values in objects]
        else:
            rows = [fields for _, fields in _first(split_rows(path, text, dialect), 2)]
            header = bool(rows) and not any(map(_is_sound, rows[0]))
            names = [name.strip() for name in rows[0]] if header else []
            rows = rows[1:] if header else rows
        columns = [number for number, field in enumerate(rows[0]) if _is_sound(field)] if rows else []
        if not rows:
            raise DataError(f"{path} has a header and no rows: give a file with a row for each recording")
        if place is None and not columns:
            raise DataError(
                f"{path} has no column of recordings ({', '.join(SUFFIXES[:3])}, ...): give data.path_column"
            )
        if place is None:
            place = names[columns[0]] if names else columns[0]
        if target is None:
            known = {"text": TEXT_COLUMNS, "class": CLASS_COLUMNS, "segments": SEGMENT_COLUMNS}[self.target]
            lower = {name.lower(): name for name in names}
            target = next((lower[name] for name in known if name in lower), None)
        if target is None:
            others = [name for name in names or range(len(rows[0])) if name != place]
            if len(others) != 1:
                listed = ", ".join(map(str, others))
                raise DataError(
                    f"{path} has several columns for the {self.target}: give data.target_column, of {listed}"
                )
            target = others[0]
        return place, target


def _each(recordings: Iterable[Recording], read: Callable[[Recording], T]) -> tuple[dict[Recording, T], list[str]]:
    """What `read` returns for each recording, and the messages of those that it cannot read."""
    results: dict[Recording, T] = {}
    errors = []
    for recording in recordings:
        try:
            results[recording] = read(recording)
        except DataError as error:
            place = "" if str(recording.path) in recording.where else f"{recording.where}: "
            errors.append(f"{place}{error}")
    return results, errors


def _usual_rate(headers: Iterable[Header]) -> int:
    """The sampling rate of most recordings, but at most HIGHEST_RATE."""
    counts = Counter(header.rate for header in headers)
    return min(counts.most_common(1)[0][0], HIGHEST_RATE) if counts else HIGHEST_RATE


def _first(items: Iterator[T], number: int) -> list[T]:
    return [item for item, _ in zip(items, range(number), strict=False)]


def _is_sound(field: str) -> bool:
    return field.strip().lower().endswith(SUFFIXES)


def _pattern_of(form: str) -> re.Pattern[str]:
    """The form of a name as a regular expression. Raises ValueError if it has no place for a label."""
    if form.count("{label}") != 1 or form.count("{group}") > 1:
        raise ValueError(f"name={form} needs one {{label}}, and at most one {{group}}, as in {{label}}_{{group}}_*")
    pattern = re.escape(form).replace(re.escape("{label}"), "(?P<label>.+?)")
    return re.compile(pattern.replace(re.escape("{group}"), "(?P<group>.+?)").replace(re.escape("*"), ".*"))
