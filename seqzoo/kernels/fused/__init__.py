"""A compiler for the step of a cell: from torch operations to code for a CPU or a GPU, with gradients.

`tracing` records a step as a `graph`, `derivative` derives its backward pass, `plan` schedules both; `cpu` and `cuda`
generate code and run it, and `scan` wraps that in a differentiable function. `interpretation` runs the graph in torch.
"""

from seqzoo.kernels.fused.scan import fused_scan
from seqzoo.kernels.fused.tracing import NotCompilable

__all__ = ["NotCompilable", "fused_scan"]
