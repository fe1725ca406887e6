"""Which files a run read: where they were found, what they held, and what is said where they are others later."""

from __future__ import annotations

import gzip
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.stored import stored
from seqzoo.contracts.data_module import DataModule, ReadFiles
from seqzoo.contracts.errors import CheckpointError
from seqzoo.data.sources import fingerprints
from seqzoo.data.sources.fingerprints import changed, fingerprint, records, saved_records
from seqzoo.runs import lifecycle as runs
from seqzoo.runs.provenance import fingerprint as job_key
from seqzoo.runs.provenance import group_name
from seqzoo.training.record.files import read_config
from tests.conftest import Done
from tests.data.files.test_idx_images import files as idx_files

TEXTS = "".join(f"{'good' if n % 2 else 'bad'} film number {n}\t{n % 2}\n" for n in range(12))
OTHERS = TEXTS.replace("film", "play")
CLASSES = ("data=classification_files", "data.train=texts.tsv", "data.text_column=0", "data.label_column=1")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def gz(folder: Path) -> list[str]:
    (folder / "texts.tsv.gz").write_bytes(gzip.compress(TEXTS.encode()))
    return [*CLASSES, "data.train=texts.tsv.gz"]


def member(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "texts.zip", "w") as archive:
        archive.writestr("inside/texts.tsv", TEXTS)
    return [*CLASSES, "data.train=texts.zip::inside/texts.tsv"]


def pattern(folder: Path) -> list[str]:
    for name in ("short", "long"):
        write(folder / "names" / f"{name}.txt", "\n".join(f"{name} {n}" for n in range(8)))
    return ["data=classification_files", "data.train=names/*.txt", "data.format=label_in_name"]


def idx(folder: Path) -> list[str]:
    idx_files(folder)
    return [
        "data=idx_images", "data.train_images=train-images.gz", "data.train_labels=train-labels",
        "data.validation_size=2",
    ]  # fmt: skip


def captions(folder: Path) -> list[str]:
    (folder / "pictures").mkdir()
    for n in range(4):
        Image.new("RGB", (8, 8), (60 * n, 0, 0)).save(folder / "pictures" / f"{n}.png")
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "unused.png")
    write(folder / "captions.csv", "picture,caption\n" + "".join(f"{n}.png,number {n}\n" for n in range(4)))
    return [
        "task=captioning", "data=caption_files", "data.captions=captions.csv", "data.pictures=pictures",
        "data.format=table", "data.picture_column=picture", "data.caption_column=caption", "data.size=8",
        "data.validation_fraction=0.5",
    ]  # fmt: skip


def features(folder: Path) -> list[str]:
    import numpy

    options = captions(folder)
    for n in range(4):
        numpy.save(folder / "pictures" / f"{n}.png.npy", numpy.full((2, 3), n, dtype="float32"))
    return [*options, "data.features=true"]


def text(folder: Path) -> list[str]:
    write(folder / "text.txt", TEXTS)
    return ["task=language_modeling", "data=text_files", "data.train=text.txt", "data.batch_size=2"]


def vectors(folder: Path) -> list[str]:
    write(folder / "texts.tsv", TEXTS)
    write(folder / "vectors.txt", "good 1 2\nfilm 3 4\n")
    return [*CLASSES, "data.vectors=vectors.txt"]


def read(options: list[str], places: dict[str, str] | None = None) -> DataModule:
    data = build_data(compose(*options))
    data.places.update(places or {})
    data.load()
    return data


KINDS: list[tuple[Callable[[Path], list[str]], list[str], str]] = [
    (gz, ["texts.tsv.gz"], "texts.tsv.gz"),
    (member, ["texts.zip::inside/texts.tsv"], "texts.zip"),
    (pattern, ["names/*.txt"], "names/long.txt"),
    (idx, ["train-images.gz", "train-labels"], "train-labels"),
    (captions, ["captions.csv", "pictures"], "pictures/2.png"),
    (features, ["captions.csv", "pictures"], "pictures/2.png.npy"),
    (text, ["text.txt"], "text.txt"),
    (vectors, ["texts.tsv", "vectors.txt"], "vectors.txt"),
]


