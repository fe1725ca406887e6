"""One training in several processes, which torchrun starts: they share the rows of every batch, and sum the gradients.

Losses are sums and counts, so that the gradient is that of the whole batch, however it is divided. It is summed once an
update, after the last backward pass, rather than by `DistributedDataParallel`, which averages over processes, needs the
forward pass of its own wrapper and has to be told about accumulation and weights without a gradient. Gradients of
recurrent weights are complete only at the end of a backward pass, so that there is little to send during it.
"""

from __future__ import annotations

import os
import random
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from seqzoo.contracts import launcher
from seqzoo.contracts.batch import Batch, Part, State
from seqzoo.contracts.errors import ConfigError, SeqzooError
from seqzoo.contracts.state import flatten, map_state, reorder
from seqzoo.learning.rule import LearningRule
from seqzoo.training.device import seed_everything
from seqzoo.training.interrupt import Stopped

T = TypeVar("T")


class Lost(SeqzooError):
    """Another process of the training has ended."""

    def __init__(self) -> None:
        super().__init__("another process of this training ended or cannot be reached; the last checkpoint is kept")


class Processes:
    """The processes that train together. All of them call its methods in the same order.

    Args:
        rank: number of this process, from 0.
        count: number of processes.
    """

    def __init__(self, rank: int = 0, count: int = 1):
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this process writes the run directory and the log."""
        return self.rank == 0

    def sum_gradients(self, model: nn.Module, totals: list[Tensor], counts: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Sum the losses of an update and, over all processes, the gradients.

        Args:
            model: its `grad` are summed in place. A weight that has none in any process keeps none.
            totals, counts: of the losses of this process.

        Returns:
            The loss and the number of targets of all processes.
        """
        if self.count == 1:
            return torch.stack(totals).sum(), torch.stack(counts).sum()
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        reached = self.largest(*(float(weight.grad is not None) for weight in trained))
        trained = [weight for weight, has_gradient in zip(trained, reached, strict=True) if has_gradient]
        like = next(model.parameters())
        loss = [torch.stack(parts).sum().to(like) if parts else like.new_zeros(()) for parts in (totals, counts)]
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained]
        summed = self._summed([*loss, *gradients])
        for weight, gradient in zip(trained, summed[2:], strict=True):
            weight.grad = gradient
        return summed[0], summed[1]

    def _summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of tensors over all processes, sent together."""
        types = {tensor.dtype: [other for other in tensors if other.dtype == tensor.dtype] for tensor in tensors}
        sums: dict[torch.dtype, Iterator[Tensor]] = {}
        for dtype, same in types.items():
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            with _collective():
                dist.all_reduce(torch.view_as_real(flat) if flat.is_complex() else flat)
            sums[dtype] = iter(flat.split([tensor.numel() for tensor in same]))
        return [next(sums[tensor.dtype]).view_as(tensor) for tensor in tensors]

    def largest(self, *numbers: float) -> list[float]:
        """The largest value of each number in any process. On the host, without waiting for a GPU."""
        if self.count == 1:
            return list(numbers)
        values = torch.tensor(numbers, dtype=torch.float64)
        with _collective():
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values.tolist()

    def from_first(self, value: T) -> T:
        """The value of the first process."""
        if self.count == 1:
            return value
        values: list[Any] = [value]
        with _collective():
            dist.broadcast_object_list(values)
        return values[0]

    def gathered(self, value: T) -> list[T]:
        """The values of all processes in the first one; an empty list in others."""
        values: list[Any] | None = [None] * self.count if self.first else None
        with _collective():
            dist.gather_object(value, values)
        return values or []

    def same_weights(self, model: nn.Module) -> None:
        """Give all processes the weights and buffers of the first one."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                with _collective():
                    dist.broadcast(torch.view_as_real(tensor) if tensor.is_complex() else tensor, 0)

    def own_seed(self, seed: int, step: int) -> None:
        """Give every process but the first random numbers of its own, such as for dropout.

        Args:
            seed: of the run.
            step: the number of updates so far.
        """
        if not self.first:
            seed_everything(random.Random(f"{seed} {self.rank} {step}").getrandbits(32))

    def part_of(self, state: State | None) -> tuple[State | None, Part | None]:
        """The rows of a state that this process goes on with, and which they are."""
        if self.count == 1 or state is None:
            return state, None
        rows = len(flatten(state)[0])
        owners = [row * self.count // rows for row in range(rows)]
        part = Part.of(self.rank, owners, 0)
        own = torch.tensor(part.rows, dtype=torch.long, device=flatten(state)[0].device)
        return (reorder(state, own) if part.rows else None), part

    def whole(self, state: State | None, part: Part | None, initial: Callable[[int], State]) -> State | None:
        """The state of all rows of a batch.

        Args:
            state: of the rows of this process; None: it has none.
            part: which they are; None: there is no state in any process, or one process has all rows.
            initial: the initial state of so many rows.
        """
        if part is None:
            return state
        like = initial(len(part.owners))

        def joined(whole: Tensor, own: Tensor | None = None) -> Tensor:
            together = torch.zeros_like(whole)
            if own is not None:
                together[part.rows] = own.to(whole.dtype)
            [summed] = self._summed([together.to(torch.uint8) if whole.dtype == torch.bool else together])
            return summed.to(whole.dtype)

        return map_state(joined, like) if state is None else map_state(joined, like, state)


ALONE = Processes()


class Division:
    """Divides the batches of an epoch among processes.

    The longest row goes to the process with the fewest steps so far, then the next one. A row that continues one of the
    previous batch stays with the process that has its state.

    Args:
        processes: that train together.
        stateful: whether batches continue each other.
        part: of the batch before; None: none.
    """

    def __init__(self, processes: Processes, stateful: bool, part: Part | None = None):
        self.processes, self.stateful = processes, stateful
        self.owners = part.owners if part is not None else None

    def __call__(self, batch: Batch) -> Batch:
        """The rows of this process; without any, a batch of no rows. Their state is numbered within the process."""
        if self.processes.count == 1:
            return batch
        rank, before = self.processes.rank, self.owners
        owners = self._owners(batch, before)
        part = Part.of(rank, owners, int(batch.lengths.sum()))
        own = batch.take(part.rows)
        own.part = part
        if before is not None and batch.continues is not None:
            places = {row: place for place, row in enumerate(Part.of(rank, before, 0).rows)}
            own.continues = torch.tensor([places.get(row, -1) for row in own.continues.tolist()])  # type: ignore[union-attr]
        self.owners = owners if self.stateful else None
        return own

    def _owners(self, batch: Batch, before: list[int] | None) -> list[int]:
        """The process of each row."""
        sizes = batch.lengths if batch.target_lengths is None else batch.lengths + batch.target_lengths
        continued = range(batch.size) if batch.continues is None else batch.continues.tolist()
        # the process that has the state of a row, which comes first; None: any
        places = [None if before is None or row < 0 else before[row] for row in continued]
        rows = sorted(
            zip(range(batch.size), sizes.tolist(), places, strict=True), key=lambda row: (row[2] is None, -row[1])
        )
        loads, owners = [0] * self.processes.count, [0] * batch.size
        for row, size, place in rows:
            owners[row] = loads.index(min(loads)) if place is None else place
            loads[owners[row]] += size
        return owners


def misfits(
    processes: Processes, model: nn.Module, rule: LearningRule, names: Mapping[str, str], device: str
) -> list[str]:
    """Reasons why several processes cannot train a model together.

    Args:
        processes: that would.
        model: perhaps on the meta device.
        rule: that computes gradients.
        names: those of the chosen components, by group.
        device: the option of training.
    """
    if processes.count == 1:
        return []
    divided = f"torchrun started {processes.count} processes that divide it: start one process"
    reasons = []
    if not rule.sums_over_rows:
        reasons.append(
            f"learning={names.get('learning')} needs a whole batch, and {divided}, or choose learning=bptt, truncated "
            "or checkpointed"
        )
    model.train()
    normalised = [name for name, part in model.named_modules() if isinstance(part, BATCH_NORM) and part.training]
    if normalised:
        reasons.append(f"{normalised[0]} normalises over a whole batch, and {divided}, or choose another encoder")
    if device not in ("auto", "cpu", "cuda") and launcher.on_this_machine() > 1:
        reasons.append(
            f"training.device is {device}, and each process has a GPU of its own: leave it out, or give cuda"
        )
    return reasons


BATCH_NORM = nn.modules.batchnorm._BatchNorm


def current() -> Processes:
    """The processes of `joined`; one process outside of it."""
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return ALONE


@contextmanager
def joined() -> Iterator[Processes]:
    """A context in which the processes that torchrun started work together. An error that all of them raise is raised
    in the first one only.
    """
    if launcher.started() == 1 or dist.is_initialized():
        yield current()
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(_own_gpu())
    with _collective():
        _meet("cpu:gloo,cuda:nccl" if cuda else "gloo")
        dist.barrier()  # one that ended now would leave the others waiting to be connected to it
    processes = current()
    try:
        yield processes
    except Stopped:
        raise
    except Exception as error:
        _report(processes, error)
        raise
    finally:
        with suppress(Exception):  # a process that ended may leave nothing to close
            dist.destroy_process_group()


def _meet(backend: str) -> None:
    """Connect the processes.

    torchrun keeps the values of processes that it has stopped, with addresses where nobody answers any more. The first
    process therefore chooses a new name to put before all values, and repeats it until the others have read it.
    """
    if not launcher.restarts():
        dist.init_process_group(backend, timeout=LONGEST_WAIT)
        return
    rank, count, own = launcher.rank(), launcher.started(), secrets.token_hex(8)
    store = dist.TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), timeout=LONGEST_WAIT, wait_for_workers=False
    )
    name, met = own, False
    if rank > 0:
        store.set(f"seqzoo/here/{rank}", own)
    while not met:
        if rank == 0:
            others = [store.get(f"seqzoo/here/{other}").decode() for other in range(1, count)]
            store.set("seqzoo/meeting", " ".join([name, *others]))
            met = store.check([f"seqzoo/met/{name}/{other}" for other in range(1, count)])
        else:
            name, *others = store.get("seqzoo/meeting").decode().split()
            met = own in others
        time.sleep(0 if met else 0.02)
    store.set(f"seqzoo/met/{name}/{rank}", "")
    dist.init_process_group(
        backend, store=dist.PrefixStore(name, store), rank=rank, world_size=count, timeout=LONGEST_WAIT
    )


