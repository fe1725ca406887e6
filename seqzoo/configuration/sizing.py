"""The cost of a configuration, counted on the meta device, and the width that meets its budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from seqzoo.configuration.budget import UnknownCost, nearest
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.cost import Cost, cost_of, count_flops, count_weights
from seqzoo.configuration.experiment import Experiment
from seqzoo.contracts.counting import counted
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError, first_line
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.options import shown, thawed
from seqzoo.contracts.own_parts import during, failure_of_own_part
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.steps import unsupported
from seqzoo.network import results
from seqzoo.network.model import Model


class Outline(NamedTuple):
    """The model and its cost before any data is read; rows and steps are those of a batch."""

    model: Model
    spec: DataSpec
    cost: Cost
    rows: int
    steps: int
    numbers: bool
    unit: str  # `DataModule.unit`
    unmet: str = ""  # why no width meets the budget for these upper bounds of the sizes


def outline(experiment: Experiment) -> Outline:
    """Build the model on the meta device, without memory or data, and measure its cost.

    Sizes that depend on the data are upper bounds. With a budget the width is the one for these sizes, or that of the
    configuration if no width meets the budget.

    Raises:
        ConfigError: the components do not work together.
    """
    data = build_data(experiment)
    spec = results.checked(data, "expected_spec", data.expected_spec())
    unmet = ""
    try:
        experiment = within_budget(experiment, data, spec)
    except UnknownCost:
        raise
    except ConfigError as error:  # not an error yet: the data may be smaller than the upper bounds
        unmet = str(error)
    model = _on_meta(experiment, data, spec)
    mistakes = unsupported(data.structure, model.backbone, f"backbone={experiment.choices['backbone']}")
    if mistakes:
        raise ConfigError(mistakes)
    cost = _cost(model, experiment, data)
    return Outline(model, spec, cost, data.batch_size, data.window, data.numbers, data.unit, unmet)


def describe_inputs(spec: DataSpec, unit: str) -> str:
    """The inputs in words; unit: `DataModule.unit`."""
    if spec.lines and spec.picture is not None:
        return f"lines of text, {spec.picture[1]} pixels high"
    if spec.picture is not None:
        return "pictures of {} x {} x {}".format(*spec.picture)
    if spec.rate is not None:
        return f"sound at {spec.rate:,} Hz, {spec.input_size:,} samples per step"
    if spec.steps_per_quarter is not None:
        return f"frames of {spec.input_size:,} notes"
    if unit == "step":
        return f"{counted(spec.input_size, 'number')} per step"
    words = "tokens" if spec.inputs is None else spec.inputs.unit
    characters = f", whose spelling has {spec.character_size:,} different characters" * bool(spec.character_size)
    return f"{spec.input_size:,} different {words}{characters}"


def describe_outputs(spec: DataSpec) -> str:
    """What is predicted, in words."""
    if spec.targets is None:
        return counted(spec.output_size, "output")
    if spec.targets.unit == "labels":
        return counted(spec.output_size, "label")
    return f"targets of {spec.output_size:,} different {spec.targets.unit}"


def measure(experiment: Experiment, data: DataModule, spec: DataSpec) -> Cost:
    """The cost of the model of a configuration. Raises ConfigError if a batch cannot be passed through it."""
    return _cost(_on_meta(experiment, data, spec), experiment, data)


def _cost(model: Model, experiment: Experiment, data: DataModule) -> Cost:
    with _misfit_as_config_error(experiment, data, model):
        return cost_of(model, data.batch_size, data.window, data.numbers)


def within_budget(experiment: Experiment, data: DataModule, spec: DataSpec) -> Experiment:
    """The configuration with the `backbone.hidden_size` that comes nearest to its budget of parameters or FLOPs.

    Raises ConfigError where no width comes near enough, UnknownCost where the FLOPs cannot be counted.
    """
    budget = experiment.budget
    if budget.width is None:
        return experiment
    name, target = budget.width
    check_width(experiment, name)

    def at(width: int) -> Experiment:
        return experiment.with_values(dict.fromkeys(experiment.same_width, width))

    def measured(width: int) -> float:
        model = _on_meta(at(width), data, spec)
        if name == "parameters":
            return count_weights(model)
        try:
            with _misfit_as_config_error(experiment, data, model):
                return count_flops(model, data.numbers)
        except UnknownCost as error:
            reason = (
                f"budget.flops needs the FLOPs per {data.unit}, which are unknown here: {error}; give budget.parameters"
            )
            raise UnknownCost([reason]) from error

    width, reached = nearest(measured, target)
    if abs(reached / target - 1) > budget.tolerance:
        what = "weights" if name == "parameters" else f"FLOPs per {data.unit}"
        parts = ", ".join(f"{group}={experiment.choices[group]}" for group in ("cell", "backbone", "task", "data"))
        mistake = (
            f"budget.{name} is {target:,.0f}: the closest that {parts} can have is {reached:,.0f} {what} "
            f"({reached / target - 1:+.1%}, with backbone.hidden_size={width}); choose another budget, or a "
            f"budget.tolerance above {budget.tolerance:g}"
        )
        raise ConfigError([mistake])
    return at(width)


def check_width(experiment: Experiment, budget: str) -> None:
    """Raise ConfigError if a budget, "parameters" or "flops", cannot set `backbone.hidden_size`."""
    width = experiment.backbone.get("hidden_size")
    if not isinstance(width, int):
        problem = (
            f"backbone={experiment.choices['backbone']} has none" if width is None else f"it is {shown(thawed(width))}"
        )
        raise ConfigError([f"budget.{budget} sets backbone.hidden_size, one number for all layers, but {problem}"])
    if any(override.lstrip("+").startswith("backbone.hidden_size=") for override in experiment.overrides):
        raise ConfigError([f"budget.{budget} sets backbone.hidden_size, which is given, too: leave one of them out"])


def _on_meta(experiment: Experiment, data: DataModule, spec: DataSpec) -> Model:
    with on_meta_device():
        return build_model(experiment, spec)


@contextmanager
def _misfit_as_config_error(experiment: Experiment, data: DataModule, model: Model) -> Iterator[None]:
    """Convert errors of torch in the forward pass of a model to a ConfigError."""
    try:
        with during(lambda: "in the trial of a batch before training"):
            yield
    except (RuntimeError, IndexError, ValueError) as error:
        failure = failure_of_own_part(error)
        text = first_line(error)
        reason = text if failure is None else failure.sentence
        parts = ", ".join(f"{group}={experiment.choices[group]}" for group in ("encoder", "backbone", "cell", "task"))
        advice = "" if _makes_vectors(model, data.numbers) else f"; {_kind_of_inputs(experiment, data)}"
        raise ConfigError([f"no batch goes through {parts}: {reason}{advice}"]) from error


def _makes_vectors(model: Model, numbers: bool) -> bool:
    """Whether the encoder maps a batch to vectors of its output size."""
    try:
        with on_meta_device():
            batch = model.task.example_batch(1, 2, numbers)
        vectors = model.encoder.encode(batch)
    except (RuntimeError, IndexError, ValueError):
        return False
    return vectors.is_floating_point() and vectors.dim() == 3 and vectors.shape[2] == model.encoder.output_size


def _kind_of_inputs(experiment: Experiment, data: DataModule) -> str:
    held = "numbers, which encoder=features reads" if data.numbers else "ids, which encoder=tokens reads"
    if data.expected_spec().picture is not None:
        held = "pictures, which encoder=image_cnn reads"
    elif data.expected_spec().rate is not None:
        held = "sound, which encoder=log_mel reads"
    return f"the inputs of data={experiment.choices['data']} are {held}"
