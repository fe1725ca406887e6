"""A validation during training: scores, the best weights, examples, and whether patience ends."""

from __future__ import annotations

import math

from seqzoo.contracts.data_module import DataModule
from seqzoo.learning.rule import remark_without_gradient
from seqzoo.training.diagnostics import Diagnostics
from seqzoo.training.evaluation import decoded_examples, evaluate
from seqzoo.training.record.run import Run
from seqzoo.training.session import Session


def validate(session: Session, data: DataModule, run: Run, diagnostics: Diagnostics) -> None:
    """Evaluate on the validation split, save the best weights, log examples, and finish when patience ends."""
    position, settings, model = session.position, session.settings, session.model
    if session.without_gradient:
        run.log(remark_without_gradient([*session.without_gradient]))
        session.without_gradient = {}
    with session.averaging.applied():
        scores = evaluate(model, data, "validation", session.device, settings.precision, processes=session.processes)
        first = model.task.metrics()[0]
        score = scores[first.name] if first.higher_is_better else -scores[first.name]
        # ties are broken by the loss; NaN is worse than any number
        rank = [-math.inf if math.isnan(value) else value for value in (score, -scores[model.task.loss_name])]
        improved = settings.keep == "last" or position.best is None or rank > position.best
        position.waited = 0 if improved else position.waited + 1
        if improved:
            position.best, position.best_step = rank, position.step
            # saved before the checkpoint that refers to them; otherwise an interruption in between would lose them
            run.save_best(session, {name: str(value) for name, value in scores.items()})
        if session.processes.first:
            examples = decoded_examples(model, data, "validation", session.device, settings.examples)
            run.log_validation(session, scores, examples, improved)
            diagnostics.look(session, data, run, examples)
    session.schedule.after_validation(improved)
    if session.averaging.after_validation(rank):
        run.log(f"weights are averaged from update {position.step:,}")
    if settings.patience is not None and position.waited >= settings.patience:
        position.finished = True
