"""The program that builds a release; tests/test_package.py tries a wheel."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts import release


def test_a_command_that_fails_shows_its_output(tmp_path: Path) -> None:
    assert release.run(sys.executable, "-c", "print(7)", folder=tmp_path) == "7\n"
    with pytest.raises(SystemExit, match=r"(?s)ended with status 3:.*no good"):
        release.run(sys.executable, "-c", "print('no good'); raise SystemExit(3)", folder=tmp_path)


def test_only_installed_pythons_are_tried() -> None:
    assert release.installed([sys.executable, "python9.99"]) == [sys.executable]


def test_a_wheel_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*command: object, folder: Path = tmp_path) -> str:
        (tmp_path / "a.tar.gz").touch()
        (tmp_path / "a.whl").write_bytes(b"x" * 100)
        return ""

    monkeypatch.setattr(release, "DIST", tmp_path)
    monkeypatch.setattr(release.shutil, "rmtree", lambda *arguments, **options: None)
    monkeypatch.setattr(release, "run", build)
    monkeypatch.setattr(release, "MEGABYTE", 2)
    with pytest.raises(SystemExit, match=r"the wheel has 50\.0 MB: it must have at most 15"):
        release.build()
