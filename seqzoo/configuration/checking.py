"""Validation of a whole configuration: all errors are reported together, before any data is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from seqzoo.cells.elman import Elman
from seqzoo.configuration import composing, registry, task_names
from seqzoo.configuration.budget import WIDEST, Budget
from seqzoo.configuration.building import build_data, build_model, build_rule, misfits, task_name
from seqzoo.configuration.components import Provided, check_component, find, make, with_classes
from seqzoo.configuration.cost import Cost
from seqzoo.configuration.experiment import (
    COMPONENTS,
    Experiment,
    Parts,
    budget_mistakes,
    parse,
    parts_of,
    section_mistakes,
    training_mistakes,
    value_mistakes,
)
from seqzoo.configuration.sizing import Outline, check_width, outline
from seqzoo.configuration.transfer import mistakes_of_transfer
from seqzoo.contracts.batch import Loss
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.options import (
    Options,
    UnmetCondition,
    fits,
    has,
    is_group,
    leaves,
    parameters,
    plain,
    thawed,
    type_hints,
    unmet,
    value_at,
)
from seqzoo.contracts.own_parts import during, failure_of_own_part, is_own_class
from seqzoo.contracts.parts import BackboneFactory, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.steps import unsupported
from seqzoo.learning.rule import LearningRule
from seqzoo.metrics import MetricName, create_metric
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.training.device import check_precision, select_device
from seqzoo.training.recurrent_weights import recurrent_matrices
from seqzoo.training.settings import Training


def examine(config: Options) -> tuple[Experiment | None, list[str]]:
    """Check a plain configuration without reading data.

    Args:
        config: from `composing.examine`.

    Returns:
        The parsed configuration if all options have valid types and values and all components can be built, else None;
        and a message for each error. There may be both: components may not work together, or this machine may lack the
        device or the memory.
    """
    mistakes = section_mistakes(config)
    if mistakes:
        return None, mistakes
    mistakes = [*value_mistakes(config), *training_mistakes(config), *budget_mistakes(config)]
    with on_meta_device():
        mistakes += _check_parts(parts_of(config))
    if mistakes:
        return None, _without_consequences(mistakes, config.get("overrides", []))
    experiment = parse(config)
    return experiment, _check_whole(experiment)


def check(experiment: Experiment) -> list[str]:
    """Error messages about the components, their combination, and what they need of this machine."""
    with on_meta_device():
        mistakes = _check_parts(experiment)
    return mistakes or _check_whole(experiment)


@during(lambda: "while the configuration was checked")
def _check_whole(experiment: Experiment) -> list[str]:
    mistakes = [*harmful(experiment), *_check_device(experiment.training)]
    mistakes += mistakes_of_transfer(experiment)
    if mistakes:
        return mistakes
    try:
        if experiment.budget.width is not None:
            check_width(experiment, experiment.budget.width[0])
        planned = outline(experiment)
        mistakes = _check_recurrent_weights(experiment, planned.model)
        return mistakes or _check_machine(experiment, planned.cost) or _check_rule_early(experiment, planned)
    except ConfigError as error:
        return error.mistakes


def _without_consequences(mistakes: list[str], overrides: Sequence[str]) -> list[str]:
    """Mistakes without repetitions from options that interpolate a wrong value, as data.seed does with seed."""
    overridden = {text.partition("=")[0].lstrip("+") for text in overrides}
    kept: list[str] = []
    reported: set[tuple[str, str]] = set()
    for mistake in mistakes:
        match = re.match(r"([\w.]+) is (.*?): ", mistake)
        subject = (match[1].rpartition(".")[2], match[2]) if match else (mistake, "")
        if subject not in reported or (match and match[1] in overridden):
            kept.append(mistake)
        reported.add(subject)
    return kept


@during(lambda: "while the configuration was checked")
def _check_parts(parts: Parts) -> list[str]:
    """Mistakes in the components and their combination. Each one is built with placeholders for the others, so that an
    error in one does not hide errors in the others.
    """
    mistakes: list[str] = []
    made: dict[str, Any] = {}
    spec = DataSpec("", 100, 100, character_size=100)
    placeholders = _placeholders(parts, spec)
    for group in COMPONENTS:
        wrong = check_component(group, getattr(parts, group), group, parts.allow_modules)
        mistakes += wrong.values()
        sound = _without(wrong, group, parts)
        try:
            if sound is not None:
                made[group] = make(group, sound, placeholders, parts.allow_modules)
            if group == "data" and group in made:
                spec = results.checked(made["data"], "expected_spec", made["data"].expected_spec())
                placeholders = replace(placeholders, spec=spec, embedding=nn.Embedding(spec.input_size, 8))
                if spec.picture is not None:
                    placeholders = replace(placeholders, input_size=spec.picture[0])
        except ConfigError as error:
            mistakes += error.mistakes
        if group == "task" and "class" not in wrong:
            task = find(group, parts.task, parts.allow_modules, group)
            names = {**thawed(parts.task), **wrong}.get("metrics")
            mistakes += _check_metrics(made.get(group, task), names, parts)
            if group in made and not mistakes:
                results.metrics_of(made[group], made[group].metrics())
            mistakes += misfits(made.get(group, task), made.get("backbone"), spec, parts.choices, made.get("encoder"))
    return [_with_source(mistake, parts.choices) for mistake in mistakes]


def _placeholders(parts: Parts, spec: DataSpec) -> Provided:
    """What the components are built with before data is read."""
    widths = parts.backbone.get("hidden_size")
    width: Any = widths[0] if isinstance(widths, tuple) and widths else widths
    return Provided(
        spec=spec,
        cell=Elman,
        input_size=8,
        hidden_size=width if fits(width, int) and 0 < width <= WIDEST else 8,  # options of a cell may depend on it
        feature_size=8,
        encoder_state=((torch.zeros(1, 8),),),
        embedding=nn.Embedding(100, 8),
    )


def _with_source(mistake: str, choices: Mapping[str, str]) -> str:
    """A message about an option that a part does not have, or that has no value, with the file that caused it."""
    unknown = re.match(r"there is no option '((\w+)\.([\w.]+))'", mistake)
    unset = re.match(r"((\w+)\.([\w.]+)) is not set: give ", mistake)
    try:
        if unknown:
            path, group = unknown[1], unknown[2]
            part = f"{group}={choices[group]}"
            for name in ("debug", "experiment"):
                if has(registry.file_content(name, choices[name]), path):
                    file = registry.shown_path(name, choices[name])
                    return f"{file} sets {path}, which {part} does not have: leave out {part} or {name}={choices[name]}"
        if unset:
            path, group, option = unset.groups()
            value = value_at(composing.load(group, choices[group]), option)
            source = re.fullmatch(r"\$\{((\w+)\.[\w.]+)\}", str(value))
            if source:
                file, part = registry.shown_path(group, choices[group]), f"{source[2]}={choices[source[2]]}"
                return (
                    f"{path} is not set: {file} takes it from {source[1]}, which {part} does not have; give {path}=..."
                )
    except (ConfigError, KeyError):  # a stored run may have names that are not here
        pass
    return mistake


def _without(wrong: Mapping[str, str], group: str, parts: Parts) -> Options | None:
    """The valid options of a component; None if it cannot be built from them."""
    if "class" in wrong:
        return None
    options = thawed(getattr(parts, group))
    return _sound(find(group, options, parts.allow_modules, group), options, wrong)


def _sound(constructor: type, options: Options, wrong: Mapping[str, str], above: str = "") -> Options | None:
    sound: dict[str, Any] = {}
    hints = type_hints(constructor)
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


def _check_device(training: Training) -> list[str]:
    """Error messages if this machine lacks the device, or the device the precision."""
    try:
        check_precision(training.precision, select_device(training.device))
    except ConfigError as error:
        return error.mistakes
    return []


def _check_machine(experiment: Experiment, cost: Cost) -> list[str]:
    """Error messages if training needs more threads or memory than this machine has."""
    mistakes = []
    threads, cores = experiment.training.threads, os.cpu_count() or 1
    if isinstance(threads, int) and threads > max(cores, MANY_THREADS):
        mistakes.append(f"training.threads is {threads}: this machine has {cores} cores")
    memory = _machine_memory(experiment.training)
    # weights, gradients and two moments are exact; activations are an estimate, hence the larger tolerance
    needed = max(16 * cost.parameters, cost.training_bytes or 0)
    if 16 * cost.parameters > memory or needed > 8 * memory:
        mistakes.append(
            f"the model needs about {needed / 2**30:,.0f} GiB to train, and this machine has "
            f"{memory / 2**30:,.0f} GiB: lower backbone.hidden_size, data.batch_size or what else is large"
        )
    return mistakes


def check_rule(experiment: Experiment, model: Model, data: DataModule) -> list[str]:
    """Error messages if the learning rule cannot train a model, or needs more memory for that than this machine has.

    Args:
        experiment: the configuration.
        model: its model; on the meta device memory is not checked.
        data: its data, which need not be loaded.
    """
    rule, choices = build_rule(experiment), experiment.choices
    name = f"learning={choices.get('learning')}"
    parts = {group: f"{group}={choices.get(group)}" for group in COMPONENTS}
    if rule.task_needs is not None:
        parts["fitting_tasks"] = task_names.having(rule.task_needs)
    mistakes = unsupported(data.structure, rule, name)
    mistakes += [f"{name} {reason.format(**parts)}" for reason in rule.misfits(model)]
    if rule.follows_weights and experiment.training.freeze != "none":
        freeze = f"training.freeze={experiment.training.freeze}"
        mistakes.append(f"{name} follows the weights of encoder and backbone, and {freeze} freezes them: leave it out")
    if mistakes or next(model.parameters()).is_meta:
        return mistakes
    rows, memory = data.batch_size, _machine_memory(experiment.training)
    needed = rule.bytes_needed(model, rows)
    if needed <= memory:
        return []
    sizes = f"{needed / 2**30:,.0f} GiB for {rows} rows of {parts['cell']}"
    has = f"this machine has {memory / 2**30:,.0f} GiB"
    advice = (
        "lower backbone.hidden_size or data.batch_size, or choose a diagonal cell, such as cell=lru, or learning=snap1"
    )
    return [f"{name} needs {sizes}, and {has}: {advice}"]


def _check_recurrent_weights(experiment: Experiment, model: Model) -> list[str]:
    """Error messages about options of training that act on hidden-to-hidden matrices which a model does not have."""
    training, cell = experiment.training, f"cell={experiment.choices.get('cell')}"
    asked = {name: getattr(training, name) for name in ("recurrent_l1", "recurrent_l2", "recurrent_norm")}
    if recurrent_matrices(model):
        return []
    return [
        f"training.{name}={value} acts on hidden-to-hidden matrices, which {cell} does not have: leave it out"
        for name, value in asked.items()
        if value
    ]


def _check_rule_early(experiment: Experiment, planned: Outline) -> list[str]:
    """`check_rule` before data is read, when the vocabulary is not known."""
    data = build_data(experiment)
    mistakes = check_rule(experiment, planned.model, data)
    if mistakes or type(build_rule(experiment)).bytes_needed is LearningRule.bytes_needed:
        return mistakes
    spec = planned.spec
    if spec.picture is None and not planned.numbers:
        spec = replace(spec, input_size=min(spec.input_size, FEW_WORDS))
    with torch.random.fork_rng():
        return check_rule(experiment, build_model(experiment, spec), data)


FEW_WORDS = 64
"""Size of a vocabulary in the memory that a learning rule needs, before data is read."""


def _machine_memory(training: Training) -> int:
    """The memory of this machine or of its GPU, in bytes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if torch.cuda.is_available() and training.device != "cpu":
        memory = max(memory, torch.cuda.get_device_properties(0).total_memory)
    return memory


