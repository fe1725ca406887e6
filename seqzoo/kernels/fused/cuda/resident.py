"""Runs whole sequences in one kernel, in which a program keeps the recurrent weights and the state of a block of rows
on the chip.

Only the sequential part is in the kernel; the gradient of a weight is one product afterwards. Finished rows keep their
state, and a block ends with its longest row. Rows are sorted by length, so that those of a block have similar lengths.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqzoo.kernels.fused.cuda.launching import defined, launch
from seqzoo.kernels.fused.cuda.triton_source import Resident as Writer
from seqzoo.kernels.fused.plan import Plan
from seqzoo.kernels.fused.rows import Rows
from seqzoo.kernels.fused.tracing import NotCompilable

# maximum size of the weights; a program may use 227 KB of a multiprocessor's memory, the rest is for temporary values
MOST_BYTES = 200 * 1024
# maximum width of tiles; wider ones are spilled from registers
MOST_COLUMNS = 128
# rows per program; tensor cores need at least 16
ROWS_OF_PRODUCTS = 16
# numbers per tile if the step has no products
NUMBERS = 1024


class Resident:
    """Runs the passes of a plan.

    Args:
        plan: the plan.
        dtype: of inputs and weights.

    Raises:
        NotCompilable: the weights do not fit on a multiprocessor.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype):
        self.widths = plan.widths
        writers = [Writer(part, plan) for part in plan.passes]
        self.kernels = {writer.part.name: writer.kernel() for writer in writers}
        columns = max(max(writer.columns) for writer in writers)
        # tensor cores multiply float32 as two parts, which are both kept
        size = 8 if dtype == torch.float32 else dtype.itemsize
        held = max(sum(writer.weights.values()) for writer in writers) * size
        if held and (held > MOST_BYTES or columns > MOST_COLUMNS):
            raise NotCompilable(f"{held} bytes of weights are more than a multiprocessor holds")
        self.block = ROWS_OF_PRODUCTS if held else max(1, NUMBERS // columns)
        self.warps = 8 if columns > 1024 or (held and columns >= 64) else 4
        self.functions = {name: defined(kernel) for name, kernel in self.kernels.items()}

    def __call__(self, name: str, rows: Rows, buffers: dict[str, Tensor], fixed: Sequence[Tensor]) -> None:
        sums = {
            f"sum{buffer.removeprefix('grad_vector')}": buffer for buffer in buffers if buffer.startswith("grad_vector")
        }
        programs = -(-rows.count // self.block)
        totals = {
            name: rows.lengths.new_zeros(programs, buffers[buffer].numel(), dtype=torch.float32)
            for name, buffer in sums.items()
        }
        common = {
            "order": rows.order, "lengths": rows.lengths, "rows": rows.count, "steps": rows.steps,
            "PRECISION: tl.constexpr": precision(),
        }  # fmt: skip

        def argument(name: str) -> object:
            if name in common:
                return common[name]
            kind, _, rest = name.partition("_")
            if kind.startswith("vector"):
                return fixed[int(kind.removeprefix("vector"))].contiguous()
            if kind.startswith("weight"):
                weight = fixed[int(kind.removeprefix("weight"))]
                return {"": weight, "row": weight.stride(0), "column": weight.stride(1)}[rest]
            return totals[name] if name in totals else buffers[name]

        with torch.cuda.device_of(rows.order):
            arguments = [argument(parameter) for parameter in self.kernels[name].arguments]
            launch(self.functions[name], rows.count, self.block, self.warps, arguments)
        for total, buffer in sums.items():
            buffers[buffer].copy_(totals[total].sum(0))


def precision() -> str:
    """The precision of float32 products, following torch's setting; "tf32x3", three TensorFloat-32 products, has the
    accuracy of float32.
    """
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
