"""Regular Chinese verse, one poem per line in `seqzoo.contracts.verse_notation`, from files or generated."""

from __future__ import annotations

import json
import random
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.verse_notation import lines_of, poem
from seqzoo.data.checks import check_fractions
from seqzoo.data.files.base import Files
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.running_text import RunningText
from seqzoo.data.sources.reading import read_lines, read_text
from seqzoo.data.sources.table_columns import TEXT_NAMES
from seqzoo.data.sources.text_forms import POEM_NAMES
from seqzoo.data.splits import cut, held_out_sizes, shuffled, split_sizes

Lines = tuple[str, ...]


@dataclass(eq=False, kw_only=True)
class Poems(RunningText):
    """The base of data sets of poems, each a document of characters. A subclass implements `poems`."""

    tokenizer: str = field(default="characters", init=False)
    random_windows: bool = field(default=False, init=False)
    document_separator: str | None = field(default="\n", init=False)

    @abstractmethod
    def poems(self) -> dict[str, list[Lines]]:
        """The poems of each split, each as its lines without punctuation."""

    def survey(self) -> None:
        """Recipes choose nothing for poems: the defaults of task=verse are made for them."""

    def read(self) -> dict[str, Iterable[str]]:
        return {split: ["".join("\n" + poem(list(lines)) for lines in poems)] for split, poems in self.poems().items()}


@dataclass(eq=False, kw_only=True)
class PoemFiles(Files, Poems):
    """The regular poems of a file, which have an even number of lines of equal length. Other poems and duplicates are
    left out. All runs hold out the same poems.

    Args:
        train: a text file with one poem per line, JSON of any form (see `json_poems`), or a table.
        text_column: the column of a table with the poem; None: `train` is a text file or JSON.
        forms: accepted numbers of characters per line.
        max_lines: longer poems are left out.
        validation_fraction: share of the poems that is held out for validation.
        test_fraction: share of the poems that is held out for the test.
    """

    train: str
    text_column: str | int | None = None
    forms: list[int] = field(default_factory=lambda: [5, 7])
    max_lines: int = 16
    validation_fraction: float = 0.05
    test_fraction: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(self)

    def poems(self) -> dict[str, list[Lines]]:
        self._detected = {}
        texts = self._texts()
        kept = [*filter(self._is_regular, map(tuple, map(lines_of, texts)))]
        regular = dict.fromkeys(kept)
        self._state_left_out(len(texts), len(kept), len(regular))
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        splits = cut(shuffled(regular), held_out_sizes(fractions, len(regular)), rest="train")
        if not splits["validation"] or not splits["train"]:
            raise DataError(
                f"{self.train} has {len(regular)} regular poems of data.forms={self.forms}: too few to split"
            )
        return {split: poems for split, poems in splits.items() if poems}

    def _texts(self) -> list[str]:
        path = self.path(self.train)
        if self.text_column is not None:
            return [row.fields[0] for row in self.table(path, [self.text_column], ["text_column"], lists=True)]
        encoding = self.encoding_of(path)
        poems = json_poems(read_text(path, encoding))
        if poems is None:
            return [line for line in read_lines(path, encoding) if line.strip()]
        self.state(path, f"JSON, {len(poems):,} poems")
        return poems

    def _state_left_out(self, number: int, kept: int, distinct: int) -> None:
        """A remark on the poems that are left out."""
        if distinct < number:
            forms = " or ".join(map(str, self.forms))
            statement = (
                f"{distinct:,} of {number:,} poems are kept: {number - kept:,} do not have an even number of lines, at "
                f"most {self.max_lines}, of {forms} characters, and {kept - distinct:,} are duplicates; ci and free "
                "verse can be read by data=text_files"
            )
            self.state(self.train, statement)
        self.remarks = self.statements()

    def _is_regular(self, lines: Lines) -> bool:
        even = len(lines) % 2 == 0 and 0 < len(lines) <= self.max_lines
        return even and len(lines[0]) in self.forms and len(set(map(len, lines))) == 1


def json_poems(text: str) -> list[str] | None:
    """The poems of a JSON text; None: it is not JSON. A poem is a text, a list of lines, or an object with one of these
    under a usual name. Poems may be one per line, in a list, or nested in objects.
    """
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        try:
            content = [json.loads(line) for line in text.split("\n") if line.strip()]
        except (ValueError, RecursionError):
            return None
    return [poem for part in (content if isinstance(content, list) else [content]) for poem in _poems_of(part)]


def _poems_of(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, dict):
        for name in (*POEM_NAMES, *TEXT_NAMES):
            if content.get(name):
                return _poems_of(content[name])
        content = [value for value in content.values() if isinstance(value, list | dict)]
    if not isinstance(content, list):
        return []
    if all(isinstance(line, str) for line in content):
        return ["\n".join(content)] if content else []
    return [poem for part in content for poem in _poems_of(part)]


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
    """Generated poems of four lines of five or seven characters, whose even lines rhyme. No poem occurs twice. Sizes
    are numbers of poems.
    """

    train_size: int = 4_000
    validation_size: int = 200
    test_size: int = 200

    def poems(self) -> dict[str, list[Lines]]:
        return distinct_splits(_some_poems, split_sizes(self))


def _some_poems(count: int, seed: int) -> list[Lines]:
    draw = random.Random(seed)
    return [_some_poem(draw) for _ in range(count)]


def _some_poem(draw: random.Random) -> Lines:
    nouns, verbs, doubled = (draw.sample(words.split(), 6) for words in (NOUNS, VERBS, DOUBLED))
    ends = draw.sample(draw.choice(RHYMING).split(), 2)
    lines = zip(doubled, nouns, verbs, (nouns[4], ends[0], nouns[5], ends[1]), strict=False)
    long = draw.random() < 0.5
    return tuple((first if long else "") + noun + verb + end for first, noun, verb, end in lines)