MANY_THREADS = 64
"""Up to this number threads are accepted, so that configurations of larger machines can be checked on a small one."""


def harmful(experiment: Experiment) -> list[str]:
    """Error messages about options that do harm in combination with others."""
    return [
        f"{option.path}={plain(option.value)} makes no sense with {option.other}={plain(option.actual)}: set "
        f"{option.path}=false, or give {option.wanted}"
        for option in _unmet("needs", experiment)
    ]


def without_effect(experiment: Experiment) -> list[UnmetCondition]:
    """The options that have no effect in combination with the others."""
    return [*_unmet("acts_with", experiment)]


def _unmet(declared: str, experiment: Experiment) -> Iterator[UnmetCondition]:
    """`seqzoo.contracts.options.unmet` for all sections."""
    config = experiment.to_plain()
    for group in COMPONENTS:
        yield from _unmet_in(declared, group, config[group], group, experiment.allow_modules, config)
    for section, constructor in (("training", Training), ("budget", Budget)):
        yield from unmet(declared, constructor, config[section], section, config)


def _unmet_in(
    declared: str, group: str, options: Options, where: str, allowed: Sequence[str], config: Options
) -> Iterator[UnmetCondition]:
    constructor = find(group, options, allowed, where)
    yield from unmet(declared, constructor, options, where, config)
    for path, hint, value in leaves(constructor, options):
        if hint == BackboneFactory and isinstance(value, dict):
            yield from _unmet_in(declared, "backbone", value, f"{where}.{path}", allowed, config)


