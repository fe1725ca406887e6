"""docs/LEARNING.md has every learning rule; the numbers are those of scripts/write_learning.py."""

from __future__ import annotations

import re
from pathlib import Path

from seqzoo.configuration.registry import names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "LEARNING.md"


def test_every_rule_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| .* \| (?:text|batch)? ?\|$", text, re.MULTILINE)[
        : len(names("learning"))
    ] == names("learning")


def test_exact_rules_are_exact_for_all_cells() -> None:
    header, _, *rows = re.findall(r"^\|.*\|$", PAGE.read_text(encoding="utf-8").split("## Agreement")[1], re.MULTILINE)
    column = [name.strip() for name in header.split("|")].index("rtrl")
    assert {row.split("|")[column].strip() for row in rows if row.count("|") == header.count("|")} <= {
        "exact", "nothing to learn", "rtrl",
    }  # fmt: skip
