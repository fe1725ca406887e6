"""The configuration of an experiment as one typed, frozen object, parsed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from seqzoo.configuration import composing
from seqzoo.configuration.budget import Budget
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.options import Options, Values, check_options, fits, frozen, shown, thawed, with_values
from seqzoo.training.record.older import BPTT
from seqzoo.training.settings import Training, out_of_range

MOST_NETWORKS = 100
"""Maximum number of networks of an ensemble."""

COMPONENTS = ("data", "encoder", "cell", "backbone", "task", "learning")
AUTO: Literal["auto"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The components of a configuration, each with the options of its YAML, `class` included. Nothing in it can be
    changed: mappings are read-only, and lists are tuples.

    Args:
        data, encoder, cell, backbone, task, learning: the options of each component.
        ensemble: number of networks that are trained side by side and whose probabilities are averaged.
        choices: the chosen names of `conf/` by group.
        allow_modules: modules outside seqzoo whose classes may be used.
    """

    data: Options = field(default_factory=dict)
    encoder: Options = field(default_factory=dict)
    cell: Options = field(default_factory=dict)
    backbone: Options = field(default_factory=dict)
    task: Options = field(default_factory=dict)
    learning: Options = field(default_factory=lambda: dict(BPTT))
    ensemble: int = 1
    choices: Mapping[str, str] = field(default_factory=dict)
    allow_modules: Sequence[str] = ()

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, frozen(getattr(self, item.name)))


@dataclass(frozen=True, kw_only=True)
class Experiment(Parts):
    """A whole configuration: components, training, budget and seed.

    Args:
        training: options of training.
        budget: the budget.
        seed: random seed.
        allow_changed_data: resume the run although its data files have changed.
        baseline: score the best baseline beside the run; auto: where that is quick, see `seqzoo.runs.beside`.
        init: the run whose encoder and backbone the training starts from; None: random weights.
        origin: the name of that run and the SHA-256 of its weights, once the training has taken them over.
        recipe: auto: options that are not given are chosen from the data; none: they keep their defaults; None: auto
            for the user's own files.
        overrides: the overrides that it was composed from.
        same_width: with a budget of the size, the options that it sets: `backbone.hidden_size` and those that
            interpolate it.
        data_files: records of the files that were read when the run was started (`fingerprints.records`).
    """

    training: Training
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    allow_changed_data: bool = False
    baseline: bool | Literal["auto"] = AUTO
    init: str | None = None
    origin: Options | None = None
    recipe: str | None = None
    overrides: Sequence[str] = ()
    same_width: Sequence[str] = ()
    data_files: Sequence[Options] = ()

    def to_plain(self) -> Options:
        """Plain mappings, lists and values, as stored in `config.yaml`; the inverse of `parse`."""
        groups = {"training": vars(self.training), "budget": vars(self.budget)}
        return thawed({**vars(self), **groups})

    def with_values(self, values: Values) -> Experiment:
        """A copy with other values of options of components, by path, such as backbone.hidden_size."""
        changed = with_values(self.to_plain(), values)
        return replace(self, **{name: changed[name] for name in COMPONENTS})


def parse(config: Options) -> Experiment:
    """Convert a plain configuration, composed or stored, to an Experiment. Components are checked by `checking.check`.

    Raises:
        ConfigError: all errors in the sections, their types and the settings of training and budget.
    """
    parts = parts_of(config)
    mistakes = [*value_mistakes(config), *training_mistakes(config), *budget_mistakes(config)]
    if mistakes:
        raise ConfigError(mistakes)
    return Experiment(
        **vars(parts),
        training=Training(**frozen(config["training"])),
        budget=Budget(**config.get("budget", {})),
        seed=config["seed"],
        allow_changed_data=config.get("allow_changed_data", False),
        baseline=config.get("baseline", AUTO),
        init=config.get("init"),
        origin=frozen(config.get("origin")),
        recipe=config.get("recipe"),
        overrides=config.get("overrides", ()),
        same_width=config.get("same_width", ()),
        data_files=config.get("data_files", ()),
    )


