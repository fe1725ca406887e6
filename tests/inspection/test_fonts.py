"""Scripts in pictures: an installed font that has them is found, or one sentence says that none does."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from matplotlib.font_manager import FontEntry, fontManager

from seqzoo.contracts.batch import Alignment
from seqzoo.inspection import drawing, fonts

BUNDLED = mpl.get_data_path()


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the fonts that come with matplotlib, and nothing remembered of others."""
    monkeypatch.setattr(fonts, "_families", {})
    monkeypatch.setattr(fonts, "_reported", set())
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if BUNDLED in str(font.fname)])


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ("plain \u00e9\u03b1\u0436 \u0633\u0644\u0627\u0645", []),
        ("\u2d63\u2d30", ["DejaVu Sans"]),  # Tifinagh
        ("\u4f60\u597d\u3002 \ud55c\uad6d", []),
    ],
)
def test_the_families_of_a_text(text: str, families: list[str]) -> None:
    assert fonts.families(["a", text]) == ["DejaVu Sans Mono", *families]


def test_a_preferred_family_is_taken_first() -> None:
    [dejavu] = [font for font in fontManager.ttflist if Path(font.fname).name == "DejaVuSans.ttf"]
    fontManager.ttflist.append(FontEntry(fname=dejavu.fname, name="Noto Sans Arabic", style="normal"))
    fontManager.ttflist.append(FontEntry(fname="missing.ttf", name="SimHei", style="normal"))
    assert fonts.families(["\u2d63"]) == ["DejaVu Sans Mono", "Noto Sans Arabic"]


def test_scripts_without_a_font_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = ["\u4f60\u597d", "\ud55c\uad6d", "\u0928\u092e", "\U0001f600", "fine"]
    for _ in range(2):
        drawing.save(drawing.draw(Alignment(read, ["1"], torch.full((1, 5), 0.2))), tmp_path / "out.png")
    told = capsys.readouterr().err
    assert told.startswith("seqzoo: pictures have boxes in place of CJK and Devanagari and Hangul")
    assert told.count("\n") == 1
    drawing.save(drawing.draw_confusion(["\u4f60", "\u3042"], [[1, 0], [0, 1]]), tmp_path / "confusion.png")
    assert "in place of Hiragana: no installed font" in capsys.readouterr().err


def test_other_warnings_pass() -> None:
    with pytest.warns(UserWarning, match="something else"), fonts.missing_characters_reported():
        warnings.warn("something else", UserWarning, stacklevel=1)
