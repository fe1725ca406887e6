"""The training loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.own_parts import during
from seqzoo.learning.rule import checked_result
from seqzoo.network import results
from seqzoo.training.diagnostics import Diagnostics
from seqzoo.training.interrupt import Stopped, StopSignals
from seqzoo.training.prefetch import on_device
from seqzoo.training.processes import Division
from seqzoo.training.record.profiling import profiled
from seqzoo.training.record.run import Run
from seqzoo.training.session import Position, Session, is_over
from seqzoo.training.stopwatch import Stopwatch
from seqzoo.training.validation import validate
from seqzoo.training.weight_update import optimizer_step


def fit(session: Session, data: DataModule, run: Run) -> None:
    """Train until the limit of epochs, steps or seconds is reached or patience ends. A session that was restored from a
    checkpoint is continued.

    Args:
        session: the training.
        data: the data module, loaded.
        run: the run directory to write to.

    Raises:
        Stopped: a signal was received; the training has been saved.
        TrainingError: the loss or its gradient is not finite.
    """
    position, settings = session.position, session.settings
    watch = Stopwatch(position, session.device, session.processes)
    saved = position.seconds
    diagnostics = Diagnostics(settings.diagnostics)
    with (
        StopSignals() as stop,
        run.progress_bar(session) as bar,
        profiled(settings.profile, run) as profile_update,
    ):
        while not position.finished:
            session.unfreezing.begin_epoch(position.epoch)
            batches = results.checked(data, "num_batches", data.num_batches("train", position.epoch))
            rest = results.batches_of(data, data.batches("train", position.epoch, position.batch))
            groups = in_groups(rest, settings.accumulate)
            share = Division(session.processes, data.stateful, session.part)
            for group, steps in on_device(groups, session.device, share):
                with during(lambda: f"in update {position.step + 1:,}"):
                    norm = update(session, group, data.stateful)
                position.advance(len(group), steps, watch.lap(stop))
                bar.update()
                profile_update()
                position.finished = is_over(position, settings, session.seconds, batches)
                if position.finished or position.step % settings.log_every == 0:
                    session.check_finite()
                    run.log_update(session, norm)
                if position.finished or validation_is_due(position, settings.validate_every, batches):
                    session.check_finite()
                    with during(lambda: f"in the validation after update {position.step:,}"):
                        validate(session, data, run, diagnostics)
                    watch.lap(stop)
                    run.save(session)
                    saved = position.seconds
                elif stop.agreed or position.seconds - saved > settings.save_every:
                    session.check_finite()
                    run.save(session)
                    saved = position.seconds
                if stop.agreed:
                    raise Stopped(stop.agreed)
                if position.finished:
                    return
            position.epoch, position.batch, session.state, session.part = position.epoch + 1, 0, None, None


def update(session: Session, group: list[Batch], stateful: bool) -> Tensor:
    """One update of the weights, without synchronisation with a GPU.

    Args:
        session: the training.
        group: the batches whose gradients are accumulated, on the device; of each the rows of this process.
        stateful: whether batches continue each other.

    Returns:
        The norm of the gradient before clipping.
    """
    model = session.model
    model.train()
    session.add_data(group)
    totals, counts = [], []
    for batch in group:
        state = None
        if batch.size:  # a small batch may have no row for each process
            result = session.rule.gradients(session.objective, batch, session.state)
            loss, state = checked_result(session.rule, result)
            totals.append(loss.total.detach())
            counts.append(loss.count)
        session.state, session.part = (state, batch.part) if stateful else (None, None)
    total, count = session.processes.sum_gradients(model, totals, counts)
    norm = total.new_zeros(()) if session.rule.solves else optimizer_step(session, group, count)
    session.averaging.after_update(session.progress)
    session.add_loss(total, count, norm)
    return norm


def validation_is_due(position: Position, every: int | None, batches: int) -> bool:
    """Whether a validation follows the last update: every so many updates, or at the end of an epoch."""
    return position.batch >= batches if every is None else position.step % every == 0


def in_groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Groups of batches that make up one update; the last group of an epoch may be smaller."""
    remaining = iter(batches)
    while group := list(islice(remaining, size)):
        yield group
