"""The baselines of a configuration, without a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seqzoo.baselines import Baseline, baselines_for
from seqzoo.baselines.contract import Split
from seqzoo.baselines.fitting import BaselineScores, fit_baselines, is_installed
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.parts import Task
from seqzoo.network import results


class Baselines(NamedTuple):
    """The baselines that suit some data.

    Attributes:
        data: the data module, loaded.
        task: scores the answers.
        ready: those whose packages are installed, the cheapest first.
        missing: those whose packages are not.
    """

    data: DataModule
    task: Task
    ready: Sequence[type[Baseline]]
    missing: Sequence[type[Baseline]]

    def scores(self) -> Iterator[BaselineScores]:
        """Fit and score each of those that are ready."""
        return fit_baselines(self.data, self.task, self.ready)


def task_alone(experiment: Experiment, data: DataModule) -> Task:
    """The task of a configuration without weights, for its metrics and references."""
    with on_meta_device():
        return build_model(experiment, data.spec).task


def baselines_of(data: DataModule, task: Task) -> Baselines:
    """The baselines for loaded data."""
    suitable = baselines_for(data.spec)
    return Baselines(data, task, [*filter(is_installed, suitable)], [b for b in suitable if not is_installed(b)])


def configured_baselines(*overrides: str) -> Baselines:
    """Load the data of a configuration, and find its baselines.

    Raises:
        ConfigError: all mistakes in the overrides.
        DataError: the data cannot be read.
    """
    experiment, mistakes = examine(*overrides)
    if mistakes or experiment is None:
        raise ConfigError(mistakes)
    data = build_data(experiment)
    results.load(data)
    return baselines_of(data, task_alone(experiment, data))


def baseline(*overrides: str) -> list[BaselineScores]:
    """Fit the simple baselines that suit the data of a configuration, as `seqzoo baseline` does; no network is trained.

    Args:
        *overrides: as of `seqzoo.train`, such as "task=classification" and "data=trec".

    Returns:
        The scores of each baseline on the held-out splits, by the metrics of the task, and the best one last. Those
        that need a package that is not installed are left out.

    Raises:
        ConfigError: all mistakes in the overrides.
        DataError: the data cannot be read.

    Examples:
        >>> for scores in seqzoo.baseline("task=classification", "data=trec"):
        ...     print(scores.name, scores.scores["test"]["accuracy"])
    """
    configured = configured_baselines(*overrides)
    return ranked(configured, [*configured.scores()])


def ranked(configured: Baselines, scores: Sequence[BaselineScores]) -> list[BaselineScores]:
    """From the worst on the validation split to the best."""
    validation = Split(configured.data, configured.task, "validation")
    return sorted(scores, key=lambda score: validation.quality(score.scores["validation"]))
