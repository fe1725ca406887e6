"""Where the files of a data set can be downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from seqzoo.contracts.errors import DataError, closest
from seqzoo.contracts.options import Options, fits


@dataclass(frozen=True)
class Source:
    """The origin of the files of a data set, the option `source` of a data YAML.

    Attributes:
        name: of the YAML, for `seqzoo data fetch NAME`.
        files: the sha256 of each file by its path below the data folder.
        url: the folder to download the files from; None where they must be prepared by hand.
        about: origin and licence, in a sentence.
    """

    name: str
    files: dict[str, str]
    url: str | None = None
    about: str = ""

    @classmethod
    def from_plain(cls, plain: Options) -> Source:
        """Build a source from plain data.

        Raises:
            DataError: a key is unknown or missing, or a value has the wrong type.
        """
        keys = ("name", "files", "url", "about")
        for key in plain:
            if key not in keys:
                raise DataError(f"data.source has no key {key!r}{closest(str(key), keys)}")
        if "name" not in plain or "files" not in plain:
            raise DataError("data.source needs a name and files: {path: sha256}")
        if not fits(plain["files"], dict[str, str]):
            raise DataError(f"data.source.files is {plain['files']!r}: it must be a mapping, path: sha256")
        for key in ("name", "url", "about"):
            if not fits(plain.get(key, ""), str | None if key == "url" else str):
                raise DataError(f"data.source.{key} is {plain[key]!r}: it must be text")
        return cls(plain["name"], dict(plain["files"]), plain.get("url"), plain.get("about", ""))
