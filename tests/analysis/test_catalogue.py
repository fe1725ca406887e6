"""The catalogue of cells: docs/CELLS.md, `seqzoo list cells` and `seqzoo info`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import seqzoo
from seqzoo.analysis.catalogue import Paper, papers_in, parse
from seqzoo.configuration.registry import names
from seqzoo.contracts.errors import ConfigError


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("write_cells")


def read_marks(script: ModuleType) -> dict[str, dict[str, str]]:
    """The marks on the current page."""
    lines = script.PAGE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    cells = [dict(zip(script.COLUMNS, row, strict=True)) for row in rows]
    return {row["cell"].strip("`"): {mark: row[mark] for mark in script.MARKS} for row in cells}


def test_the_page_is_up_to_date_but_for_its_marks(script: ModuleType) -> None:
    marks = read_marks(script)
    assert list(marks) == names("cell"), "run python scripts/write_cells.py"
    assert script.PAGE.read_text(encoding="utf-8") == script.page(marks), "run python scripts/write_cells.py"


@pytest.mark.slow
def test_the_marks_are_up_to_date(script: ModuleType) -> None:
    assert read_marks(script) == script.measure_marks(), "run python scripts/write_cells.py"


def test_the_best_seed_of_a_language_counts(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "SOLVED", tmp_path / "languages.csv")
    assert script.read_solved() == {}
    rows = ["gru,s3,0,no", "gru,s3,1,yes", "gru,s3,2,no", "lru,s3,0,no", "gru,a5,0,no"]
    script.SOLVED.write_text("\n".join(["cell,language,seed,solved", *rows]))
    assert script.read_solved() == {"gru": {"s3": True, "a5": False}, "lru": {"s3": False}}


def test_the_speeds_are_of_these_cells(script: ModuleType) -> None:
    speeds = script.read_speeds()
    assert set(speeds) == set(names("cell")), "run python scripts/write_cells.py --speed"
    assert all(float(row["times"]) > 0 for row in speeds.values())


@pytest.mark.parametrize("name", names("cell"))
def test_every_cell_cites_and_explains_itself(name: str) -> None:
    cell = seqzoo.cell_info(name)
    assert cell.summary
    assert cell.papers
    assert all("http" not in paper.authors + paper.title and paper.year > 1980 for paper in cell.papers)
    assert " = " in cell.equations
    assert all(option.help for option in cell.options)
    assert cell.bibtex.count("@misc{") == len(cell.papers)


def test_the_entry_of_a_cell() -> None:
    cell = seqzoo.cell_info("peephole_lstm")
    assert cell.cell_class == "PeepholeLSTM"
    assert cell.papers == (
        Paper(
            "Gers & Schmidhuber",
            "Recurrent Nets that Time and Count",
            2000,
            "https://doi.org/10.1109/IJCNN.2000.861302",
        ),
    )
    assert "    f = sigmoid(W_f x + U_f h + p_f * c + b_f)\n" in cell.equations
    assert cell.options[0] == ("forget_bias", "1.0", "initial bias of the forget gate")
    assert "zoneout" in [option.name for option in cell.options]
    assert cell.states == ("(B, H)", "(B, H)")
    # the LSTM's, and three peepholes a unit
    assert cell.parameters == 4 * (128 * 128 + 128 * 128 + 2 * 128) + 3 * 128
    assert not cell.parallel_in_time
    assert cell.trains_recurrence
    assert cell.bibtex == (
        "@misc{gers2000recurrent,\n"
        "  author = {Gers and Schmidhuber},\n"
        "  title = {{Recurrent Nets that Time and Count}},\n"
        "  year = {2000},\n"
        "  doi = {10.1109/IJCNN.2000.861302},\n"
        "  url = {https://doi.org/10.1109/IJCNN.2000.861302}\n"
        "}"
    )


def test_a_variant_cites_its_own_paper_first() -> None:
    assert [paper.citation for paper in seqzoo.cell_info("irnn").papers] == ["Le et al. 2015", "Elman 1990"]


def test_properties_that_are_counted() -> None:
    assert [name for name in ("min_gru", "tdnn", "gru", "lstm") if seqzoo.cell_info(name).parallel_in_time] == [
        "min_gru",
        "tdnn",
    ]
    assert seqzoo.cell_info("tdnn").states == ("(B, 2, I)",)
    reservoir = seqzoo.cell_info("echo_state")
    assert (reservoir.parameters, reservoir.trains_recurrence) == (0, False)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(ConfigError, match=r"there is no cell named 'lsmt'. Did you mean 'lstm'"):
        seqzoo.cell_info("lsmt")


def test_citations() -> None:
    text = """van der A & B, A Title, of Parts: Which?, 2001 (a note, with commas), https://arxiv.org/abs/1234.5678
        C et al., Two
        Lines, 2002, https://example.org/x"""
    first, second = papers_in(text)
    assert first == ("van der A & B", "A Title, of Parts: Which?", 2001, "https://arxiv.org/abs/1234.5678", first.note)
    assert first.note == "a note, with commas"
    assert first.bibtex.startswith("@misc{vandera2001title,\n  author = {{van der A} and B},\n")
    assert "  eprint = {1234.5678},\n" in first.bibtex
    assert (second.title, second.citation) == ("Two Lines", "C et al. 2002")
    assert "author = {C and others}" in second.bibtex
    assert papers_in("As A, Title, 1999, https://example.org says, it works.") == ()


