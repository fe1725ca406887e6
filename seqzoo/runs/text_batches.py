"""The texts of a call as batches: in the encoding of each model, by parts, and with errors that name their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

from seqzoo.cells.nary import check_places
from seqzoo.contracts.arguments import check_number, checked_list
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.capabilities import Others
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.own_parts import during
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.sources.series_content import Series
from seqzoo.data.text.codec import TextCodec
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.tasks.decoding import Unmet

Text = str | list[str]
Answer = TypeVar("Answer")
Empty = TypeVar("Empty")


class Reader(NamedTuple):
    """A model with the specification of the data that it was trained on."""

    model: Model
    spec: DataSpec


class Part(NamedTuple):
    """Some of the texts of a call.

    Attributes:
        rows: their indices.
        lines: their line numbers in messages.
        batch: in the encoding of the first model.
        others: the other models of an ensemble, each with the batch in its own encoding.
    """

    rows: list[int]
    lines: list[int]
    batch: Batch
    others: Others


def for_each(
    readers: Sequence[Reader],
    texts: Iterable[str] | Iterable[list[str]],
    batch_size: int,
    first_line: int,
    answer: Callable[[Batch, Others], list[Answer]],
    empty: Empty,
) -> list[Answer | Empty]:
    """Answer texts, part by part.

    Args:
        readers: the models of an ensemble, of which the first one answers.
        texts: texts, or lists of tokens.
        batch_size: number of texts that are answered at once.
        first_line: line number of the first text in messages.
        answer: returns an answer for each row of a batch.
        empty: the answer to empty texts.

    Returns:
        One answer per text.
    """
    texts = checked_texts(texts)
    check_number("batch_size", batch_size, 1)
    answers: list[Answer | Empty] = [empty for _ in texts]
    for rows, lines, batch, others in parts(readers, texts, batch_size, first_line):
        with by_line(lines):
            for row, result in zip(rows, answer(batch, others), strict=True):
                answers[row] = result
    return answers


def parts(
    readers: Sequence[Reader], texts: Sequence[str] | Sequence[list[str]], batch_size: int, first_line: int
) -> Iterator[Part]:
    """The texts with a non-empty answer, by batches; arguments as of `for_each`."""
    first, *others = readers
    filled = [row for row, text in enumerate(texts) if not stays_empty(first, text)]
    for start in range(0, len(filled), batch_size):
        rows = filled[start : start + batch_size]
        some, lines = [texts[row] for row in rows], [first_line + row for row in rows]
        in_others = [(other.model, read(other, some, lines)) for other in others]
        yield Part(rows, lines, read(first, some, lines), in_others)


def read(reader: Reader, texts: Sequence[Text], lines: list[int]) -> Batch:
    """A batch of texts, or lists of tokens, in the encoding of a model, which is put into evaluation mode.

    Raises:
        DataError: a text has no tokens; the message names its line.
    """
    model, task = reader.model.eval(), reader.model.task
    with during(lambda: f"while {_lines(lines)} read"):
        prompts = [
            results.checked(task, "prompt", task.prompt(text)) if isinstance(text, str) else text for text in texts
        ]
    weight = next(model.parameters())
    batch = encode_inputs(reader.spec, prompts, lines=lines, check_children=partial(check_places, model))
    return batch.to(weight.device).in_type(weight.dtype)


def stays_empty(reader: Reader, text: Sequence[str]) -> bool:
    """Whether a text is empty and so is its answer."""
    spec = reader.spec
    if not isinstance(spec.inputs, TextCodec) or not reader.model.task.skips_empty_text or spec.marked:
        return False
    return not (text.strip() if isinstance(text, str) else text)


def checked_texts(texts: Any) -> list[str] | list[list[str]]:
    """A list of the texts. Raises TypeError if it contains anything else."""
    wanted = "a list of texts, or of lists of tokens"
    checked = checked_list("texts", texts, (str, list, tuple), wanted)
    for text in checked:
        if not isinstance(text, (str, Series)):
            checked_list("texts", text, str, wanted)
    return checked


@contextmanager
def by_line(lines: list[int]) -> Iterator[None]:
    """Errors name the line of the row that they are about, or else the range of lines."""
    try:
        with during(lambda: f"while {_lines(lines)} answered"):
            yield
    except Unmet as error:
        raise DataError(f"line {lines[error.row]}: {error.text}") from None


def _lines(numbers: list[int]) -> str:
    """Lines as the subject of a sentence in the passive voice."""
    return f"line {numbers[0]} was" if len(numbers) == 1 else f"lines {numbers[0]} to {numbers[-1]} were"
