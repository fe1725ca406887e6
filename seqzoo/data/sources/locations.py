"""Where data files lie: here, or below one folder for all data."""

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
    """A data set whose files lie here, or below one folder for all data. What it reads is noted in `files`.

    root: see `data_root`.
    """

    root: str | None = None

    def path(self, name: str) -> str:
        """The file of a name in the configuration, as `locate` finds it."""
        found = self._found(name, lambda given: locate(given, self.root, self._source))
        self.note(name, found, [found.partition("::")[0]])
        return found

    def matching(self, pattern: str) -> dict[str, str]:
        """The files of a pattern by their labels, as `locate_all` finds them."""
        found = self._found(pattern, lambda given: locate_all(given, self.root, self._source))
        first, last = next(iter(found.values())), pattern.rpartition("/")[2]
        self.note(pattern, str(Path(first).with_name(last)), found.values())
        return found

    def folder(self, name: str) -> str:
        """A folder, as `locate_folder` finds it; whoever reads files of it notes which."""
        return self._found(name, lambda given: locate_folder(given, self.root))

    def note(self, name: str, path: str, files: Iterable[str]) -> None:
        """Files that are read below a path, which stands for a name in the configuration."""
        self.files[name] = ReadFiles(str(Path(path).absolute()), sorted(str(Path(file).absolute()) for file in files))

    @property
    def _source(self) -> dict | None:
        return getattr(self, "source", None)

    def _found(self, name: str, find: Callable[[str], T]) -> T:
        """Where the run found it when it started, else by its name: the files may have been moved."""
        if name in self.places:
            with suppress(DataError):
                return find(self.places[name])
        return find(name)


def data_root(root: str | None = None) -> Path:
    """`root`, else the environment's SEQZOO_DATA, else ~/.cache/seqzoo."""
    return Path(root or os.environ.get("SEQZOO_DATA") or "~/.cache/seqzoo").expanduser()


def locate(path: str, root: str | None = None, source: dict | None = None) -> str:
    """The file that a path of a configuration means: absolute, from the current folder, or below `data_root`.

    A `::member` of an archive stays. Raises DataError that says where the file was looked for and how to get it.
    """
    name, separator, member = path.partition("::")
    given, folder = Path(name).expanduser(), data_root(root)
    for candidate in (given, folder / given):
        if candidate.is_file():
            return f"{candidate}{separator}{member}"
    for candidate in (given, folder / given):
        if candidate.is_dir():
            raise DataError(f"{candidate} is a folder, not a file: name the file in it.")
    looked = dict.fromkeys((str(Path.cwd()), str(folder.absolute())))
    where = "" if given.is_absolute() else f" in {' or '.join(looked)}"
    raise DataError(f"There is no file {name}{where}: {_advice(given.as_posix(), source)}")


def locate_folder(path: str, root: str | None = None) -> str:
    """The folder that a path of a configuration means, looked for as `locate` does."""
    for candidate in (Path(path).expanduser(), data_root(root) / Path(path).expanduser()):
        if candidate.is_dir():
            return str(candidate)
    raise DataError(
        f"There is no folder {path} in {Path.cwd()} or {data_root(root).absolute()}: put it there, or set data.root or "
        "the environment variable SEQZOO_DATA to the folder that holds it."
    )


def locate_all(pattern: str, root: str | None = None, source: dict | None = None) -> dict[str, str]:
    """What the star of a pattern, as in "names/*.txt", stands for -> the file, in alphabetical order.

    Raises DataError where the pattern has not one star in its last part, or no file is of this form.
    """
    folder, _, last = pattern.rpartition("/")
    if last.count("*") != 1 or "*" in folder:
        raise DataError(f"{pattern} names no files by their labels: write one * in its last part, as in names/*.txt.")
    before, after = last.split("*")
    for place in (Path(folder).expanduser(), data_root(root) / folder):
        files = sorted(path for path in place.glob(last) if path.is_file()) if place.is_dir() else []
        if files:
            return {path.name[len(before) : len(path.name) - len(after)]: str(path) for path in files}
    looked = dict.fromkeys((str(Path.cwd()), str(data_root(root).absolute())))
    raise DataError(f"There are no files {pattern} in {' or '.join(looked)}: {_advice(pattern, source)}")


def _advice(name: str, source: dict | None) -> str:
    origin = Source.from_plain(source) if source else None
    if origin is None or not fnmatch.filter(origin.files, name):
        return "put it there, or set data.root or the environment variable SEQZOO_DATA to the folder that holds it."
    if origin.url is None:
        return f"put it there. {origin.about}"
    known = f" (its sha256 is {origin.files[name]})" if name in origin.files else ""
    return f"fetch it{known} with: {program('seqzoo')} data fetch {origin.name}"
