"""Subword tokenizers that are learned from texts: byte-pair encoding and unigram models."""

from __future__ import annotations

import io
import json
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.data.text.tokenizing import Tokenizer
from seqzoo.data.text.vocabulary import TARGET_SPECIALS, UNKNOWN

SPACE = "▁"
"""Marks the beginning of a word in place of the space before it, so that joining pieces is lossless."""

CACHED = 2**16
"""Number of words whose pieces are cached."""


class Subwords(Tokenizer):
    """The base of subword tokenizers. Words are separated by spaces; the first piece of a word begins with ▁.

    Attributes:
        parameter: the key in `spec.json` of what is learned besides the pieces.

    Raises:
        DataError: the library `tokenizers` is not installed.
    """

    unit = "pieces of words"
    parameter: ClassVar[str]

    def __init__(self, model: Any):
        self._model = model

        def pieces_of(word: str) -> list[str]:
            encoding = model.encode(SPACE + word)
            if UNKNOWN not in encoding.tokens:
                return encoding.tokens
            # unknown pieces as they are in the text, so that they can be shown or copied
            places = zip(encoding.tokens, encoding.offsets, strict=True)
            return [(SPACE + word)[slice(*place)] if piece == UNKNOWN else piece for piece, place in places]

        self._pieces_of = lru_cache(CACHED)(pieces_of)

    @classmethod
    @abstractmethod
    def learn(cls, texts: Iterable[str], size: int, min_frequency: int = 1) -> tuple[Subwords, list[str]]:
        """Learn a tokenizer.

        Args:
            texts: training texts.
            size: maximum number of pieces.
            min_frequency: see the subclass.

        Returns:
            The tokenizer, and its pieces without `<unk>`.
        """

    @classmethod
    @abstractmethod
    def restore(cls, pieces: Sequence[str], learned: Sequence) -> Subwords:
        """The tokenizer of a saved run; pieces: its vocabulary, learned: the value of `learned`."""

    @property
    @abstractmethod
    def learned(self) -> list:
        """What is learned besides the pieces, as plain data."""

    def tokenizer_file(self) -> str:
        """The content of a `tokenizer.json`, which the library `tokenizers` reads; it splits single words."""
        return self._model.to_str(pretty=True)

    def split(self, text: str) -> list[str]:
        pieces_of = self._pieces_of
        return [piece for word in text.split(" ") for piece in pieces_of(word)] if text else []

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens).replace(SPACE, " ").removeprefix(" ")

    def to_plain(self) -> dict[str, Any]:
        return {self.parameter: self.learned}


class BytePairs(Subwords):
    """Byte-pair encoding: the most frequent pair of pieces is merged repeatedly.

    Args:
        pieces: all pieces, with `<unk>`.
        merges: pairs of pieces that are merged, in the order in which they were learned.

    Source: Sennrich, Haddow & Birch, Neural Machine Translation of Rare Words with Subword Units, 2016,
    https://aclanthology.org/P16-1162
    """

    parameter = "merges"

    def __init__(self, pieces: Sequence[str], merges: Sequence[Sequence[str]]):
        self.merges = [(first, second) for first, second in merges]
        ids = {piece: i for i, piece in enumerate(pieces)}
        super().__init__(self._around(_tokenizers().models.BPE(vocab=ids, merges=self.merges, unk_token=UNKNOWN)))

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, min_frequency: int = 1) -> tuple[Subwords, list[str]]:
        """As of `Subwords`. All characters are pieces; pairs rarer than `min_frequency` are not merged."""
        library = _tokenizers()
        model = cls._around(library.models.BPE(unk_token=UNKNOWN), prepend="always")
        trainer = library.trainers.BpeTrainer(
            vocab_size=size + 1, min_frequency=min_frequency, special_tokens=[UNKNOWN], show_progress=False
        )
        model.train_from_iterator(texts, trainer)
        learned = json.loads(model.to_str())["model"]
        pieces = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
        return cls(pieces, learned["merges"]), [piece for piece in pieces if piece != UNKNOWN]

    @classmethod
    def restore(cls, pieces: Sequence[str], learned: Sequence) -> BytePairs:
        return cls(pieces, learned)

    @property
    def learned(self) -> list:
        return [list(pair) for pair in self.merges]

    @staticmethod
    def _around(model: Any, prepend: str = "never") -> Any:
        library = _tokenizers()
        tokenizer, cut = library.Tokenizer(model), library.pre_tokenizers
        # punctuation is separate, so that "dog." is not a different word than "dog"
        tokenizer.pre_tokenizer = cut.Sequence([cut.Metaspace(SPACE, prepend), cut.Punctuation("isolated")])
        return tokenizer


class Unigram(Subwords):
    """A unigram language model of pieces: a word is split so that its probability is highest.

    Args:
        pieces: without special tokens.
        scores: their log-probabilities.

    Source: Kudo, Subword Regularization, 2018, https://aclanthology.org/P18-1007
    """

    parameter = "scores"

    def __init__(self, pieces: Sequence[str], scores: Sequence[float]):
        self.scores = list(scores)
        library = _tokenizers()
        model = library.Tokenizer(library.models.Unigram([(UNKNOWN, 0.0), *zip(pieces, scores, strict=True)], 0))
        super().__init__(model)

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, min_frequency: int = 1) -> tuple[Subwords, list[str]]:
        """As of `Subwords`. `min_frequency` is not used; the size decides what is rare."""
        # the trainer of the library `tokenizers` is not deterministic
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations of SWIG
            try:
                import sentencepiece
            except ImportError:
                raise DataError(f"unigram subwords need {not_installed('sentencepiece')}") from None
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="unigram",
                vocab_size=size + 1,
                hard_vocab_limit=False,
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                max_sentence_length=2**30,
                bos_id=-1,
                eos_id=-1,
                unk_id=0,
                num_threads=1,  # for a fixed order of summation
                minloglevel=2,
            )
        except RuntimeError as error:
            raise DataError(
                f"no unigram model of {size} pieces can be learned from these texts ({error}): give more text, or "
                "raise data.vocabulary_size where it is below the number of different characters"
            ) from None
        learned = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        ids = range(1, learned.get_piece_size())
        scores = {piece: learned.get_score(i) for i in ids if (piece := learned.id_to_piece(i)) not in TARGET_SPECIALS}
        return cls([*scores], [*scores.values()]), [*scores]

    @classmethod
    def restore(cls, pieces: Sequence[str], learned: Sequence) -> Unigram:
        return cls([piece for piece in pieces if piece not in TARGET_SPECIALS][: len(learned)], learned)

    @property
    def learned(self) -> list:
        return self.scores


SUBWORDS: dict[str, type[Subwords]] = {"bpe": BytePairs, "unigram": Unigram}


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise DataError(f"subwords need {not_installed('tokenizers')}") from None
    return tokenizers
