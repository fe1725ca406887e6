"""The table at the beginning of a training."""

from __future__ import annotations

from pathlib import Path

import torch

from seqzoo.configuration.cost import Cost, memory_to_train
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.sizing import describe_inputs, describe_outputs
from seqzoo.contracts.counting import counted
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.spec import DataSpec
from seqzoo.network import results
from seqzoo.training.record.older import BPTT
from seqzoo.training.record.run import format_table
from seqzoo.training.session import Session


def opening_table(
    folder: Path, experiment: Experiment, data: DataModule, session: Session, threads: int, cost: Cost
) -> str:
    """The table at the beginning of a training, new or resumed."""
    sizes = ", ".join(f"{split} {count:,}" for split, count in data.splits().items())
    names = " ".join(f"{group}={experiment.choices[group]}" for group in ("task", "data", "backbone", "cell"))
    padding = results.checked(data, "padding_share", data.padding_share())
    padded = "" if padding is None else f"; {padding:.1%} of the steps of a batch are padding"
    device = str(session.device)
    if session.device.type == "cuda":
        device += f" ({torch.cuda.get_device_name(session.device)}, {session.settings.precision})"
    rows = [
        ("run", f"{names} seed={experiment.seed}"),
        ("data", f"{sizes}; {describe_inputs(data.spec, data.unit)}, {describe_outputs(data.spec)}{padded}"),
        *_vector_rows(data.spec),
        *_origin_rows(experiment, data),
        *cost_rows(experiment, cost, data.unit),
        ("device", f"{device}, {counted(threads, 'thread')}{_shared(session)}"),
        *([] if experiment.learning == BPTT else [("learning", experiment.choices["learning"])]),
        ("training", _planned_end(session)),
        ("folder", str(folder)),
    ]
    rows += [("remark", remark) for remark in data.remarks]
    if session.position.step:
        rows.append(("continues", f"after update {session.position.step:,}"))
    return format_table(rows)


def cost_rows(experiment: Experiment, cost: Cost, unit: str) -> list[tuple[str, str]]:
    """The rows about the size of a model and its deviation from the budget, which are in both tables of a training."""
    flops = "unknown" if cost.flops_per_token is None else f"{cost.flops_per_token:,.0f}"
    reason = f" ({cost.unknown})" if cost.unknown else ""
    rows = [
        ("model", f"{cost.parameters:,} parameters, {flops} FLOPs per {unit}{reason}"),
        (
            "memory",
            f"{memory_to_train(cost)} during training; recurrent state of a sequence: {cost.state_bytes:,} bytes",
        ),
    ]
    width = experiment.budget.width
    if width is not None:
        name, target = width
        measured = {"parameters": (cost.weights, "weights"), "flops": (cost.flops_per_token, f"FLOPs per {unit}")}
        reached, what = measured[name]
        assert reached is not None  # a budget of FLOPs is met only if they can be counted
        hidden = experiment.backbone["hidden_size"]
        rows.append(
            ("budget", f"{reached:,.0f} of {target:,.0f} {what} ({reached / target - 1:+.2%}): hidden_size {hidden}")
        )
    return rows


def _vector_rows(spec: DataSpec) -> list[tuple[str, str]]:
    vectors = spec.vectors
    if vectors is None:
        return []
    return [("vectors", f"{vectors.known:,} of {vectors.words:,} words, {vectors.share:.1%} of the training tokens")]


def _origin_rows(experiment: Experiment, data: DataModule) -> list[tuple[str, str]]:
    if experiment.origin is None:
        return []
    taken = f"encoder and backbone of {experiment.origin['run']} (sha256 {experiment.origin['sha256'][:12]})"
    if data.origin is not None and data.spec.inputs is not None:
        taken += f"; {data.spec.input_size - data.origin.input_size:,} new {data.spec.inputs.unit}"
    return [("init", taken)]


def _shared(session: Session) -> str:
    """The number of processes that train together, if there are several."""
    count = session.processes.count
    return f" in each of {count} processes" if count > 1 else ""


def _planned_end(session: Session) -> str:
    ends = [] if session.total_steps is None else [counted(session.total_steps, "update")]
    ends += [] if session.seconds is None else [counted(session.seconds, "second")]
    return " or ".join(ends)