def test_a_docstring_in_parts() -> None:
    papers, equations, notes = parse(
        "A cell.\n\nA, T, 1999, https://a.org\n\nFor each head:\n\n    h' = x\n\nIt is\nshort.\n\nB, U, 2000, https://b.org"
    )
    assert [paper.authors for paper in papers] == ["A", "B"]
    assert equations == "For each head:\n\n    h' = x"
    assert notes == "It is\nshort."


def test_texts_are_told_without_torch() -> None:
    code = (
        "import sys, seqzoo; from seqzoo.commands.main import main; seqzoo.cell_info('lru').bibtex;"
        "main(['list', 'cells']);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_listing_what_is_small_enough(command: Callable) -> None:
    listed = command("list", "cells", "--max-parameters", "100000", "*lstm*")
    rows = {line.split()[0]: line.split()[1] for line in listed.out.splitlines()}
    assert rows == {"coupled_lstm": "99,072", "m_lstm": "66,306", "min_lstm": "49,536"}
    assert command("list", "cells", "*lstm*", "--max-parameters=100000").out == listed.out
    assert command("list", "cells", "--max-parameters", "many").err == (
        "seqzoo: --max-parameters is 'many': it must be an integer\n"
    )
    assert command("list", "tasks", "--max-parameters", "1").status == 2


def test_info_of_a_user_defined_cell_does_not_run_it(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "my_conf" / "cell").mkdir(parents=True)
    (tmp_path / "my_conf" / "cell" / "mine.yaml").write_text(
        "# mine (Me 2030)\n# Me, Mine, 2030, https://example.org/mine\nclass: my_cells.Mine\nleak: 0.5  # how much\n"
    )
    listed = command("list", "cells", "--config-dir", "my_conf", "--max-parameters", "1", "mine")
    assert listed.out.split() == ["mine", "?", "mine", "(Me", "2030)"]
    cell = seqzoo.cell_info("mine")
    assert cell.paper == ("Me", "Mine", 2030, "https://example.org/mine", "")
    assert cell.options[0] == ("leak", "0.5", "how much")


def test_info_prints_it_all(command: Callable) -> None:
    printed = command("info", "qrnn").out
    for part in ("Bradbury, Merity, Xiong & Socher", "c' = f * c + (1 - f) * z", "parallel in time: yes", "@misc{"):
        assert part in printed
    assert command("info").status == 2
    assert command("info", "nothing").status == 2


@pytest.mark.parametrize("name", [None, 3, "no such cell", "../lstm"])
def test_names_that_are_not_cells_are_reported(name: object) -> None:
    with pytest.raises(ConfigError, match="there is no cell named"):
        seqzoo.cell_info(name)
