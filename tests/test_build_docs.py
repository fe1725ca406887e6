"""The documentation site: its pages, their links, and the equations of cells."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import seqzoo
from scripts import build_docs
from scripts.mathml import typeset

LINK = re.compile(r"\]\(([^()\s#]+)(#[^()\s]*)?\)")


@pytest.fixture(scope="module")
def pages() -> dict[str, build_docs.Page]:
    return build_docs.all_pages()[0]


def test_every_relative_link_leads_to_a_page_or_a_picture(pages: dict[str, build_docs.Page]) -> None:
    pictures = set(build_docs.all_pages()[1].values())
    for place, page in pages.items():
        for target, _ in LINK.findall(build_docs.outside_code(str, re.sub(build_docs.FENCED, "", page.text))):
            if not target.startswith(("http", "mailto")):
                path = build_docs.normal(Path(place).parent / target)
                assert path in pages.keys() | pictures, f"{place}: {target}"


def test_links_follow_their_pages() -> None:
    text = "[a](docs/A.md#b) [docs/A.md](docs/A.md) [c](LICENSE) ![p](docs/p.png) [w](https://x.org)\n```\n[a](docs/A.md)\n```"
    moved = {"docs/A.md": "guides/a.md", "docs/p.png": "pictures/p.png"}
    assert build_docs.with_links(text, "README.md", "x/index.md", moved, {"docs/A.md": "Title"}) == (
        "[a](../guides/a.md#b) [Title](../guides/a.md) c ![p](../pictures/p.png) [w](https://x.org)\n"
        "```\n[a](docs/A.md)\n```"
    )


def test_every_page_is_in_the_navigation(pages: dict[str, build_docs.Page]) -> None:
    tabs = build_docs.navigation(pages)
    listed = [entry if isinstance(entry, str) else path
              for tab in tabs for entries in tab.values()
              for entry in ([entries] if isinstance(entries, str) else entries)
              for path in (entry.values() if isinstance(entry, dict) else [entry])]  # fmt: skip
    assert sorted(listed) == sorted(pages)


def test_the_reference_has_every_public_name(pages: dict[str, build_docs.Page]) -> None:
    text = "".join(page.text for place, page in pages.items() if place.startswith("reference/"))
    shown = re.findall(r"^## seqzoo\.(\w+)$", text, re.MULTILINE)
    assert sorted(shown) == sorted(seqzoo.__all__)
    for name, module in re.findall(r"^## seqzoo\.(\w+)\n\n::: ([\w.]+)\.\w+$", text, re.MULTILINE):
        assert getattr(importlib.import_module(module), name) is getattr(seqzoo, name)


@pytest.mark.parametrize("name", seqzoo.list_cells())
def test_the_equations_of_a_cell_are_well_formed(name: str) -> None:
    equations = seqzoo.cell_info(name).equations
    rows = ElementTree.fromstring(typeset(equations)).findall("mtable/mtr")
    assert len(rows) == len([line for line in equations.splitlines() if line.strip()])


def test_an_equation_is_typeset() -> None:
    table = typeset("h' = sigmoid(W_h x) * i~")
    assert re.search(r"<mo>=</mo>(.*)</mtd>", table)[1] == (
        '<mi mathvariant="normal">σ</mi><mo>(</mo><msub><mi>W</mi><mrow><mi>h</mi></mrow></msub><mi>x</mi><mo>)</mo>'
        "<mo>⊙</mo><mover><mi>i</mi><mo>~</mo></mover>"
    )
    assert "<msup><mi>h</mi><mo>′</mo></msup>" in table
    assert "<munder><mo>∑</mo><mrow><mi>k</mi></mrow></munder>" in typeset("s = sum_k h_k")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("zensical is not installed")
    for name, path in {"BUILD": tmp_path, "PAGES": tmp_path / "pages", "SITE": tmp_path / "site"}.items():
        monkeypatch.setattr(build_docs, name, path)
    build_docs.write_pages()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(tmp_path / "mkdocs.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "reference" / "cells_and_layers.html").read_text(encoding="utf-8")
    assert "num_layers" in page
    sources = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]+)"', page)
    assert sources == []
