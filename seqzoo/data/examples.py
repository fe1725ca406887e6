"""Data sets of separate examples: a source, and a target that is a class, one tag per token, or another text."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from seqzoo.contracts.batch import PAD, UNKNOWN, Batch
from seqzoo.contracts.errors import DataError, located
from seqzoo.contracts.masking import IGNORED
from seqzoo.contracts.span_notation import scheme_of
from seqzoo.contracts.spec import Codec, DataSpec
from seqzoo.contracts.survey import Survey, measure_texts
from seqzoo.data.batching.bucketed_data import BucketedData
from seqzoo.data.batching.bucketing import Length, padding_share
from seqzoo.data.batching.ragged import Ragged, is_padded
from seqzoo.data.checks import check_at_least_one, check_filled, check_items, check_splits
from seqzoo.data.label_codecs import are_ratings, check_classes, label_codec, tag_codec, unseen_labels
from seqzoo.data.sources.marked_text import marked_parts, split_marked
from seqzoo.data.splits import evenly
from seqzoo.data.text.codec import LabelCodec, TextCodec
from seqzoo.data.text.extending import extended
from seqzoo.data.text.spelling import Spellings
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, TARGET_SPECIALS, Vocabulary, check_vocabulary_size
from seqzoo.data.text.vocabulary import UNKNOWN as UNK


class Example(NamedTuple):
    """One example.

    Attributes:
        source: a text or its tokens.
        target: a label, one tag per token (empty: none, which is neither learned nor scored), or a text.
        where: file and line, for messages.
        group: examples of the same group belong to the same split; empty: there are no groups.
        time: a date or number; empty: examples have no order.
        parents: the parent of each node where the source is a tree, as of `seqzoo.contracts.tree_notation.Tree`.
    """

    source: str | list[str]
    target: str | list[str]
    where: str = ""
    group: str = ""
    time: str = ""
    parents: Sequence[int] = ()


def _is_example(item: Any) -> bool:
    return isinstance(item, Example) and all(
        isinstance(part, str) or (isinstance(part, list) and all(isinstance(token, str) for token in part))
        for part in (item.source, item.target)
    )


class Encoded(NamedTuple):
    """One split as ids.

    Attributes:
        inputs: the sources.
        targets: the targets.
        lengths: the lengths by which examples are sorted into batches.
        spans: (N, 2), the spans of the marked targets, where sources have some.
        spellings: the characters of the tokens, where the encoder reads them.
        references: the targets as text, where answers are texts.
        truncated: the number of sources that were truncated.
        parents: the parents of the nodes plus 1, where sources are trees.
        unknown: the tokens of all sources that are not in the vocabulary, as they were written.
    """

    inputs: Ragged
    targets: Ragged
    lengths: Sequence[Length]
    spans: Tensor | None = None
    spellings: Spellings | None = None
    references: list[str] | None = None
    truncated: int = 0
    parents: Ragged | None = None
    unknown: Sequence[str] = ()

    def tokens(self, vocabulary: Vocabulary) -> Iterator[list[str]]:
        """The tokens of each source, as they were written; empty for nodes of trees without a word."""
        ids, unknown = iter(self.inputs.ids.tolist()), iter(self.unknown)
        words = ["" if i == PAD else token for i, token in enumerate(vocabulary.tokens)]
        for length in self.inputs.lengths.tolist():
            yield [next(unknown) if i == UNKNOWN else words[i] for i in islice(ids, length)]


@dataclass(eq=False, kw_only=True)
class ExampleData(BucketedData):
    """The base of data sets of separate examples.

    It reads the examples, builds vocabularies from the training split, encodes all splits once and makes batches of
    similar length. ClassificationData, TaggingData and TransductionData define the targets; a subclass of these
    implements `read`.
    """

    batch_size: int = 64
    max_tokens: int | None = None
    max_length: int = 1000
    truncate: bool = False
    min_frequency: int = 1
    vocabulary_size: int | None = None

    kind: ClassVar[str]
    special_tokens: ClassVar[tuple[str, ...]] = SOURCE_SPECIALS
    largest_input: ClassVar[int] = 100_000
    largest_output: ClassVar[int] = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "max_tokens", "max_length", "min_frequency")
        check_vocabulary_size(self.vocabulary_size, len(self.special_tokens))

    @abstractmethod
    def read(self) -> dict[str, list[Example]]:
        """Read the examples of "train", "validation" and, where there is one, "test"."""

    @abstractmethod
    def target_codec(self, examples: list[Example]) -> Codec:
        """Build the codec of the targets from the training examples."""

    def tokenizer_of_inputs(self) -> str:
        """The name of the tokenizer of sources that are text."""
        return "whitespace"

    def texts(self, example: Example) -> Sequence[str | list[str]]:
        """The texts of an example that the vocabulary of the inputs is built from."""
        return (example.source,)

    @abstractmethod
    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        """The ids of the target of an example; source: the tokens of its source."""

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.vocabulary_size or self.largest_input, self.largest_output)

    def _checked_read(self) -> dict[str, list[Example]]:
        """The result of `read`, checked."""
        splits = self.read()
        check_splits(self, splits, list | tuple, "a list of Examples")
        check_items(self, splits, _is_example, "Example(source, target), each a text or a list of texts,")
        return splits

    def survey(self) -> Survey:
        splits = self._checked_read()
        held_out = len(splits.get("validation", []))
        return replace(self.measure(splits.get("train", [])), validation_examples=held_out)

    def measure(self, examples: list[Example]) -> Survey:
        """Measure the examples of the training split."""
        sources = [example.source for example in examples]
        tokenized = bool(sources) and not isinstance(sources[0], str)
        return Survey(self.kind, len(examples), 0, measure_texts(sources), tokenized)

    def load(self, spec: DataSpec | None = None) -> None:
        if spec is not None and spec.kind != self.kind:
            raise DataError(f"the saved run is for {spec.kind}, this data for {self.kind}: choose other data")
        examples = self._checked_read()
        check_filled(self, examples, "examples")
        # from all examples, before `limit`, so that a short trial builds the model of the full run
        self.spec = self.enriched(self._count(examples["train"]), examples) if spec is None else spec
        self._encoded = {
            split: self._encode(evenly(all_of_split, self.limit), self.spec)
            for split, all_of_split in examples.items()
            if all_of_split
        }
        if truncated := sum(encoded.truncated for encoded in self._encoded.values()):
            count = f"{truncated:,} of {sum(len(encoded.inputs) for encoded in self._encoded.values()):,} examples"
            self.remarks = [*self.remarks, f"{count} were truncated to data.max_length={self.max_length:,} tokens"]
        unknown = float((self._encoded["validation"].inputs.ids == UNKNOWN).double().mean())
        if unknown > 0.5 and isinstance(self.spec.inputs, TextCodec) and isinstance(examples["train"][0].source, str):
            share = f"{unknown:.0%} of the validation tokens are unknown"
            question = f"is the tokenizer, {self.spec.inputs.name}, right for these texts?"
            self.remarks = [*self.remarks, f"{share}: {question}"]
        self.plan_batches({split: len(encoded.inputs) for split, encoded in self._encoded.items()}, self.max_tokens)

    def plain_batches(self, split: str) -> Iterator[Batch]:
        tokens = self._encoded[split].tokens(cast(TextCodec, self.spec.inputs).vocabulary)
        for batch in super().plain_batches(split):
            yield replace(batch, tokens=[*islice(tokens, len(batch.lengths))])

    def padding_share(self) -> float:
        return padding_share(self._encoded["train"].inputs.lengths.tolist(), self._plans.of("train", 0))

    def row_lengths(self, split: str, epoch: int) -> Sequence[Length]:
        return self._encoded[split].lengths

    def batch_of(self, split: str, rows: list[int], epoch: int, number: int | None) -> Batch:
        encoded = self._encoded[split]
        inputs, lengths = encoded.inputs.gather(rows)
        spelling = None if encoded.spellings is None else encoded.spellings.gather(rows)
        targets, target_lengths = self.stack_targets(encoded.targets, rows)
        batch = Batch(inputs, lengths, targets, target_lengths, is_padded(lengths), spelling=spelling)
        if encoded.spans is not None:
            batch.spans = encoded.spans[rows]
        if encoded.references is not None:
            batch.references = [[encoded.references[row]] for row in rows]
        if encoded.parents is not None:
            batch.parents = encoded.parents.gather(rows)[0] - 1
        return batch

    def stack_targets(self, targets: Ragged, rows: list[int]) -> tuple[Tensor, Tensor | None]:
        """The targets of a batch and, where these differ from the lengths of the inputs, their lengths."""
        return targets.gather(rows)[0], None

    def enriched(self, spec: DataSpec, examples: dict[str, list[Example]]) -> DataSpec:
        """Complete the spec with what else a model needs to know of the splits."""
        return spec

    def _count(self, examples: list[Example]) -> DataSpec:
        inputs = self.learn_inputs(text for example in examples for text in self.texts(example))
        targets = self.target_codec(examples)
        return DataSpec(self.kind, inputs.size, targets.size, inputs, targets)

    def learn_inputs(self, texts: Iterable[str | list[str]], specials: Sequence[str] = SOURCE_SPECIALS) -> TextCodec:
        """The codec of the inputs, built from the training texts, or that of `origin`, extended by them."""
        limits = (self.min_frequency, self.vocabulary_size)
        if self.origin is not None and isinstance(self.origin.inputs, TextCodec):
            return extended(self.origin.inputs, texts, *limits)
        return TextCodec.learn(self.tokenizer_of_inputs(), texts, specials, *limits)

    def _encode(self, examples: list[Example], spec: DataSpec) -> Encoded:
        inputs, targets = spec.inputs, spec.targets
        if not isinstance(inputs, TextCodec) or targets is None:
            raise DataError("the saved run has no vocabularies for this data: was it trained on other data?")
        sources, answers, spans, spelled, truncated = [], [], [], [], 0
        unknown: list[str] = []
        for example in examples:
            with located(example.where):
                tokens, span = split_source(spec, example.source)
                fitting = fit(tokens, self.max_length, self.truncate, span=span, whole=spec.trees is not None)
                truncated += len(fitting) < len(tokens)
                ids = token_ids(inputs.vocabulary, fitting)
                sources.append(ids)
                if UNKNOWN in ids:
                    unknown += [token for token, i in zip(fitting, ids, strict=True) if i == UNKNOWN]
                spans.append(span)
                if spec.characters is not None:
                    spelled.append(fitting)
                answers.append(self.encode_target(example, targets, tokens))
        rows = Ragged(sources)
        marked = torch.tensor(spans) if spec.marked else None
        spellings = None if spec.characters is None else Spellings(spelled, spec.characters)
        lengths = self.bucket_lengths(sources, answers)
        return Encoded(rows, Ragged(answers), lengths, marked, spellings, truncated=truncated, unknown=unknown)

    def bucket_lengths(self, sources: list[list[int]], answers: list[list[int]]) -> Sequence[Length]:
        """The lengths by which examples are sorted into batches."""
        return [len(source) for source in sources]


class LabelledData(ExampleData):
    """Targets are labels. Labels that do not occur in training have an id, so that they can be scored; a remark lists
    them.
    """

    def measure(self, examples: list[Example]) -> Survey:
        labels = [[example.target] if isinstance(example.target, str) else example.target for example in examples]
        counts = Counter(label for label in chain.from_iterable(labels) if label).most_common()
        scheme = scheme_of(labels) if self.kind == "tagging" else None
        return replace(super().measure(examples), classes=[count for _, count in counts], scheme=scheme)

    @abstractmethod
    def every_label(self, examples: list[Example], trained: LabelCodec) -> LabelCodec:
        """The labels of all splits.

        Args:
            examples: of all splits.
            trained: the labels of the training split.
        """

    def enriched(self, spec: DataSpec, examples: dict[str, list[Example]]) -> DataSpec:
        spec = super().enriched(spec, examples)
        trained, everything = cast(LabelCodec, spec.targets), [*chain.from_iterable(examples.values())]
        where: dict[str, str] = {}
        for example in everything:
            for label in [example.target] if isinstance(example.target, str) else example.target:
                if label:
                    where.setdefault(label, example.where)
        remarks = unseen_labels(where, trained.ids)
        if not remarks:
            return spec
        self.remarks = [*self.remarks, *remarks]
        targets, classes = self.every_label(everything, trained), spec.class_counts
        if classes is not None:
            counts = dict(zip(trained.labels, classes, strict=True))
            classes = [counts.get(label, 0) for label in targets.labels]
        return replace(spec, output_size=targets.size, targets=targets, class_counts=classes)


class ClassificationData(LabelledData):
    """One label per source. Targets (B,). Classes are in numeric order if all labels are numbers, else alphabetic."""

    kind = "classification"

    def marks_targets(self) -> bool:
        """Whether each text marks the target that its label refers to, see `seqzoo.data.sources.marked_text`."""
        return False

    def expected_spec(self) -> DataSpec:
        return replace(super().expected_spec(), marked=self.marks_targets())

    def measure(self, examples: list[Example]) -> Survey:
        classes = self.target_codec(examples).labels
        return replace(super().measure(examples), ratings=are_ratings(classes))

    def target_codec(self, examples: list[Example]) -> LabelCodec:
        return label_codec({str(example.target): example.where for example in examples})

    def texts(self, example: Example) -> Sequence[str | list[str]]:
        if not self.marks_targets():
            return super().texts(example)
        with located(example.where):
            return marked_parts(str(example.source))

    def _count(self, examples: list[Example]) -> DataSpec:
        spec = super()._count(examples)
        counts = Counter(str(example.target) for example in examples)
        check_classes(counts, "example")
        classes = [counts[spec.target_codec.decode([i])] for i in range(spec.output_size)]
        return replace(spec, marked=self.marks_targets(), class_counts=classes)

    def every_label(self, examples: list[Example], trained: LabelCodec) -> LabelCodec:
        return self.target_codec(examples)

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        if not example.target:
            raise DataError("the label is empty: remove the example or give it a label")
        return codec.encode(example.target)

    def stack_targets(self, targets: Ragged, rows: list[int]) -> tuple[Tensor, Tensor | None]:
        return targets.gather(rows)[0][:, 0], None


class TaggingData(LabelledData):
    """One tag per token. Targets (B, T), with zeros as padding and IGNORED at steps without a tag."""

    kind = "tagging"

    def target_codec(self, examples: list[Example]) -> Codec:
        return tag_codec(_tags(examples), scheme_of(list(example.target) for example in examples))

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        if len(example.target) != len(source):
            raise DataError(f"there are {len(source)} tokens, but {len(example.target)} tags: give each token one tag")
        tags = fit(list(example.target), self.max_length, self.truncate)
        ids = iter(codec.encode([tag for tag in tags if tag]))
        return [next(ids) if tag else IGNORED for tag in tags]

    def every_label(self, examples: list[Example], trained: LabelCodec) -> LabelCodec:
        return tag_codec(_tags(examples), trained.scheme)


def _tags(examples: Sequence[Example]) -> set[str]:
    return {tag for example in examples for tag in example.target if tag}


class TransductionData(ExampleData):
    """Another text. Targets (B, U), each with `<eos>` at its end, which counts in its length, and without `<bos>`.
    References are the texts themselves, with words that the vocabulary does not have.
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

    def measure(self, examples: list[Example]) -> Survey:
        return replace(super().measure(examples), targets=measure_texts(example.target for example in examples))

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        if not isinstance(codec, TextCodec) or codec.eos is None:
            raise DataError("the saved run has no target vocabulary with <eos>: was it trained on other data?")
        tokens = fit(codec.split(example.target), self.max_length, self.truncate, "target")
        return [*codec.vocabulary.encode(tokens), codec.eos]

    def _encode(self, examples: list[Example], spec: DataSpec) -> Encoded:
        texts = [e.target if isinstance(e.target, str) else " ".join(e.target) for e in examples]
        return super()._encode(examples, spec)._replace(references=[" ".join(text.split()) for text in texts])

    def stack_targets(self, targets: Ragged, rows: list[int]) -> tuple[Tensor, Tensor | None]:
        return targets.gather(rows)

    def bucket_lengths(self, sources: list[list[int]], answers: list[list[int]]) -> Sequence[Length]:
        return [max(len(source), len(answer)) for source, answer in zip(sources, answers, strict=True)]


