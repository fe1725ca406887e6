"""Series that are forecast: windows, splits without leaks, and a run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import seqzoo
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import Channels
from seqzoo.data.channels import between_windows, model_inputs
from seqzoo.data.files.forecast_files import ForecastFiles
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.sources.series_content import Series
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from tests.conftest import Done


def write(path: Path, steps: int = 100) -> str:
    """Channel x at step t is t, channel u is -t."""
    path.write_text("t,x,u\n" + "".join(f"{t},{t},{-t}\n" for t in range(steps)))
    return str(path)


def loaded(folder: Path, **options: Any) -> ForecastFiles:
    data = ForecastFiles(**{"train": write(folder / "a.csv"), "window": 10, "scale": False, **options})
    data.load()
    return data


def rows(data: ForecastFiles, split: str) -> list[tuple[list[float], list[float]]]:
    """The inputs and the targets of channel x of each row, in the order of the data."""
    return [
        (batch.inputs[i, :length, 0].tolist(), batch.targets[i, :length, 0].tolist())
        for batch in data.plain_batches(split)
        for i, length in enumerate(batch.lengths.tolist())
    ]


def test_targets_are_the_next_values(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    assert (data.spec.kind, data.spec.input_size, data.spec.output_size) == ("regression", 2, 2)
    for split in data.splits():
        for inputs, targets in rows(data, split):
            assert targets == [value + 1 for value in inputs]


def test_splits_follow_each_other_and_the_training_knows_nothing_later(tmp_path: Path) -> None:
    data = loaded(tmp_path, horizon=5, validation_fraction=0.2, test_fraction=0.1, scale=True)
    assert data.spec.channels.means[0] == pytest.approx(34.5), "of steps 0 to 69"
    unscaled = loaded(tmp_path, horizon=5, validation_fraction=0.2, test_fraction=0.1)
    assert max(max(targets) for _, targets in rows(unscaled, "train")) == 69
    forecast = {split: [row[1][-5:] for row in rows(unscaled, split)] for split in ("validation", "test")}
    assert [*chain(*forecast["validation"])] == [*range(70, 90)], "each step once, one forecast after the other"
    assert [*chain(*forecast["test"])] == [*range(90, 100)]
    assert all(len(inputs) == 10 + 5 - 1 for inputs, _ in rows(unscaled, "test"))


def test_folds_follow_each_other_and_earlier_ones_know_nothing_of_later_ones(tmp_path: Path) -> None:
    tested = []
    for fold in range(3):
        data = loaded(tmp_path, horizon=5, validation_fraction=0.2, test_fraction=0.1, folds=3, fold=fold)
        forecast = {split: [*chain(*(row[1][-5:] for row in rows(data, split)))] for split in ("validation", "test")}
        tested += forecast["test"]
        assert forecast["validation"] == [*range(50 + 10 * fold, 70 + 10 * fold)]
        assert max(max(targets) for _, targets in rows(data, "train")) == 49 + 10 * fold
        assert data.spec.channels.changes == [1, 1]
    assert tested == [*range(70, 100)]
    scaled = loaded(tmp_path, validation_fraction=0.2, test_fraction=0.1, folds=3, scale=True)
    assert scaled.spec.channels.means[0] == pytest.approx(24.5), "of steps 0 to 49"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 2, "fold": 2}, "fold=2 must be at least 0 and below folds=2"),
        ({"fold": 1}, "fold=1 must be at least 0 and below folds=1"),
        ({"folds": 6}, "folds=6 of test_fraction=0.15 and validation_fraction=0.15 leave no steps"),
        ({"folds": 2, "test": "b.csv"}, "folds=2 are splits of a.csv"),
        ({"folds": 2, "test_fraction": 0.0}, "folds=2 are splits of a.csv"),
    ],
)
def test_wrong_folds(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ForecastFiles(train="a.csv", **options)


def test_windows_of_the_training_split_overlap_and_reach_its_end(tmp_path: Path) -> None:
    data = loaded(tmp_path, horizon=2, validation_fraction=0.2, test_fraction=0.2)
    starts = [inputs[0] for inputs, _ in rows(data, "train")]
    assert starts == [*range(0, 48, 3), 48]
    assert rows(data, "train")[-1][1][-1] == 59


def test_a_file_for_the_test_is_read_from_its_first_window_on(tmp_path: Path) -> None:
    data = loaded(tmp_path, test=write(tmp_path / "b.csv", 30), horizon=4, window=10)
    assert [row[1][-4:] for row in rows(data, "test")] == [[*range(n, n + 4)] for n in (10, 14, 18, 22, 26)]


def test_targets_come_first_and_others_are_inputs(tmp_path: Path) -> None:
    data = loaded(tmp_path, targets=["u"])
    assert data.spec.channels.names == ["u", "x"]
    batch = next(data.plain_batches("test"))
    assert (batch.inputs.shape[2], batch.targets.shape[2]) == (2, 1)
    torch.testing.assert_close(batch.targets[:, :-1, 0], batch.inputs[:, 1:, 0])
    torch.testing.assert_close(batch.inputs[..., 1], -batch.targets[..., 0], msg="x is that of the step of the target")
    with pytest.raises(DataError, match="there is no channel 'v'"):
        loaded(tmp_path, targets=["v"])


def test_several_series_missing_values_and_arrays(tmp_path: Path) -> None:
    lines = [f"{name},{t},{'' if t == 10 else t}\n" for name in "ab" for t in range(40)]
    (tmp_path / "c.csv").write_text("id,time,x\n" + "".join(lines))
    data = loaded(tmp_path, train=str(tmp_path / "c.csv"), validation_fraction=0.25, test_fraction=0.1)
    assert (data.spec.input_size, data.spec.output_size) == (3, 1), "with the mask and the time since the last value"
    held_out = rows(data, "validation")
    assert len(held_out) == 2 * 10
    missing = [target for _, targets in rows(data, "train") for target in targets if math.isnan(target)]
    assert missing, "a missing target is not learned, and is NaN"
    numpy.save(tmp_path / "d.npy", numpy.arange(60.0))
    assert rows(loaded(tmp_path, train=str(tmp_path / "d.npy")), "test")[-1][1][-1] == 59


def test_too_short_a_series(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the validation split of each series has up to 15 steps, too few to forecast"):
        loaded(tmp_path, horizon=16)
    with pytest.raises(DataError, match="the train split of each series has up to 0 steps"):
        loaded(tmp_path, train=write(tmp_path / "b.csv", 4), test_fraction=0.3, validation_fraction=0.3, folds=2)
    few = loaded(tmp_path, train=write(tmp_path / "c.csv", 4), test_fraction=0.25, validation_fraction=0.25)
    assert rows(few, "validation") == [([0, 1], [1, 2])]
    with pytest.raises(ValueError, match="horizon=0 is too small"):
        ForecastFiles(train="a.csv", horizon=0)


def test_a_run_forecasts_in_the_units_of_the_data(command: Callable[..., Done], tmp_path: Path) -> None:
    wave = [f"{t},{100 + 10 * math.sin(t / 4)}\n" for t in range(400)]
    (tmp_path / "wave.csv").write_text("time,x\n" + "".join(wave))
    (tmp_path / "later.csv").write_text("time,x\n" + "".join(wave[:90]))
    shown = command(
        "train", "task=forecasting", "data=forecast_files", "data.train=wave.csv", "data.horizon=8", "cell=gru",
        "training.steps=150", "training.epochs=null", "training.learning_rate=0.02", "training.validate_every=150",
        "task.metrics=[nrmse,mase,smape,rmse,mae]", "baseline=true", "hydra.run.dir=run",
    )  # fmt: skip
    assert shown.status == 0, shown.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["nrmse"] < 0.5
    assert metrics["test"]["rmse"] == pytest.approx(metrics["test"]["nrmse"] * 10 / math.sqrt(2), rel=0.1)
    assert metrics["baseline"]["scores"]["test"]["nrmse"] < 0.05, "a linear model continues a wave"
    done = command("predict", "run", "--series", "no.csv", "later.csv")
    assert (done.status, done.err.startswith("seqzoo: there is no file no.csv")) == (2, True)
    header, *lines = [line.split("\t") for line in done.out.splitlines()]
    assert header == ["series", "step", "x"]
    assert [line[1] for line in lines] == [str(step) for step in range(1, 9)]
    assert {line[0] for line in lines} == {"later.csv:2"}
    forecast = [float(line[2]) for line in lines]
    assert forecast == pytest.approx([100 + 10 * math.sin(t / 4) for t in range(90, 98)], abs=7)


def test_runs_of_older_versions_read_the_further_inputs_of_the_step_itself(tmp_path: Path) -> None:
    spec = loaded(tmp_path, targets=["u"]).spec
    assert spec.channels.ahead == 1
    plain = spec_to_plain(spec)
    del plain["channels"]["ahead"]
    older = ForecastFiles(train=str(tmp_path / "a.csv"), window=10, scale=False, targets=["u"])
    older.load(spec_from_plain(plain))
    batch = next(older.plain_batches("test"))
    torch.testing.assert_close(batch.inputs[..., 1], -batch.inputs[..., 0])
    assert encode_inputs(older.spec, ["1 2, 3 4"]).inputs.tolist() == [[[1, 2], [3, 4]]]
    plain["channels"]["ahead"] = 2
    with pytest.raises(DataError, match="2 of 2 channels are known in advance"):
        spec_from_plain(plain)


def test_the_mask_and_the_age_of_a_channel_that_is_known_in_advance_come_with_its_value() -> None:
    values = torch.tensor([[1.0, 5.0], [2.0, math.nan], [3.0, 7.0]], dtype=torch.float64)
    channels = Channels(["x", "u"], [0.0] * 2, [1.0] * 2, [1.0] * 2, masked=True)
    at_step = model_inputs(values, None, channels)
    shifted = model_inputs(values, None, replace(channels, ahead=1))
    torch.testing.assert_close(shifted[:, ::2], at_step[:, ::2])
    torch.testing.assert_close(shifted[:-1, 1::2], at_step[1:, 1::2])
    assert shifted[-1, 1::2].isnan().all()


def test_a_series_that_depends_on_an_input_of_the_same_step_is_forecast_exactly(
    command: Callable[..., Done], tmp_path: Path
) -> None:
    """Sales are 5 - 3 * advertisement, which has no order that could be learned."""
    known = torch.randint(10, (243,), generator=torch.Generator().manual_seed(0)).tolist()
    rows = [f"{t},{5 - 3 * u},{u}\n" for t, u in enumerate(known)]
    ahead = [f"{t},,{u}\n" for t, u in enumerate(known)][240:]
    header = "time,sales,advertisement\n"
    (tmp_path / "a.csv").write_text(header + "".join(rows[:240]))
    for number in range(4):
        (tmp_path / f"ahead_{number}.csv").write_text(header + "".join(rows[:240] + ahead[:number]))
    shown = command(
        "train", "task=forecasting", "data=forecast_files", "data.train=a.csv", "data.horizon=3", "data.window=8",
        "data.targets=[sales]", "task.linear_window=4", "training.steps=2", "training.epochs=null", "baseline=true",
        "backbone.hidden_size=4", "hydra.run.dir=run",
    )  # fmt: skip
    assert shown.status == 0, shown.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["nrmse"] < 1e-3
    assert metrics["baseline"]["name"] == "linear model of a window"
    assert metrics["baseline"]["scores"]["test"]["nrmse"] < 1e-3
    assert json.loads(command("evaluate", "run").out)["nrmse"] == pytest.approx(metrics["test"]["nrmse"])
    data = ForecastFiles(train=str(tmp_path / "a.csv"), horizon=3, window=8, targets=["sales"])
    data.load()
    in_open_loop = next(data.plain_batches("test"))
    scores = seqzoo.load(tmp_path / "run").model.scores(in_open_loop)
    torch.testing.assert_close(scores[:, 3:], in_open_loop.targets[:, 3:], atol=1e-3, rtol=0)
    forecast = command("predict", "run", "--series", "ahead_3.csv")
    assert [float(line.split("\t")[2]) for line in forecast.out.splitlines()[1:]] == pytest.approx(
        [5 - 3 * u for u in known[240:]], abs=0.05
    )
    none, few = (command("predict", "run", "--series", f"ahead_{number}.csv").err for number in (0, 2))
    assert "ahead_0.csv:2: the model reads advertisement of each step that it forecasts" in none
    assert "to forecast 3 steps it needs them for 3 steps ahead, where a series has 2" in few


def test_relative_rows_begin_at_zero_and_have_the_units_of_the_data(tmp_path: Path) -> None:
    data = loaded(tmp_path, relative=True, scale=True, targets=["x"])
    channels = data.spec.channels
    assert channels.window == 10
    assert channels.scales[0] == 5, "the root mean square of changes over half a window"
    for batch in data.plain_batches("test"):
        values = (batch.inputs[..., 0] + batch.levels) * channels.scales[0] + channels.means[0]
        torch.testing.assert_close(values[:, 1:], values[:, :1] + torch.arange(1.0, batch.inputs.shape[1]))
        torch.testing.assert_close(batch.inputs[:, 0, 0], torch.zeros(batch.size))
        torch.testing.assert_close(batch.targets[..., 0], batch.inputs[..., 0] + 1 / 5)
        assert batch.inputs[:, 0, 1].abs().min() > 0, "the other channel is not relative"


def test_a_relative_model_forecasts_the_same_changes_at_any_level(tmp_path: Path) -> None:
    waves = [math.sin(step / 3) + step / 20 for step in range(100)]
    (tmp_path / "waves.csv").write_text("x\n" + "".join(f"{value}\n" for value in waves))
    model, data = seqzoo.build(
        "task=forecasting", "data=forecast_files", f"data.train={tmp_path / 'waves.csv'}", "data.relative=true",
        "data.window=10", "task.horizon=4", "task.linear_window=3", "recipe=none",
    )  # fmt: skip
    series = torch.tensor(waves[:30], dtype=torch.float64)[:, None]

    def forecast(values: torch.Tensor) -> list[float]:
        batch = encode_inputs(data.spec, [Series(values, None, None, 1)])
        assert batch.inputs.shape[1] == 10, "only the window before the forecast is read"
        return [float(text) for text in model.eval().task.decode(model, batch)[0].answer]

    assert forecast(series + 1000) == pytest.approx([value + 1000 for value in forecast(series)])
    assert forecast(series) == pytest.approx(forecast(series[12:]))


def test_the_share_of_variance_between_windows() -> None:
    assert between_windows([torch.tensor([[0.0], [2.0], [0.0], [2.0]])], 2) == 0
    assert between_windows([torch.tensor([[0.0], [0.0], [2.0], [2.0]])], 2) == 1
    assert between_windows([torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])], 2) == pytest.approx(0.8)
    assert between_windows([torch.tensor([[0.0, 3.0], [math.nan, 3.0], [2.0, 3.0]])], 2) == 0.5


def test_only_relative_channels_are_scaled_by_their_changes_and_a_window_may_be_one_step(tmp_path: Path) -> None:
    absolute, relative = (
        loaded(tmp_path, scale=True, targets=["x"], relative=value).spec.channels for value in (False, True)
    )
    assert relative.scales[0] == 5 != absolute.scales[0]
    assert relative.scales[1] == absolute.scales[1], "u is an input, whose level is read"
    assert loaded(tmp_path, scale=True, relative=True, window=1).spec.channels.scales == [1, 1]
