"""Where the files of a data set come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqzoo.contracts.errors import DataError, closest
from seqzoo.contracts.options import fits


@dataclass(frozen=True)
class Source:
    """Where the files of a data set come from: the `source` of a data YAML.

    name: of the YAML, for `seqzoo data fetch NAME`.
    files: path below the data folder -> sha256.
    url: the folder on the net that holds them under their last names; None where somebody must prepare them by hand.
    about: origin and licence, in a sentence.
    """

    name: str
    files: dict[str, str]
    url: str | None = None
    about: str = ""

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Source:
        known = ("name", "files", "url", "about")
        for key in plain:
            if key not in known:
                raise DataError(f"data.source has no key {key!r}.{closest(str(key), known)}")
        if "name" not in plain or "files" not in plain:
            raise DataError("data.source needs a name and files: {path: sha256}.")
        if not fits(plain["files"], dict[str, str]):
            raise DataError(f"data.source.files is {plain['files']!r}: it must be a mapping, path: sha256.")
        for key in ("name", "url", "about"):
            if not fits(plain.get(key, ""), str | None if key == "url" else str):
                raise DataError(f"data.source.{key} is {plain[key]!r}: it must be text.")
        return cls(plain["name"], dict(plain["files"]), plain.get("url"), plain.get("about", ""))
