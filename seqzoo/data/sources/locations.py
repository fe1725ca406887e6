"""Where data files are looked for: in the current folder, or below one folder for all data."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seqzoo.contracts.errors import DataError, program
from seqzoo.contracts.parts import DataModule, ReadFiles
from seqzoo.data.sources.source import Source

T = TypeVar("T")


@dataclass(eq=False, kw_only=True)
class LocatedData(DataModule):
    """A data set of files. The files that it reads are recorded in `files`.

    Args:
        root: the folder for all data, see `data_root`.
    """

    root: str | None = None

    def path(self, name: str) -> str:
        """The path of a file that an option names, see `locate`."""
        path = self._located(name, lambda place: locate(place, self.root, self._source))
        self.note(name, path, [path.partition("::")[0]])
        return path

    def matching(self, pattern: str) -> dict[str, str]:
        """The paths of the files of a pattern by their labels, see `locate_all`."""
        paths = self._located(pattern, lambda place: locate_all(place, self.root, self._source))
        first, last = next(iter(paths.values())), pattern.rpartition("/")[2]
        self.note(pattern, str(Path(first).with_name(last)), paths.values())
        return paths

    def folder(self, name: str) -> str:
        """The path of a folder, see `locate_folder`. The caller records the files that it reads there by `note`."""
        return self._located(name, lambda place: locate_folder(place, self.root))

    def note(self, name: str, path: str, files: Iterable[str]) -> None:
        """Record the files that are read for a name in the options, which stands for this path."""
        self.files[name] = ReadFiles(str(Path(path).absolute()), sorted(str(Path(file).absolute()) for file in files))

    @property
    def _source(self) -> dict | None:
        return getattr(self, "source", None)

    def _located(self, name: str, find: Callable[[str], T]) -> T:
        """The place where the run found the files when it started or, if they were moved, where the name leads to."""
        if name in self.places:
            with suppress(DataError):
                return find(self.places[name])
        return find(name)


def data_root(root: str | None = None) -> Path:
    """The folder for all data: `root`, otherwise the environment variable SEQZOO_DATA, otherwise ~/.cache/seqzoo."""
    return Path(root or os.environ.get("SEQZOO_DATA") or "~/.cache/seqzoo").expanduser()


def locate(path: str, root: str | None = None, source: dict | None = None) -> str:
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
            raise DataError(f"{candidate} is a folder, not a file: give a file in it.")
    places = dict.fromkeys((str(Path.cwd()), str(folder.absolute())))
    where = "" if relative.is_absolute() else f" in {' or '.join(places)}"
    raise DataError(f"There is no file {name}{where}: {_advice(relative.as_posix(), source)}")


def locate_folder(path: str, root: str | None = None) -> str:
    """Find a folder of data; arguments as of `locate`.

    Raises:
        DataError: there is no such folder.
    """
    for candidate in (Path(path).expanduser(), data_root(root) / Path(path).expanduser()):
        if candidate.is_dir():
            return str(candidate)
    raise DataError(
        f"There is no folder {path} in {Path.cwd()} or {data_root(root).absolute()}: put it there, or set data.root or "
        "the environment variable SEQZOO_DATA to the folder that holds it."
    )


def locate_all(pattern: str, root: str | None = None, source: dict | None = None) -> dict[str, str]:
    """Find the files of a pattern such as "names/*.txt"; arguments as of `locate`.

    Returns:
        The paths by what the star stands for, in alphabetical order.

    Raises:
        DataError: the last part of the pattern does not have one star, or no file matches.
    """
    folder, _, last = pattern.rpartition("/")
    if last.count("*") != 1 or "*" in folder:
        raise DataError(f"{pattern} has no place for the label: write one * in its last part, as in names/*.txt.")
    before, after = last.split("*")
    for place in (Path(folder).expanduser(), data_root(root) / folder):
        files = sorted(path for path in place.glob(last) if path.is_file()) if place.is_dir() else []
        if files:
            return {path.name[len(before) : len(path.name) - len(after)]: str(path) for path in files}
    places = dict.fromkeys((str(Path.cwd()), str(data_root(root).absolute())))
    raise DataError(f"There are no files {pattern} in {' or '.join(places)}: {_advice(pattern, source)}")


def _advice(name: str, source: dict | None) -> str:
    origin = Source.from_plain(source) if source else None
    if origin is None or not fnmatch.filter(origin.files, name):
        return "put it there, or set data.root or the environment variable SEQZOO_DATA to the folder that holds it."
    if origin.url is None:
        return f"put it there. {origin.about}"
    checksum = f" (its sha256 is {origin.files[name]})" if name in origin.files else ""
    return f"download it{checksum} with: {program('seqzoo')} data fetch {origin.name}"
