"""From overrides, as on the command line, to a checked configuration, or a model and its data."""

from __future__ import annotations

import torch

from seqzoo.configuration import checking, composing
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.sizing import within_budget
from seqzoo.configuration.transfer import load_data, start_from_origin
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.options import value_at
from seqzoo.network.model import Model


def examine(*overrides: str) -> tuple[Experiment | None, list[str]]:
    """Compose and check a configuration; returns it with messages for all errors in overrides and components."""
    config, mistakes = composing.examine(*overrides)
    if config is None:
        return None, mistakes
    experiment, others = checking.examine(config)
    mistakes += [mistake for mistake in others if mistake not in mistakes]
    if experiment is not None and not mistakes:
        mistakes += _given_without_effect(experiment)
    return experiment, mistakes


def _given_without_effect(experiment: Experiment) -> list[str]:
    """Error messages for overrides without effect; options of recipes may have none, because others switch them off."""
    mistakes = []
    for option in checking.without_effect(experiment):
        given = [text for text in experiment.overrides if _sets(text, option.path)]
        others = [text for text in experiment.overrides if text not in given]
        before, _ = composing.examine(*others) if given else (None, [])
        if before is not None and value_at(before, option.path) != option.value:
            mistakes.append(f"{option}: leave it out, or give {option.wanted}")
    return mistakes


def _sets(override: str, path: str) -> bool:
    key = override.partition("=")[0].lstrip("+")
    return path == key or ("." in key and path.startswith(f"{key}."))


def build(*overrides: str) -> tuple[Model, DataModule]:
    """Build a model and its data from overrides, as on the command line.

    Args:
        *overrides: such as "task=tagging" and "cell=gru".

    Returns:
        The model, with random weights from the option `seed` or, with `init`, encoder and backbone of that run; and the
        data, loaded.

    Raises:
        TypeError: an override is not a string.
        ConfigError: all mistakes in the overrides.
        DataError: the data cannot be read.

    Examples:
        >>> model, data = seqzoo.build("task=tagging", "cell=gru")
        >>> scores, state = model(next(data.batches("train")))
        >>> model, data = seqzoo.build("task=tagging", "init=runs/my_language_model")  # a new head on a trained network
    """
    experiment, mistakes = examine(*overrides)
    if mistakes or experiment is None:
        raise ConfigError(mistakes)
    data = build_data(experiment)
    load_data(experiment, data)
    experiment = within_budget(experiment, data, data.spec)
    torch.manual_seed(experiment.seed)
    model = build_model(experiment, data.spec)
    model.task.check_start(model, data)
    model.load_pretrained()
    start_from_origin(experiment, model, data.spec)
    return model, data
