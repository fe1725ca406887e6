"""Names and options become data and models: the one file that reads a configuration.

A configuration names classes of seqzoo's own packages, or of modules that the user allowed by name on this command
line; it cannot run anything else.
"""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import nn

from seqzoo import config as configuration
from seqzoo.budget import Budget, nearest
from seqzoo.cells import Elman
from seqzoo.cells.initialisation import Initialisation, initialise
from seqzoo.cells.modified import Modifiers, modify
from seqzoo.config import Training, out_of_range
from seqzoo.contracts import (
    Backbone,
    BackboneFactory,
    Cell,
    CellFactories,
    CellFactory,
    DataModule,
    DataSpec,
    Loss,
    Metric,
    Task,
)
from seqzoo.cost import Cost, cost_of, count_flops, count_weights
from seqzoo.errors import ConfigError, DataError, closest
from seqzoo.kernels.engines import Execution
from seqzoo.metrics import create_metric
from seqzoo.model import Model
from seqzoo.options import check_options, fits, parameters, type_hints

PACKAGES = {
    "data": "seqzoo.data",
    "encoder": "seqzoo.encoders",
    "cell": "seqzoo.cells",
    "backbone": "seqzoo.backbones",
    "task": "seqzoo.tasks",
}
CONTRACTS: dict[str, type] = {
    "data": DataModule,
    "encoder": nn.Module,
    "cell": Cell,
    "backbone": Backbone,
    "task": Task,
}
# what each kind of constructor is handed, besides its options
PROVIDED = {
    "cell": ("input_size", "hidden_size"),
    "backbone": ("cell", "input_size"),
    "encoder": ("input_size",),
    "task": ("feature_size", "spec", "encoder_state"),
    "data": (),
}


class Outline(NamedTuple):
    """What is known of a model before its data has been read; rows and steps are those of a batch."""

    model: Model
    spec: DataSpec
    cost: Cost
    rows: int
    steps: int


def build_data(config: dict[str, Any]) -> DataModule:
    """The data module of a configuration; nothing is read yet."""
    return _make("data", config["data"], {}, config)


def build_model(config: dict[str, Any], spec: DataSpec) -> Model:
    """A model for data of these sizes, initialised from torch's random state."""
    encoder = _make("encoder", config["encoder"], {"input_size": spec.input_size}, config)
    cell = _cell_factory(config["cell"], config, "cell")
    backbone: Backbone = _make(
        "backbone", config["backbone"], {"cell": cell, "input_size": encoder.output_size}, config
    )
    task: Task = _make(
        "task",
        config["task"],
        {"feature_size": backbone.output_size, "spec": spec, "encoder_state": backbone.initial_state(1)},
        config,
        cell,
    )
    misfits = _misfits(task, backbone, spec, config)
    if misfits:
        raise ConfigError(misfits)
    return Model(encoder, backbone, task)


def build(*overrides: str) -> tuple[Model, DataModule]:
    """A model and its data, loaded, by overrides as on the command line: `build("task=tagging", "cell=gru")`."""
    config, mistakes = examine(*overrides)
    if mistakes or config is None:
        raise ConfigError(mistakes)
    data = build_data(config)
    data.load()
    config = within_budget(config, data, data.spec)
    torch.manual_seed(config["seed"])
    return build_model(config, data.spec), data


def create_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """A cell of the catalogue by its name in `conf/cell`; `options` override its YAML."""
    return cell_factory(name, **options)(input_size, hidden_size)


def cell_factory(name: str, **options: Any) -> CellFactory:
    """(input_size, hidden_size) -> a cell of the catalogue."""
    return _cell_factory({**configuration.load("cell", name), **options}, {}, "cell")


def build_training(config: dict[str, Any]) -> Training:
    """The typed training section. Raises ConfigError with all its mistakes."""
    options = config["training"]
    wrong = check_options("training", Training, options)
    mistakes = [*wrong.values(), *out_of_range({name: value for name, value in options.items() if name not in wrong})]
    ends = (options.get("epochs", 1), options.get("steps", 1), config.get("budget", {}).get("seconds"))
    if ends == (None, None, None):
        mistakes.append("training.epochs and training.steps are both null: say when to stop")
    if mistakes:
        raise ConfigError(mistakes)
    return Training(**options)


