"""The contract of a recurrent cell: an initial state and one step; scanning a sequence is written once, here."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar

from torch import Tensor, nn

from seqzoo.contracts.batch import State
from seqzoo.contracts.steps import Steps, supported
from seqzoo.kernels import engines, inputs
from seqzoo.kernels.inputs import misshaped
from seqzoo.kernels.segments import Segments
from seqzoo.kernels.unroll import reference


class Cell(nn.Module):
    """One time step of a recurrent network: `Cell(input_size, hidden_size, **options)`.

    A cell writes `initial_state` and `step`; all else has defaults. `unroll`, a step after the other, is the reference;
    `scan` is the same by the fastest engine there is: mostly the step itself, compiled.

    Example:
        >>> cell = seqzoo.create_cell("gru", 128, 256)
        >>> output, state = cell(torch.randn(8, 128), cell.initial_state(8))  # one step
        >>> outputs, state = cell.scan(torch.randn(8, 50, 128))  # (B, T, I) -> (B, T, O)

    engine: auto, or the one to take: reference, fused or torch (`seqzoo.kernels.engines`).
    supports: the fields of `Steps` that `scan` reads besides lengths.
    torch_first: where `torch_scan` is taken before the compiled step: "cuda", and "cpu" for rows that are equally long.
    """

    input_size: int
    hidden_size: int
    output_size: int
    engine: str = "auto"
    supports: Collection[str] = ("resets",)
    torch_first: ClassVar[tuple[str, ...]] = ("cuda",)

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step, each tensor (B, ...)."""

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., P): the part of a step that needs no state, done for all steps at once."""
        return x

    @abstractmethod
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, P) and a state -> (B, O) and the next state: the equations."""

    def scan(self, x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None) -> tuple[Tensor, State]:
        """Run the cell over whole sequences, by its fastest engine; hooks of the module are called.

        Args:
            x: input, shape (B, T, I), T at least 1. Padded steps have no influence, whatever they hold.
            state: as `initial_state` or an earlier call returned it; None: the initial one.
            steps: lengths, shape (B,), or Steps with lengths and resets; None: all steps are real, in one piece. Where
                `resets` is True the cell goes on from its initial state, and no gradient passes. Lengths on a GPU are
                clamped to the range from 0 to T instead of checked, which would have to wait for them.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step.

        Raises:
            ValueError: shapes, types, devices or lengths do not fit.
        """
        if not isinstance(x, Tensor) or x.dim() != 3:  # a call would take two dimensions for one step
            raise misshaped(self, x)
        return self.by_segments(self, x, state, steps)

    def unroll(
        self, x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None
    ) -> tuple[Tensor, State]:
        """`scan`, a step after the other: what every engine is held to."""
        return self.by_segments(functools.partial(reference, self), x, state, steps)

    def by_segments(
        self, run: CellScan, x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run the segments between resets as rows of their own, by `run`, which is given lengths alone."""
        if not isinstance(steps, Steps):
            return run(x, state, steps)
        steps = supported(steps, self)
        if steps.resets is None:
            return run(x, state, steps.lengths)
        state, _ = self.checked(x, state, steps.lengths)
        segments = Segments(x, steps)
        entering = segments.enter(state, self.initial_state(segments.count))
        outputs, after = run(segments.cut(x), entering, segments.steps.lengths)
        return segments.join(outputs), segments.leave(after)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        """`scan` by a kernel of torch's own, or in parallel over time; None where there is no such way."""
        return None

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, by: CellScan | None = None
    ) -> tuple[Tensor, State]:
        """One step of (B, I), as a decoder calls it, or `scan` of (B, T, I) without resets. Whoever goes step by step
        puts `initial_state` where the state starts anew (`seqzoo.contracts.state.where`).

        by: what computes the result instead. A cell that wraps another calls it with `by`, so that the hooks of the
            cell inside are called, too.

        Raises:
            ValueError: as of `scan`.
        """
        if by is not None:
            return by(x, state, lengths)
        state, lengths = self.checked(x, state, lengths)
        if x.dim() == 2:
            return self.step(self.project(x), state)
        return engines.scan(self, x, state, lengths)

    def checked(self, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[State, Tensor | None]:
        """The state to start from, and the lengths as int64. Raises ValueError where anything does not fit."""
        return inputs.check(self, x, state, lengths)


CellScan = Callable[..., tuple[Tensor, State]]
"""x, state and lengths -> outputs and the next state, as `Cell.scan` without resets."""


CellFactory = Callable[[int, int], Cell]
"""(input_size, hidden_size) -> Cell"""


CellFactories = Sequence[CellFactory | None]
"""What a list of cells in a YAML, `[lstm, null]`, becomes; None is the model's own cell."""
