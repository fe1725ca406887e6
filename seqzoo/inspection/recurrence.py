"""The dynamics of the first cell of a model over some rows of its data."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.inspection.dynamics import (
    Jacobian,
    first_cell,
    gradients_by_lag,
    largest_singular_value,
    lyapunov_exponent,
    recording,
    saturation,
    spectral_radius,
    state_norms,
    time_constants,
)
from seqzoo.network.model import Model


class Recurrence(NamedTuple):
    """The dynamics of a cell over some rows.

    Attributes:
        numbers: by their TensorBoard tags.
        time_constants: (H,), in steps; None where no gate determines them.
        state_norms: (T,), after each step.
        gradient_norms: (T,), by the lag to the end of the row.
        read: the labels of the steps of the first row.
        states: outputs and gates of the first row, (T, H), by name.
    """

    numbers: dict[str, float]
    time_constants: Tensor | None
    state_norms: Tensor
    gradient_norms: Tensor
    read: list[str]
    states: dict[str, Tensor]


def recurrence(model: Model, batch: Batch) -> Recurrence:
    """Analyse the first cell of a model, which is in evaluation mode. Gradients of parameters are not changed.

    Raises:
        ValueError: the backbone has no cell.
    """
    cell = first_cell(model)
    if cell is None:
        raise ValueError("the backbone has no cell to look at")
    with torch.enable_grad(), recording(cell) as recorded:
        loss = _loss_at_the_end(model, batch)
    real = recorded.real
    last = Jacobian(recorded, int(recorded.lengths.min()) - 1)
    numbers = {
        "jacobian_largest_singular_value": float(largest_singular_value(last).mean()),
        "jacobian_spectral_radius": float(spectral_radius(last).mean()),
        "lyapunov_exponent": float(lyapunov_exponent(recorded).nanmean()),
    }
    for name, gate in recorded.gates.items():
        numbers[f"gate_{name}/shut"], numbers[f"gate_{name}/open"] = saturation(gate, real)
    length = int(recorded.lengths[0])
    states = {"output": recorded.outputs, **recorded.gates}
    return Recurrence(
        {f"recurrence/{name}": value for name, value in numbers.items()},
        None if recorded.kept is None else time_constants(recorded.kept, real),
        state_norms(recorded),
        gradients_by_lag(loss, recorded),
        labels(model, batch, length),
        {name: values[0, :length].detach() for name, values in states.items()},
    )


def labels(model: Model, batch: Batch, steps: int) -> list[str]:
    """The labels of the steps of the first row: its tokens, or the numbers of the steps."""
    if model.task.spec.inputs is None or int(batch.lengths[0]) != steps:
        return [str(step + 1) for step in range(steps)]
    return [label.replace("\n", "\\n") for label in model.task.labels_read(batch.first(1))[0]]


def _loss_at_the_end(model: Model, batch: Batch) -> Tensor:
    """The loss as a function of the output at the last step of each row alone; other outputs are detached."""
    features = model.encode(batch)
    steps = torch.arange(features.outputs.shape[1], device=features.outputs.device)
    last = len(steps) if features.lengths is None else features.lengths[:, None]
    outputs = torch.where((steps == last - 1)[..., None], features.outputs, features.outputs.detach())
    features = features._replace(outputs=outputs)
    return model.task.loss(model.task(features, batch), batch).total
