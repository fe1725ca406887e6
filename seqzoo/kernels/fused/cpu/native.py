"""Compiles C++ once per machine, stores the library in the user's cache and loads it with ctypes."""

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
# minimum number of multiplications per thread; fewer do not repay starting one
WORK_PER_THREAD = 2_000_000
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-pthread", "-fopenmp-simd", "-fno-math-errno",
         "-fno-trapping-math", "-ffp-contract=fast", "-w")  # fmt: skip
MOST_LIBRARIES = 256
SYMBOLS = ("infer", "forward", "backward")
logger = logging.getLogger(__name__)


def program(plan: Plan, dtype: torch.dtype) -> Callable[..., None]:
    """Compile a plan; returns the function that runs its passes. Raises NotCompilable."""
    source, layout = generate(plan)
    library = load(source, REALS[dtype])

    def run(name: str, rows: Rows, buffers: dict[str, Tensor], fixed: Sequence[Tensor]) -> None:
        kept_alive = []

        def address(buffer: str) -> int:
            if buffer.startswith("vector"):
                tensor = fixed[int(buffer.removeprefix("vector"))].contiguous()
            elif buffer.startswith("weight"):
                tensor = fixed[int(buffer.removeprefix("weight"))]
            elif buffer in buffers:
                tensor = buffers[buffer]
            else:  # used by another pass only
                return 0
            kept_alive.append(tensor)
            return tensor.data_ptr()

        strides = [number for tensor in fixed for number in (tensor.stride() if tensor.dim() == 2 else (0, 0))]
        work = plan.work * buffers["projected"].shape[0]
        getattr(library, name)(
            _parallel(),
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
    """The functions of the three passes in a shared library."""

    def __init__(self, path: Path):
        library = ctypes.CDLL(str(path))
        self.infer, self.forward, self.backward = (getattr(library, name) for name in SYMBOLS)
        for function in (self.infer, self.forward, self.backward):
            function.argtypes = [ctypes.c_void_p] + [ctypes.c_long] * 3 + [ctypes.c_void_p] * 6
            function.restype = None


@functools.cache
def _parallel() -> int | None:
    """The address of the function of OpenMP that runs code on the threads of torch; None: torch has no OpenMP, or a
    library without this function.
    """
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except (OSError, AttributeError, TypeError):
        return None


@functools.cache
def compiler() -> str | None:
    """The C++ compiler: $CXX, c++, g++ or clang++; None, with a warning, if there is none."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return shutil.which(name)
    logger.warning(
        "seqzoo: no C++ compiler was found; most cells run step by step in Python, several times slower. Install g++ or"
        " clang++, or set CXX to a compiler."
    )
    return None


def _flags() -> list[str]:
    """The options of the compiler; those of $SEQZOO_CXXFLAGS take precedence. ($CXXFLAGS is often set for programs that
    have to run on any processor, as by conda.)
    """
    return [*FLAGS, *os.environ.get("SEQZOO_CXXFLAGS", "").split()]


@functools.lru_cache(MOST_LIBRARIES)
def load(source: str, real: str) -> Library:
    """Load the library of a source, from the cache or after compiling it.

    Args:
        source: C++.
        real: "float" or "double".

    Raises:
        NotCompilable: there is no compiler, it fails, or the library cannot be stored or loaded.
    """
    program = compiler()
    if program is None:
        raise NotCompilable("there is no C++ compiler")
    setup = (real, program, *_flags(), _processor())
    key = hashlib.sha256("\0".join([source, *setup]).encode()).hexdigest()[:24]
    path = user_cache("kernels") / f"{key}.so"
    try:
        if _is_intact(path):
            with contextlib.suppress(OSError, AttributeError):  # built on another system
                return Library(path)
        _build(program, source, real, path)
        return Library(path)
    except (OSError, AttributeError) as error:  # such as a full disk, or one that is mounted noexec
        _warn_of(str(error))
        raise NotCompilable(f"compiled code cannot be stored or loaded: {error}") from error


@functools.cache
def _warn_of(reason: str) -> None:
    """Warn once for each reason."""
    logger.warning(
        "seqzoo: compiled code cannot be stored in %s or loaded from there; most cells run step by step in Python,"
        " several times slower: %s. Set XDG_CACHE_HOME to another folder.", user_cache("kernels"), reason,
    )  # fmt: skip


def _is_intact(path: Path) -> bool:
    """Whether a library exists and has the checksum that was written with it."""
    try:
        if any(file.is_symlink() or not file.is_file() for file in (path, _checksum(path))):
            return False
        return _checksum(path).read_text(encoding="ascii") == hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _build(program: str, source: str, real: str, path: Path) -> None:
    """Compile a library. It is built in a temporary folder and renamed, so that other processes never see a partial
    file.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, built = Path(folder, "step.cpp"), Path(folder, "step.so")
        text.write_text(f"#define REAL {real}\n{source}", encoding="utf-8")
        command = [program, *_flags(), str(text), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            message = done.stderr.strip()[-2000:]
            logger.warning("seqzoo: %s fails to compile a cell, which runs more slowly without:\n%s", program, message)
            raise NotCompilable(f"{program} fails")
        checksum = Path(folder, "step.sha256")
        checksum.write_text(hashlib.sha256(built.read_bytes()).hexdigest(), encoding="ascii")
        for written, final in ((built, path), (checksum, _checksum(path))):
            _to_disk(written)
            written.replace(final)
        _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    """Flush a file or folder to disk, so that it survives a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@functools.cache
def _processor() -> str:
    """The instruction sets of this processor, which -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = platform.processor()
    return platform.machine() + flags
