"""The raw inputs of a prediction as a batch: texts, numbers, and names of files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError, located, program
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.tree_notation import most_children
from seqzoo.data.batching.ragged import is_padded
from seqzoo.data.channels import model_inputs, relative
from seqzoo.data.examples import fit, split_source, token_ids
from seqzoo.data.sources.finite import finite_number
from seqzoo.data.sources.notes import given_frames
from seqzoo.data.sources.pictures import given_features, lines_of_text, read_line, read_picture
from seqzoo.data.sources.series_content import Series
from seqzoo.data.sources.sound import blocks, read_sound
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.spelling import Spellings
from seqzoo.data.tree_data import tree_in

MISSING = "?"
"""How a missing value is written in `parse_steps`."""


def parse_steps(text: str | Sequence[str], input_size: int, missing: bool = False) -> list[list[float]]:
    """Read a sequence of vectors from text.

    Args:
        text: steps separated by commas, or a list of steps; a step is numbers separated by spaces.
        input_size: numbers per step.
        missing: whether values may be missing; they become NaN.

    Raises:
        DataError: something is not a finite number, or a step has another number of them.
    """
    steps = []
    for number, step in enumerate(text.split(",") if isinstance(text, str) else text, start=1):
        try:
            steps.append([math.nan if missing and value == MISSING else finite_number(value) for value in step.split()])
        except ValueError:
            raise DataError(
                f'step {number} is "{step.strip()[:40]}": write finite numbers, such as "0.5, 0.1"'
            ) from None
        if len(steps[-1]) != input_size:
            raise DataError(
                f"step {number} has {len(steps[-1])} numbers, but the model reads {input_size} per step: "
                "separate steps by commas, and the numbers of a step by spaces"
            )
    return steps


def encode_inputs(
    spec: DataSpec,
    texts: Sequence[str | list[str] | Series],
    max_length: int | None = None,
    truncate: bool = False,
    lines: Sequence[int] | None = None,
    check_children: Callable[[int], None] | None = None,
) -> Batch:
    """Encode raw inputs as one batch without targets, in their order.

    Args:
        spec: the specification of the model.
        texts: texts or lists of tokens; trees, or texts over which trees are built; steps in the notation of
            `parse_steps`, or Series, for a model of numbers; names of files for a model of sound, of pictures or of
            their features; chords or the name of a file of notes for a model of music. Steps at the end of a series
            without the values that a forecast predicts, of which the first is the one after the last input, have the
            further inputs of the forecast (`Batch.ahead`).
        max_length: see `fit`.
        truncate: see `fit`.
        lines: the line numbers for messages; by default 1, 2, ...
        check_children: called with the largest number of children of each tree; raises DataError if the model has fewer
            places.

    Raises:
        DataError: a line is empty, too long, or lacks what the model needs, such as a marked target or the inputs that
            are known in advance; the message names it.
    """
    lines = range(1, len(texts) + 1) if lines is None else lines
    if not texts:
        raise DataError("the input is empty: give at least one line")
    if spec.picture is not None and not spec.given_as_files:
        score = f"{program('seqzoo')} evaluate RUN_DIR"
        raise DataError(
            f"the model reads pictures or clips of idx files, and no other files: score the run with {score}"
        )
    if spec.given_as_files and "" in texts:
        raise DataError(f"line {lines[texts.index('')]} is empty: give the name of a file")
    if spec.picture is not None and spec.lines:
        return lines_of_text([read_line(str(text), spec.picture[1]) / 255 for text in texts])
    if spec.picture is not None:
        pictures = torch.stack([read_picture(str(text), spec.picture[1]) for text in texts])
        return Batch(pictures.float() / 255, torch.ones(len(texts), dtype=torch.long), padded=False)
    rows: list[_Row] = []
    for number, text in zip(lines, texts, strict=True):
        # messages about files name these
        with located(text.where if isinstance(text, Series) else "" if spec.given_as_files else f"line {number}"):
            rows.append(_row(spec, text, max_length, truncate))
            if check_children is not None and rows[-1].parents is not None:
                check_children(most_children(rows[-1].parents.tolist()))
    lengths = torch.tensor([len(row.inputs) for row in rows])
    inputs = pad_sequence([row.inputs for row in rows], batch_first=True)
    marked = torch.tensor([row.span for row in rows]) if spec.marked else None
    tokens = [row.tokens for row in rows if row.tokens is not None]
    spelling = None if spec.characters is None else Spellings(tokens, spec.characters).gather(list(range(len(rows))))
    batch = Batch(inputs, lengths, padded=is_padded(lengths), spans=marked, spelling=spelling, tokens=tokens or None)
    if parents := [row.parents for row in rows if row.parents is not None]:
        batch.parents = pad_sequence(parents, batch_first=True, padding_value=-1)
    if levels := [row.level for row in rows if row.level is not None]:
        batch.levels = torch.stack(levels)
    ahead = [row.ahead for row in rows if row.ahead is not None]
    if any(map(len, ahead)):
        batch.ahead = pad_sequence(ahead, batch_first=True, padding_value=torch.nan)
    return batch


@dataclass
class _Row:
    """A row of a batch; None: what inputs of its kind do not have.

    Args:
        inputs: ids (T,) or numbers (T, I).
        tokens: of a text or a tree.
        span: the marked target of a text.
        parents: of the nodes of a tree, (T,).
        level: of a relative series, which its inputs are relative to.
        ahead: the steps of a series after those with known values.
    """

    inputs: Tensor
    tokens: list[str] | None = None
    span: tuple[int, int] | None = None
    parents: Tensor | None = None
    level: Tensor | None = None
    ahead: Tensor | None = None


def _row(spec: DataSpec, text: str | list[str] | Series, max_length: int | None, truncate: bool) -> _Row:
    codec = spec.inputs
    if isinstance(codec, TextCodec):
        words = cast(str | list[str], text)
        if spec.trees is not None:
            tree = tree_in(words, spec.trees, codec)
            tokens = fit(tree.words, max_length, truncate=False, whole=True)
            return _Row(torch.tensor(token_ids(codec.vocabulary, tokens)), tokens, parents=torch.tensor(tree.parents))
        tokens, span = split_source(spec, words)
        tokens = fit(tokens, max_length, truncate, span=span)
        return _Row(torch.tensor(codec.vocabulary.encode(tokens)), tokens, span)
    if spec.rate is not None:
        return _Row(blocks(read_sound(str(text), spec.rate)[0], spec.input_size))
    if spec.steps_per_quarter is not None:
        return _Row(given_frames(str(text), spec.steps_per_quarter))
    if spec.given_as_files:
        return _Row(given_features(Path(str(text)), spec.input_size))
    return _series_row(spec, text)


def _series_row(spec: DataSpec, text: str | list[str] | Series) -> _Row:
    steps, known = _steps(spec, text)
    inputs, level = steps[:known], None
    if spec.channels is not None and spec.channels.window is not None:
        inputs, level = relative(inputs[-spec.channels.window :], spec.output_size)
    return _Row(inputs, level=level, ahead=steps[known:])


def _steps(spec: DataSpec, text: str | Sequence[str] | Series) -> tuple[Tensor, int]:
    """The inputs (T, I) of a model of numbers, and the number of steps before those that are to be predicted."""
    channels, times = spec.channels, None
    if isinstance(text, Series):
        values, times = text.values, text.times
    elif channels is None:
        inputs = torch.tensor(parse_steps(text, spec.input_size))
        return inputs, len(inputs)
    else:
        steps = parse_steps(text, len(channels.names), missing=True)
        values = torch.tensor(steps, dtype=torch.float64)
    count = spec.input_size if channels is None else len(channels.names)
    if channels is None or values.shape[1] != count:
        raise DataError(f"the series has {values.shape[1]} channels, but the model reads {count}")
    known = _known_steps(spec, values)
    if channels.ahead and known == len(values):
        raise DataError(
            f"the model reads {', '.join(channels.names[-channels.ahead :])} of each step that it forecasts, and the "
            "series ends with the last known value: add a step for each step of the forecast, in which only these are "
            "given and the others are missing (?)"
        )
    return model_inputs(values, times, channels).float(), known


def _known_steps(spec: DataSpec, values: Tensor) -> int:
    """The number of steps of a series (T, C) before those at its end of which only further inputs are known, and not
    the values that a forecast predicts.
    """
    size = spec.output_size
    if not spec.next_values or values.shape[1] == size:
        return len(values)
    known = ~values[:, :size].isnan().all(1)
    if not known.any():
        raise DataError("the series has no values to begin a forecast with: give those of the steps before it")
    count = int(known.nonzero().max()) + 1
    return len(values) if values[count:, size:].isnan().all() else count