@pytest.mark.parametrize(("make", "names", "touched"), KINDS, ids=[kind[0].__name__ for kind in KINDS])
@pytest.mark.parametrize("found_by", ["folder", "root", "environment"])
def test_every_kind_of_file_is_found_again_and_known_again(
    make: Callable[[Path], list[str]], names: list[str], touched: str, found_by: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    options = make(here)
    if found_by == "folder":
        monkeypatch.chdir(here)
    elif found_by == "root":
        monkeypatch.chdir(tmp_path)
        options = [*options, "data.root=here"]
    else:
        monkeypatch.setenv("SEQZOO_DATA", str(here))
    saved = saved_records(json.loads(json.dumps(records(read(options)))))
    assert [record.name for record in saved] == names
    assert [record.path for record in saved] == [str(here / name) for name in names]

    make(elsewhere)  # files of the same names where one stands now
    (elsewhere / touched).write_bytes(b"0 1\n" * 20)
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("SEQZOO_DATA", str(elsewhere))
    options = [option for option in options if not option.startswith("data.root=")]
    again = read(options, {record.name: record.path for record in saved})
    assert changed(again, saved) == []
    assert {name: part.path for name, part in again.files.items()} == {record.name: record.path for record in saved}


@pytest.mark.parametrize(("make", "names", "touched"), KINDS, ids=[kind[0].__name__ for kind in KINDS])
def test_a_byte_more_is_another_file(
    make: Callable[[Path], list[str]], names: list[str], touched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = read(make(tmp_path))
    saved = saved_records(records(data))
    with (tmp_path / touched).open("ab") as file:
        file.write(b"\n")
    [path] = changed(data, saved)
    assert path in (str(tmp_path / name) for name in names)
    if touched != "texts.zip":
        assert (tmp_path / touched).is_relative_to(path.partition("*")[0].rstrip("/"))


def test_a_picture_that_no_caption_names_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = read(captions(tmp_path))
    saved = saved_records(records(data))
    (tmp_path / "pictures" / "unused.png").unlink()
    assert changed(data, saved) == []


class Table:
    """What the library `datasets` makes of rows of JSON."""

    def __init__(self, path: Path):
        self.rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.column_names = list(self.rows[0])
        self.features = dict.fromkeys(self.column_names)

    def __getitem__(self, column: str) -> list[str]:
        return [row[column] for row in self.rows]


def load_dataset(name: str, subset: str | None = None, data_files: str = "") -> dict[str, Table]:
    return {"train": Table(Path(data_files) if data_files else Path(name) / "train.jsonl")}


@pytest.mark.parametrize("whole", [False, True], ids=["file", "folder"])
def test_local_files_of_hugging_face(whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = SimpleNamespace(
        load_dataset=load_dataset, disable_progress_bars=lambda: None,
        exceptions=SimpleNamespace(DatasetsError=RuntimeError),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "datasets", library)
    monkeypatch.chdir(tmp_path)
    rows = "".join(f'{{"text": "film {n}", "label": "{n % 2}"}}\n' for n in range(20))
    write(tmp_path / "set" / "train.jsonl", rows)
    name = "set" if whole else "set/train.jsonl"
    data = read(["data=huggingface", f"data.name={name}"])
    assert data.files == {name: ReadFiles(str(tmp_path / name), [str(tmp_path / "set" / "train.jsonl")])}
    saved = saved_records(records(data))
    monkeypatch.chdir("/")
    again = read(["data=huggingface", f"data.name={name}"], {name: str(tmp_path / name)})
    assert (again.files, changed(again, saved)) == (data.files, [])


def test_moved_files_are_found_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "old" / "texts.tsv", TEXTS)
    monkeypatch.chdir(tmp_path / "old")
    saved = saved_records(records(read([*CLASSES])))
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    again = read([*CLASSES], {record.name: record.path for record in saved})
    assert again.files["texts.tsv"].path == str(tmp_path / "new" / "texts.tsv")
    assert changed(again, saved) == []


def test_a_large_file_is_known_by_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "LARGE", 1000)
    monkeypatch.setattr(fingerprints, "PIECE", 10)
    monkeypatch.setattr(fingerprints, "SAMPLES", 3)
    seen = set()
    for place in (None, 0, 5_000, 9_999, 10_000):
        path = tmp_path / f"{place}"
        content = bytearray(10_000)
        if place is not None:
            content[place : place + 1] = b"x"
        path.write_bytes(content)
        seen.add(fingerprint(ReadFiles(str(path), [str(path)])))
    assert len(seen) == 5
    (tmp_path / "unseen").write_bytes(bytes(3_000) + b"x" + bytes(6_999))
    assert fingerprint(ReadFiles("", [str(tmp_path / "unseen")])) in seen


def test_several_files_are_known_by_what_each_name_holds_in_any_folder(tmp_path: Path) -> None:
    def of(folder: str, texts: dict[str, str]) -> str:
        for name, text in texts.items():
            write(tmp_path / folder / name, text)
        return fingerprint(
            ReadFiles(str(tmp_path / folder / "*.txt"), [str(tmp_path / folder / name) for name in texts])
        )

    right = of("here", {"a.txt": "good", "b.txt": "bad"})
    assert of("elsewhere", {"b.txt": "bad", "a.txt": "good"}) == right
    assert of("swapped", {"a.txt": "bad", "b.txt": "good"}) != right
    assert of("renamed", {"a.txt": "good", "c.txt": "bad"}) != right


@pytest.mark.parametrize("damaged", [3, [3], [{"name": "a"}], [{"name": "a", "path": 3, "fingerprint": "b"}]])
def test_damaged_records_are_told(damaged: Any) -> None:
    with pytest.raises(CheckpointError, match="data_files in the configuration of the run is damaged"):
        saved_records(damaged)


TINY = (
    "task=classification", *CLASSES, "debug=tiny", "data.limit=null", "training.steps=4", "training.diagnostics=0",
    "cell.engine=reference", "recipe=none",
)  # fmt: skip


def test_a_run_keeps_to_the_files_it_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Done], capsys: pytest.CaptureFixture
) -> None:
    write(tmp_path / "here" / "texts.tsv", TEXTS)
    write(tmp_path / "elsewhere" / "texts.tsv", OTHERS)
    monkeypatch.chdir(tmp_path / "here")
    config = compose(*TINY)
    metrics = runs.start(config, tmp_path / "run")
    saved = read_config(tmp_path / "run")
    assert [record["path"] for record in saved["data_files"]] == [str(tmp_path / "here" / "texts.tsv")]
    assert saved["data"]["train"] == "texts.tsv"
    assert (job_key(stored(saved)), group_name(stored(saved))) == (job_key(config), group_name(config))

    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    done = command("evaluate", str(tmp_path / "run"), "split=validation")
    assert json.loads(done.out)["loss_nats"] == pytest.approx(metrics["validation"]["loss_nats"])
    assert done.err == ""

    write(tmp_path / "here" / "texts.tsv", OTHERS)
    path = tmp_path / "here" / "texts.tsv"
    done = command("evaluate", str(tmp_path / "run"), "split=validation")
    assert done.err == (f"seqzoo: {path} has changed since the run was started: the scores are for the current data\n")
    assert done.status == 0
    with pytest.raises(CheckpointError, match=f"^{path} has changed .* or continue .* by allow_changed_data=true$"):
        runs.resume(tmp_path / "run", ["training.steps=6"])
    longer = runs.resume(tmp_path / "run", ["training.steps=6", "allow_changed_data=true"])
    assert longer["updates"] == 6
    capsys.readouterr()

    # a run of an older version knows nothing of its files
    text = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(text.partition("data_files:")[0])
    done = command("evaluate", str(tmp_path / "run"), "split=validation")
    assert (done.status, done.err) == (0, "")
    assert torch.isfinite(torch.tensor(json.loads(done.out)["loss_nats"]))
