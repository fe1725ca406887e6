"""Where data files lie: here, or below one folder for all data."""

from __future__ import annotations

import os
from pathlib import Path

from seqzoo.data.source import Source
from seqzoo.errors import DataError


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


def _advice(name: str, source: dict | None) -> str:
    origin = Source.from_plain(source) if source else None
    if origin is None or name not in origin.files:
        return "put it there, or set data.root or the environment variable SEQZOO_DATA to the folder that holds it."
    if origin.url is None:
        return f"put it there. {origin.about}"
    return f"fetch it (its sha256 is {origin.files[name]}) with: seqzoo data fetch {origin.name}"
