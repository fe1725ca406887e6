"""The activations of a model on one text."""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

from torch import Tensor

from seqzoo.contracts.batch import Alignment, Batch
from seqzoo.contracts.capabilities import Aligns
from seqzoo.inspection.dynamics import first_cell, recording
from seqzoo.inspection.recurrence import labels
from seqzoo.network import results
from seqzoo.network.backbones.stack import Stack
from seqzoo.network.model import Model


class Course(NamedTuple):
    """The activations of a cell over a text.

    Attributes:
        read: T labels of the steps.
        states: the output and, of sequences, each gate by name, (T, units).
    """

    read: list[str]
    states: dict[str, Tensor]


class Inside(NamedTuple):
    """The activations of a model on one text.

    Attributes:
        layers: by name: layer_1, layer_1_backwards (over trees layer_1_downwards), layer_2, ...
        answer: the prediction as a readable line.
        alignment: the attention weights; None: the model has none.
        backwards: whether the text was read from its end.
        over_trees: whether the steps are the nodes of a tree, children before parents.
    """

    layers: dict[str, Course]
    answer: str
    alignment: Alignment | None
    backwards: bool
    over_trees: bool = False


def inside_of(model: Model, batch: Batch, backwards: bool) -> Inside:
    """Record the cells of a model while it reads a text.

    Args:
        model: the model.
        batch: one row, the text.
        backwards: whether the row is the text from its end.
    """
    backbone, cell, over_trees = model.backbone, first_cell(model), batch.parents is not None
    second = "_downwards" if over_trees else "_backwards"
    cells = {} if cell is None else {"layer_1": cell}
    if isinstance(backbone, Stack):
        cells = {
            f"layer_{depth}{second if direction else ''}": cell
            for depth, layer in enumerate(backbone.layers, start=1)
            for direction, cell in enumerate(layer.directions)
        }
    with ExitStack() as listening:
        recorded = {name: listening.enter_context(recording(cell)) for name, cell in cells.items()}
        features = model.encode(batch)
    layers = {}
    for name, steps in recorded.items():
        states = {"output": steps.outputs[0], **{gate: values[0] for gate, values in steps.gates.items()}}
        if name.endswith("backwards"):  # in the order of the text
            states = {part: values.flip(0) for part, values in states.items()}
        layers[name] = Course(labels(model, batch, steps.outputs.shape[1]), states)
    predictions = results.per_row(model.task, "decode", model.task.decode(model, batch, features), batch.size)
    [answer] = results.per_row(model.task, "show", model.task.show(batch, predictions), batch.size)
    alignments = model.task.alignments(model, batch) if isinstance(model.task, Aligns) else []
    return Inside(layers, answer, alignments[0] if alignments else None, backwards, over_trees)
