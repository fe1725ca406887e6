"""The base class of recurrent cells: subclasses define an initial state and one step; scanning is defined here."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import State
from seqzoo.contracts.state import flatten, map_state, where
from seqzoo.contracts.steps import Steps, supported
from seqzoo.kernels import engines, inputs
from seqzoo.kernels.children import Children
from seqzoo.kernels.grids import Grids
from seqzoo.kernels.inputs import misshaped
from seqzoo.kernels.segments import Segments
from seqzoo.kernels.trees import Forest
from seqzoo.kernels.unroll import reference


class Cell(nn.Module):
    """One time step of a recurrent network: `Cell(input_size, hidden_size, **options)`.

    Subclasses define `initial_state` and `step`; all other methods have defaults. `unroll` runs a sequence step by step
    and is the reference; `scan` does the same by the fastest engine, usually the compiled step.

    Examples:
        >>> cell = seqzoo.create_cell("gru", 128, 256)
        >>> output, state = cell(torch.randn(8, 128), cell.initial_state(8))  # one step
        >>> outputs, state = cell.scan(torch.randn(8, 50, 128))  # (B, T, I) -> (B, T, O)

    Attributes:
        input_size: number of features per step.
        hidden_size: number of hidden units.
        output_size: width of the outputs.
        engine: auto, reference, fused or torch (`seqzoo.kernels.engines`).
        supports: the fields of `Steps` that `scan` reads besides lengths.
        torch_first: device types on which `torch_scan` is preferred to the compiled step; on a CPU only without
            padding.

    Shape:
        One step: input (B, I), output (B, O). A sequence: input (B, T, I), outputs (B, T, O). Each tensor of the state
        has shape (B, ...), such as (B, H).
    """

    input_size: int
    hidden_size: int
    output_size: int
    engine: str = "auto"
    supports: Collection[str] = ("resets", "parents", "grid")
    torch_first: ClassVar[tuple[str, ...]] = ("cuda",)

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step.

        Args:
            batch_size: B.

        Returns:
            Tensors of shape (B, ...).
        """

    def reset(self, state: State, begins: Tensor) -> State:
        """Replace some rows of a state by the initial state, for a loop over single steps in which episodes begin.

        Args:
            state: from `initial_state` or an earlier call.
            begins: (B,), True for the rows whose next step is the first one of an episode.

        Returns:
            The new state; the given one is not changed.

        Raises:
            ValueError: `begins` has another shape or type.
        """
        rows = len(flatten(state)[0])
        if begins.shape != (rows,) or begins.dtype != torch.bool:
            given = f"{tuple(begins.shape)} of {begins.dtype}"
            raise ValueError(f"begins is {given}: it must be ({rows},) of torch.bool, for the rows of the state")
        return where(begins, self.initial_state(len(begins)), state)

    def project(self, x: Tensor) -> Tensor:
        """The part of a step that does not need the state, computed for all steps at once.

        Args:
            x: input, shape (..., I).

        Returns:
            The projected input, shape (..., P); by default the input itself.
        """
        return x

    @abstractmethod
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        """The equations of one step.

        Args:
            p: projected input, shape (B, P).
            state: from `initial_state` or an earlier call.

        Returns:
            The output (B, O) and the next state.
        """

    def smoothed(self) -> Cell:
        """A cell whose gradients finite differences can check.

        Returns:
            This cell or, if it replaces the derivative of a function with jumps, such as a spike, a copy with the
            function that has this derivative.
        """
        return self

    def compose(self, p: Tensor, children: Children) -> tuple[Tensor, State]:
        """The equations of one node of a tree, or of a grid, where the nodes to the left and above are its children.

        By default it is a step from the sum of the children's states, in a grid from their mean, or from the initial
        state if there are none, which makes a network over trees and grids of any cell.

        Args:
            p: projected input of M nodes, shape (M, P).
            children: of these nodes; of leaves, none.

        Returns:
            The outputs (M, O) and states of the nodes.
        """
        if children.each == 0:
            return self.step(p, self.initial_state(children.count))
        return self.step(p, map_state(children.combined, children.state))

    def scan(self, x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None) -> tuple[Tensor, State]:
        """Run the cell over whole sequences by its fastest engine; module hooks are called.

        The state comes second, as in `nn.LSTM`; in `Backbone.forward` it comes after `steps`.

        Args:
            x: input, shape (B, T, I), T at least 1. The values of padded steps do not matter.
            state: from `initial_state` or an earlier call; None: the initial state.
            steps: lengths, shape (B,), or Steps with lengths, and resets, parents or a grid; None: all steps are real,
                one after the other. Where `resets` is True the cell continues from its initial state, and no gradient
                passes. With `parents` the steps are the nodes of trees, whose leaves start from the given state. With
                `grid` they are the nodes of grids, row by row, whose first node starts from the given state.
                Lengths on a GPU are clamped to the range from 0 to T instead of checked, which would require a
                synchronisation.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step.

        Raises:
            ValueError: wrong shapes, types, devices or lengths.
        """
        if not isinstance(x, Tensor) or x.dim() != 3:  # `forward` would take a matrix for a single step
            raise misshaped(self, x)
        if isinstance(steps, Steps) and steps.has_nodes:
            first, _ = self.checked(x, state, None)
            return self.over_nodes(self._nodes(x, steps), x, None if state is None else first)
        return self.by_segments(self, x, state, steps)

    def over_nodes(
        self, nodes: Forest | Grids, x: Tensor, state: State | None = None, **direction: bool
    ) -> tuple[Tensor, State]:
        """`scan` over the nodes of trees or grids.

        Args:
            nodes: trees or grids.
            x: input of the nodes, (B, T, I).
            state: (B, ...), from which leaves, or the first node of a grid, start; None: the initial state.
            **direction: of `Forest.run` or `Grids.run`; by default from the leaves to the roots of trees, and from the
                upper left corner of grids to the lower right one.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state of the last node of each row that runs,
            such as the root of a tree.
        """
        return nodes.run(self, x, state, **direction)

    def _nodes(self, x: Tensor, steps: Steps) -> Forest | Grids:
        supported(steps, self)
        return Grids(x, steps) if steps.parents is None else Forest(x, steps)

    def unroll(
        self, x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None
    ) -> tuple[Tensor, State]:
        """`scan` step by step, or node by node: the reference for all engines, and for trees and grids.

        Args:
            x, state, steps: as in `scan`.

        Returns:
            Outputs and state, as in `scan`.
        """
        if isinstance(steps, Steps) and steps.has_nodes:
            state, _ = self.checked(x, state, None)
            return self._nodes(x, steps).unroll(self, x, state)
        return self.by_segments(functools.partial(reference, self), x, state, steps)

    def by_segments(
        self, run: CellScan, x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run the segments between resets as separate rows.

        Args:
            run: scans the segments; it receives lengths only.
            x, state, steps: as in `scan`.

        Returns:
            Outputs and state, as in `scan`, joined to rows again.
        """
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
        """`scan` by a kernel of torch or in parallel over time.

        Args:
            x, state: as in `scan`.
            lengths: number of real steps of each row, shape (B,); None: all steps are real.

        Returns:
            What `scan` returns; None if the cell has no such kernel.
        """
        return None

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, by: CellScan | None = None
    ) -> tuple[Tensor, State]:
        """Run one step (B, I), as decoders do, or `scan` sequences (B, T, I) without resets.

        To reset rows between single steps, use `reset`.

        Args:
            x: input, shape (B, I) or (B, T, I).
            state: as in `scan`.
            lengths: number of real steps of each row, shape (B,), for sequences; None: all steps are real.
            by: function that computes the result instead. A cell that wraps another one calls it with `by`, so that the
                hooks of the inner cell are called, too.

        Returns:
            Outputs (B, O) or (B, T, O), and the next state.

        Raises:
            ValueError: wrong shapes, types, devices or lengths.
        """
        if by is not None:
            return by(x, state, lengths)
        state, lengths = self.checked(x, state, lengths)
        if x.dim() == 2:
            return self.step(self.project(x), state)
        return engines.scan(self, x, state, lengths)

    def checked(self, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[State, Tensor | None]:
        """Check the inputs of `forward`.

        Args:
            x, state, lengths: as in `forward`.

        Returns:
            The state to start from, and lengths as int64.

        Raises:
            ValueError: wrong shapes, types, devices or lengths.
        """
        return inputs.check(self, x, state, lengths)


CellScan = Callable[..., tuple[Tensor, State]]
"""x, state and lengths -> outputs and the next state, as `Cell.scan` without resets."""


CellFactory = Callable[[int, int], Cell]
"""(input_size, hidden_size) -> Cell"""


CellFactories = Sequence[CellFactory | None]
"""A list of cells in a YAML, such as `[lstm, null]`; None stands for the cell of the model."""
