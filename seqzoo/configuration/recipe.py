"""A recipe: values for the options that nobody has set, chosen by the size and form of the training data.

The rules (`seqzoo.configuration.rules`) read measurements of the data and yield choices with their reason, which the
log shows. What is given on the command line or in a file of the user's own always wins, and so does what an experiment
says of its architecture. The same data and the same options give the same choices; `config.yaml` stores the values.
"""

from __future__ import annotations

from dataclasses import replace

from seqzoo.configuration import composing, registry
from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import Experiment, parse
from seqzoo.configuration.origin import OPTIONS_OF_INPUTS, TAKEN, read_origin
from seqzoo.configuration.rules import Choice
from seqzoo.configuration.rules_of_kinds import rules_for
from seqzoo.contracts.options import has
from seqzoo.contracts.own_parts import during
from seqzoo.network import results

AUTO, NONE = "auto", "none"

BELONGS_TO_DATA = ("training.", "data.batch_size", "data.max_tokens", "data.word_dropout", "encoder.freeze")
"""Beginnings of the options that an experiment chose for its own data set. Other data do not take them over."""


def applies(experiment: Experiment) -> bool:
    """Whether options are chosen: where `recipe=auto` is given or, without it, for data that need a file."""
    if experiment.recipe is not None:
        return experiment.recipe == AUTO
    name = experiment.choices.get("data", "")
    return name in registry.names("data") and composing.MISSING in composing.load("data", name).values()


def tailored(experiment: Experiment) -> tuple[Experiment, list[Choice]]:
    """Complete a configuration by its recipe.

    Returns:
        The configuration, and the choices that it differs by.

    Raises:
        DataError: the data cannot be read.
        ConfigError: what was chosen does not work together with what was given.
    """
    if not applies(experiment):
        return replace(experiment, recipe=NONE), []
    experiment = replace(experiment, recipe=AUTO)
    data = build_data(experiment)
    with during(lambda: "while the data were measured for a recipe"):
        survey = results.checked(data, "survey", data.survey())
    if survey is None:
        return experiment, []
    rules = rules_for(survey.kind)(survey, experiment.to_plain(), Given(experiment).covers)
    choices = [*rules.choices()]
    # a component of another class than that of the configuration may not have an option
    config = composing.compose(*experiment.overrides, defaults=rules.chosen)
    chosen = {path: value for path, value in rules.chosen.items() if path in registry.GROUPS or has(config, path)}
    kept = (choice._replace(values={p: v for p, v in choice.values.items() if p in chosen}) for choice in choices)
    completed = replace(parse(config), recipe=AUTO, overrides=experiment.overrides)
    return completed, [choice for choice in kept if choice.values]


class Given:
    """The options that a user has set, which no rule changes.

    Args:
        experiment: the configuration that was composed from a user's overrides.
    """

    def __init__(self, experiment: Experiment):
        texts, choices = experiment.overrides, experiment.choices
        self.paths = {text.partition("=")[0].lstrip("+~") for text in texts}
        self.groups = {group for group, name in choices.items() if registry.is_own(group, name)}
        self.groups |= self.paths & {"training"}
        if experiment.budget.width is not None:
            self.paths.add("backbone.hidden_size")
        if experiment.init is not None:
            taken = {*read_origin(experiment.init).defaults}
            self.groups |= taken & {*TAKEN}
            self.paths |= taken | {"data.vectors", *(f"data.{option}" for option in OPTIONS_OF_INPUTS)}
        for group in ("experiment", "debug"):
            names, paths = registry.sets(group, choices.get(group, NONE))
            if names.get("data", choices["data"]) != choices["data"]:
                paths = {path for path in paths if not path.startswith(BELONGS_TO_DATA)}
            self.paths |= {*names, *paths}

    def covers(self, path: str) -> bool:
        """Whether a user has set an option or one that contains it, or has chosen the name of a group."""
        above = path.rpartition(".")[0]
        if path in self.paths or path.partition(".")[0] in self.groups:
            return True
        return bool(above) and above not in registry.GROUPS and self.covers(above)
