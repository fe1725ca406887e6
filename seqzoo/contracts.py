"""The contracts of seqzoo: read this page first.

A batch goes through an encoder (ids or pictures become features), a backbone (a cell unrolled over time and depth) and
a task (the head, its loss, its metrics, its decoding). A cell knows one time step and nothing else; unrolling,
stacking, searching and training are written once, for every cell.

Letters, in every shape comment: B batch, T time, I input, H hidden, P projected, O output, V vocabulary, K classes, U
target length. Batch comes first, padding is on the right, a mask is True where a step is real.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

State = tuple
"""Nested tuples of batch-first tensors. Never kept on a module: it comes in and goes out. `seqzoo.state` detaches,
reorders and freezes any of them. A tensor (B,) without features counts something, such as steps: it is carried, and
never learned, mixed or bridged.
"""

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
"""The first ids of every vocabulary: of padding, of rare tokens, and of the begin and end of text that is written."""

BLANK = 2
"""Of a token that is missing, in the vocabularies of task=cloze, in which no text is written."""


class Spelling(NamedTuple):
    """How the tokens of a batch are written.

    forms: (W, L) ids of the characters of its different tokens, zero behind the last one.
    tokens: (B, T), which of them each token is.
    """

    forms: Tensor
    tokens: Tensor


@dataclass
class Batch:
    """Sequences of one batch, padded on the right.

    inputs: (B, T) ids, (B, T, I) features, (B, C, Y, X) pictures of C channels, 0 to 1, or (B, T, C, Y, X) clips.
    lengths: (B,) real steps of each row; the only source of masks. A picture is one step.
    targets: (B,) classes, (B, T) aligned ids, (B, U) ids of another length, (B, D) numbers a row or (B, T, D) a step;
        None when there is nothing to learn from.
    target_lengths: (B,) where the targets have a length of their own.
    padded: False promises that every length is T, which spares a mask (known on the host, so that no device has to be
        asked).
    learning_rate_scale: what the rate is multiplied by in the update of this batch, where batches differ on purpose:
        windows of random lengths take steps as long as they are.
    continues: (B,) the row of the batch before that each row goes on from, -1 where it begins anew; None: where batches
        continue each other, each row goes on from the one in its place.
    spans: (B, 2), the first step of each row's target and the step after its last, where the answer is about a part of
        what is read.
    spelling: how the tokens of `inputs` are written, where an encoder reads that.
    references: all right answers of each row as text, where they are texts; `targets` has one of them.
    tokens: of `inputs`, as they were written; None where nobody asks for them.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor | None = None
    target_lengths: Tensor | None = None
    padded: bool = True
    learning_rate_scale: float = 1.0
    spans: Tensor | None = None
    continues: Tensor | None = None
    spelling: Spelling | None = None
    references: list[list[str]] | None = None
    tokens: list[list[str]] | None = None

    @property
    def size(self) -> int:
        return self.inputs.shape[0]

    def first(self, rows: int) -> Batch:
        """The first rows alone."""
        batch = replace(self, spelling=None).map(lambda tensor: tensor[:rows])
        if self.spelling is not None:
            batch.spelling = self.spelling._replace(tokens=self.spelling.tokens[:rows])
        if self.references is not None:
            batch.references = self.references[:rows]
        if self.tokens is not None:
            batch.tokens = self.tokens[:rows]
        return batch

    def to(self, device: torch.device) -> Batch:
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed."""
        changed: dict[str, Any] = {name: change(part) for name, part in vars(self).items() if isinstance(part, Tensor)}
        if self.spelling is not None:
            changed["spelling"] = Spelling(*map(change, self.spelling))
        return replace(self, **changed)


class Loss(NamedTuple):
    """A sum over real targets and how many there were. Never a mean: whoever needs one divides once, so that padding,
    accumulation and distribution cannot skew it. Both are tensors without dimensions."""

    total: Tensor
    count: Tensor  # type: ignore[assignment]


class Features(NamedTuple):
    """What a backbone made of a batch.

    outputs: (B, T, O), zero at padded steps.
    last: (B, O), the output once all has been read: the forward half at the last real step, the backward half at the
        first.
    state: the state after each row's last real step.
    lengths: (B,) real steps of the outputs, or None when no row is padded.
    target: (B, O), the output once the steps of the target have been read: the forward half at its last step, the
        backward half at its first. `last` where the batch has no spans.
    """

    outputs: Tensor
    last: Tensor
    state: State
    lengths: Tensor | None
    target: Tensor | None = None


class Prediction(NamedTuple):
    """answer: text, or one text a step; score: its log-probability in nats."""

    answer: str | list[str]
    score: float


class Alignment(NamedTuple):
    """What an answer attended to. read: S labels; written: U labels; weights: (U, S), each row sums to 1.

    picture: (C, Y, X), 0 to 1, where that was read; its regions, row by row, are the S steps.
    backwards: whether a text was read from its end.
    """

    read: list[str]
    written: list[str]
    weights: Tensor
    picture: Tensor | None = None
    backwards: bool = False


class Explanation(NamedTuple):
    """What an answer rests on. method: how it was found; read: S labels; weights: (S,), whose sizes sum to 1; where the
    method tells signs, a negative one speaks against the answer.
    """

    method: str
    read: list[str]
    weights: Tensor


class Codec(Protocol):
    """Text to ids and back; `seqzoo.data.codec` holds the ones there are.

    unit: what a token is, in the plural: words, characters, pieces of words, ...
    """

    @property
    def unit(self) -> str: ...
    @property
    def size(self) -> int: ...
    def encode(self, text: str | list[str]) -> list[int]: ...
    def tokens(self, ids: list[int]) -> list[str]: ...
    def join(self, tokens: list[str]) -> str: ...
    def decode(self, ids: list[int]) -> str: ...
    def to_plain(self) -> dict[str, Any]: ...


class SpellingCodec(Codec, Protocol):
    """How a token is written, to ids and back."""

    def written(self, tokens: list[str]) -> list[str]:
        """What is encoded of each token of a row."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors of words that were learned elsewhere: what an encoder starts from.

    words, found, share: different words of the training split, how many of them have a vector, and what share of its
        tokens these are; saved with a run.
    ids, values: (N,) ids of the vocabulary and their vectors (N, E); None in a finished run, whose weights have them.
    """

    words: int
    found: int
    share: float
    ids: Tensor | None = None
    values: Tensor | None = None


@dataclass(frozen=True)
class DataSpec:
    """What a model must know of its data; saved with a run, so that a model loads without its data.

    task: the name of the kind of task the batches are made for (`conf/task`).
    input_size: how many different ids there are, or features a step.
    output_size: classes, tags, ids of the target vocabulary, or numbers a target.
    inputs, targets: text to ids and back; None before the data has been read, and where there are numbers.
    per_step: of numbers as targets: whether each step has its own.
    marked: whether each input marks its target, as `seqzoo.data.marked_text` reads it.
    class_counts: training examples of each class, where targets are classes and they have been counted.
    vectors: of the words of `inputs`, where the data brings some.
    character_size: how many different ids there are in `Batch.spelling`; 0 where batches have none.
    characters: a token to the ids of its characters, or of what is spelled in place of them.
    picture: [C, Y, X], the size of a picture, or of each frame of a clip, where inputs are pictures; input_size is C.
    """

    task: str
    input_size: int
    output_size: int
    inputs: Codec | None = None
    targets: Codec | None = None
    per_step: bool = False
    marked: bool = False
    class_counts: list[int] | None = None
    vectors: WordVectors | None = None
    character_size: int = 0
    characters: SpellingCodec | None = None
    picture: list[int] | None = None


class Encoder(nn.Module):
    """Ids, features or pictures become the vectors that a backbone reads: `Encoder(input_size, **options)`. Each step
    on its own; a picture becomes a vector for each of its regions.

    A constructor that names `spec` is handed the DataSpec.

    output_size: width of the vectors.
    reads_characters: True where `forward` takes the Spelling of the inputs, too.
    """

    output_size: int
    reads_characters: ClassVar[bool] = False

    def load_pretrained(self) -> None:
        """Takes the weights that its options name to start from: where a training begins, not where a model is only
        measured, or is given its own. Raises DataError where they cannot be had.
        """


class Cell(nn.Module):
    """One time step of a recurrent network: `Cell(input_size, hidden_size, **options)`.

    A cell writes `initial_state` and `step`; all else has defaults. `unroll`, a step after the other, is the reference;
    `scan` is the same by the fastest engine there is: mostly the step itself, compiled.

    engine: auto, or the one to take: reference, fused or torch (`seqzoo.kernels.engines`).
    torch_first: where `torch_scan` is taken before the compiled step: "cuda", and "cpu" for rows that are equally long.
    """

    input_size: int
    hidden_size: int
    output_size: int
    engine: str = "auto"
    torch_first: ClassVar[tuple[str, ...]] = ("cuda",)

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step, each tensor (B, ...)."""

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., P): the part of a step that needs no state, done for all steps at once."""
        return x

    @abstractmethod
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, P) and a state -> (B, O) and the next state: the equations."""

    def scan(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Run the cell over whole sequences, by its fastest engine; hooks of the module are called.

        Args:
            x: input, shape (B, T, I), T at least 1. Padded steps have no influence, whatever they hold.
            state: as `initial_state` or an earlier call returned it; None: the initial one.
            lengths: number of real steps of each row, whole numbers from 0 to T, shape (B,); None: all steps are real.
                Values on a GPU are clamped to that range instead of checked, which would have to wait for it.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step.

        Raises:
            ValueError: shapes, types, devices or lengths do not fit.
        """
        from seqzoo.kernels.inputs import misshaped

        if not isinstance(x, Tensor) or x.dim() != 3:  # a call would take two dimensions for one step
            raise misshaped(self, x)
        return self(x, state, lengths)

    def unroll(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """`scan`, a step after the other: what every engine is held to."""
        from seqzoo.kernels.unroll import reference

        return reference(self, x, state, lengths)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        """`scan` by a kernel of torch's own, or in parallel over time; None where there is no such way."""
        return None

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, by: CellScan | None = None
    ) -> tuple[Tensor, State]:
        """One step of (B, I), as a decoder calls it, or `scan` of (B, T, I).

        by: what computes the result instead. A cell that wraps another calls it with `by`, so that the hooks of the
            cell inside are called, too.

        Raises:
            ValueError: as of `scan`.
        """
        from seqzoo.kernels import engines

        if by is not None:
            return by(x, state, lengths)
        state, lengths = self.checked(x, state, lengths)
        if x.dim() == 2:
            return self.step(self.project(x), state)
        return engines.scan(self, x, state, lengths)

    def checked(self, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[State, Tensor | None]:
        """The state to start from, and the lengths as int64. Raises ValueError where anything does not fit."""
        from seqzoo.kernels import inputs

        return inputs.check(self, x, state, lengths)


CellScan = Callable[..., tuple[Tensor, State]]
"""x, state and lengths -> outputs and the next state, as `Cell.scan`."""


CellFactory = Callable[[int, int], Cell]
"""(input_size, hidden_size) -> Cell"""

CellFactories = Sequence[CellFactory | None]
"""What a list of cells in a YAML, `[lstm, null]`, becomes; None is the model's own cell."""


class Backbone(nn.Module):
    """A cell becomes a network over (B, T, I): `Backbone(cell, input_size, **options)`, where `cell` is a CellFactory.

    causal: True where output t depends on inputs 0..t only; then `step` exists and equals `forward`.
    two_sided: True where the first half of output t depends on inputs 0..t only, the second half on inputs t.. only.
    keeps_time: False where outputs are fewer than inputs; `output_lengths` says how many.
    """

    output_size: int
    causal: bool
    two_sided: bool = False
    keeps_time: bool = True

    @abstractmethod
    def initial_state(self, batch_size: int) -> State: ...

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, I) -> (B, T, O), zero at padded steps, and the state after each row's last real step."""

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Real steps of each row's input -> of its output, (B,) both."""
        return lengths

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, I) -> (B, O) and the next state."""

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, T, O) and the outputs' own lengths -> (B, O): the output once all has been read."""
        if lengths is None:
            return outputs[:, -1]
        index = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, outputs.shape[-1])
        return outputs.gather(1, index)[:, 0]


