"""Running text from plain files."""

from __future__ import annotations

from dataclasses import dataclass

from seqzoo.data.files import Files
from seqzoo.data.reading import read_text
from seqzoo.data.running_text import RunningText


@dataclass(eq=False, kw_only=True)
class TextFiles(Files, RunningText):
    """validation_fraction: without a validation file, so much of the end of the training text."""

    train: str
    validation: str | None = None
    test: str | None = None
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction={self.validation_fraction} must lie between 0 and 1")

    def read(self) -> dict[str, str]:
        names = {"train": self.train, "validation": self.validation, "test": self.test}
        texts = {split: self._text(name) for split, name in names.items() if name is not None}
        if self.validation is None:
            texts["train"], texts["validation"] = self._halve(texts["train"])
        return texts

    def _text(self, name: str) -> str:
        text = read_text(self.path(name), self.encoding)
        # Where line ends are tokens, the last line has one too.
        return text if self.tokenizer == "characters" or text.endswith("\n") else text + "\n"

    def _halve(self, text: str) -> tuple[str, str]:
        place = int(len(text) * (1 - self.validation_fraction))
        if self.tokenizer != "characters":
            place = text.rfind("\n", 0, place) + 1
        return text[:place], text[place:]
