"""Codecs: text to ids and back, and their serialised form in a run directory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import accumulate, pairwise
from reprlib import repr as shown
from typing import Any, Literal, cast

from seqzoo.contracts.errors import DataError, closest
from seqzoo.contracts.note_notation import FINEST_GRID
from seqzoo.contracts.options import check_options, fits, plain
from seqzoo.contracts.span_notation import SCHEMES
from seqzoo.contracts.spec import FASTEST_RATE, Channels, Codec, DataSpec, SpellingCodec, TrainingText, WordVectors
from seqzoo.contracts.tree_notation import TreeForm
from seqzoo.data.text.subwords import SUBWORDS, Subwords
from seqzoo.data.text.tokenizing import LINES, Lines, Tokenizer, get_tokenizer, inner_name, reads_backwards, wrapped
from seqzoo.data.text.vocabulary import BOS, EOS, SOURCE_SPECIALS, UNKNOWN, Vocabulary


class TextCodec:
    """A tokenizer and a vocabulary.

    Args:
        name: of the tokenizer.
        vocabulary: of its tokens.
        tokenizer: None: `get_tokenizer(name)`.

    Attributes:
        bos, eos: the ids of `<bos>` and `<eos>`; None where the vocabulary does not have them.
        backwards: whether texts are read from their end.
    """

    def __init__(self, name: str, vocabulary: Vocabulary, tokenizer: Tokenizer | None = None):
        self.name = name
        self.backwards = reads_backwards(name)
        self.tokenizer = tokenizer or get_tokenizer(name)
        self.vocabulary = vocabulary
        specials = {token: i for i, token in enumerate(vocabulary.tokens[: vocabulary.specials])}
        self.bos = specials.get(BOS)
        # in running text <eos> is a line end, which is part of the text and therefore not special
        self.eos = vocabulary.ids.get(EOS) if isinstance(self.tokenizer, Lines) else specials.get(EOS)
        self._silent = {i for token, i in specials.items() if token != UNKNOWN}

    @classmethod
    def learn(
        cls,
        tokenizer: str,
        texts: Iterable[str | list[str]],
        specials: Iterable[str] = SOURCE_SPECIALS,
        min_frequency: int = 1,
        max_size: int | None = None,
    ) -> TextCodec:
        """Build a codec from training texts, by counting tokens or learning subwords.

        Args:
            tokenizer: a name of `get_tokenizer`, or `bpe` or `unigram`, with the prefix `lines:` for running text.
            texts: strings, or lists of tokens, which are not tokenized.
            specials: the special tokens.
            min_frequency: rarer tokens are unknown.
            max_size: maximum size of the vocabulary; None: no limit.
        """
        if inner_name(tokenizer) in SUBWORDS:
            return cls._learn_subwords(tokenizer, texts, list(specials), min_frequency, max_size)
        splitter = get_tokenizer(tokenizer)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(splitter.split(text) if isinstance(text, str) else text)
        return cls(tokenizer, Vocabulary.from_counts(counts, specials, min_frequency, max_size), splitter)

    @classmethod
    def _learn_subwords(
        cls, name: str, texts: Iterable[str | list[str]], specials: list[str], min_frequency: int, max_size: int | None
    ) -> TextCodec:
        size = _subwords_size(max_size)
        running = name.startswith(LINES)
        if running:
            specials = [*specials, EOS]
        kind = SUBWORDS[inner_name(name)]
        subwords, pieces = kind.learn(_texts(texts, running), size - len(specials), min_frequency)
        vocabulary = Vocabulary([*specials, *pieces], len(specials) - running)
        return cls(name, vocabulary, wrapped(name, subwords))

    def with_words(self, words: Iterable[str]) -> TextCodec:
        """A copy with further tokens at the end of the vocabulary."""
        vocabulary = Vocabulary([*self.vocabulary.tokens, *words], self.vocabulary.specials)
        return TextCodec(self.name, vocabulary, self.tokenizer)

    @property
    def unit(self) -> str:
        return self.tokenizer.unit

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    def split(self, text: str | list[str]) -> list[str]:
        """The tokens of a text; a list of tokens is returned as it is."""
        return self.tokenizer.split(text) if isinstance(text, str) else text

    def encode(self, text: str | list[str]) -> list[int]:
        return self.vocabulary.encode(self.split(text))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids without `<pad>`, `<bos>`, `<eos>`."""
        return self.vocabulary.decode(i for i in ids if i not in self._silent)

    def join(self, tokens: list[str]) -> str:
        return self.tokenizer.join(tokens)

    def decode(self, ids: list[int]) -> str:
        return self.join(self.tokens(ids))

    def to_plain(self) -> dict[str, Any]:
        vocabulary = {"tokens": list(self.vocabulary.tokens), "specials": self.vocabulary.specials}
        return {"kind": "text", "tokenizer": self.name, **vocabulary, **self.tokenizer.to_plain()}


