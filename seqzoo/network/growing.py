"""Running encoder and backbone over growing inputs, such as sound from a microphone, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import Batch, Features, State
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.state import joined, rows_of
from seqzoo.network import results
from seqzoo.network.model import Model


@dataclass
class Growing:
    """One input that grows.

    Args:
        state: of the backbone after the outputs so far; None: the initial state.
        kept: the inputs from step `first` on that later vectors of the encoder depend on; None: none yet.
        first: the step that `kept` begins with.
        read: number of steps so far.
        done: number of vectors that the backbone has read.
    """

    state: State | None = None
    kept: Tensor | None = None
    first: int = 0
    read: int = 0
    done: int = 0


def check_streams(model: Model) -> None:
    """Check that no output depends on all that follows.

    Raises:
        ConfigError: the backbone or the encoder reads the whole sequence; the message says what to train instead.
    """
    if len(model.networks) > 1:
        raise ConfigError(["an ensemble does not answer before the end of its input: predict instead"])
    if not model.backbone.causal:
        advice = "train one with backbone=unidirectional or backbone=deep"
        raise ConfigError([f"the run reads future inputs, which a stream does not have yet: {advice}"])
    if model.encoder.context is None:
        raise ConfigError(
            ["the run's encoder reads a whole recording: train one with encoder.normalisation=training for streams"]
        )


def advance(model: Model, inputs: Sequence[Growing], batch: Batch) -> Features | None:
    """The features of the steps that new inputs make certain, which are those of the whole sequence.

    All inputs advance by one call of encoder and backbone. An encoder whose vectors depend on neighbouring steps runs
    over the new steps and those before them that it needs, and its last vectors wait for the steps after them.

    Args:
        model: in evaluation mode; see `check_streams`.
        inputs: one per row of the batch; they change.
        batch: the new steps of each input.

    Returns:
        The features, with the number of new outputs of each row; None: no output is certain yet.
    """
    if not _waits(model):
        return _carried(inputs, model.encode(batch, _state(model, inputs)))
    before, after = model.encoder.context or (0, 0)
    for growing, steps, length in zip(inputs, batch.inputs, batch.lengths.tolist(), strict=True):
        growing.kept = steps[:length] if growing.kept is None else torch.cat([growing.kept, steps[:length]])
        growing.read += length
    return _up_to(model, inputs, [(growing.read - 1 - after) // model.encoder.stride + 1 for growing in inputs], before)


def finish(model: Model, growing: Growing) -> Features | None:
    """The features of the steps that have waited for those after them; None: there are none."""
    if not _waits(model) or growing.kept is None:
        return None
    before, _ = model.encoder.context or (0, 0)
    return _up_to(model, [growing], [-(-growing.read // model.encoder.stride)], before)


def _waits(model: Model) -> bool:
    """Whether a vector of the encoder depends on other steps than its own."""
    return model.encoder.context != (0, 0) or model.encoder.stride > 1


def _up_to(model: Model, inputs: Sequence[Growing], ready: list[int], before: int) -> Features | None:
    """Run up to these numbers of vectors."""
    stride = model.encoder.stride
    ready = [max(growing.done, number) for growing, number in zip(inputs, ready, strict=True)]
    lengths = torch.tensor([number - growing.done for growing, number in zip(inputs, ready, strict=True)])
    if not lengths.any():
        return None
    kept: list[Tensor] = []
    for growing in inputs:
        assert growing.kept is not None
        # vectors whose context begins before `start` would be wrong: zeros are not what was read
        start = max(growing.first, (growing.done * stride - before) // stride * stride)
        growing.kept, growing.first = growing.kept[start - growing.first :], start
        kept.append(growing.kept)
    known = torch.tensor([len(steps) for steps in kept]).to(kept[0].device)
    read = model.encoder.encode(Batch(pad_sequence(kept, batch_first=True), known))
    parts = [
        vectors[growing.done - growing.first // stride : number - growing.first // stride]
        for vectors, growing, number in zip(results.vectors_of(model.encoder, read), inputs, ready, strict=True)
    ]
    lengths = lengths.to(read.device)
    x = pad_sequence(parts, batch_first=True)
    outputs, state = results.outputs_of(model.backbone, model.backbone(x, lengths, _state(model, inputs)))
    for growing, number in zip(inputs, ready, strict=True):
        growing.done = number
    return _carried(inputs, Features(outputs, model.backbone.last(outputs, lengths), state, lengths))


def _state(model: Model, inputs: Sequence[Growing]) -> State:
    return joined([growing.state or model.backbone.initial_state(1) for growing in inputs])


def _carried(inputs: Sequence[Growing], features: Features) -> Features:
    for growing, state in zip(inputs, rows_of(features.state, len(inputs)), strict=True):
        growing.state = state
    return features
