from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.data.sources.fetching import fetch

pooch = pytest.importorskip("pooch")
CONTENT = b"some text\n"
SOURCE = {
    "name": "toy",
    "url": "https://example.org/folder/",
    "files": {"toy/a.txt": hashlib.sha256(CONTENT).hexdigest()},
}


def test_files_are_fetched_once_and_checked(tmp_path: Path) -> None:
    asked = []

    def download(url: str, file: str, _: Any) -> None:
        asked.append(url)
        Path(file).write_bytes(CONTENT)

    for _ in range(2):
        (path,) = fetch(SOURCE, str(tmp_path), download)
        assert path == tmp_path / "toy" / "a.txt"
        assert path.read_bytes() == CONTENT
    assert asked == ["https://example.org/folder/a.txt"]


def test_a_wrong_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between two tries

    def download(url: str, file: str, _: Any) -> None:
        Path(file).write_bytes(b"<html>not found</html>")

    with pytest.raises(DataError, match=r"toy/a.txt could not be downloaded from https://example.org/folder/a.txt"):
        fetch(SOURCE, str(tmp_path), download)
    assert not (tmp_path / "toy" / "a.txt").exists()


def test_no_network(tmp_path: Path) -> None:
    def download(url: str, file: str, _: Any) -> None:
        raise ConnectionError("no network")

    with pytest.raises(DataError, match=r"no network.*put it at .*toy/a.txt yourself \(sha256 [0-9a-f]{64}\)"):
        fetch(SOURCE, str(tmp_path), download)


def test_a_set_that_somebody_must_prepare(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"toy cannot be downloaded: put toy/a.txt into .*. Ask the authors"):
        fetch({"name": "toy", "files": SOURCE["files"], "about": "Ask the authors."}, str(tmp_path))


def test_without_pooch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(DataError, match=re.escape(not_installed("pooch"))):
        fetch(SOURCE, str(tmp_path))