def split_source(spec: DataSpec, source: str | list[str]) -> tuple[list[str], tuple[int, int] | None]:
    """The tokens of a source and, where sources mark a target, its span. A text without tokens, such as a quotation
    mark that the tokenizer drops, is one unknown token.
    """
    codec = cast(TextCodec, spec.inputs)
    if not spec.marked:
        tokens = codec.split(source)
        return ([UNK], None) if not tokens and isinstance(source, str) and source.strip() else (tokens, None)
    return split_marked(source if isinstance(source, str) else codec.tokenizer.join(source), codec.split)


def token_ids(vocabulary: Vocabulary, tokens: list[str]) -> list[int]:
    """The ids of tokens; a node of a tree without a word, which is an empty token, has that of padding."""
    ids = vocabulary.encode(tokens)
    return ids if "" not in tokens else [i if token else PAD for token, i in zip(tokens, ids, strict=True)]


def fit(
    tokens: list[str],
    max_length: int | None,
    truncate: bool,
    side: str = "source",
    span: tuple[int, int] | None = None,
    whole: bool = False,
) -> list[str]:
    """Truncate tokens to a maximum length.

    Args:
        tokens: of a text.
        max_length: None: no limit.
        truncate: whether to truncate a longer text.
        side: source, target or caption, for the message.
        span: the marked target, which is never truncated.
        whole: the tokens are the nodes of a tree, which cannot be truncated.

    Raises:
        DataError: there are no tokens, the text is too long, or its marked target would be truncated.
    """
    if not tokens:
        raise DataError(f"the {side} is empty: remove the example or fill it in")
    if max_length is None or len(tokens) <= max_length:
        return tokens
    if whole:
        raise DataError(f"the tree has {len(tokens):,} nodes, more than data.max_length={max_length:,}: raise it")
    if not truncate:
        raise DataError(
            f"the {side} has {len(tokens):,} tokens, more than data.max_length={max_length:,}: "
            "raise it, or set data.truncate=true"
        )
    if span is not None and span[1] > max_length:
        raise DataError(f"the marked target ends at token {span[1]:,}, beyond data.max_length={max_length:,}: raise it")
    return tokens[:max_length]