class LabelCodec:
    """Labels and their ids, without special or unknown ones.

    Args:
        labels: in the order of their ids.
        scheme: of tags that mark spans (`seqzoo.contracts.span_notation`).
    """

    unit = "labels"

    def __init__(self, labels: Iterable[str], scheme: str | None = None):
        self.labels, self.scheme = list(labels), scheme
        self.ids = {label: i for i, label in enumerate(self.labels)}
        if len(self.ids) != len(self.labels):
            raise DataError("a label occurs twice in the list of labels: give every label once")

    @property
    def size(self) -> int:
        return len(self.labels)

    def encode(self, text: str | list[str]) -> list[int]:
        """The ids of one label or of a list of labels."""
        try:
            return [self.ids[label] for label in ([text] if isinstance(text, str) else text)]
        except KeyError as error:
            label = error.args[0]
            raise DataError(f"the label {label!r} does not occur in training{closest(label, self.labels)}") from None

    def tokens(self, ids: Iterable[int]) -> list[str]:
        return [self.labels[i] for i in ids]

    def join(self, tokens: list[str]) -> str:
        return " ".join(tokens)

    def decode(self, ids: list[int]) -> str:
        return self.join(self.tokens(ids))

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"kind": "labels", "labels": list(self.labels)}
        return plain if self.scheme is None else {**plain, "scheme": self.scheme}


def check_tokenizer(name: str, vocabulary_size: int | None) -> None:
    """Check the name of a tokenizer.

    Raises:
        DataError: there is no such tokenizer.
        ValueError: it learns subwords, and the size of the vocabulary is null or below 100.
    """
    if inner_name(name) in SUBWORDS:
        _subwords_size(vocabulary_size)
    else:
        get_tokenizer(name)


def _subwords_size(vocabulary_size: int | None) -> int:
    if vocabulary_size is None or vocabulary_size < 100:
        raise ValueError(f"vocabulary_size is {plain(vocabulary_size)}: subwords need at least 100, such as 8000")
    return vocabulary_size


def _texts(texts: Iterable[str | list[str]], running: bool) -> Iterator[str]:
    """The texts that subwords are learned from; the lines of running text."""
    for text in texts:
        if not isinstance(text, str):
            raise DataError("subwords are learned from text, but this data is tokenized already: choose words")
        yield from text.split("\n") if running else (text,)


FORMER_NAMES = {"lines": "lines:whitespace", "subwords": "bpe", "reversed_characters": "reversed:characters"}
"""The names of tokenizers in older runs, and their names now."""


class CharacterCodec:
    """The ids of the characters of a token; of a token longer than `limit`, those of its beginning and its end."""

    unit = "characters"

    def __init__(self, vocabulary: Vocabulary, limit: int):
        self.vocabulary, self.limit = vocabulary, limit

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    def written(self, tokens: list[str]) -> list[str]:
        """The form of each token that is spelled: here the token itself."""
        return tokens

    def encode(self, text: str | list[str]) -> list[int]:
        end = self.limit // 2
        return self.vocabulary.encode(
            text if len(text) <= self.limit else [*text[: self.limit - end], *text[len(text) - end :]]
        )

    def tokens(self, ids: Iterable[int]) -> list[str]:
        return self.vocabulary.decode(ids)

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens)

    def decode(self, ids: list[int]) -> str:
        return self.join(self.tokens(ids))

    def to_plain(self) -> dict[str, Any]:
        return {"kind": "characters", "tokens": list(self.vocabulary.tokens), "limit": self.limit}


