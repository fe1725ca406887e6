"""The step of the optimizer: gradients are scaled and clipped, and the learning rate is set."""

from __future__ import annotations

from torch import Tensor, nn

from seqzoo.contracts.batch import Batch
from seqzoo.learning.rule import without_gradient
from seqzoo.training.session import Session


def optimizer_step(session: Session, group: list[Batch], count: Tensor) -> Tensor:
    """Update the weights by the accumulated gradients.

    Args:
        session: the training.
        group: the batches of the gradients.
        count: their number of targets.

    Returns:
        The norm of the gradient, with the penalties on recurrent weights and `clip_value`, before it is clipped
        to `clip_norm`.
    """
    model, settings, position = session.model, session.settings, session.position
    if position.step == 0:
        session.without_gradient = without_gradient(session.rule, model)
    for name in [name for name, weight in session.without_gradient.items() if weight.grad is not None]:
        del session.without_gradient[name]
    session.scaler.unscale_(session.optimizer)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(count)
    session.recurrent_weights.penalise()
    if settings.clip_value is not None:
        nn.utils.clip_grad_value_(model.parameters(), settings.clip_value)
    norm = nn.utils.clip_grad_norm_(
        model.parameters(), float("inf") if settings.clip_norm is None else settings.clip_norm
    )
    rate = session.schedule.rate(position.step, session.spent)
    rate *= sum(batch.learning_rate_scale for batch in group) / len(group)
    for parameter_group in session.optimizer.param_groups:
        parameter_group["lr"] = rate * parameter_group["factor"]
    session.scaler.step(session.optimizer)
    session.scaler.update()
    session.recurrent_weights.constrain()
    session.optimizer.zero_grad(set_to_none=True)
    return norm
