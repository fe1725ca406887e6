"""Fonts of pictures: for each script of their texts, an installed font that has it."""

from __future__ import annotations

import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

FIRST = "DejaVu Sans Mono"
"""Comes with matplotlib; has Latin, Greek, Cyrillic and Arabic letters."""

PREFERRED = (
    "Noto Sans Mono CJK SC", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "SimHei", "Microsoft YaHei", "PingFang SC", "Hiragino Sans",
    "Yu Gothic", "IPAexGothic", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "Noto Sans Arabic",
    "Noto Sans Devanagari", "Lohit Devanagari", "Nirmala UI", "Kohinoor Devanagari",
)  # fmt: skip
"""Families that are taken before all others."""

_families: dict[str, str | None] = {}
_reported: set[str] = set()


def families(texts: Iterable[str]) -> list[str]:
    """The font families for texts: FIRST, and for each script that it lacks an installed one that has it.

    matplotlib takes each character from the first family that has it.
    """
    samples = {script_of(character): character for text in texts for character in text if not character.isascii()}
    chosen = (_family(script, character) for script, character in samples.items() if script is not None)
    return list(dict.fromkeys([FIRST, *(family for family in chosen if family is not None)]))


def script_of(character: str) -> str | None:
    """The script of a letter, such as HANGUL, by the beginning of its Unicode name; None for other characters."""
    if unicodedata.category(character)[0] not in "LM":
        return None
    return unicodedata.name(character, "").partition(" ")[0] or None


def _family(script: str, sample: str) -> str | None:
    """An installed family with the letters of a script; None: there is none."""
    if script not in _families:
        from matplotlib.font_manager import fontManager

        paths: dict[str, str] = {}
        for font in fontManager.ttflist:
            # the last resort has a box for every character
            if font.style == "normal" and not re.search("last ?resort", font.name, re.IGNORECASE):
                paths.setdefault(font.name, font.fname)
        others = sorted(paths.keys() - {FIRST, *PREFERRED})
        names = (name for name in (FIRST, *PREFERRED, *others) if name in paths)
        _families[script] = next((name for name in names if _has(paths[name], sample)), None)
    return _families[script]


def _has(path: str, character: str) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        return FT2Font(path).get_char_index(ord(character)) != 0
    except (OSError, RuntimeError):  # a font that FreeType cannot read
        return False


@contextmanager
def missing_characters_reported() -> Iterator[None]:
    """A context in which a picture is rendered. A sentence names the scripts that no installed font has, each once,
    instead of a warning of matplotlib for each character.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", "Glyph", UserWarning)
        yield
    missing: set[str] = set()
    for warning in caught:
        match = re.match(r"Glyph (\d+) ", str(warning.message))
        if match is None:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        else:
            missing.add(script_of(chr(int(match[1]))) or "symbols")
    new = sorted(missing - _reported)
    if new:
        _reported.update(new)
        names = " and ".join(name if name in ("CJK", "symbols") else name.capitalize() for name in new)
        print(
            f"seqzoo: pictures have boxes in place of {names}: no installed font has these characters; install one, "
            "such as those of Noto (on Debian fonts-noto-core, and fonts-noto-cjk for Chinese, Japanese and Korean)",
            file=sys.stderr,
        )
