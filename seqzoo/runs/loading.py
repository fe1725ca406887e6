"""Loading the model of a run, or an ensemble of runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from seqzoo.configuration.building import build_model, task_name
from seqzoo.configuration.components import find
from seqzoo.configuration.composing import merged
from seqzoo.configuration.experiment import Parts, parts_of
from seqzoo.configuration.pretrained import run_folder
from seqzoo.contracts.arguments import MODULES, check_argument, check_folder, checked_list
from seqzoo.contracts.capabilities import Averages, Writes
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.options import Options, parameters, value_at
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from seqzoo.network.network_ensemble import Ensemble
from seqzoo.runs.loaded import Loaded
from seqzoo.training.device import float_type, select_device
from seqzoo.training.record.checkpoint import check_weights, load_weights
from seqzoo.training.record.files import BEST, SPEC, read_config, read_json

NOT_OF_SCORES = ("dropout", "metrics", "search")
"""The options of a task in which runs whose scores are averaged may differ."""


def load(
    run_dir: str | Path,
    device: str | torch.device = "cpu",
    allow_modules: Iterable[str] | None = None,
    options: Options | None = None,
    beside: Iterable[str | Path] = (),
    language: str | Path | None = None,
) -> Loaded:
    """Load the model of a run with its best weights. No file of the run directory can execute code.

    Args:
        run_dir: the run directory, or "pretrained:NAME" with a name of `list_pretrained`.
        device: "auto", "cpu", "cuda" or "cuda:1", or a torch.device.
        allow_modules: user-defined modules that the run may use.
        options: options of the task that change decoding, such as {"search": {"beam_size": 5}}.
        beside: further runs of an ensemble, of any architecture. Answers follow from the mean of their probabilities of
            the next token or, for tasks that do not generate text, of classes, or of their predicted numbers.
        language: a run of a language model whose scores a transcription adds to its own.

    Returns:
        The model with what it needs to read inputs and to write answers.

    Raises:
        TypeError: an argument is of a wrong type.
        CheckpointError: the directory is not a run directory, or is damaged.
        ConfigError: there is no such option, or the runs cannot be combined.

    Examples:
        >>> seqzoo.load("runs/addition_lstm_unidirectional/2026-11-21_02-53-19").predict(["535+61"])
        [Prediction(answer='596', score=-0.0003)]
        >>> seqzoo.load("pretrained:tiny_shakespeare_lstm").predict(["ROMEO:"])
    """
    check_folder("run_dir", run_dir)
    allow_modules = checked_list("allow_modules", () if allow_modules is None else allow_modules, str, MODULES)
    beside = checked_list("beside", beside, (str, os.PathLike), "a list of run directories")
    check_argument("options", options or {}, Mapping, 'a mapping such as {"search": {"beam_size": 5}}')
    checked_list("options", options or {}, str, "a mapping of names of options")
    device, folder = select_device(device), run_folder(run_dir)
    _check_distinct([folder, *map(run_folder, beside)])
    config = read_config(folder)
    precision = float_type(str(value_at(config, "training.precision")))
    parts = _with_options(replace(parts_of(config), allow_modules=allow_modules), options or {})
    spec = spec_from_plain(read_json(folder / SPEC))
    with on_meta_device():
        check_weights(folder / BEST, build_model(parts, spec).to(precision))
    model = build_model(parts, spec).to(precision)
    load_weights(folder / BEST, model)
    others = [load(other, device, allow_modules) for other in beside]
    for path, other in zip(beside, others, strict=True):
        reason = _why_apart(Loaded(model, spec, parts_of(config)), other)
        if reason:
            raise ConfigError([f"{run_dir} and {path} cannot answer together: {reason}"])
        if spec_to_plain(other.spec)["targets"] != spec_to_plain(spec)["targets"]:
            raise ConfigError([f"{path} writes in another vocabulary than {run_dir}: train both on the same data"])
    if others and not isinstance(model.task, Writes):
        networks = [network for each in (model, *(other.model for other in others)) for network in each.networks]
        model, others = Ensemble(networks).to(precision), []
    loaded = Loaded(model.to(device).eval(), spec, parts, others)
    if language is not None:
        loaded.use_language_model(load(language, device, allow_modules))
    return loaded


def with_options(loaded: Loaded, options: Options) -> Loaded:
    """A model with other options of the task that change decoding, which `load` need not read again.

    Args:
        loaded: the model, of a single run.
        options: as of `load`.

    Raises:
        ConfigError: an option does not exist, or its value is not allowed.
    """
    parts = _with_options(loaded.config, options)
    if parts.task == loaded.config.task:
        return loaded
    weight = next(loaded.model.parameters())
    model = build_model(parts, loaded.spec).to(weight.device, weight.dtype)
    model.load_state_dict(loaded.model.state_dict())
    return Loaded(model.eval(), loaded.spec, parts)


def _with_options(parts: Parts, options: Options) -> Parts:
    """A configuration with other options of the task."""
    task_class = find("task", parts.task, parts.allow_modules, "task")
    for name, value in options.items():
        if isinstance(value, Mapping) and name not in parameters(task_class):
            raise ConfigError([f"{task_name(task_class, parts.choices)} has no {name}"])
    return replace(parts, task=merged(parts.task, options))


def _why_apart(run: Loaded, other: Loaded) -> str:
    """Why the answers of two runs cannot be averaged; empty if they can."""
    tasks = run.model.task, other.model.task
    for each in (run, other):
        if not isinstance(each.model.task, (Writes, Averages)):
            return (
                "an ensemble averages the probabilities of the next token, or the scores of classes or numbers, and "
                f"{each.task_name} allows neither: take one run"
            )
    if other.spec.kind != run.spec.kind:
        return f"one reads data for {run.spec.kind}, the other for {other.spec.kind}"
    if all(isinstance(task, Writes) for task in tasks):
        return ""
    if type(tasks[0]) is not type(tasks[1]):
        return f"one is of {run.task_name}, the other of {other.task_name}: take runs of the same task"
    options, others = run.config.task, other.config.task
    differing = [name for name in options if name not in NOT_OF_SCORES and options[name] != others.get(name)]
    if differing:
        return f"they have different values of task.{differing[0]}: train both with the same"
    plain, other_plain = ({**spec_to_plain(each.spec), "class_counts": None} for each in (run, other))
    return "" if plain == other_plain else "they were trained on different data: train both on the same"


def _check_distinct(folders: Sequence[Path]) -> None:
    """Raise ConfigError if a run is given twice."""
    # one that does not exist is an error when it is read
    resolved = [folder.resolve() if os.path.lexists(folder) else folder.absolute() for folder in folders]
    for number, folder in enumerate(folders):
        if resolved[number] in resolved[:number]:
            raise ConfigError([f"{folder} is given twice: an ensemble averages the probabilities of different runs"])
