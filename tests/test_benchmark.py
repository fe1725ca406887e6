"""scripts/benchmark.py: ways that agree, the numbers they are compared by, and the page that says what was measured."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

import seqzoo
from seqzoo.analysis.result_tables import read_table


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("benchmark")


def test_the_page_is_up_to_date(load_script: Callable[[str], ModuleType]) -> None:
    writer = load_script("speed_page")
    tables = {name: read_table(path) for name, path in writer.TABLES.items()}
    assert writer.PAGE.read_text(encoding="utf-8") == writer.page(tables), "run python scripts/speed_page.py"


def test_the_page_names_what_misses_a_goal(load_script: Callable[[str], ModuleType]) -> None:
    sizes = {"T": "100", "B": "1", "I": "8", "H": "8"}
    common = {"part": "equal", "pass": "forward", "way": "seqzoo auto", "milliseconds": "1", **sizes}
    rows = [{**common, "cell": "lstm", "ratio": "0.9"}, {**common, "cell": "elman", "ratio": "0.98"}]
    _, _, line, *_ = load_script("speed_page").goal_lines(rows, [])
    assert line == (
        "| equal lengths, each shape and pass, relative to the faster of torch.nn | 0.97 | 0.9 "
        "| lstm, forward, 100, 1, 8, 8: 0.9 |"
    )


@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_all_ways_agree(script: ModuleType, name: str) -> None:
    cell, x, lengths = seqzoo.create_cell(name, 4, 5), torch.randn(3, 6, 4), torch.tensor([6, 2, 4])
    script.agree(script.torchs(name, cell, None) | script.engines(cell), x, name)
    ways = script.torchs(name, cell, lengths) | script.engines(cell, lengths)
    padded = next(key for key in ways if "padded" in key)
    script.agree({key: way for key, way in ways.items() if key != padded}, x, name)
    with pytest.raises(AssertionError, match="differs from"):
        script.agree(ways, x, name)


def test_what_is_timed_is_compared(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SHAPES", [(6, 3, 4, 5)])
    monkeypatch.setattr(script, "measure", lambda ways, x, training: {way: 1.0 + n for n, way in enumerate(ways)})
    monkeypatch.setattr(script, "peer", lambda package, make: {})
    found = list(script.against_torch(torch.device("cpu")))
    assert {row.part for row in found} == {"equal", "lengths"}
    assert {row.cell for row in found} == {"lstm", "gru", "elman"}
    for row in found:
        # the two ways of torch.nn come first, in 1 and 2 milliseconds: the faster one is what counts
        assert row.ratio == pytest.approx(1 / row.milliseconds)


def test_two_layers_hold_the_weights_of_torch(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SHAPES", [(6, 3, 4, 5)])
    monkeypatch.setattr(script, "measure", lambda ways, x, training: dict.fromkeys(ways, 1.0))
    found = list(script.low_precision(torch.device("cpu")))
    assert [row.way for row in found] == ["nn.LSTM", "seqzoo auto"] * 2 + ["nn.GRU", "seqzoo auto"] * 2


def test_a_share_of_the_rate_counts_multiplications(script: ModuleType) -> None:
    assert script._multiplications(seqzoo.create_cell("lstm", 4, 5)) == 4 * 5 * (4 + 5)
    assert script._multiplications(seqzoo.create_cell("mgu", 4, 5)) == 2 * 5 * (4 + 5)
