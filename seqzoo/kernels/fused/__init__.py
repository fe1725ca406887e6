"""The step of a cell, compiled: torch's operations in, code for a CPU or a GPU out, with its gradients.

`tracing` reads a step, `graph` is what it is read into, `derivative` turns it around, `plan` says what to compute of it
and when; `cpu` and `cuda` write code for that and run it, which `scan` makes a function that torch can differentiate;
`interpretation` is the twin of the code in torch.
"""

from seqzoo.kernels.fused.scan import fused_scan
from seqzoo.kernels.fused.tracing import NotCompilable

__all__ = ["NotCompilable", "fused_scan"]
