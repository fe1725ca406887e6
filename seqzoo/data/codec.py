"""Text to ids and back, and the plain data that a run saves of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from seqzoo.contracts import Codec, DataSpec, WordVectors
from seqzoo.data.tokenizing import Subwords, Tokenizer, get_tokenizer
from seqzoo.data.vocabulary import BOS, EOS, PAD, SOURCE_SPECIALS, Vocabulary
from seqzoo.errors import DataError, closest


class TextCodec:
    """Text through a tokenizer and a vocabulary.

    bos, eos: the ids of `<bos>` and `<eos>`, None where the vocabulary has none.
    """

    def __init__(self, tokenizer: str | Subwords, vocabulary: Vocabulary):
        self.name = tokenizer if isinstance(tokenizer, str) else "subwords"
        self.tokenizer: Tokenizer = get_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
        self.vocabulary = vocabulary
        self.bos = vocabulary.ids.get(BOS)
        self.eos = vocabulary.ids.get(EOS)
        # For running text <eos> is a line end, which its tokenizer writes out.
        silent = (PAD, BOS) if self.name == "lines" else (PAD, BOS, EOS)
        self._silent = {vocabulary.ids[token] for token in silent if token in vocabulary}

    @classmethod
    def from_tokens(
        cls,
        tokenizer: str,
        texts: Iterable[list[str]],
        specials: Iterable[str] = SOURCE_SPECIALS,
        min_frequency: int = 1,
        max_size: int | None = None,
    ) -> TextCodec:
        """A codec whose vocabulary is counted from texts that are already split."""
        counts: Counter[str] = Counter()
        for tokens in texts:
            counts.update(tokens)
        return cls(tokenizer, Vocabulary.from_counts(counts, specials, min_frequency, max_size))

    @classmethod
    def from_subwords(
        cls, texts: Iterable[str], specials: Iterable[str] = SOURCE_SPECIALS, min_frequency: int = 1, *, size: int
    ) -> TextCodec:
        """A codec of at most `size` ids, whose pieces of words are learned from texts."""
        specials = list(specials)
        tokenizer, pieces = Subwords.learn(texts, size - len(specials), min_frequency)
        return cls(tokenizer, Vocabulary([*specials, *pieces]))

    def with_words(self, words: Iterable[str]) -> TextCodec:
        """The same with more tokens in its vocabulary, behind the others."""
        tokenizer = self.tokenizer if isinstance(self.tokenizer, Subwords) else self.name
        return TextCodec(tokenizer, Vocabulary([*self.vocabulary.tokens, *words]))

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    def split(self, text: str | list[str]) -> list[str]:
        """The tokens of a text; a list of tokens stays as it is."""
        return self.tokenizer.split(text) if isinstance(text, str) else text

    def encode(self, text: str | list[str]) -> list[int]:
        return self.vocabulary.encode(self.split(text))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids without `<pad>`, `<bos>`, `<eos>`."""
        return self.vocabulary.decode(i for i in ids if i not in self._silent)

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.join(self.tokens(ids))

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"kind": "text", "tokenizer": self.name, "tokens": list(self.vocabulary.tokens)}
        if isinstance(self.tokenizer, Subwords):
            plain["merges"] = [list(pair) for pair in self.tokenizer.merges]
        return plain


class LabelCodec:
    """Classes or tags: every label is known, none is special. scheme: of tags that mark spans, as of `seqzoo.spans`."""

    def __init__(self, labels: Iterable[str], scheme: str | None = None):
        self.labels, self.scheme = list(labels), scheme
        self.ids = {label: i for i, label in enumerate(self.labels)}
        if len(self.ids) != len(self.labels):
            raise DataError("A list of labels names a label twice: give every label once.")

    @property
    def size(self) -> int:
        return len(self.labels)

    def encode(self, text: str | list[str]) -> list[int]:
        """One label or a list of them -> ids."""
        try:
            return [self.ids[label] for label in ([text] if isinstance(text, str) else text)]
        except KeyError as error:
            label = error.args[0]
            raise DataError(f"The label {label!r} does not occur in training.{closest(label, self.labels)}") from None

    def tokens(self, ids: Iterable[int]) -> list[str]:
        return [self.labels[i] for i in ids]

    def decode(self, ids: list[int]) -> str:
        return " ".join(self.tokens(ids))

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"kind": "labels", "labels": list(self.labels)}
        return plain if self.scheme is None else {**plain, "scheme": self.scheme}


def codec_from_plain(plain: dict[str, Any]) -> TextCodec | LabelCodec:
    """The inverse of `to_plain`."""
    kind = plain.get("kind")
    if kind == "text":
        vocabulary, name = Vocabulary(plain["tokens"]), plain["tokenizer"]
        return TextCodec(Subwords(vocabulary.tokens, plain["merges"]) if name == "subwords" else name, vocabulary)
    if kind == "labels":
        return LabelCodec(plain["labels"], plain.get("scheme"))
    raise DataError(f"There is no codec of the kind {kind!r}.{closest(str(kind), ['text', 'labels'])}")


def spec_to_plain(spec: DataSpec) -> dict[str, Any]:
    """A DataSpec as what JSON can hold."""

    def plain(codec: Codec | None) -> dict[str, Any] | None:
        return None if codec is None else codec.to_plain()

    return {
        "task": spec.task,
        "input_size": spec.input_size,
        "output_size": spec.output_size,
        "inputs": plain(spec.inputs),
        "targets": plain(spec.targets),
        "per_step": spec.per_step,
        "marked": spec.marked,
        "class_counts": spec.class_counts,
        "vectors": coverage(spec),
    }


def coverage(spec: DataSpec) -> dict[str, Any] | None:
    """How much of the training split has a vector, as what JSON can hold; None where there are no vectors."""
    found = spec.vectors
    return None if found is None else {"words": found.words, "found": found.found, "share": found.share}


def spec_from_plain(plain: dict[str, Any]) -> DataSpec:
    """The inverse of `spec_to_plain`. Raises DataError where something is missing."""

    def codec(part: dict[str, Any] | None) -> Codec | None:
        return None if part is None else codec_from_plain(part)

    try:
        return DataSpec(
            plain["task"],
            plain["input_size"],
            plain["output_size"],
            codec(plain["inputs"]),
            codec(plain["targets"]),
            plain.get("per_step", False),  # runs from before there were numbers as targets
            plain.get("marked", False),
            plain.get("class_counts"),
            None if plain.get("vectors") is None else WordVectors(**plain["vectors"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"The saved sizes and vocabularies of the run are damaged ({error!r}).") from error
