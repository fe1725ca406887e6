"""Where data files are looked for: in the current folder, or below one folder for all data."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seqzoo.contracts.data_module import DataModule, ReadFiles
from seqzoo.contracts.errors import DataError, closest, program
from seqzoo.contracts.options import Options
from seqzoo.data.sources.packed import members
from seqzoo.data.sources.source import Source

T = TypeVar("T")


@dataclass(eq=False, kw_only=True)
class LocatedData(DataModule):
    """A data set of files. The files that it reads are recorded in `files`.

    Args:
        root: the folder for all data, see `data_root`.
        source: where the files can be downloaded, as of `seqzoo.data.sources.source.Source`.
    """

    root: str | None = None
    source: dict | None = None

    def __post_init__(self) -> None:
        if self.source is not None:
            Source.from_plain(self.source)
        # the other base class, such as ExampleData, checks its options
        getattr(super(), "__post_init__", lambda: None)()

    def path(self, name: str) -> str:
        """The path of a file that an option names, see `locate`."""
        path = self._located(name, lambda place: locate(place, self.root, self.source))
        self.note(name, path, [path.partition("::")[0]])
        return path

    def matching(self, pattern: str) -> dict[str, list[str]]:
        """The paths of the files of a pattern by their labels, see `locate_all`."""
        place, labels = self._located(pattern, lambda place: locate_all(place, self.root, self.source))
        files = {path.partition("::")[0] for paths in labels.values() for path in paths}
        self.note(pattern, place, files)
        return labels

    def is_pattern(self, name: str) -> bool:
        """Whether a name in the options stands for several files: it has a star, or is that of a folder."""
        places = (*_candidates(name, self.root), Path(self.places.get(name, name)))
        return "*" in name or any(place.is_dir() for place in places)

    def folder(self, name: str) -> str:
        """The path of a folder, see `locate_folder`. The caller records the files that it reads there by `note`."""
        return self._located(name, lambda place: locate_folder(place, self.root))

    def note(self, name: str, path: str, files: Iterable[str]) -> None:
        """Record the files that are read for a name in the options, which stands for this path."""
        self.files[name] = ReadFiles(str(Path(path).absolute()), sorted(str(Path(file).absolute()) for file in files))

    def _located(self, name: str, find: Callable[[str], T]) -> T:
        """The place where the run found the files when it started or, if they were moved, where the name leads to."""
        if name in self.places:
            with suppress(DataError):
                return find(self.places[name])
        return find(name)


def data_root(root: str | None = None) -> Path:
    """The folder for all data: `root`, otherwise the environment variable SEQZOO_DATA, otherwise ~/.cache/seqzoo."""
    return Path(root or os.environ.get("SEQZOO_DATA") or "~/.cache/seqzoo").expanduser()


def locate(path: str, root: str | None = None, source: Options | None = None) -> str:
    """Find a data file.

    Args:
        path: absolute, or relative to the current folder or to `data_root`; `::member` of an archive is kept.
        root: as of `data_root`.
        source: where the file can be downloaded, for the message.

    Raises:
        DataError: there is no such file; the message says where it was looked for and how to get it.
    """
    name, separator, member = path.partition("::")
    relative, folder = Path(name).expanduser(), data_root(root)
    for candidate in (relative, folder / relative):
        if candidate.is_file():
            return f"{candidate}{separator}{member}"
    for candidate in (relative, folder / relative):
        if candidate.is_dir():
            raise DataError(f"{candidate} is a folder, not a file: give a file in it")
    places = dict.fromkeys((str(Path.cwd()), str(folder.absolute())))
    where = "" if relative.is_absolute() else f" in {' or '.join(places)}"
    raise DataError(f"there is no file {name}{where}: {_advice(relative.as_posix(), source)}")


def locate_folder(path: str, root: str | None = None) -> str:
    """Find a folder of data; arguments as of `locate`.

    Raises:
        DataError: there is no such folder.
    """
    for candidate in _candidates(path, root):
        if candidate.is_dir():
            return str(candidate)
    raise DataError(
        f"there is no folder {path} in {Path.cwd()} or {data_root(root).absolute()}: put it there, or set data.root or "
        "the environment variable SEQZOO_DATA to the folder that holds it"
    )


def locate_all(
    pattern: str, root: str | None = None, source: Options | None = None
) -> tuple[str, dict[str, list[str]]]:
    """Find the files of labels, which are in their names, as in "names/*.txt", or in those of their folders, as in
    "reviews/*/*.txt"; arguments as of `locate`.

    Args:
        pattern: with a star for the label; a second star, in the last part, matches any text. Or a folder, which stands
            for all files in its folders or, if it has none, for its own files. Also within an archive:
            "names.tar.gz::names/*.txt".

    Returns:
        The pattern with its folder, and the paths by what the first star stands for, in alphabetical order.

    Raises:
        DataError: the pattern has no such star, or no file matches.
    """
    archive, separator, inner = pattern.partition("::")
    if separator:
        place = locate(archive, root, source)
        return f"{place}::{inner}", _labelled(inner, members(place), f"{place}::")
    for folder in _candidates(pattern, root):
        if folder.is_dir():
            return locate_all(_pattern_of_folder(folder))
    if "*" not in pattern:
        raise DataError(f"{pattern} has no place for the label: write one * in its last part, as in names/*.txt")
    fixed = pattern.partition("*")[0].rpartition("/")[0]
    for folder in _candidates(fixed, root):
        if not folder.is_dir():
            continue
        below = pattern[len(fixed) :].lstrip("/")
        visible = (path for path in folder.glob(below) if path.is_file() and not path.name.startswith("."))
        names = sorted(path.relative_to(folder).as_posix() for path in visible)
        if names:
            return f"{folder.as_posix()}/{below}", _labelled(below, names, f"{folder.as_posix()}/")
    places = dict.fromkeys((str(Path.cwd()), str(data_root(root).absolute())))
    raise DataError(f"there are no files {pattern} in {' or '.join(places)}: {_advice(pattern, source)}")


def _candidates(name: str, root: str | None) -> tuple[Path, Path]:
    """Where a relative path may lead."""
    return Path(name).expanduser(), data_root(root) / Path(name).expanduser()


def _labelled(pattern: str, names: list[str], before: str) -> dict[str, list[str]]:
    """The names that match a pattern, by what its first star stands for."""
    if not 1 <= pattern.count("*") <= 2:
        raise DataError(f"{before}{pattern} has no place for the label: write one * in it, as in names/*.txt")
    star = re.compile("([^/]*)".join(map(re.escape, pattern.split("*"))))
    labels: dict[str, list[str]] = {}
    for name in sorted(names):
        match = star.fullmatch(name)
        if match is not None:
            labels.setdefault(match[1], []).append(f"{before}{name}")
    if not labels:
        raise DataError(f"there are no files {before}{pattern}{closest(pattern, names)}")
    return labels


def _pattern_of_folder(folder: Path) -> str:
    """The pattern of a folder with a folder per label, or a file per label."""
    if any(path.is_dir() for path in folder.glob("*/*")):
        raise DataError(f"{folder} has folders in its folders: give the folder of one split, such as {folder}/train")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    if any(path.is_file() for path in folder.glob("*/*")):
        return f"{folder.as_posix()}/*/*"
    suffixes = sorted({path.suffix for path in files})
    if len(suffixes) > 1:
        raise DataError(
            f"{folder} has files of several kinds: give a pattern with the names of those with texts, as in "
            f"{folder.as_posix()}/*{suffixes[-1]}"
        )
    return f"{folder.as_posix()}/*{''.join(suffixes)}"


def _advice(name: str, source: Options | None) -> str:
    origin = Source.from_plain(source) if source else None
    if origin is None or not fnmatch.filter(origin.files, name):
        return "put it there, or set data.root or the environment variable SEQZOO_DATA to the folder that holds it"
    if origin.url is None:
        return f"put it there. {origin.about.removesuffix('.')}"
    checksum = f" (its sha256 is {origin.files[name]})" if name in origin.files else ""
    return f"download it{checksum} with: {program('seqzoo')} data fetch {origin.name}"
