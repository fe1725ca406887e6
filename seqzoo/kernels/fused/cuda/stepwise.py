"""A step after the other, all rows at once: torch's products, and one kernel for what is between them.

Launches cost more than the arithmetic, so the loop is recorded once, as CUDA graphs of some steps, and replayed. A
graph has the addresses of its scratch in it and reads all others from a table, so that it serves sequences of any
length; rows are rounded up, so that few graphs serve all batches. Which rows are still running is known on the device
alone: the host never waits for it, and a product is over all rows.
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
# of a tile
NUMBERS = 512
# steps of a graph; even, as a step writes the state beside the one it reads
CHUNKS = (32, 2)
ROUNDED_ROWS = 8
MOST_LOOPS = 64


class Code:
    """One pass: its stages, with their functions. table: which addresses stand in the table, in order."""

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
    """Runs the passes of a plan."""

    def __init__(self, plan: Plan, dtype: torch.dtype):
        self.codes = {part.name: Code(part, plan, dtype) for part in plan.passes}
        self.loops: dict[tuple, Loop] = {}

    def __call__(self, name: str, rows: Rows, buffers: dict[str, Tensor], fixed: Sequence[Tensor]) -> None:
        like = buffers["projected"]
        count = -(-rows.count // ROUNDED_ROWS) * ROUNDED_ROWS
        stream = torch.cuda.current_stream(like.device).cuda_stream if like.is_cuda else 0
        # what runs on another stream at the same time must have its own scratch
        key = (name, count, torch.get_float32_matmul_precision(), stream)
        loop = self.loops.get(key)
        if loop is None:
            with torch.inference_mode(mode=False):  # it may serve training, too
                loop = Loop(self.codes[name], count, like, fixed)
            if len(self.loops) < MOST_LOOPS:
                self.loops[key] = loop
        with torch.cuda.device_of(like):
            loop.run(rows, buffers, fixed)


class Loop:
    """The loop of one pass over up to `count` rows."""

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
        self.known = False

    def run(self, rows: Rows, buffers: dict[str, Tensor], fixed: Sequence[Tensor]) -> None:
        part, scratch = self.code.part, self.scratch
        first, last = part.first_and_last
        for index, weight in self.weights.items():
            weight.copy_(fixed[index])
        states = range(len(part.state))
        for k in states:
            # both: a row is not written while its sequence has not begun, or after it has ended
            for name in (f"now{k}", f"next{k}"):
                scratch[name][: rows.count] = buffers[f"{first}{k}"][rows.order]
        for index, k in self.code.copies.items():
            scratch[f"argument{index}"].copy_(scratch[f"now{k}"])
        for name, tensor in scratch.items():
            if name.startswith("sum"):
                tensor.zero_()
        given = {"order": rows.order, "lengths": rows.lengths, **buffers}
        named = [
            fixed[_number(name)].float().contiguous() if name.startswith("vector") else given[name]
            for name in self.code.table
        ]
        steps = rows.steps + rows.steps % 2
        numbers = [steps - 1 if part.backwards else 0, rows.steps, rows.count, *(tensor.data_ptr() for tensor in named)]
        # from pinned memory nobody waits for the copy
        self.table.copy_(torch.tensor(numbers, pin_memory=self.table.is_cuda), non_blocking=True)
        self._steps(steps)
        # a row of odd length ended beside where it began; backwards all end at the first step
        ended = rows.lengths[rows.order] % 2 == 1
        for k in states:
            state, beside = scratch[f"now{k}"][: rows.count], scratch[f"next{k}"][: rows.count]
            state = state if part.backwards else torch.where(ended[:, None], beside, state)
            buffers[f"{last}{k}"][rows.order] = state.to(buffers[f"{last}{k}"].dtype)
        for name, tensor in buffers.items():
            if name.startswith("grad_vector"):
                tensor.copy_(scratch[f"sum{_number(name)}"].sum(0))

    def _steps(self, steps: int) -> None:
        """The first time as they are, which compiles all kernels; then recorded, and replayed."""
        if not self.known or not self.table.is_cuda or torch.cuda.is_current_stream_capturing():
            self._launch(steps)
            self.known = True
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
            # the step that reads what the last one wrote; backwards a step of an odd number comes first
            own = swapped if offset % 2 else scratch
            for stage, function in zip(code.stages, code.functions, strict=True):
                if stage.kernel is not None:
                    given: list[Any] = [own[name] for name in stage.kernel.arguments[2:]]
                    launch(function, self.count, code.block, code.warps, [self.table, offset, *given])
                for index in stage.products:
                    product = code.part.products[index]
                    weight = self.weights[product.weight]
                    weight = weight.t() if product.transposed else weight
                    torch.mm(own[code.sources[index]], weight, out=own[f"product{index}"])
        self.table[:1].add_(-steps if code.part.backwards else steps)


def _swapped(name: str, scratch: dict[str, Tensor]) -> Tensor:
    if name.startswith("now"):
        return scratch[name.replace("now", "next")]
    return scratch[name.replace("next", "now")]


def _number(name: str) -> int:
    return int("".join(filter(str.isdigit, name)))
