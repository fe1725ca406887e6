"""What the files of an export compute: whole sequences, single steps, or the encoder and the steps of a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, State
from seqzoo.contracts.capabilities import Exports, Searches
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.network.model import Model

Form = Literal["step", "sequence"]
Run = Callable[..., list[Tensor]]
"""A file as a function of tensors."""

RECORDED = (3, 7)
"""Numbers of rows and steps at which a file is recorded."""
OTHER = (5, 9)
"""Others, at which the sizes that vary are found."""
DECODED = 4
"""Number of steps of a decoder that are compared."""
DYNAMIC = torch.export.Dim.DYNAMIC


class Part(NamedTuple):
    """One file of an export.

    Attributes:
        name: of the file, without its suffix.
        module: what is recorded.
        arguments: what it is recorded with.
        sizes: the dimensions of each argument that may vary; those of a parameter `*tensors` are a tuple.
        inputs, outputs: names of arguments and results.
    """

    name: str
    module: nn.Module
    arguments: tuple[Tensor, ...]
    sizes: tuple[Any, ...]
    inputs: list[str]
    outputs: list[str]


class StepForm(nn.Module):
    """One step: inputs (B,) ids or (B, I) and the tensors of the state -> scores (B, K) and the next state."""

    def __init__(self, model: Model):
        super().__init__()
        self.model, self.like = model, model.backbone.initial_state(1)

    def forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        outputs, following = self.model.step(inputs, unflatten([*state], self.like))
        features = Features(outputs[:, None], outputs, following, None)
        lengths = torch.ones_like(outputs[:, 0], dtype=torch.long)
        scores = cast(Exports, self.model.task).exported_scores(features, Batch(inputs[:, None], lengths))
        return scores[:, 0], *flatten(following)


class SequenceForm(nn.Module):
    """Whole sequences: inputs (B, T) ids or (B, T, I) and lengths (B,) -> scores (B, T, K) or (B, K)."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        batch = Batch(inputs, lengths)
        return cast(Exports, self.model.task).exported_scores(self.model.encode(batch), batch)


class EncoderForm(nn.Module):
    """The beginning of a search: a source -> log-probabilities (B, V) of the first token, the tensors of the decoder's
    state, and those of what it attends to.
    """

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, ...]:
        batch = _source(inputs, lengths)
        scores, state, memory = cast(Searches, self.model.task).start(self.model.encode(batch), batch)
        return scores, *flatten(state), *flatten(memory)