class PlaceCodec(CharacterCodec):
    """The position of a Chinese character in its word: B (begin), M (middle), E (end) or S (single). Words are those of
    the tokenizer `chinese_words`.

    Source: the "softword" of Zhang & Yang, Chinese NER Using Lattice LSTM, 2018 (https://aclanthology.org/P18-1144).
    """

    def __init__(self) -> None:
        super().__init__(Vocabulary([*SOURCE_SPECIALS, *"BMES"]), 1)
        self._tokenizer = get_tokenizer("chinese_words")

    def written(self, tokens: list[str]) -> list[str]:
        words = self._tokenizer.split("".join(tokens))
        borders = set(accumulate(map(len, words), initial=0))
        ends = list(accumulate(map(len, tokens), initial=0))
        return [_PLACES[start in borders, end in borders] for start, end in pairwise(ends)]

    def to_plain(self) -> dict[str, Any]:
        return {"kind": "places"}


_PLACES = {(True, False): "B", (False, False): "M", (False, True): "E", (True, True): "S"}
"""The position of a token, by whether it begins where a word begins and ends where a word ends."""


_SCHEMES = (*SCHEMES, None)
_PARTS: dict[str, Any] = {
    "tokenizer": str,
    "tokens": list[str],
    "labels": list[str],
    "scheme": Literal[_SCHEMES],
    "limit": int,
    "specials": int,
}
"""The types of the parts of a saved codec."""


def codec_from_plain(plain: dict[str, Any]) -> TextCodec | LabelCodec | CharacterCodec:
    """The inverse of `to_plain`."""
    kind = plain.get("kind")
    for name, hint in _PARTS.items():
        if name in plain and not fits(plain[name], hint):
            raise DataError(f"the saved {name} of a codec have the wrong type: {shown(plain[name])}")
    if kind == "text":
        saved: str = plain["tokenizer"]
        name = FORMER_NAMES.get(saved, saved)
        # an older run did not save `specials`; in running text <eos> is not one of them, even where it comes first
        specials = plain.get("specials", len(SOURCE_SPECIALS) if name.startswith(LINES) else None)
        vocabulary, inner = Vocabulary(plain["tokens"], specials), inner_name(name)
        if inner not in SUBWORDS:
            return TextCodec(name, vocabulary)
        return TextCodec(name, vocabulary, wrapped(name, _restored(inner, vocabulary, plain)))
    if kind == "labels":
        return LabelCodec(plain["labels"], plain.get("scheme"))
    if kind == "characters":
        return CharacterCodec(Vocabulary(plain["tokens"]), plain["limit"])
    if kind == "places":
        return PlaceCodec()
    kinds = ["text", "labels", "characters", "places"]
    raise DataError(f"there is no kind of codec {shown(kind)}{closest(str(kind), kinds)}")


def _restored(name: str, vocabulary: Vocabulary, plain: dict[str, Any]) -> Subwords:
    learned = plain[SUBWORDS[name].parameter]
    try:
        subwords = SUBWORDS[name].restore(vocabulary.tokens, learned)
        subwords.split("a")
    except DataError:
        raise
    except Exception as error:  # the exceptions of the library have no common base class
        raise DataError(f"the saved tokenizer {name} is damaged ({str(error)[:100]})") from None
    return subwords


def spec_to_plain(spec: DataSpec) -> dict[str, Any]:
    """A DataSpec as plain data for JSON."""

    def plain(codec: Codec | None) -> dict[str, Any] | None:
        return None if codec is None else codec.to_plain()

    return {
        "task": spec.kind,  # the name that runs are saved with
        "input_size": spec.input_size,
        "output_size": spec.output_size,
        "inputs": plain(spec.inputs),
        "targets": plain(spec.targets),
        "per_step": spec.per_step,
        "marked": spec.marked,
        "class_counts": spec.class_counts,
        "vectors": coverage(spec),
        "character_size": spec.character_size,
        "characters": plain(spec.characters),
        "picture": spec.picture,
        "rate": spec.rate,
        "channels": None if spec.channels is None else asdict(spec.channels),
        "steps_per_quarter": spec.steps_per_quarter,
        "text_size": None if spec.text is None else spec.text.size,
        "next_values": spec.next_values,
        "trees": spec.trees,
        "lines": spec.lines,
    }


def coverage(spec: DataSpec) -> dict[str, Any] | None:
    """How much of the training split has a pretrained vector, as plain data; None without pretrained vectors."""
    vectors = spec.vectors
    return None if vectors is None else {"words": vectors.words, "found": vectors.known, "share": vectors.share}


