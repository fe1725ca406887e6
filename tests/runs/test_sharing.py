"""Runs on the Hugging Face Hub, which a folder stands in for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import seqzoo
from seqzoo.configuration import hub
from seqzoo.contracts.errors import CheckpointError, ConfigError
from seqzoo.runs import sharing

RUN = "pretrained:addition_lstm"
COMMIT = "0123abcd"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the Hub, with a folder for each repository."""
    folder = tmp_path / "server"

    class HfApi:
        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
            (folder / repo_id / "snapshots").mkdir(parents=True, exist_ok=exist_ok)

        def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
            shutil.copytree(folder_path, folder / repo_id / "snapshots" / COMMIT)

        def model_info(self, repo_id: str, *, revision: str | None, timeout: float) -> None:
            if (folder / "unreachable").exists():
                raise OSError("Name or service not known")
            if not (folder / repo_id).exists():
                raise FileNotFoundError(f"404: {repo_id}")

    def download(repo_id: str, filename: str, *, revision: str | None, local_files_only: bool) -> str:
        path = folder / repo_id / "snapshots" / (revision or COMMIT) / filename
        if not path.exists():
            raise FileNotFoundError(f"404: {repo_id}")
        return str(path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=HfApi, hf_hub_download=download))
    monkeypatch.setattr(hub, "user_cache", lambda kind: tmp_path / "cache" / kind)
    return folder


def test_an_uploaded_run_answers_as_before(server: Path) -> None:
    assert sharing.push(RUN, "someone/sums", "mit") == "hf://someone/sums"
    stored = server / "someone/sums/snapshots" / COMMIT
    assert {path.name for path in stored.iterdir()} == {
        "README.md", "config.json", "spec.json", "metrics.json", "model.safetensors",
    }  # fmt: skip
    there = seqzoo.load("hf://someone/sums").predict(["535+61", "1+1"])
    assert there == seqzoo.load(RUN).predict(["535+61", "1+1"])
    assert seqzoo.load(f"hf://someone/sums@{COMMIT}").predict(["2+2"])[0].answer == "4"
    assert seqzoo.load(Path("hf://someone/sums")).spec.input_size == seqzoo.load(RUN).spec.input_size


def test_without_network_the_last_download_answers(server: Path, tmp_path: Path) -> None:
    sharing.push(RUN, "someone/sums", "mit")
    (server / "unreachable").touch()
    assert seqzoo.load("hf://someone/sums").predict(["1+1"])[0].answer == "2"
    shutil.rmtree(server / "someone")
    with pytest.raises(CheckpointError, match=r"^hf://someone/sums cannot be downloaded: Name or service not known$"):
        seqzoo.load("hf://someone/sums")


def test_an_interrupted_folder_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(sharing, "model_card", stop)  # what is written last
    with pytest.raises(KeyboardInterrupt):
        sharing.write_shared(RUN, tmp_path / "shared", "someone/sums", "mit")
    assert not [*tmp_path.iterdir()]


def test_the_card_has_the_scores_and_metadata(tmp_path: Path, command: Callable) -> None:
    done = command("push", RUN, "someone/sums", "--licence", "cc-by-4.0", "--to", str(tmp_path / "shared"))
    assert done.status == 0
    card = (tmp_path / "shared/README.md").read_text(encoding="utf-8")
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["license"] == "cc-by-4.0"
    assert {"seqzoo", "transduction", "lstm"} <= {*metadata["tags"]}
    assert "| test | exact_match | 0.9996 |" in card
    assert 'seqzoo.load("hf://someone/sums")' in card
    assert "seqzoo train" in card


def test_what_is_not_there_is_one_sentence(server: Path) -> None:
    with pytest.raises(CheckpointError, match="hf://someone/else cannot be downloaded: 404: someone/else"):
        seqzoo.load("hf://someone/else")
    with pytest.raises(ConfigError, match="hf://someone is not a run on the Hub: write hf://OWNER/NAME"):
        seqzoo.load("hf://someone")
    with pytest.raises(ConfigError, match="the repository is 'sums': write OWNER/NAME"):
        sharing.push(RUN, "sums", "mit")


def test_a_folder_that_could_not_be_uploaded_is_not_written(tmp_path: Path, command: Callable) -> None:
    for repository, licence, reason in (
        ("sums", "mit", "the repository is 'sums': write OWNER/NAME"),
        ("someone/sums", "", "the licence is '': write an identifier of the Hub, such as mit or cc-by-4.0"),
        ("someone/sums", "mit\nother: x", "the licence is 'mit\\nother: x'"),
    ):
        done = command("push", RUN, repository, "--licence", licence, "--to", str(tmp_path / "shared"))
        assert done.status == 2
        assert reason in done.err
        assert not (tmp_path / "shared").exists()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"install 'seqzoo\[hub\]'"):
        seqzoo.load("hf://someone/sums")
