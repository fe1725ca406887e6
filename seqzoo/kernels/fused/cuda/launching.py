"""Defines kernels from their source text, and launches them."""

from __future__ import annotations

import hashlib
import linecache
from typing import Any

import torch
import triton
import triton.language as tl

from seqzoo.kernels.fused.cuda import functions
from seqzoo.kernels.fused.cuda.triton_source import Kernel
from seqzoo.kernels.fused.tracing import NotCompilable


def defined(kernel: Kernel) -> Any:
    """Define a kernel. Its text is stored in `linecache`, where `inspect`, and therefore Triton, looks for source."""
    file = f"<seqzoo {kernel.name} {hashlib.sha256(kernel.text.encode()).hexdigest()[:16]}>"
    linecache.cache[file] = (len(kernel.text), None, kernel.text.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": __name__, "triton": triton, "tl": tl}
    namespace |= {name: value for name, value in vars(functions).items() if name.endswith("_")}
    exec(compile(kernel.text, file, "exec"), namespace)
    return namespace[kernel.name]


def launch(function: Any, rows: int, block: int, warps: int, arguments: list[Any]) -> None:
    """Launch a kernel over blocks of rows.

    Args:
        function: from `defined`.
        rows: number of rows.
        block: rows per program.
        warps: warps per program.
        arguments: further arguments of the kernel.

    Raises:
        NotCompilable: Triton, or a compiler or driver that it calls, fails.
    """
    try:
        function[(triton.cdiv(rows, block),)](block, *arguments, num_warps=warps, num_stages=1)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise NotCompilable(f"Triton fails: {type(error).__name__}: {str(error).strip()[:500]}") from error
