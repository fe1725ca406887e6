"""Whole sequences in one kernel: a program holds the recurrent weights and the state of a block of rows on the chip.

Only what is sequential happens there; the gradient of a weight is one product after it. A row whose sequence has ended
keeps its state, and a block ends with its longest row; rows are sorted by length, so that those of a block are alike.
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

# of weights on one multiprocessor, which has 227 KB for a program; the rest is for what a step works with
MOST_BYTES = 200 * 1024
# wider tiles do not stay in registers
MOST_COLUMNS = 128
# the fewest that a product on tensor cores takes
ROWS_OF_PRODUCTS = 16
# of a tile without products
NUMBERS = 1024


class Resident:
    """Runs the passes of a plan. Raises NotCompilable where its weights are too large."""

    def __init__(self, plan: Plan, dtype: torch.dtype):
        self.widths = plan.widths
        writers = [Writer(part, plan) for part in plan.passes]
        self.kernels = {writer.part.name: writer.kernel() for writer in writers}
        columns = max(max(writer.columns) for writer in writers)
        # numbers of 32 bits are held in two parts, which tensor cores multiply
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
            one: rows.lengths.new_zeros(programs, buffers[of].numel(), dtype=torch.float32) for one, of in sums.items()
        }
        own = {
            "order": rows.order, "lengths": rows.lengths, "rows": rows.count, "steps": rows.steps,
            "PRECISION: tl.constexpr": precision(),
        }  # fmt: skip

        def argument(of: str) -> object:
            if of in own:
                return own[of]
            kind, _, rest = of.partition("_")
            if kind.startswith("vector"):
                return fixed[int(kind.removeprefix("vector"))].contiguous()
            if kind.startswith("weight"):
                weight = fixed[int(kind.removeprefix("weight"))]
                return {"": weight, "row": weight.stride(0), "column": weight.stride(1)}[rest]
            return totals[of] if of in totals else buffers[of]

        kernel = self.kernels[name]
        with torch.cuda.device_of(rows.order):
            launch(self.functions[name], rows.count, self.block, self.warps, [argument(of) for of in kernel.arguments])
        for one, of in sums.items():
            buffers[of].copy_(totals[one].sum(0))


def precision() -> str:
    """Of products of 32 bits, as torch is set for its own: three products of TensorFloat-32 are as good as one."""
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
