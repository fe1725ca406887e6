"""The run directory of a training in progress: log, curves, TensorBoard, checkpoints, progress bar."""

from __future__ import annotations

import datetime
import math
import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from textwrap import indent
from typing import Any, ClassVar

from omegaconf import OmegaConf
from torch import Tensor, nn
from tqdm import tqdm

from seqzoo.contracts.batch import Alignment
from seqzoo.contracts.capabilities import Outlook, Report, ScoredTree
from seqzoo.contracts.errors import CheckpointError, SeqzooError, printable, printable_lines, program
from seqzoo.contracts.options import Options
from seqzoo.contracts.strict_json import to_json
from seqzoo.inspection.drawing import (
    can_draw,
    draw,
    draw_confusion,
    draw_memory,
    draw_piano_roll,
    draw_pictures,
    draw_states,
)
from seqzoo.inspection.fonts import missing_characters_reported
from seqzoo.inspection.forecast_drawing import draw_forecast
from seqzoo.inspection.recurrence import Recurrence
from seqzoo.inspection.synthesizer import RATE, seconds_per_step, synthesize
from seqzoo.inspection.tree_drawing import draw_tree
from seqzoo.metrics import BinaryConfusion
from seqzoo.network.model import Model
from seqzoo.training.record.checkpoint import save_training, save_weights
from seqzoo.training.record.files import (
    BEST,
    CONFIG,
    CURVES,
    LAST,
    LOCK,
    LOG,
    METRICS,
    append,
    claimed,
    read_config,
    read_curves,
    write_text,
)
from seqzoo.training.record.tracking import Ending, Hyperparameter, Tracker
from seqzoo.training.session import Session

SHOWN_CLASSES = 20
"""Maximum number of classes whose scores are logged one by one."""
DRAWN_CLASSES = 100
"""Maximum number of classes of a drawn confusion matrix; tag sets of morphology have hundreds."""

PROJECTED = 1000
"""Number of tokens in the projector of TensorBoard."""