_FORM: dict[str, Any] = {
    "task": str,
    "input_size": int,
    "output_size": int,
    "per_step": bool,
    "marked": bool,
    "class_counts": list[int] | None,
    "character_size": int,
    "picture": list[int] | None,
    "rate": int | None,
    "steps_per_quarter": int | None,
    "vectors": dict[str, float] | None,
    "text_size": int | None,
    "next_values": bool,
    "trees": TreeForm | None,
    "lines": bool,
}
_OLDER: dict[str, Any] = {
    "per_step": False,
    "marked": False,
    "character_size": 0,
    "characters": None,
    "next_values": False,
    "lines": False,
}
_OLDER |= dict.fromkeys(
    ("class_counts", "vectors", "picture", "rate", "channels", "steps_per_quarter", "text_size", "trees")
)
"""The values of what runs of older versions did not save."""
LARGEST_SIZE = 2**31 - 1


def spec_from_plain(plain: dict[str, Any]) -> DataSpec:
    """The inverse of `spec_to_plain`.

    Raises:
        DataError: a part is missing, has the wrong type, or contradicts another one.
    """

    def codec(part: dict[str, Any] | None) -> Codec | None:
        return None if part is None else codec_from_plain(part)

    plain = {**_OLDER, **plain}
    try:
        for name, kind in _FORM.items():
            if not fits(plain[name], kind) or (name == "picture" and len(plain[name] or "CYX") != len("CYX")):
                raise ValueError(f"{name} is {shown(plain[name])}")
        sizes = [plain[name] for name in ("input_size", "output_size", "character_size")]
        text_size = plain["text_size"]
        if not all(0 <= size <= LARGEST_SIZE for size in [*sizes, *(plain["picture"] or []), text_size or 0]):
            raise ValueError(f"the sizes are {sizes}")
        if not 1 <= (1 if plain["rate"] is None else plain["rate"]) <= FASTEST_RATE:
            raise ValueError(f"rate is {plain['rate']}")
        if not 1 <= (1 if plain["steps_per_quarter"] is None else plain["steps_per_quarter"]) <= FINEST_GRID:
            raise ValueError(f"steps_per_quarter is {plain['steps_per_quarter']}")
        inputs, targets, characters = (codec(plain[name]) for name in ("inputs", "targets", "characters"))
        codecs = (inputs, targets, characters)
        for name, size, saved in zip(("input", "output", "character"), sizes, codecs, strict=True):
            if saved is not None and saved.size != size:
                raise ValueError(f"{name}_size is {size}, but its codec has {saved.size}")
        return DataSpec(
            plain["task"],
            plain["input_size"],
            plain["output_size"],
            inputs,
            targets,
            plain["per_step"],
            plain["marked"],
            plain["class_counts"],
            None if plain["vectors"] is None else _vectors(plain["vectors"]),
            plain["character_size"],
            cast(SpellingCodec | None, characters),
            plain["picture"],
            plain["rate"],
            None if plain["channels"] is None else _channels(plain["channels"], plain["input_size"]),
            plain["steps_per_quarter"],
            None if text_size is None else TrainingText(text_size),
            plain["next_values"],
            plain["trees"],
            lines=plain["lines"],
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"there is no {error.args[0]}" if isinstance(error, KeyError) else error
        raise DataError(f"the saved sizes and vocabularies of the run are damaged: {reason}") from error


def _vectors(plain: dict[str, Any]) -> WordVectors:
    """What `coverage` saved."""
    return WordVectors(plain["words"], plain["found"], plain["share"])


def _channels(plain: Any, input_size: int) -> Channels:
    """Saved `Channels`. Raises ValueError or TypeError if they are damaged."""
    mistakes = check_options("channels", Channels, plain if isinstance(plain, dict) else {"channels": plain})
    if mistakes:
        raise ValueError(next(iter(mistakes.values())))
    channels = Channels(**plain)
    numbers = [*channels.means, *channels.scales, *channels.changes, channels.interval or 1.0]
    if not all(math.isfinite(number) for number in numbers) or not all(scale > 0 for scale in channels.scales):
        raise ValueError("the means and scales of the channels are not finite and positive")
    if len({len(part) for part in (channels.names, channels.means, channels.scales, channels.changes)}) > 1:
        raise ValueError("the channels need as many names as means, scales and changes")
    if not 0 <= channels.ahead < len(channels.names):
        raise ValueError(f"{channels.ahead} of {len(channels.names)} channels are known in advance")
    if channels.input_size != input_size or (channels.interval is not None and channels.interval <= 0):
        raise ValueError(f"input_size is {input_size}, but the channels make {channels.input_size} inputs")
    return channels
