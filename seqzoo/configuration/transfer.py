"""Transfer learning: a new model with the encoder and the backbone of an earlier run, and what must fit for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from seqzoo.configuration.building import build_body, build_data
from seqzoo.configuration.composing import differences
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.origin import OPTIONS_OF_INPUTS, TAKEN, Origin, read_origin
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import CheckpointError, ConfigError, DataError
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.options import plain, thawed, with_values
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec, spec_from_plain
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.training.record.checkpoint import fill, read_weights, shapes_of_weights
from seqzoo.training.record.files import BEST, SPEC, read_json
from seqzoo.training.record.older import renamed

Shapes = Mapping[str, tuple[int, ...]]


def load_data(experiment: Experiment, data: DataModule) -> None:
    """Load the data of a new run. With `init`, they keep the vocabulary of that run.

    Raises:
        DataError: the data cannot be read, or not by the encoder of that run.
    """
    if experiment.init is None:
        results.load(data)
        return
    data.origin = _spec_of(read_origin(experiment.init))
    results.load(data)
    mistakes = _other_inputs(experiment, data.origin, data.spec, data.numbers) or _other_sizes(data.origin, data.spec)
    if mistakes:
        raise DataError(f"init={experiment.init} cannot read data={experiment.choices['data']}: {mistakes}")


def record_of(experiment: Experiment) -> dict[str, str] | None:
    """The name of the run that a training starts from, and the SHA-256 of its weights; None without `init`."""
    if experiment.init is None:
        return None
    origin = read_origin(experiment.init)
    return {"run": origin.name, "sha256": origin.sha256}


def start_from_origin(experiment: Experiment, model: Model, spec: DataSpec) -> None:
    """Copy the weights of encoder and backbone from the run that `init` names; does nothing without it.

    Vectors of words that its vocabulary does not have begin with the mean of those that it has (Howard & Ruder 2018,
    https://aclanthology.org/P18-1031).

    Args:
        experiment: the configuration.
        model: with initial weights; those of its head are kept.
        spec: of the new data.

    Raises:
        CheckpointError: the weights of the run are damaged, or not those that the training was started with.
    """
    if experiment.init is None:
        return
    origin = read_origin(experiment.init)
    path, old = origin.folder / BEST, _spec_of(origin)
    if experiment.origin is not None and origin.sha256 != experiment.origin.get("sha256"):
        raise CheckpointError(f"{path} is not what this run was started from: its sha256 has changed; start a new run")
    tensors = {name: tensor for name, tensor in renamed(read_weights(path)[0]).items() if _of_body(name)}
    for network in model.networks:
        current = network.state_dict()
        taken = {name: _fitted(tensor, current.get(name), old, spec) for name, tensor in tensors.items()}
        fill(network, {**current, **taken}, path)


def mistakes_of_transfer(experiment: Experiment) -> list[str]:
    """Error messages for a configuration that does not fit the run that it starts from. No data is read."""
    if experiment.init is None:
        if experiment.training.freeze != "none":
            freeze = f"training.freeze={experiment.training.freeze}"
            return [f"{freeze} keeps weights as they are, and without init= they are random: give init=RUN_DIR"]
        return []
    if experiment.origin is not None:  # a run that has its weights already
        return []
    name = f"init={experiment.init}"
    try:
        origin = read_origin(experiment.init)
        spec, shapes = _spec_of(origin), shapes_of_weights(origin.folder / BEST)
    except ConfigError as error:
        return error.mistakes
    except (CheckpointError, DataError) as error:
        return [f"{name} cannot be used: {error}"]
    if origin.config.get("ensemble", 1) != 1:
        return [f"{name} is an ensemble, and one network can be taken over: choose a run with ensemble=1"]
    if experiment.budget.width is not None:
        budget = f"budget.{experiment.budget.width[0]}"
        return [f"{budget} sets backbone.hidden_size, which {name} has set: leave it out"]
    data = build_data(experiment)
    expected = results.checked(data, "expected_spec", data.expected_spec())
    other = _other_inputs(experiment, spec, expected, data.numbers)
    if other:
        return [f"{name} cannot read data={experiment.choices['data']}: {other}"]
    return [*_other_preprocessing(experiment, origin), *_other_shapes(experiment, origin, spec, shapes)]


def _spec_of(origin: Origin) -> DataSpec:
    return spec_from_plain(read_json(origin.folder / SPEC))


def _of_body(name: str) -> bool:
    return name.startswith(("encoder.", "backbone."))


def _fitted(tensor: Tensor, current: Tensor | None, old: DataSpec, new: DataSpec) -> Tensor:
    """A tensor of the run in the type of the new one and, where it has a row per word, with rows for new words."""
    if current is None:
        return tensor
    if tensor.dtype == torch.float16 or (tensor.is_floating_point() and current.is_floating_point()):
        tensor = tensor.to(current.dtype)
    if tensor.shape[:1] == (old.input_size,) and current.shape == (new.input_size, *tensor.shape[1:]):
        added = new.input_size - old.input_size
        tensor = torch.cat([tensor, tensor.mean(0, keepdim=True).expand(added, *tensor.shape[1:])]) if added else tensor
    return tensor


def _kind_of_inputs(spec: DataSpec, numbers: bool) -> str:
    if spec.picture is not None:
        return "pictures"
    if spec.rate is not None:
        return f"sound at {spec.rate:,} Hz"
    if spec.steps_per_quarter is not None:
        return "music"
    return "numbers" if numbers else "text"


def _other_inputs(experiment: Experiment, old: DataSpec, new: DataSpec, numbers: bool) -> str:
    """Why an encoder for data with the first spec cannot read data with the second, which may be expected sizes."""
    read, held = _kind_of_inputs(old, old.inputs is None), _kind_of_inputs(new, numbers)
    if read != held:
        return f"its encoder reads {read}, and these data are {held}; choose another run or other data"
    if bool(old.character_size) != bool(new.character_size):
        if old.character_size:
            return "its encoder also reads how words are spelled, which these data do not provide (data.characters)"
        return "its encoder does not read how words are spelled: leave out data.characters and data.word_places"
    return ""


def _other_sizes(old: DataSpec, new: DataSpec) -> str:
    """Why an encoder cannot read data that have been loaded, because of their sizes or vocabulary."""
    if isinstance(old.inputs, TextCodec):
        if not isinstance(new.inputs, TextCodec) or new.inputs.vocabulary.tokens[: old.input_size] != (
            old.inputs.vocabulary.tokens
        ):
            return "these data have a vocabulary of their own, which cannot be replaced by that of the run"
    elif new.input_size != old.input_size:
        return f"its encoder reads {old.input_size:,} numbers per step, and these data have {new.input_size:,}"
    if old.character_size != new.character_size:
        return f"its encoder knows {old.character_size:,} characters, and these data have {new.character_size:,}"
    return ""


def _other_preprocessing(experiment: Experiment, origin: Origin) -> list[str]:
    """Mistakes in options of the data that belong to the encoder."""
    mistakes = []
    for path, taken in origin.defaults.items():
        option, given = path.removeprefix("data."), experiment.data.get(path.removeprefix("data."))
        if option != path and option in experiment.data and given != taken:
            mistakes.append(
                f"{path} is {plain(given)}, and init={origin.name} was trained with {plain(taken)}: leave it out"
            )
    if experiment.data.get("vectors") is not None:
        mistakes.append(f"data.vectors gives embeddings, and those of init={origin.name} are used: set it to null")
    for option in OPTIONS_OF_INPUTS:
        if experiment.data.get(option) and not origin.config["data"].get(option):
            mistakes.append(f"data.{option} is for an encoder that reads it, and init={origin.name} does not")
    return mistakes


def _other_shapes(experiment: Experiment, origin: Origin, spec: DataSpec, shapes: Shapes) -> list[str]:
    """Mistakes in options that give the encoder or the backbone other shapes than the weights of the run have."""
    wanted = {name: shape for name, shape in renamed(dict(shapes)).items() if _of_body(name)}
    if _shapes_of_body(experiment, spec) == wanted:
        return []
    own = {group: thawed(origin.config[group]) for group in TAKEN}
    now = {group: thawed(getattr(experiment, group)) for group in TAKEN}
    as_trained = replace(experiment, **own)
    mistakes = []
    for path, (before, given) in differences(own, now).items():
        changed = replace(experiment, **with_values(own, {path: given}))
        if _shapes_of_body(changed, spec) != _shapes_of_body(as_trained, spec):
            mistakes.append(
                f"{path} is {plain(given)}, and the weights of init={origin.name} are for {plain(before)}: leave it out"
            )
    return mistakes or [f"init={origin.name} cannot be used: its weights are not those of its configuration"]


def _shapes_of_body(experiment: Experiment, spec: DataSpec) -> Shapes | None:
    """The shapes of the tensors of encoder and backbone by name; None: they cannot be built."""
    try:
        with on_meta_device():
            encoder, backbone = build_body(experiment, spec)
    except ConfigError:
        return None
    body = nn.ModuleDict({"encoder": encoder, "backbone": backbone})
    kept: dict[int, tuple[str, tuple[int, ...]]] = {}
    for name, tensor in body.state_dict(keep_vars=True).items():  # tied tensors are saved once
        kept.setdefault(id(tensor), (name, tuple(tensor.shape)))
    return dict(kept.values())