def parts_of(config: Options) -> Parts:
    """The components of a plain configuration. Raises ConfigError if a section is missing or not a mapping."""
    mistakes = section_mistakes(config)
    if mistakes:
        raise ConfigError(mistakes)
    return Parts(
        **{name: config[name] for name in COMPONENTS},
        ensemble=config.get("ensemble", 1),
        choices=config.get("choices", {}),
        allow_modules=config.get("allow_modules", ()),
    )


def compose(*overrides: str) -> Experiment:
    """Compose a configuration from overrides, as on the command line.

    Args:
        *overrides: for example "task=tagging" and "cell=gru".

    Returns:
        The configuration, which cannot be changed.

    Raises:
        TypeError: an override is not a string.
        ConfigError: all errors in the overrides and in the settings of training and budget.

    Examples:
        >>> seqzoo.compose("task=tagging", "cell=gru").training.learning_rate
        0.001
    """
    return parse(composing.compose(*overrides))


def section_mistakes(config: Options) -> list[str]:
    """Mistakes in what there is to check: a section that is missing, or is not a mapping of options."""
    mistakes = [f"{name} is missing: give {name}=..." for name in ("seed", "allow_modules") if name not in config]
    for name in (*COMPONENTS, "training", "budget"):
        # runs of older versions have no budget
        if not isinstance(config.get(name, {} if name == "budget" else None), dict):
            mistakes.append(f"{name} is {shown(config.get(name))}: it must be a mapping of its options")
    networks = config.get("ensemble", 1)
    if not fits(networks, int) or not 1 <= networks <= MOST_NETWORKS:
        mistakes.append(f"ensemble is {shown(networks)}: it must be an integer from 1 to {MOST_NETWORKS}")
    if not fits(config.get("allow_modules", []), list[str]):
        mistakes.append(f"allow_modules is {shown(config['allow_modules'])}: it must be a list, such as [my_module]")
    return mistakes


def value_mistakes(config: Options) -> list[str]:
    """Mistakes in options that are in no section."""
    mistakes = []
    if not fits(config["seed"], int) or not 0 <= config["seed"] < 2**63:
        mistakes.append(f"seed is {shown(config['seed'])}: it must be an integer from 0 to 2**63 - 1")
    if not fits(config.get("init"), str | None):
        mistakes.append(f"init is {shown(config['init'])}: it must be a run directory, pretrained:NAME, or null")
    if not fits(config.get("origin"), dict[str, str] | None):
        mistakes.append(f"origin is {shown(config['origin'])}: it must be a mapping of texts")
    if config.get("recipe") not in (None, "auto", "none"):
        mistakes.append(f"recipe is {shown(config['recipe'])}: it must be auto, none or null")
    if not isinstance(config.get("allow_changed_data", False), bool):
        mistakes.append(f"allow_changed_data is {shown(config['allow_changed_data'])}: it must be true or false")
    baseline = config.get("baseline", AUTO)
    if not isinstance(baseline, bool) and baseline != AUTO:
        mistakes.append(f"baseline is {shown(baseline)}: it must be auto, true or false")
    return mistakes


def training_mistakes(config: Options) -> list[str]:
    """Mistakes in the training section."""
    options = config["training"]
    mistakes = check_options("training", Training, options)
    sound = {name: value for name, value in options.items() if name not in mistakes}
    missing = [name for name in mistakes if name not in options]
    messages = []
    if len(missing) > 1:
        others = f" and {len(missing) - 3} more" if missing[3:] else ""
        messages.append(
            f"training has no {', '.join(missing[:3])}{others}: begin its YAML with defaults: [base, _self_]"
        )
        mistakes = {name: mistake for name, mistake in mistakes.items() if name in options}
    messages += [*mistakes.values(), *out_of_range(sound)]
    ends = (options.get("epochs", 1), options.get("steps", 1), config.get("budget", {}).get("seconds"))
    if ends == (None, None, None):
        messages.append("training.epochs and training.steps are both null: say when to stop")
    return messages


def budget_mistakes(config: Options) -> list[str]:
    """Mistakes in the budget section."""
    options = config.get("budget", {})
    mistakes = [*check_options("budget", Budget, options).values()]
    if not mistakes:
        try:
            Budget(**options)
        except ConfigError as error:
            mistakes += error.mistakes
    return mistakes
