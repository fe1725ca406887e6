"""Build the data module, model and learning rule of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from seqzoo.cells.cell import Cell, CellFactory
from seqzoo.cells.nary import check_places
from seqzoo.configuration import composing, task_names
from seqzoo.configuration.budget import MOST_WEIGHTS
from seqzoo.configuration.components import Provided, check_component, make, make_cell_factory
from seqzoo.configuration.cost import count_weights
from seqzoo.configuration.experiment import Parts
from seqzoo.contracts.arguments import check_argument
from seqzoo.contracts.capabilities import Averages
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ArgumentError, ConfigError, DataError, located
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.options import Options
from seqzoo.contracts.own_parts import during
from seqzoo.contracts.parts import Backbone, Encoder, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.kernels.step_results import first_state
from seqzoo.learning.rule import LearningRule
from seqzoo.network.model import Model
from seqzoo.network.network_ensemble import Ensemble


def build_data(parts: Parts) -> DataModule:
    """The data module of a configuration, before reading any data."""
    return make("data", parts.data, Provided(), parts.allow_modules)


@during(lambda: "while the model was built")
def build_model(parts: Parts, spec: DataSpec) -> Model:
    """The model of a configuration for data with these sizes, initialised with torch's random generator."""
    if parts.ensemble == 1:
        return _build_network(parts, spec)
    networks = [_build_network(parts, spec) for _ in range(parts.ensemble)]
    if not isinstance(networks[0].task, Averages):
        named = task_name(networks[0].task, parts.choices)
        raise ConfigError([f"ensemble={parts.ensemble} averages probabilities, which {named} cannot: leave it out"])
    return Ensemble(networks)


def build_body(parts: Parts, spec: DataSpec) -> tuple[Encoder, Backbone]:
    """The encoder and the backbone of a configuration, which fine-tuning takes over from another run."""
    cell = make_cell_factory(parts.cell, parts.allow_modules, "cell")
    provided = Provided(spec=spec, cell=cell, input_size=spec.input_size)
    encoder: Encoder = make("encoder", parts.encoder, provided, parts.allow_modules)
    provided = Provided(cell=cell, input_size=encoder.output_size)
    backbone: Backbone = make("backbone", parts.backbone, provided, parts.allow_modules)
    return encoder, backbone


def _build_network(parts: Parts, spec: DataSpec) -> Model:
    encoder, backbone = build_body(parts, spec)
    provided = Provided(
        spec=spec,
        cell=make_cell_factory(parts.cell, parts.allow_modules, "cell"),
        input_size=spec.input_size,
        feature_size=backbone.output_size,
        embedding=getattr(encoder, "embedding", None),
        encoder_state=first_state(backbone, 1),
    )
    task: Task = make("task", parts.task, provided, parts.allow_modules)
    mistakes = misfits(task, backbone, spec, parts.choices, encoder)
    if mistakes:
        raise ConfigError(mistakes)
    return Model(encoder, backbone, task)


def create_cell(name: str | type[Cell], input_size: int, hidden_size: int, **options: Any) -> Cell:
    """Create a cell by its name or class.

    Args:
        name: a name from `seqzoo.list_cells`, or a class of your own that inherits from `seqzoo.Cell`.
        input_size: number of features per step.
        hidden_size: number of hidden units.
        **options: options of this cell and those of every cell; they override the defaults of its YAML.

    Returns:
        The cell, with initial weights.

    Examples:
        >>> cell = seqzoo.create_cell("lstm", 128, 256, forget_bias=2.0)
        >>> h, state = cell(torch.randn(8, 128), cell.initial_state(8))  # one step
        >>> outputs, state = cell.scan(torch.randn(8, 50, 128))

    Raises:
        TypeError: the cell is neither a name nor a class; an option does not exist or has a wrong type (which is a
            ConfigError, too).
        ConfigError: an unknown name, an invalid option or size, or a cell that is too large.
    """
    with errors_of("create_cell"):
        factory = factory_of_arguments(name, options)
        refuse_too_large(lambda: factory(input_size, hidden_size))
        return factory(input_size, hidden_size)


@contextmanager
def errors_of(function: str) -> Iterator[None]:
    """A context in which the messages of ConfigErrors begin with the name of a function."""
    try:
        yield
    except ConfigError as error:
        raise type(error)(f"{function}: {mistake}" for mistake in error.mistakes) from error


