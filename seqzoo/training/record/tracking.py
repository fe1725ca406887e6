"""Writing of TensorBoard events."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy
import torch
from torch import Tensor

from seqzoo.training.record.files import PROJECTOR, TOKENS, VECTORS, write_text, writing

LAYOUT = {
    "learning": {
        "loss": ["train/loss", "valid/loss"],
        "scores": ["valid/(?!loss)"],
        "norm of the gradient": ["train/gradient_norm"],
        "tokens, or steps of inputs, per second": ["train/tokens_per_second"],
    },
    "recurrence": {
        "gates: share above 0.9": ["recurrence/gate_.*/open"],
        "gates: share below 0.1": ["recurrence/gate_.*/shut"],
        "Jacobian of a step": ["recurrence/jacobian_.*"],
        "largest Lyapunov exponent": ["recurrence/lyapunov_exponent"],
    },
}
"""The page of custom scalars: the patterns of the curves of each chart, by category."""

Hyperparameter: TypeAlias = bool | int | float | str
Ending: TypeAlias = Literal["success", "failure"]


class Tracker:
    """Curves, texts and hyperparameters of one run, in the event files of its directory.

    The HParams page of TensorBoard gets its rows from here, without the sub-run that `SummaryWriter.add_hparams` makes.
    Its columns are left to TensorBoard, which joins the hyperparameters and scalars of all runs as long as no run lists
    columns of its own: the page would take the list of whichever run it finds first.

    Args:
        run_dir: the directory of the run, which is created if it does not exist.
        hyperparameters: the flat configuration without the seed.
        group: a name of the configuration without the seed; the page averages the runs of a group in one row.
        purge_step: the first step of a resumed training; earlier events from this step on are hidden.
    """

    def __init__(
        self, run_dir: Path, hyperparameters: Mapping[str, Hyperparameter], group: str, purge_step: int | None = None
    ):
        # imported here, because it takes a quarter of a second
        from tensorboard.plugins.hparams import plugin_data_pb2
        from torch.utils.tensorboard import SummaryWriter

        start = plugin_data_pb2.SessionStartInfo(group_name=group, start_time_secs=time.time())
        for name, value in hyperparameters.items():
            # bool first, since it is a subclass of int
            if isinstance(value, bool):
                start.hparams[name].bool_value = value
            elif isinstance(value, str):
                start.hparams[name].string_value = value
            else:
                start.hparams[name].number_value = value

        # TensorBoard purges at every start of a session but the first, so that a new run also needs one
        self._folder = run_dir
        # a random suffix, since a predictable name could be made a link by someone else
        suffix = f".{secrets.token_hex(4)}"
        with writing(run_dir):
            self._writer: Any = SummaryWriter(
                str(run_dir), purge_step=purge_step or 0, flush_secs=10, filename_suffix=suffix
            )
        self._add_session("start", plugin_data_pb2.HParamsPluginData(session_start_info=start))
        self._writer.add_custom_scalars(
            {name: {chart: ["Multiline", tags] for chart, tags in charts.items()} for name, charts in LAYOUT.items()}
        )
        self._writer.flush()

    def scalar(self, tag: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._writer.add_scalar(tag, value, step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One point of several curves, each under its own tag."""
        for tag, value in values.items():
            self.scalar(tag, value, step)

    def histogram(self, tag: str, values: Tensor, step: int) -> None:
        self._writer.add_histogram(tag, values, step)

    def text(self, tag: str, text: str, step: int) -> None:
        """A text in Markdown."""
        self._writer.add_text(tag, text, step)

    def precision_recall(self, tag: str, right: list[bool], probabilities: list[float], step: int) -> None:
        """A precision-recall curve.

        Args:
            tag: of the curve.
            right: whether each example is of the positive class.
            probabilities: of the positive class.
            step: of the training.
        """
        self._writer.add_pr_curve(tag, numpy.array(right), numpy.array(probabilities), step)

    def embeddings(self, labels: list[str], vectors: Tensor) -> None:
        """Write vectors (N, E) and their labels for the projector, in place of earlier ones."""
        from google.protobuf import text_format  # type: ignore[import-untyped]
        from tensorboard.plugins.projector import ProjectorConfig

        rows = ["\t".join(f"{value:.4g}" for value in row) for row in vectors.tolist()]
        # one label per line, none of them empty
        names = [
            label.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r").strip() or "␣" for label in labels
        ]
        config = ProjectorConfig()
        config.embeddings.add(tensor_name="tokens", tensor_path=VECTORS, metadata_path=TOKENS)
        for name, lines in ((VECTORS, rows), (TOKENS, names), (PROJECTOR, [text_format.MessageToString(config)])):
            write_text(self._folder / name, "\n".join(lines) + "\n")

    def graph(self, definition: Any) -> None:
        """The graph of a model, a GraphDef."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.file_writer.add_event(Event(graph_def=definition.SerializeToString()))

    def picture(self, tag: str, figure: Any, step: int) -> None:
        """A matplotlib figure."""
        self._writer.add_figure(tag, figure, step)

    def sound(self, tag: str, samples: numpy.ndarray, rate: int, step: int) -> None:
        """Samples from -1 to 1, (N,), of which there are `rate` per second."""
        self._writer.add_audio(tag, torch.from_numpy(samples)[None], step, sample_rate=rate)

    def close(self, ending: Ending | None = None) -> None:
        """Flush and close. Without an ending the run counts as unfinished; TensorBoard keeps the first ending that it
        reads, so that a run that may be resumed must not have one.
        """
        if ending is not None:
            from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

            status = {"success": api_pb2.STATUS_SUCCESS, "failure": api_pb2.STATUS_FAILURE}[ending]
            end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
            self._add_session("end", plugin_data_pb2.HParamsPluginData(session_end_info=end))
        self._writer.close()

    def _add_session(self, part: Literal["start", "end"], content: object) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import metadata

        tag = {"start": metadata.SESSION_START_INFO_TAG, "end": metadata.SESSION_END_INFO_TAG}[part]
        value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content), tensor=metadata.NULL_TENSOR)
        self._writer.file_writer.add_summary(Summary(value=[value]))
