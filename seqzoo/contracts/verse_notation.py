"""Regular Chinese verse: how a poem is written as text, and which characters rhyme.

All lines of a poem have the same length. A poem is one line of text that begins with its form, so that the model knows
the form from the start: `5x4床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。`
"""

from __future__ import annotations

import re
from typing import NamedTuple

from seqzoo.contracts.errors import DataError, not_installed

MARKS = "，。"
"""The marks that end the lines, alternating; the last line ends with the second one."""

FRAME = "\nx" + MARKS
"""The characters of a text of poems besides digits and Chinese characters."""

# The finals of each rhyme of the standard for modern Mandarin, without the vowels that lead to the rhyme: 中华诗词学会,
# 中华新韵, 2005. What Tang poets rhymed sounded otherwise; most of it rhymes still.
RHYMES = (
    ("a", "ia", "ua"),
    ("o", "e", "uo"),
    ("ie", "ve"),
    ("ai", "uai"),
    ("ei", "uei"),
    ("ao", "iao"),
    ("ou", "iou"),
    ("an", "ian", "uan", "van"),
    ("en", "in", "uen", "vn"),
    ("ang", "iang", "uang"),
    ("eng", "ing", "ong", "iong", "ueng"),
    ("i", "er", "v"),
    ("-i",),  # the vowel after zh, ch, sh, r, z, c and s
    ("u",),
)


class Form(NamedTuple):
    """The form of a poem: the number of characters per line and of lines."""

    characters: int
    lines: int

    @property
    def header(self) -> str:
        return f"{self.characters}x{self.lines}"

    def mark(self, line: int) -> str:
        """The mark that ends a line, counted from 0."""
        return MARKS[1] if line == self.lines - 1 else MARKS[line % 2]


def poem(lines: list[str]) -> str:
    """The text of a poem, from its lines without marks."""
    form = Form(len(lines[0]), len(lines))
    return form.header + "".join(line + form.mark(number) for number, line in enumerate(lines))


def lines_of(text: str) -> list[str]:
    """The lines of a text: the runs of letters between marks, spaces, quotes and other characters."""
    return re.findall(r"[^\W\d_]+", text)


def rhymes_of(character: str) -> set[int]:
    """The indices in `RHYMES` of all readings of a character, regardless of tone.

    Raises:
        DataError: the library pypinyin is not installed.
    """
    try:
        from pypinyin import Style, pinyin
        from pypinyin.contrib.tone_convert import to_finals
    except ImportError:
        raise DataError(f"rhymes need {not_installed('pypinyin')}") from None
    readings = pinyin(character, style=Style.NORMAL, heteronym=True, errors="ignore")
    finals = {
        "-i" if re.fullmatch("([zcs]h?|r)i", reading) else to_finals(reading)
        for reading in (readings[0] if readings else [])
    }
    return {number for number, rhyme in enumerate(RHYMES) if not finals.isdisjoint(rhyme)}
