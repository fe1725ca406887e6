"""What TensorBoard reads back from a tracked run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from google.protobuf import text_format
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PageAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.projector import ProjectorConfig
from tensorboard.summary.writer import event_file_writer
from tensorboard.util.tensor_util import make_ndarray

from seqzoo.training.record.tracking import Tracker

STATUSES = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]


def read(run_dir: Path) -> EventAccumulator:
    return EventAccumulator(str(run_dir)).Reload()


def points(run_dir: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(run_dir).Scalars(tag)]


def displayed_points(run_dir: Path, tag: str) -> list[tuple[int, float]]:
    """As the pages of TensorBoard read them, whose rules of purging are stricter than those of the public reader."""
    events = PageAccumulator(str(run_dir)).Reload().Tensors(tag)
    return [(event.step, make_ndarray(event.tensor_proto).item()) for event in events]


def hparams_page(runs_dir: Path) -> tuple[api_pb2.Experiment, list[api_pb2.SessionGroup]]:
    """The columns and the rows of the HParams page, from the code that serves it."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(runs_dir))
    multiplexer.Reload()
    context = Context(SimpleNamespace(data_provider=MultiplexerDataProvider(multiplexer, str(runs_dir))))
    columns = get_experiment.Handler(RequestContext(), context, "", api_pb2.GetExperimentRequest()).run()
    request = api_pb2.ListSessionGroupsRequest(allowed_statuses=STATUSES, slice_size=100)
    rows = list_session_groups.Handler(RequestContext(), context, "", request).run()
    return columns, list(rows.session_groups)


def track(run_dir: Path, accuracy: float, group: str, **hyperparameters: bool | int | float | str) -> None:
    tracker = Tracker(run_dir, hyperparameters, group)
    tracker.scalar("valid/accuracy", accuracy, 10)
    tracker.close("success")


def test_curves_and_texts_are_read_back(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "run", {"cell": "gru"}, "gru")
    tracker.scalars({"train/loss": 2.5, "valid/accuracy": 0.25}, 1)
    tracker.scalar("train/loss", 1.5, 2)
    tracker.text("valid/examples", "读/*read* → ok", 2)
    tracker.close()

    assert points(tmp_path / "run", "train/loss") == [(1, 2.5), (2, 1.5)]
    assert points(tmp_path / "run", "valid/accuracy") == [(1, 0.25)]
    [text] = read(tmp_path / "run").Tensors("valid/examples/text_summary")
    assert text.tensor_proto.string_val[0].decode() == "读/*read* → ok"


def test_a_run_is_one_event_file_and_no_folder(tmp_path: Path) -> None:
    track(tmp_path, 0.5, "gru", cell="gru")
    [file] = tmp_path.iterdir()
    assert file.name.startswith("events.out.tfevents.")


def test_a_resumed_run_continues_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # readers sort event files by name: the second, and then the number of the file, of which 10 comes before 9
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    run = tmp_path / "run"
    first = Tracker(run, {"cell": "gru"}, "gru")
    for step in range(1, 7):
        first.scalar("train/loss", 1.0, step)
    first.close()
    resumed = Tracker(run, {"cell": "gru"}, "gru", purge_step=4)
    for step in range(4, 9):
        resumed.scalar("train/loss", 2.0, step)
    resumed.close("success")

    expected = [(step, 1.0 if step < 4 else 2.0) for step in range(1, 9)]
    assert points(run, "train/loss") == expected
    assert displayed_points(run, "train/loss") == expected
    _, [row] = hparams_page(tmp_path)
    assert [session.status for session in row.sessions] == [api_pb2.STATUS_SUCCESS]


@pytest.mark.parametrize(
    ("ending", "status"),
    [("success", api_pb2.STATUS_SUCCESS), ("failure", api_pb2.STATUS_FAILURE), (None, api_pb2.STATUS_UNKNOWN)],
)
def test_the_page_tells_how_a_run_ended(tmp_path: Path, ending, status) -> None:
    Tracker(tmp_path / "run", {"cell": "gru"}, "gru").close(ending)
    _, [row] = hparams_page(tmp_path)
    assert row.sessions[0].status == status


def test_the_page_averages_the_seeds_of_a_group(tmp_path: Path) -> None:
    track(tmp_path / "gru_1", 0.5, "gru", cell="gru", layers=2, dropout=0.5, tied=True)
    track(tmp_path / "gru_2", 1.0, "gru", cell="gru", layers=2, dropout=0.5, tied=True)

    _, [row] = hparams_page(tmp_path)
    assert row.name == "gru"
    assert [session.name for session in row.sessions] == ["gru_1", "gru_2"]
    assert [(metric.name.tag, metric.value) for metric in row.metric_values] == [("valid/accuracy", 0.75)]
    kinds = {name: value.WhichOneof("kind") for name, value in row.hparams.items()}
    assert kinds == {"cell": "string_value", "layers": "number_value", "dropout": "number_value", "tied": "bool_value"}
    assert (row.hparams["cell"].string_value, row.hparams["layers"].number_value) == ("gru", 2)
    assert row.hparams["tied"].bool_value is True


def test_the_page_joins_the_columns_of_different_cells(tmp_path: Path) -> None:
    track(tmp_path / "gru", 0.5, "gru", cell="gru")
    track(tmp_path / "elman", 0.25, "elman", cell="elman", nonlinearity="relu")

    columns, rows = hparams_page(tmp_path)
    assert {column.name for column in columns.hparam_infos} == {"cell", "nonlinearity"}
    assert {column.name.tag for column in columns.metric_infos} == {"valid/accuracy"}
    assert {row.name for row in rows} == {"gru", "elman"}


def test_curves_of_all_runs_share_charts(tmp_path: Path) -> None:
    track(tmp_path, 0.5, "gru", cell="gru")
    [event] = read(tmp_path).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for part in layout.category for chart in part.chart}
    assert charts["loss"] == ["train/loss", "valid/loss"]
    [score] = charts["scores"]
    assert re.match(score, "valid/accuracy")
    assert not re.match(score, "valid/loss")


def test_embeddings_are_written_next_to_the_events(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {}, "gru")
    tracker.embeddings(["<pad>", "\n", "读"], torch.tensor([[0.0, 1.0], [0.5, 2.0], [-1.5, 0.25]]))
    tracker.close()
    assert (tmp_path / "tokens.tsv").read_text(encoding="utf-8").splitlines() == ["<pad>", "\\n", "读"]
    rows = (tmp_path / "embeddings.tsv").read_text().splitlines()
    assert [list(map(float, row.split("\t"))) for row in rows] == [[0.0, 1.0], [0.5, 2.0], [-1.5, 0.25]]
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    assert [entry.metadata_path for entry in config.embeddings] == ["tokens.tsv"]


def test_importing_does_not_import_tensorboard() -> None:
    code = "import sys, seqzoo.training.record.tracking; sys.exit('tensorboard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
