"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.own_parts import during
from seqzoo.learning.rule import checked_result, remark_without_gradient, without_gradient
from seqzoo.network import results
from seqzoo.training.diagnostics import Diagnostics
from seqzoo.training.evaluation import decoded_examples, evaluate
from seqzoo.training.interrupt import StopSignals
from seqzoo.training.prefetch import on_device
from seqzoo.training.record.profiling import profiled
from seqzoo.training.record.run import Run
from seqzoo.training.session import Position, Session, is_over


class Stopped(Exception):
    """A signal ended the training after an update, and a checkpoint has been saved.

    Args:
        signal_number: of the signal.
    """

    def __init__(self, signal_number: int):
        super().__init__(signal_number)
        self.signal_number = signal_number


class Stopwatch:
    """Adds elapsed time to a position.

    Args:
        position: of the training.
        device: of the training.

    Attributes:
        seconds, cpu_seconds: times of the last lap.
    """

    def __init__(self, position: Position, device: torch.device):
        self.position, self.device = position, device
        self.seconds, self.cpu_seconds = time.monotonic(), time.process_time()

    def lap(self) -> float:
        """Add the time since the last lap to the position and start a new lap.

        Returns:
            The seconds of the lap that count: on a CPU at most the CPU time of the process, so that time for which
            other programs had the CPU, or for which the process waited for a compiler, does not count.
        """
        seconds, cpu_seconds = time.monotonic(), time.process_time()
        passed, cpu_passed = seconds - self.seconds, cpu_seconds - self.cpu_seconds
        self.position.seconds += passed
        self.position.cpu_seconds += cpu_passed
        self.seconds, self.cpu_seconds = seconds, cpu_seconds
        return min(passed, cpu_passed) if self.device.type == "cpu" else passed


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
    watch = Stopwatch(position, session.device)
    saved = watch.seconds
    diagnostics = Diagnostics(settings.diagnostics)
    with (
        StopSignals() as stop,
        run.progress_bar(session) as bar,
        profiled(settings.profile, run) as profile_update,
    ):
        while not position.finished:
            batches = results.checked(data, "num_batches", data.num_batches("train", position.epoch))
            rest = results.batches_of(data, data.batches("train", position.epoch, position.batch))
            groups = in_groups(rest, settings.accumulate)
            for group, steps in on_device(groups, session.device):
                with during(lambda: f"in update {position.step + 1:,}"):
                    norm = update(session, group, data.stateful)
                position.tokens += steps
                position.batch += len(group)
                position.step += 1
                position.update_seconds += watch.lap()
                bar.update()
                profile_update()
                epoch_ends = position.batch >= batches
                position.finished = is_over(position, settings, session.seconds, batches)
                if position.step % settings.log_every == 0 or position.finished:
                    session.check_finite()
                    run.log_update(session, norm)
                every = settings.validate_every
                if position.finished or (epoch_ends if every is None else position.step % every == 0):
                    session.check_finite()
                    if session.without_gradient:
                        run.log(remark_without_gradient([*session.without_gradient]))
                        session.without_gradient = {}
                    with during(lambda: f"in the validation after update {position.step:,}"):
                        validate(session, data, run, diagnostics)
                    watch.lap()
                    run.save(session)
                    saved = watch.seconds
                elif stop.received or watch.seconds - saved > settings.save_every:
                    session.check_finite()
                    run.save(session)
                    saved = watch.seconds
                if stop.received:
                    raise Stopped(stop.received)
                if position.finished:
                    return
            position.epoch, position.batch, session.state = position.epoch + 1, 0, None


def update(session: Session, group: list[Batch], stateful: bool) -> Tensor:
    """One update of the weights, without synchronisation with a GPU.

    Args:
        session: the training.
        group: the batches whose gradients are accumulated, on the device.
        stateful: whether batches continue each other.

    Returns:
        The norm of the gradient before clipping.
    """
    model = session.model
    model.train()
    session.add_data(group)
    totals, counts = [], []
    for batch in group:
        result = session.rule.gradients(session.objective, batch, session.state)
        loss, state = checked_result(session.rule, result)
        session.state = state if stateful else None
        totals.append(loss.total.detach())
        counts.append(loss.count)
    total, count = torch.stack(totals).sum(), torch.stack(counts).sum()
    norm = total.new_zeros(()) if session.rule.solves else optimizer_step(session, group, count)
    session.averaging.after_update(session.progress)
    session.add_loss(total, count, norm)
    return norm


def optimizer_step(session: Session, group: list[Batch], count: Tensor) -> Tensor:
    """Update the weights by the accumulated gradients.

    Args:
        session: the training.
        group: the batches of the gradients.
        count: their number of targets.

    Returns:
        The norm of the gradient before clipping.
    """
    model, settings, position = session.model, session.settings, session.position
    if position.step == 0:
        session.without_gradient = without_gradient(session.rule, model)
    for name in [name for name, weight in session.without_gradient.items() if weight.grad is not None]:
        del session.without_gradient[name]
    session.scaler.unscale_(session.optimizer)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(count)
    if settings.clip_value is not None:
        nn.utils.clip_grad_value_(model.parameters(), settings.clip_value)
    norm = nn.utils.clip_grad_norm_(
        model.parameters(), float("inf") if settings.clip_norm is None else settings.clip_norm
    )
    rate = session.schedule.rate(position.step, session.spent)
    rate *= sum(batch.learning_rate_scale for batch in group) / len(group)
    for parameter_group in session.optimizer.param_groups:
        parameter_group["lr"] = rate
    session.scaler.step(session.optimizer)
    session.scaler.update()
    session.optimizer.zero_grad(set_to_none=True)
    return norm


def validate(session: Session, data: DataModule, run: Run, diagnostics: Diagnostics) -> None:
    """Evaluate on the validation split, save the best weights, log examples, and finish when patience ends."""
    position, settings, model = session.position, session.settings, session.model
    with session.averaging.applied():
        scores = evaluate(model, data, "validation", session.device, settings.precision)
        first = model.task.metrics()[0]
        score = scores[first.name] if first.higher_is_better else -scores[first.name]
        # ties are broken by the loss; NaN is worse than any number
        rank = [-math.inf if math.isnan(value) else value for value in (score, -scores[model.task.loss_name])]
        improved = settings.keep == "last" or position.best is None or rank > position.best
        position.waited = 0 if improved else position.waited + 1
        if improved:
            position.best, position.best_step = rank, position.step
            # saved before the checkpoint that refers to them; otherwise an interruption in between would lose them
            run.save_best(session, {name: str(value) for name, value in scores.items()})
        examples = decoded_examples(model, data, "validation", session.device, settings.examples)
        run.log_validation(session, scores, examples, improved)
        diagnostics.look(session, data, run, examples)
    session.schedule.after_validation(improved)
    if session.averaging.after_validation(rank):
        run.log(f"weights are averaged from update {position.step:,}")
    if settings.patience is not None and position.waited >= settings.patience:
        position.finished = True


def in_groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Groups of batches that make up one update; the last group of an epoch may be smaller."""
    remaining = iter(batches)
    while group := list(islice(remaining, size)):
        yield group
