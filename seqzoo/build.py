"""Names and options become data and models: the one file that reads a configuration.

A configuration names classes of seqzoo's own packages, or of modules that the user allowed by name on this command line; it
cannot run anything else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqzoo import config as configuration
from seqzoo.config import Training
from seqzoo.contracts import Backbone, BackboneFactory, Batch, Cell, CellFactory, DataModule, DataSpec, Task
from seqzoo.errors import ConfigError, DataError, closest
from seqzoo.model import Model
from seqzoo.options import annotations, check_options, parameters

PACKAGES = {
    "cell": "seqzoo.cells",
    "backbone": "seqzoo.backbones",
    "encoder": "seqzoo.encoders",
    "task": "seqzoo.tasks",
    "data": "seqzoo.data",
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
    """What is known of a model before its data has been read.

    bytes_of_memory: weights, gradients, optimizer and what a batch of rows x steps keeps for the backward pass.
    """

    model: Model
    spec: DataSpec
    parameters: int
    rows: int
    steps: int
    bytes_of_memory: int


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
    _check_fit(task, backbone, spec, config)
    return Model(encoder, backbone, task)


def build(*overrides: str) -> tuple[Model, DataModule]:
    """A model and its data, loaded, by overrides as on the command line: `build("task=tagging", "cell=gru")`."""
    config, mistakes = examine(*overrides)
    if mistakes or config is None:
        raise ConfigError(mistakes)
    data = build_data(config)
    data.load()
    torch.manual_seed(config["seed"])
    return build_model(config, data.spec), data


def create_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """A cell of the catalogue by its name in `conf/cell`; `options` override its YAML."""
    return cell_factory(name, **options)(input_size, hidden_size)


def cell_factory(name: str, **options: Any) -> CellFactory:
    """(input_size, hidden_size) -> a cell of the catalogue."""
    return _cell_factory({**configuration.load("cell", name), **options}, {}, "cell")


def build_training(config: dict[str, Any]) -> Training:
    """The typed training section."""
    mistakes = check_options("training", Training, config["training"])
    if mistakes:
        raise ConfigError(mistakes.values())
    return Training(**config["training"])


def examine(*overrides: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Compose and check: the configuration, and every mistake in the overrides and in what they build, as sentences."""
    config, mistakes = configuration.examine(*overrides)
    if config is not None:
        mistakes += [mistake for mistake in check(config) if mistake not in mistakes]
    return config, mistakes


def check(config: dict[str, Any]) -> list[str]:
    """Every mistake in a composed configuration, as sentences; empty when it builds. No data is read."""
    mistakes: list[str] = []
    sound = dict(config)
    for group in PACKAGES:
        wrong = _check_component(group, config[group], group, config)
        mistakes += wrong.values()
        if isinstance(config[group], dict):
            sound[group] = {name: value for name, value in config[group].items() if name not in wrong}
    try:
        build_training(config)
    except ConfigError as error:
        mistakes += error.mistakes
    if not isinstance(config["seed"], int):
        mistakes.append(f"seed is {config['seed']!r}: it must be a whole number")
    try:
        # without the options that are wrong by themselves, what does not fit together is found too
        outline(sound)
    except (ConfigError, DataError) as error:
        mistakes += [text for text in getattr(error, "mistakes", [str(error)]) if text not in mistakes]
    return mistakes


def outline(config: dict[str, Any]) -> Outline:
    """Build on the meta device (no memory, no data) and measure. Sizes that only the data knows are upper limits."""
    data = build_data(config)
    spec = data.expected_spec()
    with torch.device("meta"):
        model = build_model(config, spec)
    model.task.metrics()  # their names are checked where they are made
    rows, steps = int(config["data"]["batch_size"]), int(config["data"].get("window") or 40)
    weights = sum(parameter.numel() for parameter in model.parameters())
    # weights, gradients and two moments, and what autograd keeps of a batch
    return Outline(model, spec, weights, rows, steps, 4 * 4 * weights + _saved_bytes(model, rows, steps))


def _saved_bytes(model: Model, rows: int, steps: int) -> int:
    """What the backward pass of a batch keeps, scaled up from a small one."""
    # a view shares its storage: each counts once, and weights not at all
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    small_rows, small_steps = 2, 8
    ids = torch.zeros(small_rows, small_steps, dtype=torch.long, device="meta")
    lengths = torch.full((small_rows,), small_steps, device="meta")
    targets = ids[:, 0] if model.task.kind == "classification" else ids
    batch = Batch(ids, lengths, targets, lengths, padded=False)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scores, _ = model(batch)
        model.task.loss(scores, batch)
    return sum(kept.values()) * rows * steps // (small_rows * small_steps)


