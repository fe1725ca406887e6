"""Where data files lie: here, or below one folder for all data."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

from seqzoo.data.source import Source
from seqzoo.errors import DataError, program


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
