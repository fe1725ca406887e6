"""The contract of a recurrent cell: an initial state and one step; scanning a sequence is written once, here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from seqzoo.contracts.batch import State
from seqzoo.kernels import engines, inputs
from seqzoo.kernels.inputs import misshaped
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
    torch_first: where `torch_scan` is taken before the compiled step: "cuda", and "cpu" for rows that are equally long.
    """

    input_size: int
    hidden_size: int
    output_size: int
    engine: str = "auto"
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

    def scan(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Run the cell over whole sequences, by its fastest engine; hooks of the module are called.

        Args:
            x: input, shape (B, T, I), T at least 1. Padded steps have no influence, whatever they hold.
            state: as `initial_state` or an earlier call returned it; None: the initial one.
            lengths: number of real steps of each row, whole numbers from 0 to T, shape (B,); None: all steps are real.
                Values on a GPU are clamped to that range instead of checked, which would have to wait for it.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step.

        Raises:
            ValueError: shapes, types, devices or lengths do not fit.
        """
        if not isinstance(x, Tensor) or x.dim() != 3:  # a call would take two dimensions for one step
            raise misshaped(self, x)
        return self(x, state, lengths)

    def unroll(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """`scan`, a step after the other: what every engine is held to."""
        return reference(self, x, state, lengths)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        """`scan` by a kernel of torch's own, or in parallel over time; None where there is no such way."""
        return None

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, by: CellScan | None = None
    ) -> tuple[Tensor, State]:
        """One step of (B, I), as a decoder calls it, or `scan` of (B, T, I).

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
"""x, state and lengths -> outputs and the next state, as `Cell.scan`."""


CellFactory = Callable[[int, int], Cell]
"""(input_size, hidden_size) -> Cell"""


CellFactories = Sequence[CellFactory | None]
"""What a list of cells in a YAML, `[lstm, null]`, becomes; None is the model's own cell."""
