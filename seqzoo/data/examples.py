"""Data sets of separate examples: a source, and a target that is a class, a tag a token, or another text."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import UNKNOWN, Batch
from seqzoo.contracts.errors import DataError, SeqzooError, program
from seqzoo.contracts.parts import DataModule
from seqzoo.contracts.span_notation import OUTSIDE, parse, scheme_of, tags_of
from seqzoo.contracts.spec import Codec, DataSpec
from seqzoo.data.batching.bucketing import Plans, padding_share
from seqzoo.data.batching.ragged import Ragged, is_padded
from seqzoo.data.generated.generating import check_sizes
from seqzoo.data.numbers import parse_steps
from seqzoo.data.sources.marked_text import marked_parts, split_marked
from seqzoo.data.sources.pictures import given_features, read_picture
from seqzoo.data.text.codec import LabelCodec, TextCodec
from seqzoo.data.text.spelling import Spellings
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, TARGET_SPECIALS, check_vocabulary_size
from seqzoo.data.text.vocabulary import UNKNOWN as UNK

T = TypeVar("T")


class Example(NamedTuple):
    """source: a text or its tokens; target: a label, a tag a token, or a text; where: file and line, for messages."""

    source: str | list[str]
    target: str | list[str]
    where: str = ""


class Encoded(NamedTuple):
    """One split as ids; `lengths` is what batches are sorted and capped by; spans: (N, 2), of the marked targets;
    spellings: where tokens are spelled; references: right answers as they were written, where those are texts; cut: how
    many sources were longer than they may be.
    """

    inputs: Ragged
    targets: Ragged
    lengths: list[int]
    spans: Tensor | None = None
    spellings: Spellings | None = None
    references: list[str] | None = None
    cut: int = 0


@dataclass(eq=False, kw_only=True)
class ExampleData(DataModule):
    """Reads examples, counts codecs on the training split, encodes everything once and cuts batches of similar length.

    A subclass gives `read`; ClassificationData, TaggingData and TransductionData say what a target is.
    """

    batch_size: int = 64
    max_tokens: int | None = None
    limit: int | None = None
    max_length: int = 1000
    truncate: bool = False
    seed: int = 0
    min_frequency: int = 1
    vocabulary_size: int | None = None

    kind: ClassVar[str]
    special_tokens: ClassVar[tuple[str, ...]] = SOURCE_SPECIALS
    largest_input: ClassVar[int] = 100_000
    largest_output: ClassVar[int] = 1_000

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_tokens", "limit", "max_length", "min_frequency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} is too small: it must be at least 1")
        check_sizes(self)
        check_vocabulary_size(self.vocabulary_size, len(self.special_tokens))

    @abstractmethod
    def read(self) -> dict[str, list[Example]]:
        """All examples of "train", "validation" and, where there is one, "test"."""

    @abstractmethod
    def target_codec(self, examples: list[Example]) -> Codec:
        """The codec of the targets, counted on the training examples."""

    def tokenizer_of_inputs(self) -> str:
        """The name of the tokenizer of sources that are text."""
        return "whitespace"

    def texts(self, example: Example) -> Sequence[str | list[str]]:
        """What the codec of the inputs is learned from."""
        return (example.source,)

    @abstractmethod
    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        """The ids of the target of an example whose source has these tokens."""

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.vocabulary_size or self.largest_input, self.largest_output)

    def load(self, spec: DataSpec | None = None) -> None:
        if spec is not None and spec.kind != self.kind:
            raise DataError(f"The saved run is for {spec.kind}, this data for {self.kind}: choose other data.")
        examples = self.read()
        for split in ("train", "validation"):
            if not examples.get(split):
                option = "data.train" if split == "train" else "data.validation, or raise data.validation_fraction"
                raise DataError(f"The {split} split of the data holds no examples: give more with {option}.")
        # Counted before `limit`, so that a short trial builds the model of the full run.
        self.spec = self.enriched(self._count(examples["train"]), examples) if spec is None else spec
        self._encoded = {
            split: self._encode(evenly(found, self.limit), self.spec) for split, found in examples.items() if found
        }
        if cut := sum(encoded.cut for encoded in self._encoded.values()):
            told = f"{cut:,} of {sum(self.splits().values()):,} examples are cut"
            self.remarks = [*self.remarks, f"{told}: they are longer than data.max_length={self.max_length:,} tokens"]
        unknown = float((self._encoded["validation"].inputs.ids == UNKNOWN).double().mean())
        if unknown > 0.5 and isinstance(self.spec.inputs, TextCodec) and isinstance(examples["train"][0].source, str):
            told = f"{unknown:.0%} of the validation tokens are unknown"
            self.remarks = [*self.remarks, f"{told}: is the tokenizer, {self.spec.inputs.name}, right for these texts?"]
        self._plans = Plans(self.splits(), self._lengths, self.seed, self.batch_size, self.max_tokens)

    def splits(self) -> dict[str, int]:
        return {split: len(encoded.inputs) for split, encoded in self._encoded.items()}

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return self._plans.number(split, epoch)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        for rows in self._plans.of(split, epoch)[start:]:
            yield self._batch(self._encoded[split], rows)

    def padding_share(self) -> float:
        return padding_share(self._encoded["train"].inputs.lengths.tolist(), self._plans.of("train", 0))

    def _lengths(self, split: str, epoch: int) -> Sequence[int]:
        return self._encoded[split].lengths

    def _batch(self, encoded: Encoded, rows: list[int]) -> Batch:
        inputs, lengths = encoded.inputs.gather(rows)
        spelling = None if encoded.spellings is None else encoded.spellings.gather(rows)
        targets, target_lengths = self.stack_targets(encoded.targets, rows)
        batch = Batch(inputs, lengths, targets, target_lengths, is_padded(lengths), spelling=spelling)
        if encoded.spans is not None:
            batch.spans = encoded.spans[rows]
        if encoded.references is not None:
            batch.references = [[encoded.references[row]] for row in rows]
        return batch

    def stack_targets(self, targets: Ragged, rows: list[int]) -> tuple[Tensor, Tensor | None]:
        """The targets of a batch and, where they have a length of their own, their lengths."""
        return targets.gather(rows)[0], None

    def enriched(self, spec: DataSpec, examples: dict[str, list[Example]]) -> DataSpec:
        """The counted spec with what else a model is to know of the splits."""
        return spec

    def _count(self, examples: list[Example]) -> DataSpec:
        name = self.tokenizer_of_inputs()
        sources = (text for example in examples for text in self.texts(example))
        inputs = TextCodec.learn(name, sources, min_frequency=self.min_frequency, max_size=self.vocabulary_size)
        targets = self.target_codec(examples)
        return DataSpec(self.kind, inputs.size, targets.size, inputs, targets)

    def _encode(self, examples: list[Example], spec: DataSpec) -> Encoded:
        inputs, targets = spec.inputs, spec.targets
        if not isinstance(inputs, TextCodec) or targets is None:
            raise DataError("The saved run knows no codecs for this data: was it trained on other data?")
        sources, answers, spans, written, cut = [], [], [], [], 0
        for example in examples:
            with located(example.where):
                tokens, span = split_source(spec, example.source)
                fitting = fit(tokens, self.max_length, self.truncate, span=span)
                cut += len(fitting) < len(tokens)
                sources.append(inputs.vocabulary.encode(fitting))
                spans.append(span)
                if spec.characters is not None:
                    written.append(fitting)
                answers.append(self.encode_target(example, targets, tokens))
        rows = Ragged(sources)
        marked = torch.tensor(spans) if spec.marked else None
        spellings = None if spec.characters is None else Spellings(written, spec.characters)
        return Encoded(rows, Ragged(answers), self.bucket_lengths(sources, answers), marked, spellings, cut=cut)

    def bucket_lengths(self, sources: list[list[int]], answers: list[list[int]]) -> list[int]:
        return [len(source) for source in sources]


class LabelledData(ExampleData):
    """Targets are labels. One that training never saw is known, so that it counts as wrong, and is told."""

    @abstractmethod
    def every_label(self, examples: list[Example], known: LabelCodec) -> LabelCodec:
        """The labels of all splits; known: those of training."""

    def enriched(self, spec: DataSpec, examples: dict[str, list[Example]]) -> DataSpec:
        spec = super().enriched(spec, examples)
        known, everything = cast(LabelCodec, spec.targets), [*chain.from_iterable(examples.values())]
        places: dict[str, str] = {}
        for example in everything:
            for label in [example.target] if isinstance(example.target, str) else example.target:
                places.setdefault(label, example.where)
        unseen = sorted(places.keys() - known.ids.keys())
        if not unseen:
            return spec
        named = ", ".join([*(f"{label} at {places[label]}" for label in unseen[:3]), *["..."] * (len(unseen) > 3)])
        self.remarks = [*self.remarks, f"never in training, so never answered: {named}"]
        targets, classes = self.every_label(everything, known), spec.class_counts
        if classes is not None:
            counts = dict(zip(known.labels, classes, strict=True))
            classes = [counts.get(label, 0) for label in targets.labels]
        return replace(spec, output_size=targets.size, targets=targets, class_counts=classes)


class ClassificationData(LabelledData):
    """One label a source. Targets: (B,). Labels that are numbers are in their order, others alphabetically."""

    kind = "classification"

    def marks_targets(self) -> bool:
        """Whether each text marks the target that its label is about, as `seqzoo.data.sources.marked_text` reads it."""
        return False

    def expected_spec(self) -> DataSpec:
        return replace(super().expected_spec(), marked=self.marks_targets())

    def target_codec(self, examples: list[Example]) -> LabelCodec:
        places = {str(example.target): example.where for example in examples}
        try:
            numbers = {label: float(label) for label in places}
        except ValueError:
            return LabelCodec(sorted(places))
        for label, number in numbers.items():
            if not math.isfinite(number):
                raise DataError(
                    f"{places[label]}: the label is {label}, and all others are numbers: remove the example or mend it."
                )
        return LabelCodec(sorted(numbers, key=numbers.__getitem__))

    def texts(self, example: Example) -> Sequence[str | list[str]]:
        if not self.marks_targets():
            return super().texts(example)
        with located(example.where):
            return marked_parts(str(example.source))

    def _count(self, examples: list[Example]) -> DataSpec:
        spec = super()._count(examples)
        counts = Counter(str(example.target) for example in examples)
        if len(counts) < 2:
            raise DataError(
                f"Every training example has the label {min(counts)!r}: give examples of two classes or more."
            )
        classes = [counts[spec.target_codec.decode([i])] for i in range(spec.output_size)]
        return replace(spec, marked=self.marks_targets(), class_counts=classes)

    def every_label(self, examples: list[Example], known: LabelCodec) -> LabelCodec:
        return self.target_codec(examples)

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        if not example.target:
            raise DataError("The label is empty: remove the example or give it a label.")
        return codec.encode(example.target)

    def stack_targets(self, targets: Ragged, rows: list[int]) -> tuple[Tensor, Tensor | None]:
        return targets.gather(rows)[0][:, 0], None


class TaggingData(LabelledData):
    """One tag a token. Targets: (B, T), zero where padded."""

    kind = "tagging"

    def target_codec(self, examples: list[Example]) -> Codec:
        return tag_codec(examples, scheme_of(list(example.target) for example in examples))

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        if len(example.target) != len(source):
            raise DataError(f"{len(source)} tokens, but {len(example.target)} tags: give every token one tag.")
        return codec.encode(fit(list(example.target), self.max_length, self.truncate))

    def every_label(self, examples: list[Example], known: LabelCodec) -> LabelCodec:
        return tag_codec(examples, known.scheme)


def tag_codec(examples: Sequence[Example], scheme: str | None) -> LabelCodec:
    """The tags of examples; of a scheme, all that it has for their types: one may be in other splits alone, such as
    that of a name of one token.
    """
    tags = {tag for example in examples for tag in example.target}
    if scheme is None:
        return LabelCodec(sorted(tags))
    return LabelCodec(tags_of({parse(tag).kind for tag in tags - {OUTSIDE}}, scheme), scheme)


class TransductionData(ExampleData):
    """Another text. Targets: (B, U), each ending in `<eos>`, which its length counts; none starts with `<bos>`. Answers
    are compared with the text itself, whatever the vocabulary knows of it.
    """

    kind = "transduction"
    special_tokens = TARGET_SPECIALS
    largest_output = 100_000

    def tokenizer_of_targets(self) -> str:
        """The name of the tokenizer of the targets."""
        return "whitespace"

    def expected_spec(self) -> DataSpec:
        size = self.vocabulary_size
        return DataSpec(self.kind, size or self.largest_input, size or self.largest_output)

    def target_codec(self, examples: list[Example]) -> Codec:
        name = self.tokenizer_of_targets()
        texts = (example.target for example in examples)
        return TextCodec.learn(name, texts, TARGET_SPECIALS, self.min_frequency, self.vocabulary_size)

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        if not isinstance(codec, TextCodec) or codec.eos is None:
            raise DataError("The saved run has no target text to end: was it trained on other data?")
        tokens = fit(codec.split(example.target), self.max_length, self.truncate, "target")
        return [*codec.vocabulary.encode(tokens), codec.eos]

    def _encode(self, examples: list[Example], spec: DataSpec) -> Encoded:
        texts = [target if isinstance(target, str) else " ".join(target) for _, target, _ in examples]
        return super()._encode(examples, spec)._replace(references=[" ".join(text.split()) for text in texts])

    def stack_targets(self, targets: Ragged, rows: list[int]) -> tuple[Tensor, Tensor | None]:
        return targets.gather(rows)

    def bucket_lengths(self, sources: list[list[int]], answers: list[list[int]]) -> list[int]:
        return [max(len(source), len(answer)) for source, answer in zip(sources, answers, strict=True)]


@contextmanager
def located(where: str) -> Iterator[None]:
    """Say of a mistake where it is."""
    try:
        yield
    except SeqzooError as error:
        raise DataError(f"{where}: {error}" if where else str(error)) from None


def split_source(spec: DataSpec, source: str | list[str]) -> tuple[list[str], tuple[int, int] | None]:
    """The tokens of a source and, where sources mark a target, its span. A text of which the tokenizer keeps nothing,
    such as a quotation mark, is an unknown token.
    """
    codec = cast(TextCodec, spec.inputs)
    if not spec.marked:
        tokens = codec.split(source)
        return ([UNK], None) if not tokens and isinstance(source, str) and source.strip() else (tokens, None)
    return split_marked(source if isinstance(source, str) else codec.tokenizer.join(source), codec.split)


def fit(
    tokens: list[str],
    max_length: int | None,
    truncate: bool,
    side: str = "source",
    span: tuple[int, int] | None = None,
) -> list[str]:
    """At most `max_length` tokens; a longer list is cut or refused, an empty one refused, and so is one whose marked
    span would be cut.
    """
    if not tokens:
        raise DataError(f"The {side} is empty: remove the example or give it text.")
    if max_length is None or len(tokens) <= max_length:
        return tokens
    if not truncate:
        raise DataError(
            f"The {side} has {len(tokens):,} tokens, more than data.max_length={max_length:,}: "
            "raise it, or cut with data.truncate=true."
        )
    if span is not None and span[1] > max_length:
        raise DataError(
            f"The marked target ends at token {span[1]:,}, beyond data.max_length={max_length:,}: raise it."
        )
    return tokens[:max_length]


def evenly(examples: list[T], limit: int | None) -> list[T]:
    """At most `limit` of them, spread over the whole list, since files are often sorted."""
    if limit is None or limit >= len(examples):
        return examples
    return [examples[i * len(examples) // limit] for i in range(limit)]


def encode_inputs(
    spec: DataSpec,
    texts: Sequence[str | list[str]],
    max_length: int | None = None,
    truncate: bool = False,
    lines: Sequence[int] | None = None,
) -> Batch:
    """Raw lines, or lists of tokens, as one batch without targets; rows keep their order. A model of numbers reads
    steps as `seqzoo.data.numbers.parse_steps` does; one of pictures, or of their features, is given their files.

    lines: their numbers in messages; by default 1, 2, ...

    Raises DataError naming the line that is empty, longer than `max_length`, or marks no target where the model asks
    for one.
    """
    lines = range(1, len(texts) + 1) if lines is None else lines
    codec = spec.inputs
    if not texts:
        raise DataError("There is nothing to predict: give at least one line.")
    if spec.picture is not None and not spec.given_as_files:
        score = f"{program('seqzoo')} evaluate RUN_DIR"
        raise DataError(f"The model reads clips, which are not read from files: score the run with {score}.")
    if spec.given_as_files and "" in texts:
        raise DataError(f"Line {lines[texts.index('')]} is empty: name a file.")
    if spec.picture is not None:
        pictures = torch.stack([read_picture(str(text), spec.picture[1]) for text in texts])
        return Batch(pictures.float() / 255, torch.ones(len(texts), dtype=torch.long), padded=False)
    rows: list[Tensor] = []
    spans: list[tuple[int, int] | None] = []
    written: list[list[str]] = []
    for number, text in zip(lines, texts, strict=True):
        with located(f"Line {number}"):
            if isinstance(codec, TextCodec):
                tokens, span = split_source(spec, text)
                written.append(fit(tokens, max_length, truncate, span=span))
                rows.append(torch.tensor(codec.vocabulary.encode(written[-1])))
                spans.append(span)
            elif spec.given_as_files:
                rows.append(given_features(Path(str(text)), spec.input_size))
            else:
                rows.append(torch.tensor(parse_steps(text, spec.input_size)))
    lengths = torch.tensor([len(row) for row in rows])
    marked = torch.tensor(spans) if spec.marked else None
    inputs = pad_sequence(rows, batch_first=True)
    spelling = None if spec.characters is None else Spellings(written, spec.characters).gather(list(range(len(rows))))
    return Batch(inputs, lengths, padded=is_padded(lengths), spans=marked, spelling=spelling, tokens=written or None)
