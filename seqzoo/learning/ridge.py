"""Ridge regression: the output layer in closed form, with all other weights as they were initialised.

This is how the readout of a reservoir is trained. The least squares problem is updated batch by batch, in the form of a
triangular matrix, so that memory does not depend on the number of steps, and a checkpoint holds everything.

Source: Jaeger & Haas, Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless Communication,
2004, https://doi.org/10.1126/science.1091277
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.capabilities import HasLinearReadout
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.state import detach
from seqzoo.learning.least_squares import extended, solution, start
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network.model import Model
from seqzoo.network.network_ensemble import Ensemble


class RidgeRegression(LearningRule):
    """After each batch, the output layer has the weights that minimise the squared error on all batches so far plus
    `penalty` times their squared norm. The other weights stay as they are.

    Everything is computed in float64. Where the readout is a small difference of large numbers, as for predictions of
    a chaotic series, the network must be, too: `training.precision=fp64`.

    Args:
        penalty: weight of the squared norm of weights and biases, relative to the sum of squared errors.

    Raises:
        ValueError: the penalty is not positive.
    """

    solves = True
    task_needs = HasLinearReadout

    def __init__(self, penalty: float = 1e-6):
        if not penalty > 0:
            raise ValueError(f"penalty is {penalty}: it must be above 0")
        self.penalty = penalty
        self.triangles: list[Tensor] = []  # of each network of an ensemble

    def misfits(self, model: Model) -> list[str]:
        if isinstance(model.task, HasLinearReadout):
            return []
        return ["solves for a linear output layer of numbers, and {task} has none: choose {fitting_tasks}"]

    @torch.no_grad()
    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        model = objective.model
        networks = [model, *(model.other_networks if isinstance(model, Ensemble) else ())]
        features = model.encode(batch, state)
        losses = []
        for i, (network, part) in enumerate(zip(networks, (features, *features.others), strict=True)):
            task = network.task
            readout = task if isinstance(task, HasLinearReadout) else None
            if readout is None or not isinstance(readout.head, nn.Linear):
                raise TrainingError(
                    f"ridge regression fits a linear output layer, which {type(task).__name__} does not have"
                )
            inputs, targets = readout.readout_rows(part, batch)
            inputs = F.pad(inputs.double(), (0, 1), value=1.0)
            if i == len(self.triangles):
                self.triangles.append(start(inputs.shape[1], targets.shape[1], self.penalty).to(inputs.device))
            self.triangles[i] = extended(self.triangles[i], inputs, targets.double())
            weights = solution(self.triangles[i], targets.shape[1])
            readout.head.weight.copy_(weights[:-1].T)
            readout.head.bias.copy_(weights[-1])
            losses.append(task.loss(task(part, batch), batch))
        total = torch.stack([loss.total for loss in losses]).mean()
        return Loss(total, losses[0].count), detach(features.state)

    def content(self) -> dict[str, Any]:
        return {"triangles": self.triangles}

    def restore(self, content: dict[str, Any]) -> None:
        triangles = content["triangles"]
        if not all(
            isinstance(part, Tensor) and part.ndim == 2 and part.shape[0] == part.shape[1] for part in triangles
        ):
            raise ValueError("the triangles of ridge regression are not square matrices")
        self.triangles = list(cast(list[Tensor], triangles))
