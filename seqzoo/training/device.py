"""Device, precision, number of threads, seeds, determinism."""

from __future__ import annotations

import os
import random
import re
from contextlib import AbstractContextManager, nullcontext

import numpy
import torch

from seqzoo.contracts.arguments import check_argument
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.parts import Backbone

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The types of mixed precision."""

WEIGHTS = {"fp64": torch.float64}
"""The types of weights and data; float32 for the others."""


def float_type(precision: str) -> torch.dtype:
    """The type of weights and of data that are numbers.

    Args:
        precision: fp32, fp64, bf16 or fp16.
    """
    return WEIGHTS.get(precision, torch.float32)


def select_device(name: str | torch.device) -> torch.device:
    """The device of a name.

    Args:
        name: auto (a CUDA GPU if there is one), cpu, cuda (the current GPU) or cuda:NUMBER, or a torch.device.

    Raises:
        TypeError: it is neither a string nor a torch.device.
        ConfigError: the name is not one of these, or torch does not see this GPU.
    """
    check_argument("device", name, (str, torch.device), "a text such as 'cpu' or 'cuda', or a torch.device")
    name = str(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ConfigError([f"device is {name!r}: it must be auto, cpu, cuda or cuda:NUMBER"])
    device = torch.device(name)
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError([f"training.device is {name}, but torch sees {torch.cuda.device_count()} CUDA GPUs here"])
    # with an explicit number, because the current GPU may differ between threads
    return torch.device(name, torch.cuda.current_device()) if name == "cuda" else device


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device supports a precision. CPUs are limited to fp32 and fp64, because recurrent layers in bf16
    crash on machines that report AMX but do not permit its use.

    Raises:
        ConfigError: the device does not support the precision.
    """
    if precision in DTYPES and device.type != "cuda":
        raise ConfigError(
            [f"training.precision is {precision}, and the device is a {device.type}: use fp32 or fp64, or a CUDA GPU"]
        )
    if precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ConfigError(["training.precision is bf16, which this GPU does not have: use fp16 or fp32"])


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """The autocast context of the forward pass."""
    if precision not in DTYPES:
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def available_cores() -> int:
    """The number of cores that this process may use, which affinity or OMP_NUM_THREADS may limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(share)) if share.isdecimal() and int(share) else cores


def idle_cores() -> int:
    """The number of available cores that the load of the last minute leaves idle; at least 1."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, round(available_cores() - load))


def choose_threads(backbone: Backbone, rows: int) -> int:
    """Choose the number of threads by the work of a recurrent step and the number of idle cores.

    Threads synchronise at every step. Below WORK_PER_THREAD multiplications per thread this costs more than it saves,
    as `scripts/measure_threads.py` shows. On busy cores, several threads are many times slower than one.

    Args:
        backbone: the recurrent network.
        rows: of a batch.
    """
    recurrent = max((p.numel() for p in backbone.parameters() if p.dim() == 2), default=0)
    return max(1, min(idle_cores(), rows * recurrent // WORK_PER_THREAD))


WORK_PER_THREAD = 1_000_000


def seed_everything(seed: int) -> None:
    """Seed the random generators of Python, NumPy and torch."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def make_deterministic(deterministic: bool) -> None:
    """Use deterministic algorithms. On a CPU results are always reproducible for the same number of threads."""
    if deterministic and torch.cuda.is_available():
        # cuBLAS reads the variable when it is initialised
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
