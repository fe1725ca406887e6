"""Pictures of forecasts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqzoo.contracts.capabilities import Outlook
from seqzoo.inspection.forecast_drawing import draw_forecast
from tests.conftest import Done

PNG = b"\x89PNG"
SMALL = (
    "task=forecasting", "data.steps=30", "data.train_size=4", "data.validation_size=2", "data.test_size=2",
    "backbone.hidden_size=4", "training.epochs=1", "task.horizon=5",
)  # fmt: skip


@pytest.fixture(autouse=True)
def pictures() -> None:
    """They are drawn."""


def lines_of(outlook: Outlook) -> dict[str, tuple[list[float], list[float]]]:
    axes = draw_forecast(outlook).axes[0]
    return {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.lines[:3]}


def test_a_forecast_begins_at_the_last_known_value() -> None:
    known = torch.arange(6.0)[:, None]
    lines = lines_of(Outlook(["x"], known, torch.tensor([[[7.0]], [[8.0]]]), torch.tensor([[6.0], [7.0]])))
    assert lines["known"] == ([-5, -4, -3, -2, -1, 0], [0, 1, 2, 3, 4, 5])
    assert lines["forecast"] == ([0, 1, 2], [5, 7, 8])
    assert lines["true"] == ([1, 2], [6, 7])


def test_bands_are_between_quantiles() -> None:
    quantiles = torch.arange(1.0, 10)[None, None].expand(3, 2, 9)
    figure = draw_forecast(Outlook(["x", "$y"], torch.zeros(4, 2), quantiles, None))
    assert [axes.get_ylabel() for axes in figure.axes] == ["x", "$y"]
    bands = figure.axes[1].collections
    assert len(bands) == 4
    tops = [max(point[1] for point in band.get_paths()[0].vertices) for band in bands]
    assert tops == [9, 8, 7, 6]
    assert figure.axes[0].collections[0].get_label() == "10% to 90%"


def test_pictures_in_tensorboard_and_by_predict(command: Callable[..., Done], tmp_path: Path) -> None:
    trained = command(
        "train", *SMALL, "task.head=mixture", "task.metrics=[crps]", "training.diagnostics=1", "training.examples=2",
        "hydra.run.dir=run",
    )  # fmt: skip
    assert trained.status == 0, trained.err
    assert "diagnostics are switched off" not in trained.out + trained.err
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"images": 0})
    events.Reload()
    assert {"valid/forecast_1", "valid/forecast_2"} <= set(events.Tags()["images"])
    done = command("predict", "run", "0.1, 0.2, 0.3", "0.2, 0.1", "--plot", "out.png")
    assert done.out.count("(") == 2 * 5, "a band for each step"
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in ("out.png", "out-2.png"))
    assert "wrote out-2.png" in done.err


def test_other_runs_have_no_forecasts(command: Callable[..., Done]) -> None:
    command(
        "train", "task=regression", "data=narma10", "data.steps=10", "data.train_size=4", "data.validation_size=2",
        "data.test_size=2", "training.epochs=1", "hydra.run.dir=run",
    )  # fmt: skip
    refused = command("predict", "run", "0.1, 0.2", "--plot", "out.png")
    assert refused.status == 2
    assert "task=regression makes no forecasts to draw: give a run of task=forecasting\n" in refused.err
