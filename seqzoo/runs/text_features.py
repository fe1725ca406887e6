"""What a trained encoder and backbone compute of a text, as features for other programs."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from seqzoo.contracts.batch import Batch, State
from seqzoo.contracts.state import map_state
from seqzoo.network import results
from seqzoo.network.model import Model


class TextFeatures(NamedTuple):
    """The features of one text, without padding. T is its number of steps.

    Attributes:
        tokens: T tokens; empty: the inputs are not text.
        embeddings: what the encoder makes of each step, (T, I).
        outputs: of the last layer of the backbone after each step, (T, O); fewer steps with a backbone such as
            `pyramidal`.
        last: the output after the whole text, (O,); with a bidirectional backbone, of both directions.
        state: the recurrent state of all layers after the text, with tensors (1, ...).
    """

    tokens: list[str]
    embeddings: Tensor
    outputs: Tensor
    last: Tensor
    state: State


def features_of(model: Model, batch: Batch) -> list[TextFeatures]:
    """The features of each row of a batch; of an ensemble, those of its first network."""
    vectors, steps, state = model.read(batch)
    outputs, after = results.outputs_of(model.backbone, model.backbone(vectors, steps, state))
    whole = model.features_of(batch, outputs, steps, after)
    is_text = batch.inputs.dim() == 2 and not batch.inputs.is_floating_point() and model.task.spec.inputs is not None
    tokens = model.task.tokens_read(batch) if is_text else [[] for _ in range(batch.size)]
    rows = []
    for row in range(batch.size):
        read, written = (
            tensor.shape[1] if lengths is None else int(lengths[row])
            for tensor, lengths in ((vectors, steps.lengths), (outputs, whole.lengths))
        )
        kept = map_state(lambda tensor, row=row: tensor[row : row + 1], after)
        rows.append(TextFeatures(tokens[row], vectors[row, :read], outputs[row, :written], whole.last[row], kept))
    return rows