def _find(group: str, options: dict[str, Any], config: dict[str, Any]) -> type:
    """The class that `class:` names."""
    name = options.get("class")
    if not isinstance(name, str):
        raise ConfigError([f"{group}.class is {name!r}: name a class of {PACKAGES[group]}, or module.Class of your own"])
    module, _, attribute = name.rpartition(".")
    if module:
        if module not in config.get("allow_modules", []):
            raise ConfigError(
                [f"{group}.class is {name!r}, outside seqzoo: if you trust it, add 'allow_modules=[{module}]'"]
            )
        try:
            package = importlib.import_module(module)
        except ImportError as error:
            raise ConfigError([f"{group}.class is {name!r}, but {module} cannot be imported: {error}"]) from error
    else:
        package = importlib.import_module(PACKAGES[group])
    known = package.__all__ if not module else [n for n in vars(package) if not n.startswith("_")]
    if attribute not in known:
        raise ConfigError([f"{group}.class is {name!r}: there is no such class.{closest(attribute, known)}"])
    return getattr(package, attribute)


def _check_component(group: str, options: Any, where: str, config: dict[str, Any]) -> dict[str, str]:
    """The options of one component that have a mistake, and a sentence for each."""
    if not isinstance(options, dict):
        return {"class": f"{where} is {options!r}: it must be a mapping with a class and its options"}
    try:
        found = _find(group, options, config)
    except ConfigError as error:
        return {"class": str(error)}
    plain = {name: value for name, value in options.items() if name != "class"}
    mistakes = check_options(where, found, plain, set(PROVIDED[group]) & parameters(found).keys())
    hints = annotations(found)
    for name in plain.keys() & hints.keys() - mistakes.keys():
        if hints[name] == BackboneFactory:
            inside = _check_nested(plain[name], f"{where}.{name}", config)
            if inside:
                mistakes[name] = "\n".join(inside)
    return mistakes


def _check_nested(options: Any, where: str, config: dict[str, Any]) -> list[str]:
    """Mistakes in a backbone inside another component, whose cell may be a name."""
    if isinstance(options, str):
        return _unknown("backbone", options)
    cell = options.get("cell") if isinstance(options, dict) else None
    plain = {name: value for name, value in options.items() if name != "cell"} if isinstance(options, dict) else options
    wrong = list(_check_component("backbone", plain, where, config).values())
    return wrong + (_unknown("cell", cell) if isinstance(cell, str) else [])


def _unknown(group: str, name: str) -> list[str]:
    known = configuration.names(group)
    return [] if name in known else [f"there is no {group} named {name!r}.{closest(name, known)}"]


def _make(
    group: str, options: dict[str, Any], provided: dict[str, Any], config: dict[str, Any], cell: CellFactory | None = None
) -> Any:
    """Construct what `options` describe. A ValueError of the constructor becomes a ConfigError that says where."""
    mistakes = _check_component(group, options, group, config)
    if mistakes:
        raise ConfigError(mistakes.values())
    found = _find(group, options, config)
    hints, known = annotations(found), parameters(found)
    arguments = {name: value for name, value in provided.items() if name in known}
    for name, value in options.items():
        if name == "class":
            continue
        if hints.get(name) == BackboneFactory:
            value = _backbone_factory(value, config, cell)
        arguments[name] = value
    try:
        return found(**arguments)
    except (ValueError, DataError) as error:
        raise ConfigError([f"{group}: {error}"]) from error


def _cell_factory(options: dict[str, Any], config: dict[str, Any], where: str) -> CellFactory:
    mistakes = _check_component("cell", options, where, config)
    if mistakes:
        raise ConfigError(mistakes.values())
    return lambda input_size, hidden_size: _make(
        "cell", options, {"input_size": input_size, "hidden_size": hidden_size}, config
    )


def _backbone_factory(
    options: dict[str, Any] | str, config: dict[str, Any], cell: CellFactory | None
) -> Callable[[int], Backbone]:
    """A backbone inside another component: its cell is the model's own unless it names one."""
    if isinstance(options, str):
        options = configuration.load("backbone", options)
    own = options.get("cell")
    chosen = cell if own is None else _cell_factory(configuration.load("cell", own) if isinstance(own, str) else own, config, "cell")
    rest = {name: value for name, value in options.items() if name != "cell"}
    return lambda input_size: _make("backbone", rest, {"cell": chosen, "input_size": input_size}, config)


def _check_fit(task: Task, backbone: Backbone, spec: DataSpec, config: dict[str, Any]) -> None:
    """Axes are independent but for this: a task wants its kind of data, and some must not see what is ahead."""
    mistakes = []
    choices = config.get("choices", {})
    if spec.task != task.kind:
        mistakes.append(
            f"data={choices.get('data')} is made for task={spec.task}, not for task={choices.get('task')}: "
            f"choose task={spec.task}, or other data"
        )
    if task.needs_causal and not backbone.causal:
        mistakes.append(
            f"backbone={choices.get('backbone')} sees what is ahead, and task={choices.get('task')} must predict it: "
            "choose a backbone of one direction, such as backbone=unidirectional or backbone=deep"
        )
    if mistakes:
        raise ConfigError(mistakes)

