"""What all data sets read from files share: where the files are, how they are written, and what is held out."""

from __future__ import annotations

import random
from abc import abstractmethod
from dataclasses import dataclass

from seqzoo.data.examples import Example
from seqzoo.data.generating import GENERATION_SEED
from seqzoo.data.locations import locate
from seqzoo.data.source import Source


@dataclass(eq=False, kw_only=True)
class Files:
    encoding: str = "utf-8"
    root: str | None = None
    source: dict | None = None

    def __post_init__(self) -> None:
        if self.source is not None:
            Source.from_plain(self.source)
        # Beside ExampleData or RunningText, which check their own options.
        getattr(super(), "__post_init__", lambda: None)()

    def path(self, name: str) -> str:
        return locate(name, self.root, self.source)


@dataclass(eq=False, kw_only=True)
class ExampleFiles(Files):
    """Splits from files of their own; a validation or test split without a file is held out of the training file.

    Held out are distinct sources: a text that occurs twice lands on one side. All runs hold out the same ones.
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("validation_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")

    @abstractmethod
    def read_split(self, split: str) -> list[Example] | None:
        """The examples in the file of a split, None where no file is given."""

    def read(self) -> dict[str, list[Example]]:
        splits = {split: self.read_split(split) for split in ("train", "validation", "test")}
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        missing = {split: fractions[split] for split in fractions if splits[split] is None and fractions[split]}
        held_out = hold_out(splits["train"] or [], missing)
        return {split: examples for split, examples in {**splits, **held_out}.items() if examples}


def hold_out(examples: list[Example], fractions: dict[str, float]) -> dict[str, list[Example]]:
    """ "train" and the wanted splits, each with this share of the distinct sources."""

    def key(example: Example) -> tuple[str, ...]:
        return (example.source,) if isinstance(example.source, str) else tuple(example.source)

    keys = sorted({key(example) for example in examples})
    random.Random(GENERATION_SEED).shuffle(keys)
    owner: dict[tuple[str, ...], str] = {}
    start = 0
    for split, fraction in fractions.items():
        count = round(fraction * len(keys))
        owner.update(dict.fromkeys(keys[start : start + count], split))
        start += count
    parts: dict[str, list[Example]] = {"train": [], **{split: [] for split in fractions}}
    for example in examples:
        parts[owner.get(key(example), "train")].append(example)
    return parts
