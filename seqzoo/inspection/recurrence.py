"""What the cell that reads the inputs does with its state, over some rows of a model's data."""

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
    """What the cell that reads the inputs does over some rows.

    numbers: by their tags. time_constants: (H,) steps, None where no gate says what is kept.
    state_norms, gradient_norms: (T,), after each step, and by the steps before the end of a row.
    read: T labels of the first row; states: of it, name -> (T, H), the outputs first, then the gates.
    """

    numbers: dict[str, float]
    time_constants: Tensor | None
    state_norms: Tensor
    gradient_norms: Tensor
    read: list[str]
    states: dict[str, Tensor]


def recurrence(model: Model, batch: Batch) -> Recurrence:
    """The model is in evaluation mode; its gradients stay as they are."""
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
    """What the cell reads at each step of the first row: tokens, or the numbers of the steps."""
    if model.task.spec.inputs is None or int(batch.lengths[0]) != steps:
        return [str(step + 1) for step in range(steps)]
    return [label.replace("\n", "\\n") for label in model.task.labels_read(batch.first(1))[0]]


def _loss_at_the_end(model: Model, batch: Batch) -> Tensor:
    """The loss as far as it depends on what the network puts out at the last step of each row."""
    features = model.encode(batch)
    steps = torch.arange(features.outputs.shape[1], device=features.outputs.device)
    last = len(steps) if features.lengths is None else features.lengths[:, None]
    outputs = torch.where((steps == last - 1)[..., None], features.outputs, features.outputs.detach())
    features = features._replace(outputs=outputs)
    return model.task.loss(model.task(features, batch), batch).total
