"""Diagnostics in TensorBoard during training: dynamics of the recurrent cell, attention, pictures, the graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.capabilities import Composes
from seqzoo.contracts.data_module import DataModule
from seqzoo.inspection.drawing import can_draw
from seqzoo.inspection.dynamics import first_cell, memory_capacity
from seqzoo.inspection.model_graph import graph_of
from seqzoo.inspection.recurrence import Recurrence, recurrence
from seqzoo.network.restoring import evaluating
from seqzoo.training.evaluation import alignments, forecasts, labelled_trees, middle, shown
from seqzoo.training.record.run import Run
from seqzoo.training.session import Session

GIVEN_FRAMES = 16
"""Maximum number of frames of the piece of music that is continued."""
ROWS = 8
"""Number of rows of the validation split that are analysed, the same ones every time."""


class TimeShare:
    """Limits recurring work to a share of the elapsed time.

    Args:
        share: 0: never, 1: always.
        expected: seconds that the work takes, until it has been timed.
        clock: returns seconds.
    """

    def __init__(self, share: float, expected: float, clock: Callable[[], float]):
        self.share, self.spent = share, 0.0
        self._expected, self._clock, self._began = expected, clock, clock()

    @property
    def is_enough(self) -> bool:
        others = self._clock() - self._began - self.spent
        return (self.spent + self._expected) * (1 - self.share) <= self.share * others

    @contextmanager
    def spending(self) -> Iterator[None]:
        began = self._clock()
        yield
        self._expected = self._clock() - began
        self.spent += self._expected


class Diagnostics:
    """Analyses a model at validation points, without influence on the training.

    Args:
        share: of the training time that numbers and pictures may take together.
        clock: returns seconds.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter):
        half = share if share == 1 else share / 2
        self._clock, self._began = clock, clock()
        self._numbers, self._pictures = TimeShare(half, 0.1, clock), TimeShare(half, 1.0, clock)
        self._wrote_constants = False

    def look(self, session: Session, data: DataModule, run: Run, examples: list[str]) -> None:
        """Write numbers and pictures of the first rows of the validation split, if their share of the time allows it.

        Args:
            session: of the training.
            data: its data.
            run: to write to.
            examples: the lines of `decoded_examples`.
        """
        # gates and gradients are followed over time, which trees and grids do not have
        over_time = session.model.backbone.over_time and "parents" not in data.structure
        recurrent = over_time and first_cell(session.model) is not None
        numbers, pictures = recurrent and self._numbers.is_enough, self._pictures.is_enough and can_draw()
        if not (numbers or pictures):
            return
        device, step = session.device, session.position.step
        analysis: Recurrence | None = None
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            try:
                if numbers:
                    with self._numbers.spending():
                        analysis = _analysis(session, data)
                        run.log_recurrence(analysis, step)
                        self._write_constants(session, data, run)
                if pictures:
                    with self._pictures.spending():
                        if recurrent:
                            run.draw_recurrence(analysis or _analysis(session, data), step)
                        if examples and data.spec.picture is not None:
                            run.draw_pictures(
                                shown(session.model, data, "validation", len(examples)).inputs, examples, step
                            )
                        if isinstance(session.model.task, Composes):
                            run.draw_music(*_music(session, data), step)
                        count = session.settings.examples
                        run.draw_forecasts(forecasts(session.model, data, "validation", device, count), step)
                        run.draw_trees(labelled_trees(session.model, data, "validation", device, count), step)
                        run.draw_alignments(alignments(session.model, data, "validation", device, count), step)
            except Exception as error:  # whatever a user's cell raises here must not end the training
                run.log(f"diagnostics are switched off: {' '.join(str(error).split()) or type(error).__name__}")
                self._numbers.share = self._pictures.share = 0.0
        spent = self._numbers.spent + self._pictures.spent
        run.tracker.scalar("recurrence/share_of_time", spent / max(self._clock() - self._began, 1e-9), step)

    def _write_constants(self, session: Session, data: DataModule, run: Run) -> None:
        """Write once what training does not change: the graph of the model, the memory capacity of a reservoir."""
        if self._wrote_constants:
            return
        self._wrote_constants = True
        run.tracker.graph(graph_of(session.model, _rows(session, data)))
        cell = first_cell(session.model)
        if cell is not None and not all(getattr(part, "trainable", True) for part in cell.modules()):
            with evaluating(cell):
                capacity = float(memory_capacity(cell).sum())
            run.tracker.scalar("recurrence/memory_capacity", capacity, session.position.step)


def _analysis(session: Session, data: DataModule) -> Recurrence:
    with evaluating(session.model):
        return recurrence(session.model, _rows(session, data))


def _rows(session: Session, data: DataModule) -> Batch:
    # a batch with targets, unlike the prompts of `samples`
    return middle(data, "validation").first(ROWS).to(session.device)


def _music(session: Session, data: DataModule) -> tuple[Tensor, int, int]:
    """The beginning of a validation piece, continued: all frames, steps per quarter note, and the number of frames that
    were given.
    """
    model, batch = session.model, _rows(session, data).first(1)
    given = min(GIVEN_FRAMES, int(batch.lengths[0]))
    seed = Batch(batch.inputs[:, :given], batch.lengths.clamp(max=given), padded=False)
    with evaluating(model):
        [written] = cast(Composes, model.task).continued(model, seed)
    return torch.cat([seed.inputs[0], written]).cpu(), data.spec.steps_per_quarter or 1, given