def factory_of_arguments(cell: str | type[Cell], options: Options, beside: Iterable[str] = ()) -> CellFactory:
    """The factory of a cell whose options are the keyword arguments of a function.

    Args:
        cell: name or class of the cell.
        options: of the cell.
        beside: the other arguments of the function; suggested for unknown names.

    Raises:
        TypeError: the cell is neither a name nor a class.
        ArgumentError: there is no such option, or its value has a wrong type.
        ConfigError: there is no such cell.
    """
    check_cell(cell)
    settings = cell_options(cell, **options)
    mistakes = check_component("cell", settings, "", (), beside)
    if mistakes:
        raise ArgumentError(mistakes.values())
    return make_cell_factory(settings, (), "")


def check_cell(cell: Any) -> None:
    """Raise TypeError if a cell is neither a name nor a class."""
    check_argument("cell", cell, (str, type), "a name, such as 'gru', or a class that inherits from seqzoo.Cell")


def refuse_too_large(build: Callable[[], nn.Module]) -> None:
    """Build a model on the meta device; raises ConfigError if it has more than MOST_WEIGHTS weights."""
    with on_meta_device():
        weights = count_weights(build())
    if weights > MOST_WEIGHTS:
        raise ConfigError(
            [f"it would have {weights:,} weights, more than {MOST_WEIGHTS:,}: choose a smaller hidden_size"]
        )


def cell_factory(cell: str | type[Cell], **options: Any) -> CellFactory:
    """A function (input_size, hidden_size) -> cell for the name or the class of a cell."""
    return make_cell_factory(cell_options(cell, **options), (), "cell")


def cell_options(cell: str | type[Cell], **options: Any) -> Options:
    """The options of a cell by its name, with the defaults of its YAML, or of a user-defined class."""
    return {"class": cell, **options} if isinstance(cell, type) else {**composing.load("cell", cell), **options}


def build_rule(parts: Parts) -> LearningRule:
    """The learning rule of a configuration."""
    return make("learning", parts.learning, Provided(), parts.allow_modules)


def task_name(task: Task | type[Task], choices: Mapping[str, str]) -> str:
    """The name of a task for messages: that in `conf/task` or, without one, its class."""
    name = choices.get("task")
    return f"task={name}" if name else f"the task {task.__name__ if isinstance(task, type) else type(task).__name__}"


def misfits(
    task: Task | type[Task],
    backbone: Backbone | None,
    spec: DataSpec,
    choices: Mapping[str, str],
    encoder: Encoder | None = None,
) -> list[str]:
    """Error messages for combinations of components that do not work: a task needs its kind of data, some tasks need a
    causal backbone or an output for each step, and characters need an encoder or a task that reads them.
    """
    mistakes = []
    named = task_name(task, choices)
    if spec.kind and spec.kind != task.reads:
        mistakes.append(
            f"data={choices.get('data')} is made for {spec.kind}, and {named} reads data for {task.reads}: "
            f"choose {task_names.joined([*task_names.reading(spec.kind), 'other data'])}"
        )
    if backbone is not None and (task.needs_every_step or spec.per_step) and not backbone.keeps_time:
        mistakes.append(
            f"backbone={choices.get('backbone')} outputs fewer steps than it reads, and {named} "
            "needs an output for each: choose another one, such as backbone=unidirectional or backbone=deep"
        )
    elif backbone is not None and task.needs_causal and not backbone.causal:
        mistakes.append(
            f"backbone={choices.get('backbone')} reads future inputs, which {named} must predict: "
            "choose a backbone of one direction, such as backbone=unidirectional or backbone=deep"
        )
    elif backbone is not None and task.needs_two_sides and not backbone.two_sided:
        mistakes.append(
            f"backbone={choices.get('backbone')} does not keep what it read before a token apart from what it read "
            f"after it, and {named} must find the token from both: choose one layer in both "
            "directions, such as backbone=bidirectional"
        )
    if backbone is not None and spec.children is not None:
        try:
            with located(spec.children.where or f"data={choices.get('data')}"):
                check_places(backbone, spec.children.number, f"cell={choices.get('cell')}")
        except DataError as error:
            mistakes.append(str(error))
    readers = [part for part in (encoder, task) if isinstance(part, (Encoder, Task))]
    if encoder is not None and (task.needs_every_step or spec.per_step) and encoder.stride > 1:
        mistakes.append(
            f"encoder={choices.get('encoder')} makes one vector of {encoder.stride} steps, and {named} needs an output "
            "for each: choose another one, or encoder.channels=[]"
        )
    if encoder is not None and spec.kind and spec.character_size and not any(p.reads_characters for p in readers):
        mistakes.append(
            f"data.characters or data.word_places spells words, which neither encoder={choices.get('encoder')} nor "
            f"{named} reads: choose encoder=words_and_characters, or leave both out"
        )
    return mistakes
