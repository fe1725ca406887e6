"""The end of a run: the scores of its best weights, metrics.json, the last curves and the closing table."""

from __future__ import annotations

import datetime
import platform
import shlex
from collections.abc import Mapping
from functools import partial

import torch

from seqzoo.configuration import composing
from seqzoo.configuration.cost import Cost
from seqzoo.configuration.experiment import Experiment
from seqzoo.contracts.capabilities import Report, Reports
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.own_parts import during
from seqzoo.contracts.strict_json import finite
from seqzoo.contracts.version import __version__
from seqzoo.data.text.codec import TextCodec, coverage
from seqzoo.metrics import signatures
from seqzoo.network.model import Model
from seqzoo.runs.beside import about_baseline, beside, next_step
from seqzoo.runs.closing_table import closing_table
from seqzoo.runs.ending import describe_ending, later_end
from seqzoo.runs.provenance import commit, hardware
from seqzoo.training.evaluation import calibrate, evaluate
from seqzoo.training.record.checkpoint import load_weights, save_weights
from seqzoo.training.record.files import BEST, METRICS, Metrics
from seqzoo.training.record.run import Run
from seqzoo.training.session import Session

Scores = Mapping[str, Mapping[str, float]]
"""The scores of each split."""


def finish(run: Run, experiment: Experiment, data: DataModule, session: Session, threads: int, cost: Cost) -> Metrics:
    """Score the best weights on all held-out splits, write metrics.json and log a table.

    Returns:
        The content of metrics.json, in which scores that are not finite are None. Processes besides the first one only
        have scores.
    """
    task, position = session.model.task, session.position
    _load_best_weights(run, data, session)
    reports = {split: empty_report(session.model) for split in data.splits() if split != "train"}
    scores = {}
    for split, report in reports.items():
        with during(lambda split=split: f"while the {split} split was scored"):  # type: ignore[misc]
            precision, processes = session.settings.precision, session.processes
            scores[split] = evaluate(session.model, data, split, session.device, precision, report, processes)
    if not session.processes.first:
        return {**scores}
    plain_reports = {split: report.to_plain() for split, report in reports.items() if report is not None}
    metrics = {
        "train": {task.training_loss_name: session.last_train_loss},
        **scores,
        "report": plain_reports,
        **_about_run(experiment, data, session, threads, cost),
    }
    run.write_json(METRICS, metrics)  # whatever happens to the baseline, the run is finished
    best_baseline, remark = beside(experiment, data, task, position.seconds)
    if best_baseline is not None:
        metrics["baseline"] = best_baseline.to_plain()
        run.write_json(METRICS, metrics)
    _log_scores(run, data, session, scores, reports)
    batches = data.num_batches("train", position.epoch)
    later = later_end(position, session.settings, session.seconds, batches)
    best = None if session.settings.keep == "last" else position.best_step
    advice = partial(next_step, experiment, data, position.step, best, later)
    baseline_rows = about_baseline(metrics, remark, task, advice)
    ending = describe_ending(session, batches)
    run.log("\n" + closing_table(run.folder, experiment, scores, session, cost, baseline_rows, ending))
    return finite(metrics)


def empty_report(model: Model) -> Report | None:
    """An empty confusion matrix for tasks that predict classes; None for others."""
    return model.task.report() if isinstance(model.task, Reports) else None


def _load_best_weights(run: Run, data: DataModule, session: Session) -> None:
    """Load the best weights, and fit what is fitted on the validation split."""
    if session.processes.first:
        metadata = load_weights(run.folder / BEST, session.model)
        with during(lambda: "while the model was calibrated on the validation split"):
            if calibrate(session.model, data, session.device, session.settings.precision):
                save_weights(run.folder / BEST, session.model, metadata)
                run.log(
                    "what is fitted after training, such as shares of parts, has been fitted on the validation split"
                )
    session.processes.same_weights(session.model)


def _about_run(experiment: Experiment, data: DataModule, session: Session, threads: int, cost: Cost) -> Metrics:
    """The content of metrics.json besides scores: costs, times, and what they were measured with."""
    position = session.position
    return {
        "higher_is_better": {metric.name: metric.higher_is_better for metric in session.model.task.metrics()},
        "signatures": signatures(session.model.task.metrics()),
        "parameters": cost.parameters,
        "flops_per_token": cost.flops_per_token,
        "state_bytes": cost.state_bytes,
        "training_bytes": cost.training_bytes,
        "seconds": round(position.seconds, 2),
        "cpu_seconds": round(position.cpu_seconds, 2),
        "tokens_per_second": round(session.tokens_per_second, 1),
        "unit": data.unit,
        "padding_share": data.padding_share(),
        "updates": position.step,
        "best_update": position.best_step,
        "epochs": position.epoch + 1,
        "seed": experiment.seed,
        "vectors": coverage(data.spec),
        "choices": dict(experiment.choices),
        "device": hardware(session.device),
        "precision": session.settings.precision,
        "threads": threads,
        **({"processes": session.processes.count} if session.processes.count > 1 else {}),
        "versions": {"seqzoo": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "command": shlex.join(["seqzoo", "train", *composing.config_dir_arguments(), *experiment.overrides]),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }


def _log_scores(
    run: Run, data: DataModule, session: Session, scores: Scores, reports: Mapping[str, Report | None]
) -> None:
    """Write the last points of the curves, the embeddings and the reports to TensorBoard."""
    step = session.position.step
    for split, values in scores.items():
        run.tracker.scalars({f"final/{split}_{name}": value for name, value in values.items()}, step)
    if isinstance(data.spec.inputs, TextCodec):
        run.log_embeddings(session.model, data.spec.inputs.vocabulary.tokens)
    for split, report in reports.items():
        if report is not None:
            run.log_report(split, report, step)