def build_budget(config: dict[str, Any]) -> Budget:
    """The typed budget section, which runs of older versions do not have. Raises ConfigError with all its mistakes."""
    options = config.get("budget", {})
    mistakes = check_options("budget", Budget, options)
    if mistakes:
        raise ConfigError(mistakes.values())
    return Budget(**options)


def examine(*overrides: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Compose and check: the configuration, and every mistake in the overrides and in what they build, as sentences."""
    config, mistakes = configuration.examine(*overrides)
    if config is not None:
        mistakes += [mistake for mistake in check(config) if mistake not in mistakes]
    return config, mistakes


def check(config: dict[str, Any]) -> list[str]:
    """Every mistake in a composed configuration, as sentences; empty when it builds. No data is read."""
    mistakes: list[str] = []
    if not fits(config["seed"], int) or not 0 <= config["seed"] < 2**63:
        mistakes.append(f"seed is {config['seed']!r}: it must be a whole number, 0 or more")
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
                _widths(config, width[0])
            outline(config)
        except ConfigError as error:
            mistakes += error.mistakes
    return mistakes


def _check_parts(config: dict[str, Any]) -> list[str]:
    """Mistakes in the components and in how they fit. Each is built between stand-ins: no mistake hides another."""
    mistakes: list[str] = []
    made: dict[str, Any] = {}
    stand_ins: dict[str, Any] = {
        "spec": DataSpec("", 100, 100),
        "cell": Elman,
        "encoder_state": ((torch.zeros(1, 8),),),
    }
    stand_ins |= dict.fromkeys(("input_size", "feature_size"), 8)
    widths = config["backbone"].get("hidden_size")
    width = widths[0] if isinstance(widths, list) and widths else widths
    # the real one: a cell may have options that must fit it
    stand_ins["hidden_size"] = width if fits(width, int) and width > 0 else 8
    for group in PACKAGES:
        wrong = _check_component(group, config[group], group, config)
        mistakes += wrong.values()
        sound = _without(wrong, group, config)
        try:
            if sound is not None:
                made[group] = _make(group, sound, stand_ins, config, Elman)
            if group == "data" and group in made:
                stand_ins["spec"] = made["data"].expected_spec()
        except ConfigError as error:
            mistakes += error.mistakes
        if group == "task" and "class" not in wrong:
            task = _find(group, config[group], config, group)
            mistakes += _check_metrics(task.kind, {**config[group], **wrong}.get("metrics"))
            mistakes += _misfits(task, made.get("backbone"), stand_ins["spec"], config)
    return mistakes


def _without(wrong: dict[str, str], group: str, config: dict[str, Any]) -> dict[str, Any] | None:
    """The options of a component that are right; None where it cannot be built from them."""
    if "class" in wrong:
        return None
    found = _find(group, config[group], config, group)
    hints = type_hints(found)
    sound = {name: value for name, value in config[group].items() if name not in wrong}
    for name, parameter in parameters(found).items():
        if name in wrong and parameter.default is parameter.empty:
            if hints.get(name) != BackboneFactory:
                return None
            sound[name] = {"class": "Recurrent", "hidden_size": 8}
    return sound


# an answer of each kind of task, to try a metric on; a continuation of text has no right answer
EXAMPLES: dict[str, str | list[str] | None] = {
    "classification": "a",
    "tagging": ["a"],
    "transduction": "a",
    "language_modeling": None,
    "regression": ["0.5"],
}


def _check_metrics(kind: str, names: Any) -> list[str]:
    """Mistakes in the metrics of a kind of task; a value that is no list of names has been told already."""
    if names == []:
        return ["task.metrics is empty: name at least one, which picks the best checkpoint"]
    mistakes = []
    for name in names if fits(names, list[str]) else []:
        try:
            metric = create_metric(name)
            if metric.from_predictions and kind in EXAMPLES and not _can_score(metric, EXAMPLES[kind]):
                mistakes.append(f"task.metrics names {name}, which cannot score what task={kind} predicts")
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


def outline(config: dict[str, Any]) -> Outline:
    """Build on the meta device (no memory, no data) and measure. Sizes that only the data knows are upper limits; a
    width that a budget sets is that for these sizes, or the configuration's own where none can be found.

    Raises ConfigError where the parts do not fit together.
    """
    data = build_data(config)
    spec = data.expected_spec()
    with suppress(ConfigError):  # the data may be smaller than its upper limits
        config = within_budget(config, data, spec)
    return Outline(_on_meta(config, data, spec), spec, measure(config, data, spec), *_shape(data))


def measure(config: dict[str, Any], data: DataModule, spec: DataSpec) -> Cost:
    """What the model of a configuration costs. Raises ConfigError where no batch goes through it."""
    model = _on_meta(config, data, spec)
    with _told_as_misfit(config, data):
        return cost_of(model, *_shape(data), data.numbers)


def within_budget(config: dict[str, Any], data: DataModule, spec: DataSpec) -> dict[str, Any]:
    """The configuration with the `backbone.hidden_size` that comes nearest to its budget of parameters or FLOPs.

    Raises ConfigError where no width comes near enough.
    """
    budget = build_budget(config)
    if budget.width is None:
        return config
    name, target = budget.width
    paths = _widths(config, name)

    def at(width: int) -> dict[str, Any]:
        changed = copy.deepcopy(config)
        for path in paths:
            *above, option = path.split(".")
            functools.reduce(dict.__getitem__, above, changed)[option] = width
        return changed

    def measured(width: int) -> float:
        model = _on_meta(at(width), data, spec)
        with _told_as_misfit(config, data):
            return count_weights(model) if name == "parameters" else count_flops(model, data.numbers)

    width, reached = nearest(measured, target)
    if abs(reached / target - 1) > budget.tolerance:
        what = "weights" if name == "parameters" else "FLOPs a token"
        parts = ", ".join(f"{group}={config['choices'][group]}" for group in ("cell", "backbone", "task", "data"))
        mistake = (
            f"budget.{name} is {target:,.0f}: {parts} comes to {reached:,.0f} {what} at best "
            f"({reached / target - 1:+.1%}, backbone.hidden_size={width}); choose another budget, or allow more than "
            f"budget.tolerance={budget.tolerance:g}"
        )
        raise ConfigError([mistake])
    return at(width)


def _widths(config: dict[str, Any], budget: str) -> list[str]:
    """The options that are `backbone.hidden_size`, or take their value from it. Raises ConfigError where a budget
    cannot set it.
    """
    width = config["backbone"].get("hidden_size")
    if not isinstance(width, int):
        had = f"backbone={config['choices']['backbone']} has none" if width is None else f"it is {width!r}"
        raise ConfigError([f"budget.{budget} sets backbone.hidden_size, one number for all layers, but {had}"])
    if any(override.lstrip("+").startswith("backbone.hidden_size=") for override in config["overrides"]):
        raise ConfigError([f"budget.{budget} sets backbone.hidden_size, which is given, too: leave one of them out"])
    small, large = (configuration.compose(*config["overrides"], f"backbone.hidden_size={width}") for width in (64, 128))
    changes = configuration.differences(small, large)
    return [path for path, values in changes.items() if values == (64, 128)]


def _on_meta(config: dict[str, Any], data: DataModule, spec: DataSpec) -> Model:
    with _told_as_misfit(config, data), torch.device("meta"):
        return build_model(config, spec)


def _shape(data: DataModule) -> tuple[int, int]:
    """Rows and steps of a batch; a data set of one's own may have other options."""
    return getattr(data, "batch_size", 1), getattr(data, "window", 40)


@contextmanager
def _told_as_misfit(config: dict[str, Any], data: DataModule) -> Iterator[None]:
    """What torch says when no batch goes through a model, as a ConfigError."""
    try:
        yield
    except (RuntimeError, IndexError, ValueError) as error:
        parts = ", ".join(f"{group}={config['choices'][group]}" for group in ("encoder", "backbone", "cell", "task"))
        held = "numbers, which encoder=features reads" if data.numbers else "ids, which encoder=tokens reads"
        advice = f"the inputs of data={config['choices']['data']} are {held}"
        raise ConfigError([f"no batch goes through {parts}: {str(error).splitlines()[0]}; {advice}"]) from error


def _find(group: str, options: dict[str, Any], config: dict[str, Any], where: str) -> Any:
    """The class that `class:` names."""
    name = options.get("class")
    if not isinstance(name, str):
        raise ConfigError(
            [f"{where}.class is {name!r}: name a class of {PACKAGES[group]}, or module.Class of your own"]
        )
    module, _, attribute = name.rpartition(".")
    if module and module not in config.get("allow_modules", []):
        raise ConfigError(
            [f"{where}.class is {name!r}, outside seqzoo: if you trust it, add 'allow_modules=[{module}]'"]
        )
    try:
        package = importlib.import_module(module or PACKAGES[group])
    except ImportError as error:
        raise ConfigError([f"{where}.class is {name!r}, but {module} cannot be imported: {error}"]) from error
    known = [n for n, value in vars(package).items() if isinstance(value, type) and issubclass(value, CONTRACTS[group])]
    if attribute not in known:
        raise ConfigError([f"{where}.class is {name!r}: there is no such {group}.{closest(attribute, known)}"])
    return getattr(package, attribute)


def _check_component(group: str, options: Any, where: str, config: dict[str, Any]) -> dict[str, str]:
    """The options of one component that have a mistake, and a sentence for each."""
    if not isinstance(options, dict):
        return {"class": f"{where} is {options!r}: it must be a mapping with a class and its options"}
    try:
        found = _find(group, options, config, where)
    except ConfigError as error:
        return {"class": str(error)}
    plain = {name: value for name, value in options.items() if name != "class"}
    mistakes: dict[str, str] = {}
    if group == "cell":
        plain, common = _split_common(plain, found)
        for kind, given in common.items():
            mistakes |= check_options(where, kind, given)
    mistakes |= check_options(where, found, plain, set(PROVIDED[group]) & parameters(found).keys())
    hints = type_hints(found)
    for name in plain.keys() & hints.keys() - mistakes.keys():
        inside: list[str] = []
        if hints[name] == BackboneFactory:
            inside = _check_nested(plain[name], f"{where}.{name}", config)
        elif hints[name] == CellFactories:
            inside = _check_cells(plain[name], f"{where}.{name}", config)
        if inside:
            mistakes[name] = "\n".join(inside)
    return mistakes


def _check_nested(options: Any, where: str, config: dict[str, Any]) -> list[str]:
    """Mistakes in a backbone inside another component, whose cell may be a name."""
    if isinstance(options, str):
        return _unknown("backbone", options)
    if not isinstance(options, dict):
        return [f"{where} is {options!r}: it must be a backbone's name, or a mapping with a class and its options"]
    plain = {name: value for name, value in options.items() if name != "cell"}
    wrong = list(_check_component("backbone", plain, where, config).values())
    return wrong + _check_own_cell(options.get("cell"), f"{where}.cell", config)


def _check_cells(options: Any, where: str, config: dict[str, Any]) -> list[str]:
    """Mistakes in a list of cells inside a backbone."""
    if not isinstance(options, list):
        return [
            f"{where} is {options!r}: it must be a list of cells' names, such as [lstm, gru]; null is the model's own"
        ]
    return [
        mistake for number, own in enumerate(options) for mistake in _check_own_cell(own, f"{where}[{number}]", config)
    ]


def _check_own_cell(options: Any, where: str, config: dict[str, Any]) -> list[str]:
    """Mistakes in a cell that stands in for the model's: a name, or a mapping; None where there is none."""
    if options is None:
        return []
    if isinstance(options, str):
        return _unknown("cell", options)
    return list(_check_component("cell", options, where, config).values())


def _unknown(group: str, name: str) -> list[str]:
    known = configuration.names(group)
    return [] if name in known else [f"there is no {group} named {name!r}.{closest(name, known)}"]


def _make(
    group: str,
    options: dict[str, Any],
    provided: dict[str, Any],
    config: dict[str, Any],
    cell: CellFactory | None = None,
    where: str | None = None,
) -> Any:
    """Construct what `options` describe. What the constructor refuses becomes a ConfigError that says where."""
    where = where or group
    mistakes = _check_component(group, options, where, config)
    if mistakes:
        raise ConfigError(mistakes.values())
    found = _find(group, options, config, where)
    hints, known = type_hints(found), parameters(found)
    common: dict[type, dict[str, Any]] = {}
    if group == "cell":
        options, common = _split_common(options, found)
    arguments = {name: value for name, value in provided.items() if name in PROVIDED[group] and name in known}
    for name, value in options.items():
        if name == "class":
            continue
        if hints.get(name) == BackboneFactory:
            value = _backbone_factory(value, config, cell, f"{where}.{name}")
        elif hints.get(name) == CellFactories:
            value = [_own_cell_factory(own, config, f"{where}.{name}[{n}]") for n, own in enumerate(value)]
        arguments[name] = value
    try:
        made = found(**arguments)
        return _finish(made, common) if common else made
    except (ValueError, DataError, RuntimeError) as error:
        own = [*known, *(name for given in common.values() for name in given)]
        raise ConfigError([_located(where, str(error), own)]) from error


def _finish(cell: Cell, common: dict[type, dict[str, Any]]) -> Cell:
    """A cell with the options that every cell has."""
    initialise(cell, Initialisation(**common[Initialisation]))
    cell.engine = Execution(**common[Execution]).engine
    return modify(cell, Modifiers(**common[Modifiers]))


def _located(where: str, text: str, options: Iterable[str]) -> str:
    """A constructor's complaint, which may begin with the name of an option, with the place of the component."""
    if text.startswith(f"{where}."):
        return text
    first = text.partition(" ")[0].partition("=")[0]
    return f"{where}.{text}" if first in options else f"{where}: {text}"


def _cell_factory(options: dict[str, Any], config: dict[str, Any], where: str) -> CellFactory:
    mistakes = _check_component("cell", options, where, config)
    if mistakes:
        raise ConfigError(mistakes.values())

    def factory(input_size: int, hidden_size: int) -> Cell:
        if hidden_size < 1:
            raise ConfigError([f"hidden_size is {hidden_size}: a cell has at least one unit"])
        return _make("cell", options, {"input_size": input_size, "hidden_size": hidden_size}, config, where=where)

    return factory


def _own_cell_factory(options: dict[str, Any] | str | None, config: dict[str, Any], where: str) -> CellFactory | None:
    """A cell that stands in for the model's, by its name or its options; None where there is none."""
    if options is None:
        return None
    return _cell_factory(configuration.load("cell", options) if isinstance(options, str) else options, config, where)


def _split_common(options: dict[str, Any], found: type) -> tuple[dict[str, Any], dict[type, dict[str, Any]]]:
    """The options of a cell itself, and those that every cell has: how it starts, what is done to its state, and how it
    is computed.
    """
    own = parameters(found).keys()
    common: dict[type, dict[str, Any]] = {
        kind: {name: value for name, value in options.items() if name in parameters(kind).keys() - own}
        for kind in (Initialisation, Modifiers, Execution)
    }
    taken = {name for given in common.values() for name in given}
    return {name: value for name, value in options.items() if name not in taken}, common


def _backbone_factory(
    options: dict[str, Any] | str, config: dict[str, Any], cell: CellFactory | None, where: str
) -> BackboneFactory:
    """A backbone inside another component: its cell is the model's own unless it names one."""
    if isinstance(options, str):
        options = configuration.load("backbone", options)
    cell = _own_cell_factory(options.get("cell"), config, f"{where}.cell") or cell
    rest = {name: value for name, value in options.items() if name != "cell"}
    return lambda input_size: _make("backbone", rest, {"cell": cell, "input_size": input_size}, config, where=where)


def _misfits(task: Task | type[Task], backbone: Backbone | None, spec: DataSpec, config: dict[str, Any]) -> list[str]:
    """Axes are independent but for this: a task wants its kind of data, and some must not see what is ahead, or need
    an output for each step.
    """
    mistakes = []
    choices = config.get("choices", {})
    if spec.task and spec.task != task.kind:
        mistakes.append(
            f"data={choices.get('data')} is made for task={spec.task}, not for task={choices.get('task')}: "
            f"choose task={spec.task}, or other data"
        )
    if backbone is not None and (task.needs_every_step or spec.per_step) and not backbone.keeps_time:
        mistakes.append(
            f"backbone={choices.get('backbone')} puts out fewer steps than it reads, and task={choices.get('task')} "
            "needs an output for each: choose one that keeps them, such as backbone=unidirectional or backbone=deep"
        )
    elif backbone is not None and task.needs_causal and not backbone.causal:
        mistakes.append(
            f"backbone={choices.get('backbone')} sees what is ahead, and task={choices.get('task')} must predict it: "
            "choose a backbone of one direction, such as backbone=unidirectional or backbone=deep"
        )
    return mistakes
