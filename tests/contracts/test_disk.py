"""A folder has all of its files, or is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqzoo.contracts.disk import whole_folder


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_gets_all_files_at_once(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "above" / "folder"
    if exists:
        folder.mkdir(parents=True)
    with whole_folder(folder) as new:
        (new / "inside").mkdir()
        (new / "inside" / "file").write_text("content")
        assert folder.exists() is exists
        assert not exists or not [*folder.iterdir()]
    assert (folder / "inside" / "file").read_text() == "content"
    assert [*folder.parent.iterdir()] == [folder]


@pytest.mark.parametrize("exists", [False, True])
def test_an_error_leaves_it_as_it_was(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if exists:
        folder.mkdir()

    def interrupted() -> None:
        with whole_folder(folder) as new:
            (new / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [*tmp_path.iterdir()] == [folder] * exists
    assert not exists or not [*folder.iterdir()]
