"""Regular Chinese verse, one poem per line in `seqzoo.contracts.verse_notation`: from files, or made of a few words."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.verse_notation import lines_of, poem
from seqzoo.data.files.base import Files
from seqzoo.data.generated.generating import GENERATION_SEED, distinct_splits
from seqzoo.data.running_text import RunningText
from seqzoo.data.sources.reading import read_lines
from seqzoo.data.sources.tables import read_table

Lines = tuple[str, ...]


@dataclass(eq=False, kw_only=True)
class Poems(RunningText):
    """A subclass gives `poems`; each is a document of its own, of characters."""

    tokenizer: str = field(default="characters", init=False)
    random_windows: bool = field(default=False, init=False)
    document_separator: str | None = field(default="\n", init=False)

    @abstractmethod
    def poems(self) -> dict[str, list[Lines]]:
        """The poems of each split, each as its lines without marks."""

    def read(self) -> dict[str, Iterable[str]]:
        return {split: ["".join("\n" + poem(list(lines)) for lines in found)] for split, found in self.poems().items()}


@dataclass(eq=False, kw_only=True)
class PoemFiles(Files, Poems):
    """The regular poems of a file: those whose lines, an even number of them, are equally long. Others are left out,
    and those that were there before. All runs hold out the same poems.

    text_column: of a table, the column that holds a whole poem; None: each line of the file is a poem.
    forms: characters of a line, one or several lengths.
    max_lines: longer poems are left out.
    """

    train: str
    text_column: str | int | None = None
    forms: list[int] = field(default_factory=lambda: [5, 7])
    max_lines: int = 16
    validation_fraction: float = 0.05
    test_fraction: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.validation_fraction, self.test_fraction) < 0 or self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction must be at least 0 and together below 1")

    def poems(self) -> dict[str, list[Lines]]:
        found = list(dict.fromkeys(filter(self._is_regular, map(tuple, map(lines_of, self._texts())))))
        random.Random(GENERATION_SEED).shuffle(found)
        validation, test = (round(share * len(found)) for share in (self.validation_fraction, self.test_fraction))
        splits = {"validation": found[:validation], "test": found[validation : validation + test]}
        if not validation or len(found) == validation + test:
            raise DataError(
                f"{self.train} holds {len(found)} regular poems of data.forms={self.forms}: too few to split."
            )
        return {"train": found[validation + test :], **{split: poems for split, poems in splits.items() if poems}}

    def _texts(self) -> list[str]:
        path = self.path(self.train)
        if self.text_column is None:
            return read_lines(path, self.encoding)
        return [row.fields[0] for row in read_table(path, [self.text_column], self.encoding, lists=True)]

    def _is_regular(self, lines: Lines) -> bool:
        even = len(lines) % 2 == 0 and 0 < len(lines) <= self.max_lines
        return even and len(lines[0]) in self.forms and len(set(map(len, lines))) == 1


NOUNS = "青山 白雲 寒江 春草 秋雨 古寺 遠客 落花 流水 孤村 芳樹 空庭 啼鳥 疏鐘 野渡 荒城"
VERBS = "入 過 隨 照 映 出 望 送 滿 連 對 憶"
DOUBLED = "年年 處處 依依 悠悠 漠漠 紛紛 寂寂 遙遙"
RHYMING = (
    "夕陽 故鄉 清霜 月光 晴江",
    "遠山 春寒 鄉關 雲間 空壇",
    "孤舟 高樓 清秋 江流 離愁",
    "東風 晴空 寒蓬 歸鴻 疏鐘",
)


@dataclass(eq=False, kw_only=True)
class GeneratedPoems(Poems):
    """Poems of a few words, of four lines of five or seven characters, whose even lines rhyme. No poem occurs twice.
    Sizes count poems.
    """

    train_size: int = 4_000
    validation_size: int = 200
    test_size: int = 200

    def poems(self) -> dict[str, list[Lines]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        return distinct_splits(_some_poems, sizes)


def _some_poems(count: int, seed: int) -> list[Lines]:
    draw = random.Random(seed)
    return [_some_poem(draw) for _ in range(count)]


def _some_poem(draw: random.Random) -> Lines:
    nouns, verbs, doubled = (draw.sample(words.split(), 6) for words in (NOUNS, VERBS, DOUBLED))
    ends = draw.sample(draw.choice(RHYMING).split(), 2)
    lines = zip(doubled, nouns, verbs, (nouns[4], ends[0], nouns[5], ends[1]), strict=False)
    long = draw.random() < 0.5
    return tuple((first if long else "") + noun + verb + end for first, noun, verb, end in lines)
