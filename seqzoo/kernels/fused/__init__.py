"""The step of a cell, compiled: torch's operations in, one loop in C++ out, with its gradients.

`tracing` reads a step, `graph` is what it is read into, `derivative` turns it around, `source` writes C++ on top of
`recurrence.h`, `native` compiles and keeps that, `scan` runs it; `interpretation` is the twin of all of it in torch.
"""

from seqzoo.kernels.fused.scan import fused_scan
from seqzoo.kernels.fused.tracing import NotCompilable

__all__ = ["NotCompilable", "fused_scan"]