class Run:
    """A run directory that this process writes to, until `close` or the end of a `with` block.

    Args:
        folder: the directory.

    Attributes:
        tracker: writes TensorBoard events; set when the training begins.
        shown: whether the terminal has a progress bar.
    """

    tracker: Tracker
    shown: ClassVar[bool] = True

    def __init__(self, folder: Path):
        self.folder = folder
        self._bar: tqdm | None = None
        self._legend_logged = False
        self._claim = ExitStack()
        self._claim.enter_context(claimed(folder))

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes use the directory."""
        self._claim.close()

    def track(self, hyperparameters: Mapping[str, Hyperparameter], group: str, purge_step: int | None) -> None:
        """Begin to write TensorBoard events; arguments as of `Tracker`."""
        self.tracker = Tracker(self.folder, hyperparameters, group, purge_step)

    def end_tracking(self, ending: Ending | None) -> None:
        """End the TensorBoard events; None: the run may be resumed."""
        self.tracker.close(ending)

    @classmethod
    def create(cls, folder: Path, config: Options) -> Run:
        """Create the directory and write its configuration.

        Args:
            folder: the directory.
            config: as of `Experiment.to_plain`.

        Raises:
            CheckpointError: the folder already contains a run, or cannot be written to.
        """
        taken = [name for name in (CONFIG, METRICS, LAST, BEST) if os.path.lexists(folder / name)]
        if taken:
            raise CheckpointError(
                f"{folder} already contains a run ({taken[0]}): continue it with {program('seqzoo')} train "
                f"resume={shlex.quote(str(folder))}, or give another folder with hydra.run.dir="
            )
        run = cls(folder)
        text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
        try:
            write_text(folder / CONFIG, text)
        except CheckpointError:
            run.close()
            (folder / LOCK).unlink(missing_ok=True)
            raise
        return run

    @classmethod
    def open(cls, folder: Path) -> tuple[Run, Options]:
        """Open an existing run; returns it and its configuration."""
        config = read_config(folder)
        return cls(folder), config

    def forget_after(self, step: int) -> None:
        """Remove the points of updates after `step`, which a resumed run measures again."""
        points = [point for point in read_curves(self.folder) if point["step"] <= step]
        write_text(self.folder / CURVES, "".join(map(_line, points)))

    def log(self, text: str) -> None:
        """Write to the terminal, above the progress bar, and to the log file."""
        try:
            tqdm.write(printable_lines(text), file=sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError:
            pass  # a closed terminal or a full disk; the log file has the text, too
        self._append(text)

    def log_error(self, error: Exception) -> None:
        """Write the error that ended the training to the log file, with its traceback if it was unexpected."""
        text = str(error) if isinstance(error, SeqzooError) else "".join(traceback.format_exception(error))
        with suppress(SeqzooError):  # the disk may be full
            self._append(text.rstrip("\n"))

    def _append(self, text: str) -> None:
        time = datetime.datetime.now().isoformat(" ", "milliseconds")
        append(self.folder / LOG, "".join(f"{time} {line}\n" for line in text.split("\n")))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file of the run. Numbers that are not finite, such as an undefined score, become null."""
        write_text(self.folder / name, to_json(content, indent=2) + "\n")

    def save(self, session: Session) -> None:
        save_training(self.folder / LAST, session.content())

    def save_best(self, session: Session, metadata: dict[str, str]) -> None:
        save_weights(self.folder / BEST, session.model, {"step": str(session.position.step), **metadata})

    @contextmanager
    def progress_bar(self, session: Session) -> Iterator[tqdm]:
        """A context with a progress bar on a terminal; `log_update` adds loss and speed to it."""
        with tqdm(
            total=session.total_steps,
            initial=session.position.step,
            desc="training",
            unit="update",
            dynamic_ncols=True,
            disable=not self.shown or not sys.stderr.isatty(),
        ) as self._bar:
            yield self._bar
        self._bar = None

    def log_update(self, session: Session, norm: Tensor) -> None:
        position, loss = session.position, session.mean_loss()
        session.last_train_loss = loss
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, {format_speed(session)}")
        values = {
            "train/loss": loss,
            "train/gradient_norm": norm.item(),
            "train/learning_rate": session.optimizer.param_groups[0]["lr"],
            "train/tokens_per_second": session.tokens_per_second,
            "train/epoch": position.epoch,
        }
        self._add_point(values, session)

    def log_validation(self, session: Session, scores: dict[str, float], examples: list[str], improved: bool) -> None:
        position = session.position
        left = (1 - session.progress) * position.seconds / max(session.progress, 1e-9)
        end = "" if session.total_steps is None else f"/{session.total_steps:,}"
        numbers = "  ".join(f"{name} {format_number(value)}" for name, value in scores.items())
        self.log(
            f"update {position.step:,}{end}  epoch {position.epoch + 1}  {numbers}"
            f"{'  (best)' if improved and session.settings.keep == 'best' else ''}  {format_speed(session)}  "
            f"{format_seconds(max(left, 0))} left"
        )
        if examples and not self._legend_logged:
            self.log(f"    examples: {session.model.task.legend}")
            self._legend_logged = True
        for example in examples:
            self.log(indent(example, "    "))
        tags = {f"valid/{'loss' if name == 'loss_nats' else name}": value for name, value in scores.items()}
        self._add_point(tags, session)
        if examples:
            # indented by four spaces, Markdown shows text verbatim
            text = indent("\n".join([f"{session.model.task.legend}\n", *examples]), "    ")
            self.tracker.text("valid/examples", text, position.step)

    def _add_point(self, values: dict[str, float], session: Session) -> None:
        """Write a point to TensorBoard and to the file of curves, which can be read a hundred times as fast."""
        position = session.position
        self.tracker.scalars(values, position.step)
        point = {"step": position.step, "tokens": position.tokens, "seconds": round(position.seconds, 3), **values}
        append(self.folder / CURVES, _line(point))

    def draw_pictures(self, pictures: Tensor, lines: list[str], step: int) -> None:
        """Draw input pictures with their captions."""
        self._picture("valid/pictures", draw_pictures(pictures, lines), step)

    def draw_alignments(self, alignments: list[Alignment], step: int) -> None:
        for number, alignment in enumerate(alignments):
            self._picture(f"valid/attention_{number + 1}", draw(alignment), step)

    def draw_music(self, frames: Tensor, steps_per_quarter: int, given: int, step: int) -> None:
        """Draw and play a piece whose first frames were given."""
        self._picture("valid/piano_roll", draw_piano_roll(frames, steps_per_quarter, given), step)
        sound = synthesize(frames, seconds_per_step(steps_per_quarter))
        self.tracker.sound("valid/music", sound, RATE, step)

    def draw_forecasts(self, outlooks: Sequence[Outlook], step: int) -> None:
        """Draw forecasts of series."""
        for number, outlook in enumerate(outlooks, start=1):
            self._picture(f"valid/forecast_{number}", draw_forecast(outlook), step)

    def draw_trees(self, trees: Sequence[ScoredTree], step: int) -> None:
        """Draw trees with their predicted labels."""
        for number, tree in enumerate(trees, start=1):
            self._picture(f"valid/tree_{number}", draw_tree(tree), step)

    def log_recurrence(self, analysis: Recurrence, step: int) -> None:
        """Write curves and a histogram of the dynamics of the recurrent cell."""
        self.tracker.scalars({tag: value for tag, value in analysis.numbers.items() if math.isfinite(value)}, step)
        if analysis.time_constants is not None:
            # on a logarithmic scale, since they range from one step to thousands
            self.tracker.histogram("recurrence/log10_time_constant", analysis.time_constants.log10(), step)

    def draw_recurrence(self, analysis: Recurrence, step: int) -> None:
        """Draw the norms of states and gradients, and the states."""
        picture = draw_memory(analysis.state_norms.tolist(), analysis.gradient_norms.tolist())
        self._picture("recurrence/memory", picture, step)
        self._picture("recurrence/states", draw_states(analysis.read, analysis.states), step)

    def log_report(self, split: str, confusion: Report, step: int) -> None:
        """Log the scores of the classes, if they are few, and draw the confusion matrix."""
        by_class = confusion.by_class()
        if len(by_class) <= SHOWN_CLASSES:
            rows = [
                (
                    printable(name),
                    f"{scores['precision']:9.4f}  {scores['recall']:6.4f}  {scores['f1']:6.4f}  {scores['support']:7,}",
                )
                for name, scores in by_class.items()
            ]
            self.log("\n" + format_table([(split, "precision  recall      f1  support"), *rows]))
        if can_draw() and len(confusion.classes) <= DRAWN_CLASSES:
            picture = draw_confusion(confusion.classes, confusion.counts)
            self._picture(f"final/confusion_{split}", picture, step)
        if isinstance(confusion, BinaryConfusion):
            self.tracker.precision_recall(f"final/{split}", confusion.right, confusion.probabilities, step)

    def log_embeddings(self, model: Model, tokens: list[str]) -> None:
        """Write the embeddings of the most frequent tokens for the projector; tokens: all, by their ids."""
        for part in model.encoder.modules():
            if isinstance(part, nn.Embedding) and part.num_embeddings == len(tokens):
                self.tracker.embeddings(tokens[:PROJECTED], part.weight.detach()[:PROJECTED])
                return

    def _picture(self, tag: str, figure: Any, step: int) -> None:
        with missing_characters_reported():
            self.tracker.picture(tag, figure, step)


def _line(point: dict[str, float]) -> str:
    return to_json(point) + "\n"


def format_number(value: float | None) -> str:
    """A score as text. An undefined one, such as the NRMSE of a constant series, is NaN or, once stored, None."""
    if value is None or math.isnan(value):
        return "undefined"
    if 0 < abs(value) < 1e-3:
        return f"{value:.3g}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def format_seconds(seconds: float) -> str:
    """Seconds as 12:34, 01:12:34 or 172:12:34."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02}:{seconds:02}"
    return f"{hours:02}:{clock}" if hours else clock


def format_speed(session: Session) -> str:
    """Tokens or steps of inputs per second; on a CPU, per second of CPU time."""
    clock = "CPU second" if session.device.type == "cpu" and session.processes.count == 1 else "second"
    return f"{session.tokens_per_second:,.0f} {session.unit}s per {clock}"


def format_table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    below = "\n".ljust(width + 5)  # further lines of a value are aligned with the first one
    values = [(name, value.replace("\n", below)) for name, value in rows]
    return "\n".join(f"  {name.ljust(width)}  {value}" for name, value in values)