def _own_gpu() -> int:
    """The GPU of this process: those of a machine have one each."""
    here, gpus = launcher.on_this_machine(), torch.cuda.device_count()
    if here > gpus:
        raise ConfigError(
            [f"torchrun started {here} processes on this machine, which has {gpus} GPUs: give --nproc-per-node {gpus}"]
        )
    return launcher.own_gpu()


def _report(processes: Processes, error: Exception) -> None:
    """Let the first process raise an error that all processes have; others then end without a message."""
    key, store = f"seqzoo/error/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", _store()
    if processes.first:
        with suppress(Exception):
            if store is not None:
                store.set(key, str(error))
                if not launcher.restarts():  # the store ends with this process
                    read = [f"{key}/{rank}" for rank in range(1, processes.count)]
                    store.wait(read, timedelta(seconds=PATIENCE))
        return
    if isinstance(error, Lost):
        sys.exit(1)
    with suppress(Exception):
        if store is not None:
            store.wait([key], timedelta(seconds=PATIENCE))
            first = store.get(key).decode()
            store.set(f"{key}/{processes.rank}", "")
            if first == str(error):
                sys.exit(0)  # the status is that of the first process
    if isinstance(error, SeqzooError):
        raise SeqzooError(f"process {processes.rank}: {error}") from error