LOSSES = {"nats": "a likelihood", "squared error": "a squared error"}
"""Units of losses in words."""


def _check_metrics(task: Task | type[Task], names: Any, parts: Parts) -> list[str]:
    """Mistakes in the metrics of a task; a value that is not a list of names is reported elsewhere."""
    named, answers = task_name(task, parts.choices), task.example_answers
    if names == []:
        return ["task.metrics is empty: name at least one, which picks the best checkpoint"]
    mistakes = []
    classes: dict[str, type[Metric]] = {}
    for name in names if fits(names, list[str]) else []:
        try:
            metric = create_metric(with_classes(name, MetricName, parts.allow_modules, "task.metrics"))
            if not isinstance(getattr(metric, "name", None), str):
                mistakes.append(f"task.metrics names {name}, which has no name: give the class one, name = ...")
                continue
            if metric.name in classes:
                advice = "leave one out" if classes[metric.name] is type(metric) else "rename one"
                mistakes.append(f"task.metrics has two metrics with the name {metric.name!r}: {advice}")
            elif metric.name == task.loss_name and is_own_class(type(metric)):
                mistakes.append(
                    f"task.metrics names {name}, whose name is {metric.name!r}, as that of the mean loss: rename it"
                )
            classes[metric.name] = type(metric)
            if metric.from_predictions and answers is not None and not _can_score(metric, answers):
                mistakes.append(f"task.metrics names {name}, which cannot score what {named} predicts")
            unit = metric.loss_unit
            if unit is not None and unit != task.loss_unit:
                mistakes.append(
                    f"task.metrics names {name}, which is computed from {LOSSES[unit]}, and the loss of {named} is "
                    f"{LOSSES.get(task.loss_unit, 'another')}: name loss instead"
                )
        except ConfigError as error:
            mistakes += error.mistakes
        except Exception as error:
            failure = failure_of_own_part(error)
            if failure is None:
                raise
            mistakes.append(f"task.metrics names {name}, which cannot score what {named} predicts: {failure.sentence}")
    return mistakes


def _can_score(metric: Metric, answers: Sequence[str | list[str]]) -> bool:
    if not answers:
        return False
    try:
        metric.update(Loss(torch.zeros(()), torch.ones(())), [*answers], [*answers])
        metric.compute()
    except (ValueError, TypeError, AttributeError) as error:
        if failure_of_own_part(error) is not None:
            raise
        return False
    return True
