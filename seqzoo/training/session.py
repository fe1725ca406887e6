"""The state of a training between updates, which a checkpoint contains."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, cast

import numpy
import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Part, State
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.options import check_options
from seqzoo.contracts.state import map_state
from seqzoo.learning.bptt import BackpropagationThroughTime
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.training.averaging import Averaging
from seqzoo.training.device import autocast
from seqzoo.training.fine_tuning import Unfreezing, freeze_for_good
from seqzoo.training.optimizer import Schedule, build_optimizer, restore_optimizer
from seqzoo.training.processes import ALONE, Processes
from seqzoo.training.record.checkpoint import Checkpoint, check_form, mapping, unstorable
from seqzoo.training.recurrent_weights import RecurrentWeights
from seqzoo.training.settings import Training, out_of_range


@dataclass
class Position:
    """The progress of a training, in plain numbers.

    Args:
        epoch, batch: where in the data the next update begins.
        step: number of updates so far.
        tokens: number of real input steps so far.
        seconds: duration of the training, validation included.
        update_seconds: duration of the updates only, which budgets and speeds are measured by; on a CPU at most the CPU
            time of the process.
        cpu_seconds: CPU time of all threads of the process during `seconds`.
        best: the best validation score so far (negated where lower is better) and minus its loss.
        best_step: the update at which it was reached.
        waited: number of validations since then.
        finished: whether the training has ended.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    update_seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: list[float] | None = None
    best_step: int = 0
    waited: int = 0
    finished: bool = False

    def advance(self, batches: int, tokens: int, seconds: float) -> None:
        """Count an update of so many batches and tokens, which took so many seconds."""
        self.step += 1
        self.batch += batches
        self.tokens += tokens
        self.update_seconds += seconds


COUNTED, SAMPLED = 100, 10
"""The batches of up to COUNTED epochs are counted before a training; for more epochs, those of the first SAMPLED."""


