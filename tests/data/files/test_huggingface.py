"""data=huggingface on local files; nothing is fetched."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.data.files.huggingface import HuggingFace

ROWS = [{"review": f"A {'good' if n % 2 else 'bad'} film, number {n}", "stars": 5 if n % 2 else 1} for n in range(30)]
installed = pytest.mark.skipif(find_spec("datasets") is None, reason=not_installed("datasets"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library, with a cache of the test's own, and without the net."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def write(path: Path, rows: list[dict], features: dict | None = None) -> str:
    if path.suffix == ".csv":
        text = "".join(f'"{row["review"]}",{row["stars"]}\n' for row in rows)
        path.write_text("review,stars\n" + text)
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.Table.from_pylist(rows)
        about = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
        pyarrow.parquet.write_table(table.replace_schema_metadata(about), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@installed
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
@pytest.mark.usefixtures("hub")
def test_a_file(name: str, tmp_path: Path) -> None:
    data = HuggingFace(name=write(tmp_path / name, ROWS), text_column="review", label_column="stars", test_fraction=0.2)
    data.load()
    assert data.splits() == {"train": 21, "validation": 3, "test": 6}
    assert data.spec.targets.labels == ["1", "5"]
    texts = {data.spec.inputs.decode(row.tolist()) for batch in data.batches("train") for row in batch.inputs}
    assert texts <= {row["review"].lower().replace(",", " ,") for row in ROWS}


@installed
@pytest.mark.usefixtures("hub")
def test_a_folder_with_splits_and_names_of_classes(tmp_path: Path) -> None:
    classes = {"names": ["neg", "pos"], "_type": "ClassLabel"}
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": classes}
    folder = tmp_path / "reviews"
    folder.mkdir()
    for split, labels in {"train": [0, 1] * 10, "validation": [0, 1], "test": [-1, -1]}.items():
        rows = [{"text": f"text {n} of {split}", "label": label} for n, label in enumerate(labels)]
        write(folder / f"{split}.parquet", rows, features)
    data = HuggingFace(name=str(folder))
    data.load()
    assert data.splits() == {"train": 20, "validation": 2}
    assert data.spec.targets.labels == ["neg", "pos"]
    data = HuggingFace(name=str(folder), test="validation")
    data.load()
    assert data.splits()["test"] == 2
    with pytest.raises(DataError, match=r"has no split 'valid'. Did you mean 'validation'"):
        HuggingFace(name=str(folder), validation="valid").load()
    with pytest.raises(DataError, match=r"has no column 'labels' \(data.label_column\). Did you mean 'label'"):
        HuggingFace(name=str(folder), label_column="labels").load()
    with pytest.raises(DataError, match="test 1: the label is empty"):
        HuggingFace(name=str(folder), test="test").load()


@installed
@pytest.mark.usefixtures("hub")
def test_what_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nobody/nothing cannot be loaded by the library datasets"):
        HuggingFace(name="nobody/nothing").load()
    (tmp_path / "a.xls").write_text("")
    with pytest.raises(DataError, match=r"a.xls is not one of .csv, .json, .jsonl, .parquet"):
        HuggingFace(name=str(tmp_path / "a.xls")).load()


@installed
@pytest.mark.usefixtures("hub")
def test_by_overrides_alone(command: Callable, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ROWS)
    names = ["data.name=a.csv", "data.text_column=review", "data.label_column=stars"]
    done = command("train", "task=classification", "data=huggingface", *names, "debug=tiny", "hydra.run.dir=run")
    assert done.status == 0, done.err
    assert command("predict", "run", "A good film").out.strip() in ("1", "5")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=re.escape(not_installed("datasets"))):
        HuggingFace(name="a.csv").load()


@installed
@pytest.mark.usefixtures("hub")
def test_groups_and_order_are_columns(tmp_path: Path) -> None:
    rows = [{**row, "place": n % 5, "day": date(2021, 1, 1 + n)} for n, row in enumerate(ROWS)]
    name = write(tmp_path / "a.parquet", rows)
    columns = {"name": name, "text_column": "review", "label_column": "stars", "test_fraction": 0.2}
    splits = HuggingFace(**columns, groups="place", split="stratified").read()  # type: ignore[arg-type]
    assert sum(len({example.group for example in examples}) for examples in splits.values()) == 5
    splits = HuggingFace(**columns, order="day").read()  # type: ignore[arg-type]
    assert [example.time for example in splits["test"]] == [f"2021-01-{day}" for day in range(25, 31)]
    with pytest.raises(DataError, match=r"has no column 'places' \(data.groups\). Did you mean 'place'"):
        HuggingFace(**columns, groups="places").read()  # type: ignore[arg-type]
