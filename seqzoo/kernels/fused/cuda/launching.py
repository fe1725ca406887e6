"""From the text of kernels to their launch."""

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
    """The function of a text, which is kept where `inspect`, and so Triton, looks for it."""
    file = f"<seqzoo {kernel.name} {hashlib.sha256(kernel.text.encode()).hexdigest()[:16]}>"
    linecache.cache[file] = (len(kernel.text), None, kernel.text.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": __name__, "triton": triton, "tl": tl}
    namespace |= {name: value for name, value in vars(functions).items() if name.endswith("_")}
    exec(compile(kernel.text, file, "exec"), namespace)
    return namespace[kernel.name]


def launch(function: Any, rows: int, block: int, warps: int, arguments: list[Any]) -> None:
    """For `rows` rows in blocks. Raises NotCompilable for whatever Triton, or what it calls, has to say."""
    try:
        function[(triton.cdiv(rows, block),)](block, *arguments, num_warps=warps, num_stages=1)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise NotCompilable(f"Triton fails: {type(error).__name__}: {str(error).strip()[:500]}") from error