def count_updates(data: DataModule, settings: Training) -> int | None:
    """The total number of updates by `steps` or `epochs`, whichever ends first; None if both are unlimited.

    Epochs may differ in their number of batches. For more than COUNTED epochs it is estimated from the first SAMPLED.
    """
    if settings.epochs is None:
        return settings.steps
    planned = settings.epochs if settings.epochs <= COUNTED else SAMPLED
    total = 0
    for epoch in range(planned):
        batches = results.checked(data, "num_batches", data.num_batches("train", epoch))
        total += -(-batches // settings.accumulate)
        if settings.steps is not None and total >= settings.steps:
            return settings.steps
    total = total * settings.epochs // planned
    return total if settings.steps is None else min(total, settings.steps)


def is_over(position: Position, settings: Training, seconds: float | None, batches: int) -> bool:
    """Whether a training has reached its limit of updates, epochs or seconds.

    Args:
        position: of the training.
        settings: its options.
        seconds: its time budget; None: unlimited.
        batches: number of batches of the current epoch.
    """
    epochs = position.epoch + (position.batch >= batches)
    return (
        (settings.steps is not None and position.step >= settings.steps)
        or (settings.epochs is not None and epochs >= settings.epochs)
        or (seconds is not None and position.update_seconds >= seconds)
    )


@dataclass
class Session:
    """A training in progress: model, optimizer, learning rate schedule, learning rule and position.

    Args:
        model: the model, which is moved to the device.
        settings: the options of training.
        device: of the training.
        total_steps: from `count_updates`.
        seconds: time budget of the updates; None: unlimited.
        rule: computes gradients.
        position: progress so far.
        state: the recurrent state that the next batch continues from; None: the initial state.
        last_train_loss: the last mean training loss that was logged.
        unit: `DataModule.unit`, in which messages give the speed.
        processes: that train together.
        part: which rows of a batch `state` has, if processes share them.

    Attributes:
        running_total, running_count: loss and number of targets since the last log. Like the next two, they stay on the
            device, so that an update does not synchronise with it.
        bad_step: the first update whose loss or gradient was not finite; -1: none.
        bad_inputs, bad_targets: the first update whose inputs or targets were not finite; -1: none.
        without_gradient: the weights that had no gradient in any update until the first validation, by name.
    """

    model: Model
    settings: Training
    device: torch.device
    total_steps: int | None
    seconds: float | None = None
    rule: LearningRule = field(default_factory=BackpropagationThroughTime)
    position: Position = field(default_factory=Position)
    state: State | None = None
    last_train_loss: float = float("nan")
    unit: str = "token"
    processes: Processes = ALONE
    part: Part | None = None

    def __post_init__(self) -> None:
        self.model.to(self.device)
        freeze_for_good(self.model, self.settings)
        self.optimizer = build_optimizer(self.model, self.settings)
        self.schedule = Schedule(self.settings, self.total_steps)
        self.averaging = Averaging(self.model, self.settings)
        self.unfreezing = Unfreezing(self.model, self.settings)
        self.recurrent_weights = RecurrentWeights(self.model, self.settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.settings.precision == "fp16")
        self.objective = Objective(
            self.model, partial(autocast, self.settings.precision, self.device), self.scaler.scale
        )
        self.running_total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.running_count = torch.zeros((), dtype=torch.float64, device=self.device)
        self.bad_step = torch.full((), -1, dtype=torch.long, device=self.device)
        self.bad_inputs, self.bad_targets = self.bad_step.clone(), self.bad_step.clone()
        self.without_gradient: dict[str, nn.Parameter] = {}

    @property
    def spent(self) -> float:
        """The share of the time budget that has been spent."""
        return 0.0 if self.seconds is None else self.position.update_seconds / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Real input steps per second of `Position.update_seconds`."""
        return self.position.tokens / max(self.position.update_seconds, 1e-9)

    @property
    def progress(self) -> float:
        """The share of the training that is done, by updates or by time, whichever is larger."""
        return max(self.spent, 0.0 if self.total_steps is None else self.position.step / self.total_steps)

    def add_loss(self, total: Tensor, count: Tensor, norm: Tensor) -> None:
        """Add the loss of an update to the running mean, without synchronisation with the device."""
        self.running_total += total
        self.running_count += count
        finite = torch.isfinite(total)
        # in fp16 gradients may overflow; the scaler then skips the update
        if self.settings.precision != "fp16":
            finite = finite & torch.isfinite(norm)
        self.bad_step = self._first(self.bad_step, finite)

    def add_data(self, group: list[Batch]) -> None:
        """Record whether inputs and targets of an update are finite, without synchronisation with the device. A target
        that is NaN may be a missing one.
        """
        for batch in group:
            if batch.inputs.is_floating_point():
                self.bad_inputs = self._first(self.bad_inputs, batch.inputs.isfinite().all())
            if batch.targets is not None and batch.targets.is_floating_point():
                self.bad_targets = self._first(self.bad_targets, ~batch.targets.isinf().any())

    def _first(self, bad: Tensor, finite: Tensor) -> Tensor:
        """`bad`, or the current update if `bad` is -1 and something is not finite now."""
        return torch.where((bad < 0) & ~finite, torch.full_like(bad, self.position.step), bad)

    def mean_loss(self) -> float:
        """The mean training loss per target since the last call."""
        mean = float(self.running_total / self.running_count.clamp(min=1))
        self.running_total.zero_()
        self.running_count.zero_()
        return mean

    def check_finite(self) -> None:
        """Raise TrainingError if the loss or the gradient of an update was not finite. It is called before saving."""
        bad = int(self.bad_step)
        if bad < 0:
            return
        # the first update in any process; -1, none, becomes the last one
        never = float(self.position.step + 1)
        firsts = [-(float(step) if step >= 0 else never) for step in (self.bad_inputs, self.bad_targets)]
        bad_parts = zip(("inputs", "targets"), self.processes.largest(*firsts), strict=True)
        damaged = [name for name, step in bad_parts if -step <= bad]
        if damaged:
            raise TrainingError(
                f"the {' and '.join(damaged)} of update {bad} hold NaN or infinity (epoch {self.position.epoch}, at or "
                f"before batch {self.position.batch}): correct the data; the last checkpoint is from before"
            )
        advice = "lower training.learning_rate or training.clip_norm"
        if bad == 0:  # the learning rate has had no effect yet
            advice = "check the cell and the loss for a division by zero or an overflow"
        not_finite = [
            name
            for name, p in self.model.named_parameters()
            if not torch.isfinite(p).all() or (p.grad is not None and not torch.isfinite(p.grad).all())
        ]
        raise TrainingError(
            f"the loss or its gradient is not a finite number since update {bad} "
            f"(epoch {self.position.epoch}, at or before batch {self.position.batch}); "
            f"not finite: {', '.join(not_finite[:3]) or 'the loss alone'}: {advice}; the last checkpoint is from before"
        )

    def content(self) -> Checkpoint:
        """The content of a checkpoint, tensors and plain data, from which a training on a CPU resumes bit for bit."""
        kind, keys, place, has_gauss, gauss = cast(Any, numpy.random.get_state())
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaging": self.averaging.content(),
            "scaler": self.scaler.state_dict(),
            "schedule": {"factor": self.schedule.factor, "waited": self.schedule.waited},
            "position": asdict(self.position),
            "state": self.processes.whole(self.state, self.part, self.model.backbone.initial_state),
            "rule": _checked_content(self.rule),
            "running": [self.running_total, self.running_count],
            "last_train_loss": self.last_train_loss,
            "threads": torch.get_num_threads(),
            "random": {
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
                "python": random.getstate(),
                "numpy": [str(kind), torch.from_numpy(keys.astype("int64")), int(place), int(has_gauss), float(gauss)],
            },
        }

    def restore(self, content: Checkpoint) -> None:
        """Restore everything but the weights of the model, which `fill` has restored.

        Args:
            content: from `content`.

        Raises:
            ValueError, LookupError: it is not the content of such a session.
        """
        current = self.content()
        for name in ("schedule", "running", "last_train_loss"):
            check_form(content[name], current[name], name)
        check_progress(content)
        self.position = Position(**content["position"])
        restore_optimizer(self.optimizer, self.settings, mapping(mapping(content, "optimizer"), "state"))
        self.averaging.restore(mapping(content, "averaging"))
        if self.scaler.is_enabled():
            check_form(content["scaler"], current["scaler"], "scaler")
            self.scaler.load_state_dict(content["scaler"])
        self.schedule.factor = content["schedule"]["factor"]
        self.schedule.waited = content["schedule"]["waited"]
        self.state, self.part = self.processes.part_of(self._restored_state(content["state"]))
        self.rule.restore(mapping({"rule": {}, **content}, "rule"))  # older checkpoints have none
        running = [tensor.detach().to(self.device) for tensor in content["running"]]
        self.running_total, self.running_count = running
        self.last_train_loss = content["last_train_loss"]
        self._restore_random(mapping(content, "random"), current["random"])

    def _restored_state(self, saved: Any) -> State | None:
        if saved is None:
            return None
        first = saved
        while isinstance(first, tuple):
            first = first[0]
        return map_state(self._restored, saved, self.model.backbone.initial_state(len(first)))

    def _restored(self, saved: Tensor, like: Tensor) -> Tensor:
        # the precision may differ because of autocast
        if saved.shape != like.shape or (saved.is_floating_point(), saved.is_complex()) != (
            like.is_floating_point(),
            like.is_complex(),
        ):
            raise ValueError(f"state has {tuple(saved.shape)} {saved.dtype}, not {tuple(like.shape)} {like.dtype}")
        return saved.to(self.device)

    def _restore_random(self, saved: dict[str, Any], current: dict[str, Any]) -> None:
        for name in ("torch", "numpy"):
            check_form(saved[name], current[name], f"random.{name}")
        torch.set_rng_state(saved["torch"])
        if self.device.type == "cuda":
            # the number of GPUs may differ from that of the machine that saved the checkpoint
            for number, state in enumerate(saved["cuda"][: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(state, number)
        random.setstate(saved["python"])
        kind, keys, place, has_gauss, gauss = saved["numpy"]
        numpy.random.set_state((kind, keys.numpy().astype("uint32"), place, has_gauss, gauss))


def _checked_content(rule: LearningRule) -> dict[str, Any]:
    """The content of a learning rule. Raises TrainingError if a checkpoint cannot store it."""
    content = rule.content()
    reason = unstorable(content, "it") if isinstance(content, dict) else f"it is {content!r:.60}, not a mapping"
    if reason:
        raise TrainingError(
            f"{type(rule).__module__}.{type(rule).__qualname__}.content returns what no checkpoint can hold: {reason}"
        )
    return content


def check_progress(content: Checkpoint) -> None:
    """Check the position in a checkpoint. Raises ValueError or LookupError if it is missing or invalid."""
    plain = mapping(content, "position")
    mistakes = list(check_options("position", Position, plain).values())
    numbers = {name: value for name, value in plain.items() if isinstance(value, int | float)}
    mistakes += [f"position.{name} is {value!r}" for name, value in numbers.items() if not 0 <= value < 2**53]
    if mistakes:
        raise ValueError(mistakes[0])
    if plain.get("best") is not None:
        check_form(plain["best"], [0.0, 0.0], "position.best")
    check_form(content["threads"], 1, "threads")
    for mistake in out_of_range({"threads": content["threads"]}):
        raise ValueError(mistake)
