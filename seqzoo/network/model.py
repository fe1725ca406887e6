"""The whole model: encoder, backbone and task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import PAD, Batch, Features, Loss, State
from seqzoo.contracts.parts import Backbone, Encoder, Task
from seqzoo.contracts.state import resume
from seqzoo.contracts.steps import Steps, supported
from seqzoo.network import results


class Model(nn.Module):
    """An encoder, a backbone and a task.

    Args:
        encoder: ids, features or pictures -> (B, T, I).
        backbone: (B, T, I) -> (B, T, O).
        task: the head, with loss, metrics and decoding.
    """

    def __init__(self, encoder: Encoder, backbone: Backbone, task: Task):
        super().__init__()
        self.encoder, self.backbone, self.task = encoder, backbone, task

    @property
    def networks(self) -> Sequence[Model]:
        """The networks that answer together: this one, or all of an ensemble."""
        return [self]

    def load_pretrained(self) -> None:
        """Load the pretrained weights that the options of the encoder name, when a training starts.

        Raises:
            DataError: the weights are not available.
        """
        self.encoder.load_pretrained()

    def encode(self, batch: Batch, state: State | None = None) -> Features:
        """Run encoder and backbone.

        Args:
            batch: the inputs.
            state: the state after the previous batch; None: the initial state.

        Returns:
            The features that the head reads, with the next state.
        """
        vectors, steps, state = self.read(batch, state)
        outputs, after = results.outputs_of(self.backbone, self.backbone(vectors, steps, state))
        return self.features_of(batch, outputs, steps, after)

    def read(self, batch: Batch, state: State | None = None) -> tuple[Tensor, Steps, State | None]:
        """What the backbone receives: the vectors of the encoder, their lengths and structure, and the first state.

        Args:
            batch, state: as in `encode`.
        """
        steps = self.encoder.output_steps(batch)
        if batch.grid is None and "grid" not in self.backbone.supports:
            steps = steps._replace(grid=None)  # the regions of equal pictures are sequences, too
        steps = supported(steps, self.backbone)
        if state is not None and batch.continues is not None:
            state = resume(state, batch.continues, self.backbone.initial_state(batch.size))
        vectors = results.vectors_of(self.encoder, self.encoder.encode(batch))
        if batch.parents is not None and batch.inputs.dim() == 2:
            # nodes of trees without a word
            vectors = vectors.masked_fill((batch.inputs == PAD)[..., None], 0)
        return vectors, steps, state

    def features_of(self, batch: Batch, outputs: Tensor, steps: Steps, after: State) -> Features:
        """The features that the head reads.

        Args:
            batch: the inputs.
            outputs: of the backbone, (B, T, O).
            steps: from `read`.
            after: the state after the batch.
        """
        lengths = self.backbone.lengths_after(steps)
        last = self.backbone.last(outputs, lengths)
        of_span = None if batch.spans is None else self._last_of(batch.spans, outputs)
        return Features(outputs, last, after, lengths, of_span)

    def _last_of(self, spans: Tensor, outputs: Tensor) -> Tensor:
        """The output (B, O) after each span of the inputs, (B, 2)."""
        first = self.backbone.output_lengths(spans[:, 0] + 1) - 1
        end = self.backbone.output_lengths(spans[:, 1])
        steps = first[:, None] + torch.arange(outputs.shape[1], device=outputs.device)
        index = steps.clamp(max=outputs.shape[1] - 1)[..., None].expand_as(outputs)
        return self.backbone.last(outputs.gather(1, index), end - first)

    def scores(self, batch: Batch, features: Features | None = None) -> Tensor:
        """The scores of the task for a batch.

        Args:
            batch: the inputs.
            features: from `encode`; None: the batch is encoded first.
        """
        return results.checked(self.task, "forward", self.task(features or self.encode(batch), batch))

    def loss(self, batch: Batch, state: State | None = None) -> tuple[Loss, State]:
        """The loss of a batch that is minimised in training, and the next state."""
        scores, after = self(batch, state)
        return results.loss_of(self.task, self.task.loss(scores, batch)), after

    def forward(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State]:
        """The scores of the task for a batch, and the next state."""
        features = self.encode(batch, state)
        return results.checked(self.task, "forward", self.task(features, batch)), features.state

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one time step: ids (B,) or features (B, I) -> backbone outputs (B, O) and the next state."""
        return self.backbone.step(self.encoder(inputs), state)
