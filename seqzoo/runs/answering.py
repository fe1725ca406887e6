"""Answering inputs while they grow: sound from a microphone, measurements, tokens of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.arguments import checked_list
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.capabilities import Streamed, Streams
from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.ragged import is_padded
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.network import results
from seqzoo.network.growing import Growing, advance, check_streams, finish
from seqzoo.network.model import Model

Piece = str | Sequence[str] | Tensor
"""A text, tokens, or a tensor."""
NOTHING = Streamed([])


class Stream:
    """A growing input, and the state of a model that reads it; `Loaded.stream` begins one.

    Answers and scores are those of the whole input, whatever the pieces.

    Examples:
        >>> stream = seqzoo.load("runs/tagging_lstm_unidirectional/2026-11-21_02-53-19").stream()
        >>> stream.push("the cat").answers
        ['DET', 'NOUN']
        >>> stream.push("sleeps").answers
        ['VERB']

    Args:
        model: in evaluation mode.
        spec: of the data that it was trained on.
        task_name: the task in messages.

    Raises:
        ConfigError: the model answers whole inputs only; the message says what to train instead.
    """

    def __init__(self, model: Model, spec: DataSpec, task_name: str):
        task = model.task
        if not isinstance(task, Streams):
            raise ConfigError([f"{task_name} does not answer before the end of its input: predict instead"])
        check_streams(model)
        reason = _why_whole(spec)
        if reason:
            raise ConfigError([f"the run cannot answer before the end of its input: {reason}"])
        self.model, self.spec, self.task = model, spec, task
        self._memory = task.begin_stream()
        self._growing = Growing()
        self._rest: Tensor | None = None  # samples of a step that is not complete
        self._ended = False

    def push(self, piece: Piece) -> Streamed:
        """Read the next piece of the input.

        Args:
            piece: a text, which is tokenized by itself; a list of tokens; ids (n,); features (n, I); or samples of
                sound (n,), 1 at full scale, in steps (n, I) or not.

        Returns:
            The answers that have become certain.

        Raises:
            DataError: a text cannot be read.
            TypeError: the piece is neither a text, nor a list, nor a tensor.
            ValueError: a tensor is of the wrong shape, ids are not in the vocabulary, or the input has ended.
        """
        return self.push_together([self], [piece])[0]

    @staticmethod
    @torch.no_grad()
    def push_together(streams: Sequence[Stream], pieces: Sequence[Piece]) -> list[Streamed]:
        """Read the next piece of many inputs of one model at once, which is faster than one after the other.

        Args:
            streams: of one model, each at most once.
            pieces: one per stream, all texts or all tensors; their lengths may differ.

        Returns:
            One result per stream, as of `Stream.push`.

        Raises:
            DataError, ValueError: as of `Stream.push`.
        """
        if len(streams) != len(pieces):
            raise ValueError(
                f"{counted(len(streams), 'stream')} and {counted(len(pieces), 'piece')} were given: give one piece "
                "per stream"
            )
        if not streams:
            return []
        model, task = streams[0].model, streams[0].task
        if any(stream.model is not model for stream in streams) or len({*map(id, streams)}) < len(streams):
            raise ValueError("streams are read together that are not of one model, or one is given twice: leave it out")
        if any(stream._ended for stream in streams):
            raise ValueError("the input of a stream has ended: begin another one for the next input")
        for piece in pieces:
            if not isinstance(piece, (str, list, Tensor)):
                raise TypeError(f"a piece is {type(piece).__name__}: give a text, a list of tokens or a tensor")
            if isinstance(piece, list):
                checked_list("a piece", piece, str, "a text, a list of tokens, or a tensor of ids or features")
        if len({isinstance(piece, Tensor) for piece in pieces}) > 1:
            raise TypeError("some pieces are tensors and some are not: give all as texts, or all as tensors")
        new: list[Any] = [
            _checked(stream, piece) if isinstance(piece, Tensor) else piece
            for stream, piece in zip(streams, pieces, strict=True)
        ]
        filled = [row for row, piece in enumerate(new) if len(piece)]
        answers = [NOTHING] * len(streams)
        if not filled:
            return answers
        batch = _batch(model, streams[0].spec, [new[row] for row in filled])
        features = advance(model, [streams[row]._growing for row in filled], batch)
        if features is None:
            return answers
        memories = [streams[row]._memory for row in filled]
        read = task.read_steps(model, batch, features, memories)
        for row, streamed in zip(filled, results.per_row(model.task, "read_steps", read, len(filled)), strict=True):
            answers[row] = streamed
        return answers

    @torch.no_grad()
    def end(self) -> Streamed:
        """End the input. Nothing can be read afterwards.

        Returns:
            The answers that have waited for the end of the input.

        Raises:
            DataError: a recording is empty.
        """
        answers, scores = [], []
        if self._rest is not None and len(self._rest):
            missing = self.spec.input_size - len(self._rest)
            last = self.push(torch.cat([self._rest, self._rest.new_zeros(missing)]))
            answers, scores = [*last.answers], [last.scores]
        features = finish(self.model, self._growing)
        if features is not None:
            # of the input only the number of its steps matters where vectors have waited
            batch = Batch(features.outputs, torch.tensor([features.outputs.shape[1]]), padded=False)
            [waited] = results.per_row(
                self.model.task, "read_steps", self.task.read_steps(self.model, batch, features, [self._memory]), 1
            )
            answers, scores = [*answers, *waited.answers], [*scores, waited.scores]
        self._ended = True
        at_end = results.checked(self.model.task, "end_stream", self.task.end_stream(self._memory))
        known = [part for part in scores if part is not None]
        return Streamed([*answers, *at_end.answers], torch.cat(known) if known else None, at_end.prediction)

    def _steps(self, samples: Tensor) -> Tensor:
        """The complete steps (n, I) of samples (n,), of which the rest is kept."""
        size = self.spec.input_size
        if self._rest is not None:
            samples = torch.cat([self._rest, samples])
        whole = len(samples) // size * size
        self._rest = samples[whole:]
        return samples[:whole].view(-1, size)


def _batch(model: Model, spec: DataSpec, pieces: list[Any]) -> Batch:
    weight = next(model.parameters())
    if isinstance(pieces[0], Tensor):
        lengths = torch.tensor([len(piece) for piece in pieces])
        batch = Batch(pad_sequence(pieces, batch_first=True), lengths, padded=is_padded(lengths))
    else:
        batch = encode_inputs(spec, pieces)
    return batch.to(weight.device).in_type(weight.dtype)


def _checked(stream: Stream, piece: Tensor) -> Tensor:
    """A piece as ids (n,) or steps (n, I)."""
    spec = stream.spec
    if spec.inputs is not None:
        if piece.dim() != 1 or piece.is_floating_point():
            raise ValueError(f"a piece has the shape {tuple(piece.shape)} of {piece.dtype}: give ids (n,), integers")
        if len(piece) and not 0 <= int(piece.min()) <= int(piece.max()) < spec.input_size:
            raise ValueError(f"ids of a piece are not in the vocabulary: they must be from 0 to {spec.input_size - 1}")
        return piece
    if spec.rate is not None and piece.dim() == 1:
        return stream._steps(piece)
    if piece.dim() != 2 or piece.shape[1] != spec.input_size or not piece.is_floating_point():
        raise ValueError(
            f"a piece has the shape {tuple(piece.shape)} of {piece.dtype}: give (n, {spec.input_size}), floating point"
        )
    return piece


def _why_whole(spec: DataSpec) -> str:
    """Why inputs of this form can only be read as a whole; empty if they can be read in pieces."""
    if getattr(spec.inputs, "backwards", False):
        return "it reads texts from their end, so train one with another tokenizer than reversed:..."
    if spec.trees is not None:
        return "it reads trees"
    if spec.picture is not None:
        return "it reads pictures"
    if spec.channels is not None and spec.channels.window is not None:
        return "its forecasts are relative to the first step of a window, so train one with data.relative=false"
    if spec.channels is not None and (spec.channels.masked or spec.channels.interval is not None):
        return "values may be missing or steps come at varying times, which are told apart by whole series"
    return ""
