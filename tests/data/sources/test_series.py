"""Series from `.ts` files, tables and arrays: their values, and what is wrong with others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.series_content import Columns, SeriesFile
from seqzoo.data.sources.series_formats import form_by_name, read_series

HEADER = "# a comment\n@problemName Two\n@dimensions 2\n@classLabel true rest run\n@data\n"


def read(folder: Path, name: str, text: str, columns: Columns | None = None, **options: Any) -> SeriesFile:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    form = options.pop("form", form_by_name(str(path)))
    return read_series(str(path), columns or Columns(), form=form, **options)


def mistake(folder: Path, name: str, text: str, columns: Columns | None = None, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(folder, name, text, columns, **options)
    return str(error.value).removeprefix(f"{folder}/")


# .ts


def test_ts_has_channels_of_equal_length_and_a_class(tmp_path: Path) -> None:
    file = read(tmp_path, "a.ts", HEADER + "1,2,3:4,5,6:run\n\n-1:0.5:rest\n")
    assert file.channels == ["channel 1", "channel 2"]
    assert file.classes == ["rest", "run"]
    first, second = file.series
    assert first.values.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert second.values.tolist() == [[-1, 0.5]]
    assert [first.label, second.label] == ["run", "rest"]
    assert first.where.endswith("a.ts:6")


def test_missing_values_of_ts_are_question_marks_or_declared_nan(tmp_path: Path) -> None:
    file = read(tmp_path, "a.ts", HEADER + "1,?,3:4,5,6:run\n")
    assert math.isnan(file.series[0].values[1, 0])
    declared = HEADER.replace("@dimensions", "@missing true\n@dimensions")
    file = read(tmp_path, "a.ts", declared + "1,NaN,3:4,5,6:run\n")
    assert math.isnan(file.series[0].values[1, 0])


def test_times_of_ts(tmp_path: Path) -> None:
    header = HEADER.replace("@dimensions", "@timeStamps true\n@dimensions")
    file = read(tmp_path, "a.ts", header + "(0,1),(2,5):(0,7),(2,?):run\n")
    assert file.series[0].times.tolist() == [0, 2]
    assert file.series[0].values[:, 0].tolist() == [1, 5]
    dates = "(2021-03-14 15:00:00,1),(2021-03-14 16:00:00,5)"
    file = read(tmp_path, "a.ts", header + f"{dates}:{dates}:run\n")
    assert file.series[0].times.diff().tolist() == [3600]


def test_targets_of_ts_may_be_numbers(tmp_path: Path) -> None:
    header = HEADER.replace("@classLabel true rest run", "@targetLabel true")
    file = read(tmp_path, "a.ts", header + "1:2:0.25\n")
    assert file.numeric
    assert file.series[0].label == "0.25"
    assert "a.ts:6: the target is 'x', not a finite number" in mistake(tmp_path, "a.ts", header + "1:2:x\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2:3,4:run\n", "a.ts:1: found '1,2:3,4:run' before a line @data"),
        ("@dimensions 2\n", "a.ts has no line @data: a .ts file begins with a header"),
        (HEADER, "a.ts has no series after @data"),
        (HEADER + "1,2:3:run\n", "a.ts:6: channel 2 has 1 value, channel 1 has 2: all channels of a series need"),
        (HEADER + "1:2:3:run\n", "a.ts:6: the row has 3 channels, expected 2"),
        (HEADER + "1:2:ran\n", "a.ts:6: the class 'ran' is not among those that @classLabel declares. Did you mean"),
        (HEADER + "1,2:3,nan:run\n", "a.ts:6: channel 2, value 2 is NaN: leave the field empty"),
        (HEADER + "1,-inf:3,4:run\n", "a.ts:6: channel 1, value 2 is -inf, not a finite number"),
        (HEADER + "1,two:3,4:run\n", "a.ts:6: channel 1, value 2 is 'two', not a number: correct it"),
        ("@dimensions 2\n@data\n1:2\n", "a.ts declares no labels: its header needs a line such as @classLabel true"),
    ],
)
def test_mistakes_in_ts(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in mistake(tmp_path, "a.ts", text)


def test_unlabelled_ts_can_be_read_for_predictions(tmp_path: Path) -> None:
    file = read(tmp_path, "a.ts", "@dimensions 2\n@data\n1,2:3,4\n", labelled=False)
    assert file.series[0].label is None
    assert file.series[0].values.tolist() == [[1, 3], [2, 4]]


# tables

LONG = "case,time,x,y,label\na,0,1,2,up\na,1,3,4,up\nb,0,5,6,down\n"


def test_a_long_table_has_a_row_per_step(tmp_path: Path) -> None:
    file = read(tmp_path, "a.csv", LONG)
    assert file.channels == ["x", "y"]
    assert [one.values.tolist() for one in file.series] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert [one.label for one in file.series] == ["up", "down"]
    assert file.series[0].times.tolist() == [0, 1]
    assert file.series[1].where.endswith("a.csv:4")


def test_labels_that_change_within_a_series_are_those_of_its_steps(tmp_path: Path) -> None:
    file = read(tmp_path, "a.csv", LONG.replace("4,up", "4,down"))
    assert [one.label for one in file.series] == [["up", "down"], "down"]


def test_columns_by_name_and_index(tmp_path: Path) -> None:
    file = read(tmp_path, "a.csv", "u,v,w\n1,k,2\n3,k,4\n", Columns(label="v", values=[2]), form="long")
    assert file.channels == ["w"]
    assert file.series[0].values.tolist() == [[2], [4]]
    assert file.series[0].label == "k"


def test_a_wide_table_has_a_row_per_series_and_may_end_early(tmp_path: Path) -> None:
    """The form of the UCR archive: the label first, and NaN after the end of a series."""
    file = read(tmp_path, "a.tsv", "1\t0.5\t1.5\n2\t2.5\tNaN\n")
    assert [one.values[:, 0].tolist() for one in file.series] == [[0.5, 1.5], [2.5]]
    assert [one.label for one in file.series] == ["1", "2"]
    named = read(tmp_path, "a.csv", "0,1,label\n0.5,?,up\n2.5,1,down\n")
    assert len(named.series[0].values) == 1
    assert [one.label for one in named.series] == ["up", "down"]


def test_parquet_is_a_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"id": [1, 1, 2], "x": [0.5, None, 2.5], "label": ["up", "up", "down"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    file = read_series(str(tmp_path / "a.parquet"), Columns())
    assert [one.values[:, 0].nan_to_num(9).tolist() for one in file.series] == [[0.5, 9], [2.5]]
    assert [one.label for one in file.series] == ["up", "down"]
    (tmp_path / "b.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match=r"b.parquet is not a Parquet file that can be read"):
        read_series(str(tmp_path / "b.parquet"), Columns())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LONG.replace("a,1", "a,0"), "a.csv:3: the time 0 occurs twice in a series"),
        (LONG.replace("a,1", "a,-1"), "a.csv:3: the time -1 comes after 0: sort the rows of a series by time"),
        (LONG.replace("a,1", "a,soon"), "a.csv:3: column 'time' is 'soon', neither a number nor a date"),
        (LONG.replace("3,4", "3,inf"), "a.csv:3: column 'y' is inf, not a finite number"),
        (LONG.replace("3,4", "nan,4"), "a.csv:3: column 'x' is NaN: leave the field empty, or set data.nan_is_missing"),
        (LONG.replace("3,4", "3,four"), "a.csv:3: column 'y' is 'four', not a number"),
        (LONG.replace("4,up", "4,"), "a.csv:3: column 'label' is empty: give each row a label"),
        (LONG.replace("3,4,up", "3,4"), "a.csv:3: the row has 4 fields, the header has 5"),
        (LONG.replace("label", "kind"), "a.csv has no column of labels that is known by its name (case, time, x, y, "),
        ("case,label\n", "a.csv has a header and no rows"),
        ("case,time,label\na,0,up\na,1,up\n", "a.csv has no column of values: set data.value_columns"),
    ],
)
def test_mistakes_in_tables(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in mistake(tmp_path, "a.csv", text)


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    assert "has no column 'lable' (data.label_column). Did you mean 'label'" in mistake(
        tmp_path, "a.csv", LONG, Columns(label="lable")
    )
    assert "has no column 9 (data.label_column): it has 5" in mistake(tmp_path, "a.csv", LONG, Columns(label=9))


def test_nan_may_be_a_missing_value(tmp_path: Path) -> None:
    file = read(tmp_path, "a.csv", LONG.replace("3,4", "nan,4"), nan_is_missing=True)
    assert math.isnan(file.series[0].values[1, 0])


# arrays


def test_arrays(tmp_path: Path) -> None:
    x = numpy.arange(12.0).reshape(2, 3, 2)
    numpy.savez(tmp_path / "a.npz", x=x, y=[0, 1])
    file = read_series(str(tmp_path / "a.npz"), Columns(), form="array")
    assert torch.equal(torch.stack([one.values for one in file.series]), torch.from_numpy(x))
    assert [one.label for one in file.series] == ["0", "1"]
    numpy.savez(tmp_path / "a.npz", x=x, y=[[0, 1, 1], [1, 1, 0]])
    file = read_series(str(tmp_path / "a.npz"), Columns(), form="array")
    assert file.series[0].label == ["0", "1", "1"]
    numpy.save(tmp_path / "a.npy", x[..., 0])
    file = read_series(str(tmp_path / "a.npy"), Columns(), form="array", labelled=False)
    assert file.series[1].values.tolist() == [[6], [8], [10]]


def test_mistakes_in_arrays(tmp_path: Path) -> None:
    def mistake(name: str, **arrays: Any) -> str:
        path = tmp_path / name
        numpy.savez(path, **arrays) if arrays else path.write_bytes(b"\x93NUMPY")
        with pytest.raises(DataError) as error:
            read_series(str(path), Columns(), form="array")
        return str(error.value)

    x = numpy.zeros((2, 3))
    assert "has the arrays x: give an .npz file with the series as x and the labels as y" in mistake("a.npz", x=x)
    assert "y has the shape (3,), expected (2,), a label for each series" in mistake("a.npz", x=x, y=[0, 1, 2])
    assert "x has the shape (3,), expected (series, steps)" in mistake("a.npz", x=x[0], y=[0])
    assert "a.npz: x[1, 2, 0] is inf" in mistake(
        "a.npz", x=numpy.where(numpy.arange(6).reshape(2, 3) > 4, numpy.inf, 0), y=[0, 1]
    )
    assert "a.npy is not an array of numbers that can be read" in mistake("a.npy")
    numpy.save(tmp_path / "b.npy", x)
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes().replace(b"{'descr", b"{'''scr"))
    numpy.save(tmp_path / "c.npy", x[:0])
    for name, message in (("b.npy", "is not an array of numbers"), ("c.npy", "x has the shape")):
        with pytest.raises(DataError, match=message):
            read_series(str(tmp_path / name), Columns(), form="array", labelled=False, whole=True)
    assert "is not an array of numbers" in mistake("a.npz", x=numpy.array([["a"]]), y=[0])
