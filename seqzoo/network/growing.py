"""Running encoder and backbone over a growing sequence, such as sound from a microphone, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.parts import Network


def check_streams(model: Network) -> None:
    """Check that no output depends on all that follows.

    Raises:
        ConfigError: the backbone or the encoder reads the whole sequence; the message says what to train instead.
    """
    if not model.backbone.causal:
        advice = "train one with backbone=unidirectional or backbone=deep"
        raise ConfigError([f"the run reads future inputs, which a stream does not have yet: {advice}"])
    if model.encoder.context is None:
        raise ConfigError(
            ["the run's encoder reads a whole recording: train one with encoder.normalisation=training for streams"]
        )


def stream_outputs(model: Network, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """The outputs of the backbone as soon as they are certain; together they are those of the whole sequence.

    An encoder whose vectors depend on neighbouring steps runs over each chunk with the steps before it that it needs,
    and its last vectors wait for the steps after them.

    Args:
        model: in evaluation mode; see `check_streams`.
        chunks: parts of the inputs, each (n, ...).

    Yields:
        Outputs (1, m, O), m at least 1.
    """
    check_streams(model)
    before, after = model.encoder.context or (0, 0)
    stride = model.encoder.stride
    kept: Tensor | None = None  # the steps from `first` on
    first = read = done = 0
    state: State | None = None

    def outputs(ready: int) -> Iterator[Tensor]:
        """Run up to this number of vectors."""
        nonlocal kept, first, done, state
        if kept is None or ready <= done:
            return
        # vectors whose context begins before `start` would be wrong: zeros are not what was read
        start = max(first, (done * stride - before) // stride * stride)
        vectors = model.encoder(kept[None, start - first :])[:, done - start // stride : ready - start // stride]
        x, state = model.backbone(vectors, None, state)
        kept, first, done = kept[start - first :], start, ready
        yield x

    for chunk in chunks:
        kept = chunk if kept is None else torch.cat([kept, chunk])
        read += len(chunk)
        yield from outputs((read - 1 - after) // stride + 1)
    yield from outputs(-(-read // stride))
