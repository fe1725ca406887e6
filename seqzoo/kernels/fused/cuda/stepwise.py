"""Runs sequences step by step over all rows, with torch's matrix products and one kernel between them.

Launching kernels takes longer than their arithmetic, so that the loop is recorded as CUDA graphs of several steps and
replayed. A graph contains the addresses of its own scratch memory and reads all others from a table, so that it serves
sequences of any length; the number of rows is rounded up, so that few graphs serve all batches. Only the device knows
which rows are unfinished: products are over all rows, and the host never synchronises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqzoo.kernels.fused.cuda.launching import defined, launch
from seqzoo.kernels.fused.cuda.triton_source import TABLE, Stage
from seqzoo.kernels.fused.cuda.triton_source import Stepwise as Writer
from seqzoo.kernels.fused.plan import Pass, Plan
from seqzoo.kernels.fused.rows import Rows

REALS = {torch.float32: "tl.float32", torch.float16: "tl.float16", torch.bfloat16: "tl.bfloat16"}
# numbers per tile
NUMBERS = 512
# steps per graph; even, because states alternate between two buffers
CHUNKS = (32, 2)
ROUNDED_ROWS = 8
MOST_LOOPS = 64


class Code:
    """The kernels of one pass.

    Args:
        part: the pass.
        plan: the plan that it belongs to.
        dtype: of inputs and weights.

    Attributes:
        stages: the stages of the pass.
        functions: their kernels.
        table: names of the buffers whose addresses are in the table, in order.
    """

    def __init__(self, part: Pass, plan: Plan, dtype: torch.dtype):
        writer = Writer(part, plan, REALS[dtype])
        self.part = part
        self.stages: list[Stage] = writer.code()
        self.functions = [defined(stage.kernel) if stage.kernel else None for stage in self.stages]
        self.scratch, self.table, self.used = writer.scratch, writer.table, writer.stages.used
        self.sources = {index: writer.source_of(index) for index in self.used}
        self.copies = writer.copies
        columns = max(writer.columns)
        self.block = max(1, NUMBERS // columns)
        self.warps = 8 if columns > 1024 else 4


class Stepwise:
    """Runs the passes of a plan.

    Args:
        plan: the plan.
        dtype: of inputs and weights.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype):
        self.codes = {part.name: Code(part, plan, dtype) for part in plan.passes}
        self.loops: dict[tuple, Loop] = {}

    def __call__(self, name: str, rows: Rows, buffers: dict[str, Tensor], fixed: Sequence[Tensor]) -> None:
        like = buffers["projected"]
        count = -(-rows.count // ROUNDED_ROWS) * ROUNDED_ROWS
        stream = torch.cuda.current_stream(like.device).cuda_stream if like.is_cuda else 0
        # calls on other streams may run at the same time and need scratch memory of their own
        key = (name, count, torch.get_float32_matmul_precision(), stream)
        loop = self.loops.get(key)
        if loop is None:
            with torch.inference_mode(mode=False):  # its buffers may be used in training later
                loop = Loop(self.codes[name], count, like, fixed)
            if len(self.loops) < MOST_LOOPS:
                self.loops[key] = loop
        with torch.cuda.device_of(like):
            loop.run(rows, buffers, fixed)


class Loop:
    """The loop of one pass over time, with its scratch memory.

    Args:
        code: kernels of the pass.
        count: maximum number of rows.
        like: a tensor of the dtype and device of the input.
        fixed: the fixed tensors of the step.
    """

    def __init__(self, code: Code, count: int, like: Tensor, fixed: Sequence[Tensor]):
        self.code, self.count = code, count
        self.scratch = {
            name: like.new_zeros(
                count, width, dtype=like.dtype if name.startswith(("product", "argument")) else torch.float32
            )
            for name, width in code.scratch.items()
        }
        weights = {code.part.products[index].weight for index in code.used}
        self.weights = {index: torch.empty_like(fixed[index]) for index in weights}
        self.table = like.new_zeros(len(TABLE) + len(code.table), dtype=torch.int64)
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.compiled = False

    def run(self, rows: Rows, buffers: dict[str, Tensor], fixed: Sequence[Tensor]) -> None:
        part, scratch = self.code.part, self.scratch
        first, last = part.first_and_last
        for index, weight in self.weights.items():
            weight.copy_(fixed[index])
        states = range(len(part.state))
        for k in states:
            # both buffers, because rows are not written before their sequence begins or after it ends
            for name in (f"now{k}", f"next{k}"):
                scratch[name][: rows.count] = buffers[f"{first}{k}"][rows.order]
        for index, k in self.code.copies.items():
            scratch[f"argument{index}"].copy_(scratch[f"now{k}"])
        for name, tensor in scratch.items():
            if name.startswith("sum"):
                tensor.zero_()
        available = {"order": rows.order, "lengths": rows.lengths, **buffers}
        tensors = [
            fixed[_number(name)].float().contiguous() if name.startswith("vector") else available[name]
            for name in self.code.table
        ]
        steps = rows.steps + rows.steps % 2
        addresses = [tensor.data_ptr() for tensor in tensors]
        numbers = [steps - 1 if part.backwards else 0, rows.steps, rows.count, *addresses]
        # pinned memory makes the copy asynchronous
        self.table.copy_(torch.tensor(numbers, pin_memory=self.table.is_cuda), non_blocking=True)
        self._steps(steps)
        # the last state of a row of odd length is in the second buffer; backwards, all rows end at the first step
        odd = rows.lengths[rows.order] % 2 == 1
        for k in states:
            state, following = scratch[f"now{k}"][: rows.count], scratch[f"next{k}"][: rows.count]
            state = state if part.backwards else torch.where(odd[:, None], following, state)
            buffers[f"{last}{k}"][rows.order] = state.to(buffers[f"{last}{k}"].dtype)
        for name, tensor in buffers.items():
            if name.startswith("grad_vector"):
                tensor.copy_(scratch[f"sum{_number(name)}"].sum(0))

    def _steps(self, steps: int) -> None:
        """Run all steps. The first call launches each kernel, which compiles it; later calls replay graphs."""
        if not self.compiled or not self.table.is_cuda or torch.cuda.is_current_stream_capturing():
            self._launch(steps)
            self.compiled = True
            return
        for chunk in CHUNKS:
            for _ in range(steps // chunk):
                self._graph(chunk).replay()
            steps %= chunk

    def _graph(self, steps: int) -> torch.cuda.CUDAGraph:
        if steps not in self.graphs:
            self.graphs[steps] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graphs[steps], capture_error_mode="thread_local"):
                self._launch(steps)
        return self.graphs[steps]

    def _launch(self, steps: int) -> None:
        code, scratch = self.code, self.scratch
        swapped = {name: _swapped(name, scratch) for name in scratch}
        for offset in range(steps):
            # every second step reads the buffer that the step before has written
            buffers = swapped if offset % 2 else scratch
            for stage, function in zip(code.stages, code.functions, strict=True):
                if stage.kernel is not None:
                    arguments: list[Any] = [buffers[name] for name in stage.kernel.arguments[2:]]
                    launch(function, self.count, code.block, code.warps, [self.table, offset, *arguments])
                for index in stage.products:
                    product = code.part.products[index]
                    weight = self.weights[product.weight]
                    weight = weight.t() if product.transposed else weight
                    torch.mm(buffers[code.sources[index]], weight, out=buffers[f"product{index}"])
        self.table[:1].add_(-steps if code.part.backwards else steps)


def _swapped(name: str, scratch: dict[str, Tensor]) -> Tensor:
    if name.startswith("now"):
        return scratch[name.replace("now", "next")]
    return scratch[name.replace("next", "now")]


def _number(name: str) -> int:
    return int("".join(filter(str.isdigit, name)))
