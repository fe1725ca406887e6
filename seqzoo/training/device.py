"""Where and how the arithmetic is done: device, precision, threads, seeds."""

from __future__ import annotations

import os
import random
import re
from contextlib import AbstractContextManager, nullcontext

import numpy
import torch

from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.parts import Backbone

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def select_device(name: str) -> torch.device:
    """auto (a CUDA GPU where there is one), cpu, cuda (the current GPU) or cuda:NUMBER."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ConfigError([f"device is {name!r}: it must be auto, cpu, cuda or cuda:NUMBER"])
    device = torch.device(name)
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError([f"training.device is {name}, but torch sees {torch.cuda.device_count()} CUDA GPUs here"])
    # by its number, since which one is the current GPU is another matter in another thread
    return torch.device(name, torch.cuda.current_device()) if name == "cuda" else device


def check_precision(precision: str, device: torch.device) -> None:
    """On a CPU, low precision is refused: recurrent layers in bf16 end the process where AMX is advertised and
    forbidden.
    """
    if precision != "fp32" and device.type != "cuda":
        raise ConfigError(
            [f"training.precision is {precision}, and the device is a {device.type}: use fp32, or a CUDA GPU"]
        )
    if precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ConfigError(["training.precision is bf16, which this GPU does not have: use fp16 or fp32"])


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """The context of the forward pass."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def available_cores() -> int:
    """Cores that this process may use: a container, a scheduler or, by OMP_NUM_THREADS, whoever runs several such
    processes side by side may have given it fewer than the machine has.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(share)) if share.isdecimal() and int(share) else cores


def idle_cores() -> int:
    """Available cores that the last minute's load leaves free; at least one."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, round(available_cores() - load))


def choose_threads(backbone: Backbone, rows: int) -> int:
    """By the work of one recurrent step, and by the cores that are idle.

    Threads meet at every step. Below WORK_PER_THREAD multiplications each, meeting costs more than it saves
    (`scripts/measure_threads.py` shows where that begins). Beside a busy program they wait for each other, and
    several are many times slower than one.
    """
    recurrent = max((p.numel() for p in backbone.parameters() if p.dim() == 2), default=0)
    return max(1, min(idle_cores(), rows * recurrent // WORK_PER_THREAD))


WORK_PER_THREAD = 1_000_000


def seed_everything(seed: int) -> None:
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def make_deterministic(deterministic: bool) -> None:
    """On CUDA, ask for the same numbers each time; on a CPU they are the same anyway for one number of threads."""
    if deterministic and torch.cuda.is_available():
        # read by cuBLAS when it starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
