"""Every mistake in a configuration at once, before any data is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from seqzoo.cells.elman import Elman
from seqzoo.configuration.budget import WIDEST, Budget
from seqzoo.configuration.building import build_budget, build_training, misfits, task_name
from seqzoo.configuration.components import PACKAGES, check_component, find, make, with_classes
from seqzoo.configuration.cost import Cost
from seqzoo.configuration.sizing import outline, widths
from seqzoo.contracts.batch import Loss
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.options import UnmetCondition, fits, is_group, leaves, parameters, plain, shown, type_hints, unmet
from seqzoo.contracts.parts import BackboneFactory, Metric, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metric
from seqzoo.training.settings import Training


def check(config: dict[str, Any]) -> list[str]:
    """Every mistake in a composed configuration, as sentences; empty when it builds. No data is read."""
    mistakes = _check_sections(config)
    if mistakes:
        return mistakes
    if not fits(config["seed"], int) or not 0 <= config["seed"] < 2**63:
        mistakes.append(f"seed is {shown(config['seed'])}: it must be a whole number from 0 to 2**63 - 1")
    if not isinstance(config.get("allow_changed_data", False), bool):
        mistakes.append(f"allow_changed_data is {shown(config['allow_changed_data'])}: it must be true or false")
    for section in (build_training, build_budget):
        try:
            section(config)
        except ConfigError as error:
            mistakes += error.mistakes
    with torch.device("meta"):
        mistakes = _told_once([*mistakes, *_check_parts(config)], config)
    if not mistakes:
        mistakes += harmful(config)
    if not mistakes:
        try:
            width = build_budget(config).width
            if width is not None:
                widths(config, width[0])
            mistakes += _check_machine(config, outline(config).cost)
        except ConfigError as error:
            mistakes += error.mistakes
    return mistakes


def _told_once(mistakes: list[str], config: dict[str, Any]) -> list[str]:
    """Mistakes without those of options that take a wrong value over from another one, as data.seed does from seed."""
    given = {text.partition("=")[0].lstrip("+") for text in config.get("overrides", [])}
    kept: list[str] = []
    told: set[tuple[str, str]] = set()
    for mistake in mistakes:
        match = re.match(r"([\w.]+) is (.*?): ", mistake)
        about = (match[1].rpartition(".")[2], match[2]) if match else (mistake, "")
        if about not in told or (match and match[1] in given):
            kept.append(mistake)
        told.add(about)
    return kept


def _check_sections(config: dict[str, Any]) -> list[str]:
    """Mistakes in what there is to check: a section that is missing, or is not a mapping of options."""
    mistakes = [f"{name} is missing: give {name}=..." for name in ("seed", "allow_modules") if name not in config]
    for name in (*PACKAGES, "training", "budget"):
        # runs of older versions have no budget
        if not isinstance(config.get(name, {} if name == "budget" else None), dict):
            mistakes.append(f"{name} is {shown(config.get(name))}: it must be a mapping of its options")
    if not fits(config.get("allow_modules", []), list[str]):
        mistakes.append(f"allow_modules is {shown(config['allow_modules'])}: it must be a list, such as [my_module]")
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
    stand_ins["hidden_size"] = width if fits(width, int) and 0 < width <= WIDEST else 8
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
            mistakes += _check_metrics(made.get(group, task), {**config[group], **wrong}.get("metrics"), config)
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


def _check_machine(config: dict[str, Any], cost: Cost) -> list[str]:
    """Mistakes in what this machine would need for a training."""
    mistakes = []
    threads, cores = config["training"]["threads"], os.cpu_count() or 1
    if isinstance(threads, int) and threads > max(cores, MANY_THREADS):
        mistakes.append(f"training.threads is {threads}: this machine has {cores} cores")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if torch.cuda.is_available() and config["training"]["device"] != "cpu":
        memory = max(memory, torch.cuda.get_device_properties(0).total_memory)
    # what a batch keeps is an estimate, and weights with their gradient and two moments are not
    needed = max(16 * cost.parameters, cost.training_bytes or 0)
    if 16 * cost.parameters > memory or needed > 8 * memory:
        mistakes.append(
            f"the model needs about {needed / 2**30:,.0f} GiB to train, and this machine has "
            f"{memory / 2**30:,.0f} GiB: lower backbone.hidden_size, data.batch_size or what else is large"
        )
    return mistakes


MANY_THREADS = 64
"""A configuration for a larger machine may be checked on a small one."""


def harmful(config: dict[str, Any]) -> list[str]:
    """Mistakes in options that do harm beside the others."""
    return [
        f"{found.path}={plain(found.value)} makes no sense with {found.other}={plain(found.actual)}: set "
        f"{found.path}=false, or give {found.wanted}"
        for found in _unmet("needs", config)
    ]


def without_effect(config: dict[str, Any]) -> list[UnmetCondition]:
    """The options that have no effect beside the others."""
    return [*_unmet("acts_with", config)]


def _unmet(declared: str, config: dict[str, Any]) -> Iterator[UnmetCondition]:
    """Of all components, as `seqzoo.contracts.options.unmet`."""
    for group in PACKAGES:
        yield from _unmet_in(declared, group, config[group], group, config)
    for section, constructor in (("training", Training), ("budget", Budget)):
        yield from unmet(declared, constructor, config.get(section, {}), section, config)


def _unmet_in(
    declared: str, group: str, options: dict[str, Any], where: str, config: dict[str, Any]
) -> Iterator[UnmetCondition]:
    constructor = find(group, options, config, where)
    yield from unmet(declared, constructor, options, where, config)
    for path, hint, value in leaves(constructor, options):
        if hint == BackboneFactory and isinstance(value, dict):
            yield from _unmet_in(declared, "backbone", value, f"{where}.{path}", config)


LOSSES = {"nats": "a likelihood", "squared error": "a squared error"}
"""What the units of losses say."""


def _check_metrics(task: Task | type[Task], names: Any, config: dict[str, Any]) -> list[str]:
    """Mistakes in the metrics of a task; a value that is no list of names has been told already."""
    told, answers = task_name(task, config), task.example_answers
    if names == []:
        return ["task.metrics is empty: name at least one, which picks the best checkpoint"]
    mistakes = []
    for name in names if fits(names, list[str]) else []:
        try:
            metric = create_metric(with_classes(name, MetricName, config, "task.metrics"))
            if metric.from_predictions and answers is not None and not _can_score(metric, answers):
                mistakes.append(f"task.metrics names {name}, which cannot score what {told} predicts")
            unit = metric.loss_unit
            if unit is not None and unit != task.loss_unit:
                mistakes.append(
                    f"task.metrics names {name}, which is computed from {LOSSES[unit]}, and the loss of {told} is "
                    f"{LOSSES.get(task.loss_unit, 'another')}: name loss instead"
                )
        except ConfigError as error:
            mistakes += error.mistakes
    return mistakes


def _can_score(metric: Metric, answers: Sequence[str | list[str]]) -> bool:
    if not answers:
        return False
    try:
        metric.update(Loss(torch.zeros(()), torch.ones(())), [*answers], [*answers])
        metric.compute()
    except (ValueError, TypeError, AttributeError):
        return False
    return True
