"""All that a training carries from one update to the next, which is what a checkpoint holds."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, cast

import numpy
import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch, State
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.options import check_options
from seqzoo.contracts.parts import DataModule
from seqzoo.contracts.state import map_state
from seqzoo.learning.bptt import BackpropagationThroughTime
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network.model import Model
from seqzoo.training.averaging import Averaging
from seqzoo.training.device import autocast
from seqzoo.training.optimizer import Schedule, build_optimizer, restore_optimizer
from seqzoo.training.record.checkpoint import check_form, mapping, unstorable
from seqzoo.training.settings import Training, out_of_range


@dataclass
class Position:
    """How far a training is, in plain numbers.

    epoch and batch: where in the data the next update begins; step: updates done; tokens: real input steps read;
    seconds: of training, validation included; cpu_seconds: what all threads of the process worked in `seconds`, which
    other programs on the machine do not lengthen; update_seconds: of updates alone, by which budgets and speeds are
    counted, on a CPU without the time that other programs had it;
    best: the best score so far and minus its loss, found at best_step; waited: validations since.
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


COUNTED, SAMPLED = 100, 10
"""Up to COUNTED epochs, the batches of each are counted before a training starts; of more epochs, those of SAMPLED."""


def count_updates(data: DataModule, settings: Training) -> int | None:
    """The number of updates in all, by `steps` or `epochs`, whichever ends first; None where neither ends.

    More than COUNTED epochs count as the mean of the first SAMPLED ones, where they differ in their number of batches.
    """
    if settings.epochs is None:
        return settings.steps
    planned = settings.epochs if settings.epochs <= COUNTED else SAMPLED
    total = 0
    for epoch in range(planned):
        total += -(-data.num_batches("train", epoch) // settings.accumulate)
        if settings.steps is not None and total >= settings.steps:
            return settings.steps
    total = total * settings.epochs // planned
    return total if settings.steps is None else min(total, settings.steps)


def is_over(position: Position, settings: Training, seconds: float | None, batches: int) -> bool:
    """Whether a training ends at a position: by its updates, its epochs, or the seconds of its budget.

    Args:
        batches: the number of batches of the position's epoch.
    """
    epochs = position.epoch + (position.batch >= batches)
    return (
        (settings.steps is not None and position.step >= settings.steps)
        or (settings.epochs is not None and epochs >= settings.epochs)
        or (seconds is not None and position.update_seconds >= seconds)
    )


@dataclass
class Session:
    """running_total, running_count: the loss since the last log; bad_step: the first update whose loss was not finite,
    or -1; bad_inputs, bad_targets: the first one that read such numbers. They stay on the device, so that a step does
    not wait for it. last_train_loss: the mean that was logged last. total_steps: what `count_updates` gives; seconds:
    of updates in all, None for no limit. rule: where gradients come from.
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

    def __post_init__(self) -> None:
        self.model.to(self.device)
        self.optimizer = build_optimizer(self.model, self.settings)
        self.schedule = Schedule(self.settings, self.total_steps)
        self.averaging = Averaging(self.model, self.settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.settings.precision == "fp16")
        self.objective = Objective(
            self.model, partial(autocast, self.settings.precision, self.device), self.scaler.scale
        )
        self.running_total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.running_count = torch.zeros((), dtype=torch.float64, device=self.device)
        self.bad_step = torch.full((), -1, dtype=torch.long, device=self.device)
        self.bad_inputs, self.bad_targets = self.bad_step.clone(), self.bad_step.clone()

    @property
    def spent(self) -> float:
        """The share of the seconds that is used."""
        return 0.0 if self.seconds is None else self.position.update_seconds / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Speed of the updates alone, by their own clock: on a CPU the process's CPU time."""
        return self.position.tokens / max(self.position.update_seconds, 1e-9)

    @property
    def progress(self) -> float:
        """The share of the training that is done, by updates or by time, whichever is further."""
        return max(self.spent, 0.0 if self.total_steps is None else self.position.step / self.total_steps)

    def add_loss(self, total: Tensor, count: Tensor, norm: Tensor) -> None:
        """Count an update in, without waiting for the device."""
        self.running_total += total
        self.running_count += count
        finite = torch.isfinite(total)
        # in fp16 a gradient overflows now and then, and the scaler skips the update
        if self.settings.precision != "fp16":
            finite = finite & torch.isfinite(norm)
        self.bad_step = self._first(self.bad_step, finite)

    def add_data(self, group: list[Batch]) -> None:
        """Note whether what an update reads is finite, without waiting for the device."""
        for batch in group:
            if batch.inputs.is_floating_point():
                self.bad_inputs = self._first(self.bad_inputs, batch.inputs.isfinite().all())
            if batch.targets is not None and batch.targets.is_floating_point():
                self.bad_targets = self._first(self.bad_targets, batch.targets.isfinite().all())

    def _first(self, bad: Tensor, finite: Tensor) -> Tensor:
        """The first update at which something was not finite."""
        return torch.where((bad < 0) & ~finite, torch.full_like(bad, self.position.step), bad)

    def mean_loss(self) -> float:
        """The mean over the targets since the last call."""
        mean = float(self.running_total / self.running_count.clamp(min=1))
        self.running_total.zero_()
        self.running_count.zero_()
        return mean

    def check_finite(self) -> None:
        """Raises TrainingError once an update had a loss or a gradient that is no number. Nothing is saved after it."""
        bad = int(self.bad_step)
        if bad < 0:
            return
        read = [
            name for name, step in (("inputs", self.bad_inputs), ("targets", self.bad_targets)) if 0 <= int(step) <= bad
        ]
        if read:
            raise TrainingError(
                f"the {' and '.join(read)} of update {bad} hold NaN or infinity (epoch {self.position.epoch}, at or "
                f"before batch {self.position.batch}): correct the data; the last checkpoint is from before"
            )
        advice = "lower training.learning_rate or training.clip_norm"
        if bad == 0:  # which the initial weights give, whatever the learning rate
            advice = "check the cell and the loss for a division by zero or an overflow"
        named = [
            name
            for name, p in self.model.named_parameters()
            if not torch.isfinite(p).all() or (p.grad is not None and not torch.isfinite(p.grad).all())
        ]
        raise TrainingError(
            f"the loss or its gradient is not a finite number since update {bad} "
            f"(epoch {self.position.epoch}, at or before batch {self.position.batch}); "
            f"not finite: {', '.join(named[:3]) or 'the loss alone'}: {advice}; the last checkpoint is from before"
        )

    def content(self) -> dict[str, Any]:
        """Tensors and plain data, enough to go on bit for bit on a CPU."""
        kind, keys, place, has_gauss, gauss = cast(Any, numpy.random.get_state())
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaging": self.averaging.content(),
            "scaler": self.scaler.state_dict(),
            "schedule": {"factor": self.schedule.factor, "waited": self.schedule.waited},
            "position": asdict(self.position),
            "state": self.state,
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

    def restore(self, content: dict[str, Any]) -> None:
        """The inverse of `content`; the model has been filled already. Raises ValueError or LookupError for what is
        not the content of such a session.
        """
        own = self.content()
        for name in ("schedule", "running", "last_train_loss"):
            check_form(content[name], own[name], name)
        check_progress(content)
        self.position = Position(**content["position"])
        restore_optimizer(self.optimizer, self.settings, mapping(mapping(content, "optimizer"), "state"))
        self.averaging.restore(mapping(content, "averaging"))
        if self.scaler.is_enabled():
            check_form(content["scaler"], own["scaler"], "scaler")
            self.scaler.load_state_dict(content["scaler"])
        self.schedule.factor = content["schedule"]["factor"]
        self.schedule.waited = content["schedule"]["waited"]
        self.state = self._restored_state(content["state"])
        self.rule.restore(mapping({"rule": {}, **content}, "rule"))  # older checkpoints have none
        running = [tensor.detach().to(self.device) for tensor in content["running"]]
        self.running_total, self.running_count = running
        self.last_train_loss = content["last_train_loss"]
        self._restore_random(mapping(content, "random"), own["random"])

    def _restored_state(self, saved: Any) -> State | None:
        if saved is None:
            return None
        first = saved
        while isinstance(first, tuple):
            first = first[0]
        return map_state(self._restored, saved, self.model.backbone.initial_state(len(first)))

    def _restored(self, saved: Tensor, own: Tensor) -> Tensor:
        # by autocast its numbers may be of another precision
        if saved.shape != own.shape or (saved.is_floating_point(), saved.is_complex()) != (
            own.is_floating_point(),
            own.is_complex(),
        ):
            raise ValueError(f"state has {tuple(saved.shape)} {saved.dtype}, not {tuple(own.shape)} {own.dtype}")
        return saved.to(self.device)

    def _restore_random(self, saved: dict[str, Any], own: dict[str, Any]) -> None:
        for name in ("torch", "numpy"):
            check_form(saved[name], own[name], f"random.{name}")
        torch.set_rng_state(saved["torch"])
        if self.device.type == "cuda":
            # the run may go on where there are fewer GPUs, or more
            for number, state in enumerate(saved["cuda"][: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(state, number)
        random.setstate(saved["python"])
        kind, keys, place, has_gauss, gauss = saved["numpy"]
        numpy.random.set_state((kind, keys.numpy().astype("uint32"), place, has_gauss, gauss))


def _checked_content(rule: LearningRule) -> dict[str, Any]:
    """What a rule remembers. Raises TrainingError where a checkpoint with it could not be loaded."""
    content = rule.content()
    reason = unstorable(content, "it") if isinstance(content, dict) else f"it is {content!r:.60}, not a mapping"
    if reason:
        raise TrainingError(
            f"{type(rule).__module__}.{type(rule).__qualname__}.content returns what no checkpoint can hold: {reason}"
        )
    return content


def check_progress(content: dict[str, Any]) -> None:
    """Raises ValueError or LookupError where a checkpoint does not say how far its training is."""
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