class DecoderForm(nn.Module):
    """A step of a search: tokens (B,), state and memory -> log-probabilities (B, V) and the next state.

    Args:
        model: the model.
        state, memory: any, of which only the structure is read.
    """

    def __init__(self, model: Model, state: State, memory: State):
        super().__init__()
        self.model, self.state, self.memory = model, state, memory

    def forward(self, tokens: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(flatten(self.state))
        state, memory = unflatten([*tensors[:count]], self.state), unflatten([*tensors[count:]], self.memory)
        step = cast(Searches, self.model.task).step(self.model)
        log_probabilities, following = step(tokens, state, memory)
        return log_probabilities, *flatten(following)


def writes_by_search(model: Model) -> bool:
    """Whether answers are written token by token from a source, so that encoder and decoder are files of their own."""
    return isinstance(model.task, Searches) and not isinstance(model.task, Exports)


def parts_of(model: Model, spec: DataSpec, form: Form | None) -> list[Part]:
    """The files of an export.

    Args:
        model: on the CPU, in evaluation mode.
        spec: of the data that it was trained on.
        form: None: the encoder and the decoder of a model that writes by a search.
    """
    if form is None:
        return _of_search(model, spec)
    inputs, lengths = some_inputs(spec, *RECORDED)
    if form == "sequence":
        sizes: tuple[Any, ...] = ({0: DYNAMIC, 1: DYNAMIC}, {0: DYNAMIC})
        return [Part("model", SequenceForm(model), (inputs, lengths), sizes, ["inputs", "lengths"], ["scores"])]
    state = initial_state(model, RECORDED[0])
    names = [f"state_{number}" for number in range(len(state))]
    sizes = ({0: DYNAMIC}, tuple({0: DYNAMIC} for _ in state))
    arguments = (inputs[:, 0].contiguous(), *state)
    results = ["scores", *(f"next_{name}" for name in names)]
    return [Part("model", StepForm(model), arguments, sizes, ["inputs", *names], results)]


def _of_search(model: Model, spec: DataSpec) -> list[Part]:
    encoder = EncoderForm(model)
    source, other = _given(spec, *RECORDED), _given(spec, *OTHER)
    (first, *tensors), (_, *others) = encoder(*source), encoder(*other)
    batch = _source(*source)
    _, state, memory = cast(Searches, model.task).start(model.encode(batch), batch)
    count = len(flatten(state))
    names = [f"state_{n}" for n in range(count)] + [f"memory_{n}" for n in range(len(tensors) - count)]
    decoder = DecoderForm(model, state, memory)
    tokens = first.argmax(-1)
    scores, given = "log_probabilities", ["inputs", "lengths"][: len(source)]
    return [
        Part("encoder", encoder, source, _varying(source, other), given, [scores, *names]),
        Part(
            "decoder",
            decoder,
            (tokens, *(tensor.clone() for tensor in tensors)),
            ({0: DYNAMIC}, _varying(tensors, others)),
            ["tokens", *names],
            [scores, *(f"next_{name}" for name in names[:count])],
        ),
    ]


def _varying(some: Any, others: Any) -> tuple[dict[int, Any], ...]:
    """The dimensions in which corresponding tensors differ."""
    return tuple(
        {place: DYNAMIC for place, (a, b) in enumerate(zip(one.shape, other.shape, strict=True)) if a != b}
        for one, other in zip(some, others, strict=True)
    )


def compared(
    model: Model, spec: DataSpec, form: Form | None, runs: list[Run], rows: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The scores of the model and those of its files at a number of rows and steps.

    Args:
        model, spec, form: as of `parts_of`.
        runs: of its parts.
        rows, steps: sizes of a random input.
    """
    inputs, lengths = some_inputs(spec, rows, steps)
    if form == "sequence":
        yield SequenceForm(model)(inputs, lengths), runs[0](inputs, lengths)[0]
    elif form == "step":
        state, parts = initial_state(model, rows), []
        for step in inputs.unbind(1):
            part, *state = runs[0](step.contiguous(), *state)
            parts.append(part)
        yield SequenceForm(model)(inputs, torch.full((rows,), steps)), torch.stack(parts, 1)
    else:
        yield from _searched(model, _given(spec, rows, steps), runs)


def _searched(model: Model, source: tuple[Tensor, ...], runs: list[Run]) -> Iterator[tuple[Tensor, Tensor]]:
    encoder, decoder = runs
    task, batch = cast(Searches, model.task), _source(*source)
    expected, state, memory = task.start(model.encode(batch), batch)
    step, count = task.step(model), len(flatten(state))
    scores, *tensors = encoder(*source)
    read, kept = tensors[:count], tensors[count:]
    for _ in range(DECODED):
        yield expected, scores
        tokens = expected.argmax(-1)
        expected, state = step(tokens, state, memory)
        scores, *read = decoder(tokens, *read, *kept)


def _source(inputs: Tensor, lengths: Tensor | None = None) -> Batch:
    """A batch of sources; pictures have no lengths."""
    if lengths is None:
        return Batch(inputs, torch.ones_like(inputs[:, 0, 0, 0], dtype=torch.long), padded=False)
    return Batch(inputs, lengths)


def _given(spec: DataSpec, rows: int, steps: int) -> tuple[Tensor, ...]:
    """The arguments of an encoder."""
    inputs, lengths = some_inputs(spec, rows, steps)
    return (inputs,) if spec.picture is not None else (inputs, lengths)


def some_inputs(spec: DataSpec, rows: int, steps: int) -> tuple[Tensor, Tensor]:
    """Random inputs, and lengths of which the first one is the longest."""
    generator = torch.Generator().manual_seed(rows)
    if spec.picture is not None:
        return torch.rand(rows, *spec.picture, generator=generator), torch.ones(rows, dtype=torch.long)
    if spec.inputs is None:
        inputs = torch.randn(rows, steps, spec.input_size, generator=generator)
    else:
        inputs = torch.randint(spec.input_size, (rows, steps), generator=generator)
    lengths = torch.randint(1, steps + 1, (rows,), generator=generator)
    lengths[0] = steps
    return inputs, lengths


def initial_state(model: Model, rows: int) -> list[Tensor]:
    """The tensors of the state before the first step."""
    return [part.clone() for part in flatten(model.backbone.initial_state(rows))]


def check_exports(model: Model) -> None:
    """Check that a task has scores of steps or rows, or a search.

    Raises:
        ConfigError: it has neither.
    """
    if not isinstance(model.task, (Exports, Searches)):
        reason = "its answers follow from more than scores of steps"
        raise ConfigError([f"the run cannot be exported: {reason}"])
