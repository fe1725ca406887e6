"""scripts/benchmark.py: implementations that are compared give equal results; their ratios; the page docs/SPEED.md."""

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


def test_the_page_lists_measurements_below_a_goal(load_script: Callable[[str], ModuleType]) -> None:
    sizes = {"T": "100", "B": "1", "I": "8", "H": "8"}
    common = {"part": "equal", "pass": "forward", "implementation": "seqzoo auto", "milliseconds": "1", **sizes}
    rows = [{**common, "cell": "lstm", "ratio": "0.9"}, {**common, "cell": "elman", "ratio": "0.98"}]
    _, _, line, *_ = load_script("speed_page").goal_lines(rows, [])
    assert line == (
        "| equal lengths, each shape and pass, relative to the faster of torch.nn | 0.97 | 0.9 "
        "| lstm, forward, 100, 1, 8, 8: 0.9 |"
    )


@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_implementations_with_equal_weights_agree(script: ModuleType, name: str) -> None:
    cell, x, lengths = seqzoo.create_cell(name, 4, 5), torch.randn(3, 6, 4), torch.tensor([6, 2, 4])
    script.agree(script.torchs(name, cell, None) | script.engines(cell), x, name)
    implementations = script.torchs(name, cell, lengths) | script.engines(cell, lengths)
    padded = next(key for key in implementations if "padded" in key)
    script.agree({key: run for key, run in implementations.items() if key != padded}, x, name)
    with pytest.raises(AssertionError, match="differs from"):
        script.agree(implementations, x, name)


def test_ratios_are_relative_to_the_faster_of_torch(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(implementations: dict[str, Callable], x: torch.Tensor, training: bool) -> dict[str, float]:
        return {name: 1.0 + number for number, name in enumerate(implementations)}

    monkeypatch.setattr(script, "SHAPES", [(6, 3, 4, 5)])
    monkeypatch.setattr(script, "measure", measure)
    monkeypatch.setattr(script, "peer", lambda package, make: {})
    measurements = list(script.against_torch(torch.device("cpu")))
    assert {row.part for row in measurements} == {"equal", "lengths"}
    assert {row.cell for row in measurements} == {"lstm", "gru", "elman"}
    for row in measurements:
        # the two of torch.nn are first, with 1 and 2 milliseconds
        assert row.ratio == pytest.approx(1 / row.milliseconds)


def test_two_layers_have_the_weights_of_torch(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SHAPES", [(6, 3, 4, 5)])
    monkeypatch.setattr(script, "measure", lambda implementations, x, training: dict.fromkeys(implementations, 1.0))
    measurements = list(script.low_precision(torch.device("cpu")))
    assert [row.implementation for row in measurements] == ["nn.LSTM", "seqzoo auto"] * 2 + [
        "nn.GRU",
        "seqzoo auto",
    ] * 2


def test_a_share_of_the_rate_counts_multiplications(script: ModuleType) -> None:
    assert script._multiplications(seqzoo.create_cell("lstm", 4, 5)) == 4 * 5 * (4 + 5)
    assert script._multiplications(seqzoo.create_cell("mgu", 4, 5)) == 2 * 5 * (4 + 5)