LONGEST_WAIT = timedelta(hours=2)
"""The longest time that processes wait for each other: a machine may be slower to read its data."""

PATIENCE = 10
"""Seconds that a process waits for the first one to raise the same error."""


def _store() -> dist.Store | None:
    """The values that torchrun keeps while it restarts processes; None: it does not run, or cannot be reached."""
    if not dist.is_available():
        return None
    with suppress(Exception):
        return dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), wait_for_workers=False)
    return None


def remember(folder: Path, overrides: Sequence[str]) -> None:
    """Let processes that torchrun starts in place of these continue the run.

    Args:
        folder: its run directory.
        overrides: of the command.
    """
    store = _store() if launcher.restarts() else None
    if store is not None:
        store.set(f"seqzoo/run/{shlex.join(overrides)}", f"{os.getpid()} {folder.resolve()}")


def remembered(overrides: Sequence[str]) -> Path | None:
    """The run directory of processes that these were started in place of; None: they are the first ones."""
    key, store = f"seqzoo/run/{shlex.join(overrides)}", _store() if launcher.restarts() else None
    if store is None or not store.check([key]):
        return None
    process, _, folder = store.get(key).decode().partition(" ")
    return None if process == str(os.getpid()) else Path(folder)


@contextmanager
def _collective() -> Iterator[None]:
    """Raise Lost if processes cannot communicate."""
    try:
        yield
    except RuntimeError as error:
        raise Lost from error
