"""Pieces of music from MIDI, JSON and MATLAB files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath

from seqzoo.contracts.errors import DataError, listed
from seqzoo.data.files.base import GivenSplits
from seqzoo.data.music import Music
from seqzoo.data.sources.notes import NAMES_OF_SPLITS, SUFFIXES, Piece, read_notes
from seqzoo.data.sources.packed import is_archive, members, unpacked_name
from seqzoo.data.splits import SPLITS, held_out_keys, missing_fractions, parted


@dataclass(eq=False, kw_only=True)
class MusicFiles(GivenSplits, Music):
    """Frames of 88 notes, see `Music` and `seqzoo.data.sources.notes.read_notes`.

    Args:
        train: a file, or a folder or an archive of files; files below it in folders that are named as splits (train,
            valid, test) belong to these.
        validation: as train, of which the validation split is read if there is one; None: the validation split of
            `train` or, without one, pieces that are held out of it.
        test: as validation; None: the test split of `train` or, without one, pieces that are held out of it.
        validation_fraction: fraction of the training pieces that is held out for validation. Equal pieces are in the
            same split, and the held-out pieces are the same in all runs.
        test_fraction: fraction of the training pieces that is held out for the test.
        steps_per_quarter: as of `Music`. MIDI is read on this grid; JSON and MATLAB files must have it.
        skip_unreadable: leave out files that cannot be read, or that have notes outside the 88 keys.
    """

    steps_per_quarter: int = 4
    skip_unreadable: bool = False

    def read(self) -> dict[str, list[Piece]]:
        self.remarks = []
        pieces = self._read(self.train)
        pieces["train"] = [*pieces.pop("", []), *pieces.get("train", [])]
        for split, name in self.given().items():
            if split != "train":
                given = self._read(name)
                pieces[split] = given[split] if split in given else [*chain.from_iterable(given.values())]
        missing = missing_fractions(self, [split for split, part in pieces.items() if part])
        keys = [piece.frames.numpy().tobytes() for piece in pieces["train"]]
        pieces |= parted(pieces["train"], keys, held_out_keys(keys, missing), missing)
        return {split: pieces[split] for split in SPLITS if pieces.get(split)}

    def _read(self, name: str) -> dict[str, list[Piece]]:
        """The pieces of an option, by split; "" for those without one."""
        pieces: dict[str, list[Piece]] = {}
        skipped: list[str] = []
        for path, inner in self._files(name):
            try:
                by_split = read_notes(path, self.steps_per_quarter)
            except DataError as error:
                if path == name:  # the only file
                    raise
                skipped.append(str(error))
                continue
            folders = [NAMES_OF_SPLITS[part.lower()] for part in inner.parts if part.lower() in NAMES_OF_SPLITS]
            for split, part in by_split.items():
                pieces.setdefault(split or (folders[-1] if folders else ""), []).extend(part)
        if skipped and not self.skip_unreadable:
            raise DataError(f"{listed(skipped)}\nRepair these files, or skip them with data.skip_unreadable=true")
        if skipped:
            self.remarks = [*self.remarks, f"{name}: {len(skipped):,} files were left out, such as: {skipped[0]}"]
        return pieces

    def _files(self, name: str) -> Iterator[tuple[str, PurePath]]:
        """The path of each file of an option, and its folders below the option."""
        if self.is_pattern(name):
            folder = Path(self.folder(name))
            files = sorted(path for path in folder.rglob("*") if path.is_file() and _has_notes(path.name))
            self.note(name, str(folder), map(str, files))
            if not files:
                raise DataError(f"{folder} has no files of notes: give a folder with {', '.join(SUFFIXES)} files")
            yield from ((str(path), path.relative_to(folder).parent) for path in files)
            return
        path = self.path(name)
        inside = [member for member in members(path) if _has_notes(member)] if is_archive(path) else []
        if inside:
            yield from ((f"{path}::{member}", PurePath(member).parent) for member in inside)
        else:
            yield path, PurePath()


def _has_notes(name: str) -> bool:
    """Whether a file is one of notes by its name, and not one that a system hides."""
    if is_archive(name) or PurePath(name).name.startswith("."):
        return False
    return PurePath(unpacked_name(name)).suffix.lower() in SUFFIXES
