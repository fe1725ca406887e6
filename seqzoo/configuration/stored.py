"""The configuration of a stored run, completed by defaults of newer options, and with overrides for resuming."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from seqzoo.configuration import composing
from seqzoo.configuration.budget import Budget
from seqzoo.configuration.experiment import AUTO, Experiment, parse
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.options import Options, Values, parameters, value_at, with_values
from seqzoo.training.settings import Training

# options that change when training ends or how fast it is, but not what is learned
FREE_ON_RESUME = {
    "baseline",
    "budget.seconds",
    *(
        f"training.{option}"
        for option in (
            "epochs", "steps", "patience", "log_every", "save_every", "examples", "diagnostics", "device", "threads",
        )
    ),
}  # fmt: skip
ALLOWANCES = {"allow_modules": [], "allow_changed_data": False}
"""Options that a stored run cannot set, because it may be from an untrusted source; they have to be given again."""


def stored(config: Options, values: Values | None = None) -> Experiment:
    """The configuration of a run.

    Args:
        config: content of `config.yaml`, perhaps of an older version.
        values: values that replace those of some options, by path, such as training.device.

    Raises:
        ConfigError: all errors in the sections, their types and the settings of training and budget.
    """
    return parse(with_values(_completed(config), values or {}))


def resumed(config: Options, overrides: Iterable[str]) -> Experiment:
    """The configuration of a run that is resumed with overrides.

    Overrides are compared with the stored configuration, which is not composed again, because it may be untrusted.

    Args:
        config: content of `config.yaml`.
        overrides: given to resume the run.

    Raises:
        ConfigError: an override is invalid or changes what is learned, or an error as in `stored`.
    """
    config = _completed(config)
    changes, mistakes = composing.changes(config, overrides)
    free = FREE_ON_RESUME | ALLOWANCES.keys()
    for path, new in changes.items():
        old = value_at(config, path)
        if path not in free and old != new:
            mistakes.append(
                f"{path.removeprefix('choices.')} is {old!r} in the run and {new!r} now: a resumed run keeps its "
                "settings; start a new run for others"
            )
    if mistakes:
        raise ConfigError(mistakes)
    return parse(with_values(config, {path: new for path, new in changes.items() if path in free}))


def _completed(config: Options) -> Options:
    """A stored configuration with the defaults of options that its version did not have, and without allowances."""
    training, budget = config["training"], {**asdict(Budget()), **config.get("budget", {})}
    if not parameters(Training).keys() <= training.keys():
        training = {**composing.load("training", "base"), **training}
    return {"baseline": AUTO, "init": None, **config, **ALLOWANCES, "training": training, "budget": budget}
