"""Every mistake in a configuration at once, before any data is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from seqzoo.building import build_budget, build_training, misfits
from seqzoo.cells import Elman
from seqzoo.components import PACKAGES, check_component, find, make
from seqzoo.contracts import BackboneFactory, DataSpec, Loss, Metric, Task
from seqzoo.errors import ConfigError
from seqzoo.metrics import create_metric
from seqzoo.options import fits, is_group, parameters, type_hints
from seqzoo.sizing import outline, widths


def check(config: dict[str, Any]) -> list[str]:
    """Every mistake in a composed configuration, as sentences; empty when it builds. No data is read."""
    mistakes: list[str] = []
    if not fits(config["seed"], int) or not 0 <= config["seed"] < 2**63:
        mistakes.append(f"seed is {config['seed']!r}: it must be a whole number, 0 or more")
    if not isinstance(config.get("allow_changed_data", False), bool):
        mistakes.append(f"allow_changed_data is {config['allow_changed_data']!r}: it must be true or false")
    if not fits(config["allow_modules"], list[str]):
        return [f"allow_modules is {config['allow_modules']!r}: it must be a list, such as [my_module]"]
    for section in (build_training, build_budget):
        try:
            section(config)
        except ConfigError as error:
            mistakes += error.mistakes
    with torch.device("meta"):
        mistakes += _check_parts(config)
    if not mistakes:
        try:
            width = build_budget(config).width
            if width is not None:
                widths(config, width[0])
            outline(config)
        except ConfigError as error:
            mistakes += error.mistakes
    return mistakes


def _check_parts(config: dict[str, Any]) -> list[str]:
    """Mistakes in the components and in how they fit. Each is built between stand-ins: no mistake hides another."""
    mistakes: list[str] = []
    made: dict[str, Any] = {}
    stand_ins: dict[str, Any] = {
        "spec": DataSpec("", 100, 100, character_size=100),
        "cell": Elman,
        "encoder_state": ((torch.zeros(1, 8),),),
        "embedding": nn.Embedding(100, 8),
    }
    stand_ins |= dict.fromkeys(("input_size", "feature_size"), 8)
    widths = config["backbone"].get("hidden_size")
    width = widths[0] if isinstance(widths, list) and widths else widths
    # the real one: a cell may have options that must fit it
    stand_ins["hidden_size"] = width if fits(width, int) and width > 0 else 8
    for group in PACKAGES:
        wrong = check_component(group, config[group], group, config)
        mistakes += wrong.values()
        sound = _without(wrong, group, config)
        try:
            if sound is not None:
                made[group] = make(group, sound, stand_ins, config, Elman)
            if group == "data" and group in made:
                stand_ins["spec"] = made["data"].expected_spec()
                stand_ins["embedding"] = nn.Embedding(stand_ins["spec"].input_size, 8)
                if stand_ins["spec"].picture is not None:
                    stand_ins["input_size"] = stand_ins["spec"].picture[0]
        except ConfigError as error:
            mistakes += error.mistakes
        if group == "task" and "class" not in wrong:
            task = find(group, config[group], config, group)
            mistakes += _check_metrics(made.get(group, task), {**config[group], **wrong}.get("metrics"))
            mistakes += misfits(task, made.get("backbone"), stand_ins["spec"], config, made.get("encoder"))
    return mistakes


def _without(wrong: dict[str, str], group: str, config: dict[str, Any]) -> dict[str, Any] | None:
    """The options of a component that are right; None where it cannot be built from them."""
    if "class" in wrong:
        return None
    return _sound(find(group, config[group], config, group), config[group], wrong)


def _sound(constructor: type, options: dict[str, Any], wrong: dict[str, str], above: str = "") -> dict[str, Any] | None:
    hints, sound = type_hints(constructor), {}
    for name, value in options.items():
        path = f"{above}{name}"
        if is_group(hints.get(name)) and isinstance(value, dict):
            value = _sound(hints[name], value, wrong, f"{path}.")
            if value is None:
                return None
        if path not in wrong:
            sound[name] = value
    for name, parameter in parameters(constructor).items():
        if f"{above}{name}" in wrong and parameter.default is parameter.empty:
            if hints.get(name) != BackboneFactory:
                return None
            sound[name] = {"class": "Recurrent", "hidden_size": 8}
    return sound


# an answer of each kind of task, to try a metric on; a continuation of text has no right answer
EXAMPLES: dict[str, str | list[str] | None] = {
    "classification": "1",  # a class may be a number
    "tagging": ["a"],
    "cloze": ["a"],
    "transduction": "a",
    "language_modeling": None,
    "regression": ["0.5"],
}


LOSSES = {"nats": "a likelihood", "squared error": "a squared error"}
"""What the units of losses say."""


def _check_metrics(task: Task | type[Task], names: Any) -> list[str]:
    """Mistakes in the metrics of a task; a value that is no list of names has been told already."""
    kind = task.kind
    if names == []:
        return ["task.metrics is empty: name at least one, which picks the best checkpoint"]
    mistakes = []
    for name in names if fits(names, list[str]) else []:
        try:
            metric = create_metric(name)
            if metric.from_predictions and kind in EXAMPLES and not _can_score(metric, EXAMPLES[kind]):
                mistakes.append(f"task.metrics names {name}, which cannot score what task={kind} predicts")
            unit = getattr(metric, "loss_unit", None)
            if unit not in (None, task.loss_unit):
                mistakes.append(
                    f"task.metrics names {name}, which is computed from {LOSSES[unit]}, and the loss of task={kind} is "
                    f"{LOSSES.get(task.loss_unit, 'another')}: name loss instead"
                )
        except ConfigError as error:
            mistakes += error.mistakes
    return mistakes


def _can_score(metric: Metric, answer: str | list[str] | None) -> bool:
    try:
        metric.update(Loss(torch.zeros(()), torch.ones(())), [answer], [answer])
        metric.compute()
    except (ValueError, TypeError):
        return False
    return answer is not None
