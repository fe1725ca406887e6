"""Running text from text files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from seqzoo.contracts.cache import user_cache
from seqzoo.data.files.base import Files
from seqzoo.data.running_text import RunningText
from seqzoo.data.sources.text_forms import find_text_key
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.token_files import Pieces, Store

LARGE = 100_000_000


@dataclass(eq=False, kw_only=True)
class TextFiles(Files, RunningText):
    """Running text from files.

    Args:
        train: the training text, or JSON of documents.
        validation: the validation text; None: it is the end of the training text.
        test: the test text; None: there is none.
        validation_fraction: fraction of the training text that is held out where there is no validation text.
        text_column: the key of the texts in JSON; None: detected.
        on_disk: keep vocabulary and ids in the user's cache and read the ids from there, window by window, so that the
            text need not fit into memory; None: for files above LARGE bytes.
    """

    acts_with: ClassVar[dict[str, str]] = {"validation_fraction": "validation=null"}

    train: str
    validation: str | None = None
    test: str | None = None
    validation_fraction: float = 0.1
    text_column: str | None = None
    on_disk: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction={self.validation_fraction} must be between 0 and 1")

    def read(self) -> dict[str, Iterable[str]]:
        self._detected = {}
        # where line ends are tokens, the last line also gets one
        lines = self.tokenizer != "characters"
        names = {"train": self.train, "validation": self.validation, "test": self.test}
        texts = {split: self._pieces(self.path(name), lines) for split, name in names.items() if name}
        self.remarks = self.statements()
        if self.validation is None:
            texts["train"], texts["validation"] = texts["train"].cut(1 - self.validation_fraction, lines)
        return {**texts}

    def _pieces(self, path: str, lines: bool) -> Pieces:
        encoding = self.encoding_of(path)
        key = self.text_column or find_text_key(path, encoding)
        if key is not None:
            self.state(path, f"JSON; texts: key {key!r} (data.text_column)")
        return Pieces(path, encoding, closed=lines, key=key)

    def learn(self, text: Iterable[str]) -> TextCodec:
        if not isinstance(text, Pieces) or not self._stored(text):
            return super().learn(text)
        options = [self.tokenizer, self.min_frequency, self.vocabulary_size]
        return Store(user_cache("text")).codec(text, options, super().learn)

    def encode(self, text: Iterable[str], codec: TextCodec) -> Tensor:
        if not isinstance(text, Pieces) or self.limit is not None or not self._stored(text):
            return super().encode(text, codec)
        return Store(user_cache("text")).ids(text, codec)

    def _stored(self, text: Pieces) -> bool:
        if self.on_disk is not None:
            return self.on_disk
        return Path(text.path.partition("::")[0]).stat().st_size > LARGE