BackboneFactory = Callable[[int], Backbone]
"""input_size -> Backbone"""


class Metric(Protocol):
    """A running sum that becomes one number.

    from_predictions: it reads answers, so that somebody must decode; scores_alone: one answer has a score of its own.
    """

    name: str
    higher_is_better: bool
    from_predictions: bool
    scores_alone: bool

    def update(self, loss: Loss, answers: list, references: list) -> None: ...
    def compute(self) -> float: ...


class Task(nn.Module):
    """Head, loss, metrics and decoding of one kind of task: `Task(feature_size, spec, **options)`.

    kind: the `DataSpec.task` whose batches it reads.
    loss_unit: of `loss` outside training: "nats" where it is a negative log-likelihood, "squared error", or "" for any
        other objective.
    needs_causal: True where a backbone that looks ahead would see the answer.
    needs_two_sides: True where what a backbone has read before a step and after it must be apart.
    needs_every_step: True where each step of the input has an answer of its own.
    legend: how a line of `show` is read. Brackets hold what is right, wherever there are any.
    """

    kind: ClassVar[str]
    loss_unit: str = ""
    needs_causal: ClassVar[bool] = False
    needs_two_sides: ClassVar[bool] = False
    needs_every_step: ClassVar[bool] = False
    legend: ClassVar[str] = "input -> prediction   (right: the reference, shown where the prediction differs from it)"
    spec: DataSpec

    @abstractmethod
    def forward(self, features: Features, batch: Batch) -> Tensor:
        """Features -> what `loss` reads: scores before any softmax or, where scores of a large vocabulary need not be
        written out, the features they come from."""

    @abstractmethod
    def loss(self, scores: Tensor, batch: Batch) -> Loss: ...

    @property
    def loss_name(self) -> str:
        """The name of the mean loss among the scores."""
        return "loss_nats" if self.loss_unit == "nats" else "loss"

    @property
    def training_loss_name(self) -> str:
        """The name of the mean training loss: `loss` where it is more than a likelihood, such as one with penalties."""
        return self.loss_name

    @abstractmethod
    def metrics(self) -> list[Metric]:
        """Fresh counters; the first one picks the best checkpoint."""

    def check_start(self) -> None:
        """Called where a training begins, not where a finished run is read. Raises ConfigError for data that it cannot
        learn from with its options.
        """

    def prompt(self, text: str) -> str:
        """A text that a person gives to predict from, as the model is to read it."""
        return text

    @abstractmethod
    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """Predictions that a person can read, one a row; `features` spares encoding the batch again."""

    def candidates(self, model: Any, batch: Batch, n_best: int) -> list[list[Prediction]]:
        """Up to `n_best` predictions of each row, best first; one where a task does not search."""
        return [[prediction] for prediction in self.decode(model, batch)]

    def alignments(self, model: Any, batch: Batch) -> list[Alignment]:
        """What the answer of each row attended to; empty where a task attends to nothing."""
        return []

    def explain(self, model: Any, batch: Batch, n_best: int = 1) -> list[list[Explanation]]:
        """What each of the `n_best` answers of each row rests on, as many as `candidates` gives; empty where a task
        cannot say.
        """
        return []

    def tokens_read(self, batch: Batch) -> list[list[str]]:
        """The tokens of each row of ids: as they were written where the batch knows that, else as the vocabulary has
        them. `spec.inputs.join` makes text of them.
        """
        if batch.tokens is not None:
            return batch.tokens
        rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        return [[(self.spec.inputs.tokens([token]) or [""])[0] for token in ids[:length]] for ids, length in rows]

    def labels_read(self, batch: Batch) -> list[list[str]]:
        """`tokens_read`, each as a text of its own: of a piece of a word without its mark."""
        return [[self.spec.inputs.join([token]) for token in row] for row in self.tokens_read(batch)]

    def classes(self) -> list[str]:
        """What every answer is one of, or each of its steps; empty where answers are no classes."""
        return []

    @abstractmethod
    def references(self, batch: Batch) -> list:
        """The right answers, in the form of `Prediction.answer`."""

    def samples(self, batch: Batch, count: int) -> Batch:
        """The rows of a validation batch whose predictions are shown to a person."""
        return batch.first(count)

    @abstractmethod
    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line a row for a person: what was read, what was answered, what was right."""


class ReadFiles(NamedTuple):
    """What was read under one name of a configuration.

    path: absolute: a file, a `::member` of an archive, a folder, or a pattern; files: all that were read of it.
    """

    path: str
    files: list[str]


class DataModule:
    """Batches of one data set: `DataModule(**options)` reads nothing, `load` does.

    stateful: batch k + 1 continues batch k row by row (truncated back-propagation through time).
    numbers: inputs are (B, T, I) features, not ids.
    remarks: what a person should know of the data that was read; a run shows them at its start.
    """

    stateful: bool = False
    numbers: bool = False
    remarks: Sequence[str] = ()
    spec: DataSpec

    @cached_property
    def files(self) -> dict[str, ReadFiles]:
        """What `load` has read, by its names in the configuration."""
        return {}

    @cached_property
    def places(self) -> dict[str, str]:
        """The paths that a run read when it started, by the same names; `load` looks there first."""
        return {}

    @abstractmethod
    def expected_spec(self) -> DataSpec:
        """The sizes as far as they are known before reading anything: upper limits."""

    @abstractmethod
    def load(self, spec: DataSpec | None = None) -> None:
        """Read or generate; afterwards `spec` is set. A given spec, of a finished run, is kept as it is."""

    @abstractmethod
    def splits(self) -> dict[str, int]:
        """Examples of "train", "validation" and, where there is one, "test"."""

    @abstractmethod
    def num_batches(self, split: str, epoch: int = 0) -> int: ...

    @abstractmethod
    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The same seed, split and epoch give the same batches in the same order; `start` leaves out the first ones at
        no cost.
        """

    def padding_share(self) -> float | None:
        """The share of the training inputs' steps that is padding, in the first epoch; None where all rows are equally
        long.
        """
        return None
