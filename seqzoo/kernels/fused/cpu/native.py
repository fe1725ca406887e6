"""C++ becomes functions: compiled once on this machine, kept in the user's cache, loaded by ctypes."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqzoo.contracts.cache import user_cache
from seqzoo.kernels.fused.cpu.cpp_source import generate
from seqzoo.kernels.fused.plan import Plan
from seqzoo.kernels.fused.rows import Rows
from seqzoo.kernels.fused.tracing import NotCompilable

REALS = {torch.float32: "float", torch.float64: "double"}
# multiplications that a thread must have to do before another is worth its start
WORK_PER_THREAD = 2_000_000
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-pthread", "-fopenmp-simd", "-fno-math-errno",
         "-fno-trapping-math", "-ffp-contract=fast", "-w")  # fmt: skip
MOST_LIBRARIES = 256
SYMBOLS = ("infer", "forward", "backward")
logger = logging.getLogger(__name__)


def program(plan: Plan, dtype: torch.dtype) -> Callable[..., None]:
    """What runs the passes of a plan. Raises NotCompilable."""
    source, layout = generate(plan)
    library = load(source, REALS[dtype])

    def run(name: str, rows: Rows, buffers: dict[str, Tensor], fixed: Sequence[Tensor]) -> None:
        kept = []

        def address(buffer: str) -> int:
            if buffer.startswith("vector"):
                tensor = fixed[int(buffer.removeprefix("vector"))].contiguous()
            elif buffer.startswith("weight"):
                tensor = fixed[int(buffer.removeprefix("weight"))]
            elif buffer in buffers:
                tensor = buffers[buffer]
            else:  # of another pass
                return 0
            kept.append(tensor)
            return tensor.data_ptr()

        strides = [number for tensor in fixed for number in (tensor.stride() if tensor.dim() == 2 else (0, 0))]
        work = plan.work * buffers["projected"].shape[0]
        getattr(library, name)(
            rows.count,
            rows.steps,
            max(1, min(torch.get_num_threads(), rows.count, work // WORK_PER_THREAD)),
            _longs(layout.numbers),
            _longs(strides),
            rows.lengths.data_ptr(),
            rows.order.data_ptr(),
            rows.starts.data_ptr(),
            (ctypes.c_void_p * len(layout.buffers))(*map(address, layout.buffers)),
        )

    return run


def _longs(numbers: Sequence[int]) -> Any:
    return (ctypes.c_long * len(numbers))(*numbers)


class Library:
    """The three functions of one source, in one precision."""

    def __init__(self, path: Path):
        library = ctypes.CDLL(str(path))
        self.infer, self.forward, self.backward = (getattr(library, name) for name in SYMBOLS)
        for function in (self.infer, self.forward, self.backward):
            function.argtypes = [ctypes.c_long] * 3 + [ctypes.c_void_p] * 6
            function.restype = None


@functools.cache
def compiler() -> str | None:
    """The C++ compiler: $CXX, c++, g++ or clang++; None, and said once, where there is none."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return shutil.which(name)
    logger.warning(
        "seqzoo: no C++ compiler was found, so that most cells take their steps in Python, several times slower."
        " Install g++ or clang++, or name one by CXX."
    )
    return None


@functools.lru_cache(MOST_LIBRARIES)
def load(source: str, real: str) -> Library:
    """real: "float" or "double". Raises NotCompilable where there is no compiler, it fails, or what it makes cannot be
    loaded.
    """
    program = compiler()
    if program is None:
        raise NotCompilable("there is no C++ compiler")
    key = hashlib.sha256("\0".join([source, real, program, *FLAGS, _processor()]).encode()).hexdigest()[:24]
    path = user_cache("kernels") / f"{key}.so"
    try:
        if _is_intact(path):
            with contextlib.suppress(OSError, AttributeError):  # made on another system
                return Library(path)
        _build(program, source, real, path)
        return Library(path)
    except (OSError, AttributeError) as error:  # a full disk, or one from which nothing is run
        _warn_of(str(error))
        raise NotCompilable(f"compiled code cannot be stored or loaded: {error}") from error


@functools.cache
def _warn_of(reason: str) -> None:
    """Once for each reason."""
    logger.warning(
        "seqzoo: compiled code cannot be stored in %s or loaded from there, so that most cells take their steps in"
        " Python, several times slower: %s. Name another folder by XDG_CACHE_HOME.", user_cache("kernels"), reason,
    )  # fmt: skip


def _is_intact(path: Path) -> bool:
    """Whether a library is there, whole, with the checksum that was written beside it."""
    try:
        if any(file.is_symlink() or not file.is_file() for file in (path, _checksum(path))):
            return False
        return _checksum(path).read_text(encoding="ascii") == hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _build(program: str, source: str, real: str, path: Path) -> None:
    """Written aside and renamed, so that whoever comes at the same time sees all of a file or nothing."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, built = Path(folder, "step.cpp"), Path(folder, "step.so")
        text.write_text(f"#define REAL {real}\n{source}", encoding="utf-8")
        done = subprocess.run(
            [program, *FLAGS, str(text), "-o", str(built)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            message = done.stderr.strip()[-2000:]
            logger.warning("seqzoo: %s does not compile a cell, which is slower without:\n%s", program, message)
            raise NotCompilable(f"{program} fails")
        checksum = Path(folder, "step.sha256")
        checksum.write_text(hashlib.sha256(built.read_bytes()).hexdigest(), encoding="ascii")
        for written, final in ((built, path), (checksum, _checksum(path))):
            _to_disk(written)
            written.replace(final)
        _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    """What was written there survives a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@functools.cache
def _processor() -> str:
    """What -march=native means here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = platform.processor()
    return platform.machine() + flags
