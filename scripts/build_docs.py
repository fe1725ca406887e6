"""Build the documentation site: guides, cells, options, notebooks and the reference, in build/docs/site.

python scripts/build_docs.py            # needs the packages of seqzoo[docs]
python scripts/build_docs.py --pages    # writes only the Markdown pages, build/docs/pages
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import seqzoo  # noqa: E402
from scripts.mathml import typeset  # noqa: E402
from seqzoo.analysis.catalogue import cell_info  # noqa: E402
from seqzoo.configuration import registry  # noqa: E402

BUILD = REPOSITORY / "build" / "docs"
PAGES, SITE = BUILD / "pages", BUILD / "site"

GUIDES = (
    "INSTALL", "TRAINING", "DISTRIBUTED", "PRETRAINED", "DEMO", "YOUR_DATA", "TEXT_GENERATION", "COMPARING",
    "TENSORBOARD", "LIBRARY", "SERVING", "SAFETY",
)  # fmt: skip
FACTS = ("CELLS", "EXPORT", "LEARNING", "RESULTS", "OWN_FILES", "SPEED")
PROJECT = ("CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md")
GROUPS = {
    "backbone": "Backbones",
    "encoder": "Encoders",
    "task": "Tasks",
    "data": "Data sets",
    "learning": "Learning rules",
    "training": "Training",
    "experiment": "Experiments",
    "debug": "Debugging",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.MULTILINE | re.DOTALL)


class Page(NamedTuple):
    """A page of the site. title: in the navigation; text: Markdown."""

    title: str
    text: str


def source_pages() -> dict[str, tuple[str, str]]:
    """File in the repository -> path in the site and title, of each page that is a file or a notebook."""
    pages = {"README.md": ("index.md", "Start")}
    paths = sorted((REPOSITORY / "docs").glob("*.md"))
    for path in [*paths, *(REPOSITORY / name for name in PROJECT)]:
        folder = "results" if path.stem in FACTS else "project" if path.name in PROJECT else "guides"
        name = path.relative_to(REPOSITORY).as_posix()
        pages[name] = (f"{folder}/{path.stem.lower()}.md", title_of(path.read_text(encoding="utf-8")))
    for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{path.name}"] = (f"notebooks/{path.stem}.md", title_of(notebook(path)))
    return pages


def title_of(text: str) -> str:
    """The first heading of a page."""
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    if heading is None:
        raise SystemExit(f"a page begins with {text[:60]!r}: it needs a heading, # TITLE")
    return heading[1]


def notebook(path: Path) -> str:
    """A notebook as Markdown with typeset formulas, without outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    page = "\n\n".join(
        outside_code(with_formulas, text) if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
        if text.strip()
    )
    first, _, rest = page.partition("\n")
    return f"{first}\n\nPictures and tables appear when `notebooks/{path.name}` is run.\n{rest}"


def with_formulas(text: str) -> str:
    """Replace formulas in TeX, $...$ and $$...$$, by MathML, outside of code."""
    from latex2mathml.converter import convert

    def replaced(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        display = match["block"] is not None
        return convert(match["block"] or match["inline"], display="block" if display else "inline")

    return re.sub(r"(?P<code>`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+)\$", replaced, text, flags=re.DOTALL)


def with_links(text: str, source: str, place: str, moved: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Point the relative links of a page to their places in the site. A link to a file without a page becomes text, and
    the name of a file as the text of a link becomes the title of the page.

    Args:
        text: the page.
        source, place: its path in the repository and in the site.
        moved: path in the repository -> path in the site.
        titles: path in the repository -> title.
    """

    def replaced(match: re.Match[str]) -> str:
        image, label, target = match.groups()
        parts = urlsplit(target)
        if parts.scheme or not parts.path:
            return match[0]
        path = normal(PurePosixPath(source).parent / parts.path)
        if path not in moved:
            return label
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        if label == parts.path and path in titles:
            label = titles[path]
        return f"{image}[{label}]({relative(moved[path], place)}{anchor})"

    return outside_code(functools.partial(LINK.sub, replaced), text)


def outside_code(change: Callable[[str], str], text: str) -> str:
    """Apply `change` to the parts of a page that are not fenced code."""
    parts, start = [], 0
    for block in FENCED.finditer(text):
        parts += [change(text[start : block.start()]), block[0]]
        start = block.end()
    return "".join([*parts, change(text[start:])])


def normal(path: PurePosixPath) -> str:
    """The path without `..`."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def relative(target: str, place: str) -> str:
    """The path from the page at `place` to `target`."""
    return "../" * place.count("/") + target


def cell_pages() -> Iterator[tuple[str, Page]]:
    """The page of each cell, and their list."""
    rows = []
    for name in registry.names("cell"):
        cell = cell_info(name)
        rows.append(f"| [{name}]({name}.md) | {escaped(cell.summary)} |")
        papers = [f"- {paper.authors}, [{paper.title}]({paper.link}), {paper.year}" for paper in cell.papers]
        of_cell = registry.option_help("cell", name)
        blocks = [
            f"# {name}",
            f"{cell.summary}.",
            "\n".join(papers),
            typeset(textwrap.dedent(cell.equations)) if cell.equations else "",
            cell.notes,
            f"    seqzoo train cell={name}",
            f'```python\nrnn = seqzoo.RNN("{name}", 128, 256, num_layers=2)\n```',
            "## Options",
            option_table("cell", of_cell) if of_cell else "None of its own; all cells have those below.",
            '??? note "Options of all cells"\n\n' + indented(option_table("cell", registry.common_help("cell"))),
            "## BibTeX" if cell.papers else "",
            f"```bibtex\n{cell.bibtex}\n```" if cell.papers else "",
        ]
        yield f"cells/{name}.md", Page(name, "\n\n".join(filter(None, blocks)))
    table = "\n".join(["| name | cell |", "|---|---|", *rows])
    yield "cells/index.md", Page("All cells", f"# All cells\n\nThe names of `cell=NAME`.\n\n{table}\n")


def option_pages() -> Iterator[tuple[str, Page]]:
    """A page with the names and options of each group of conf/ but the cells."""
    for group, title in GROUPS.items():
        blocks = [f"# {title}", f"The names of `{group}=NAME`."]
        if common := registry.common_help(group):
            blocks += [f"Options of all {title.lower()}:", option_table(group, common)]
        for name in registry.names(group):
            blocks += [f"## {name}", sentence(registry.summary(group, name))]
            if options := registry.option_help(group, name):
                blocks.append(option_table(group, options))
        yield f"options/{group}.md", Page(title, "\n\n".join(blocks))


def option_table(group: str, options: Iterable[tuple[str, str, str]]) -> str:
    """A table of options with their defaults."""
    above = "" if group in ("experiment", "debug") else f"{group}."
    rows = [f"| `{above}{name}` | {code(default)} | {escaped(what)} |" for name, default, what in options]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def code(value: str) -> str:
    return f"`{value.replace('|', chr(92) + '|')}`" if value else ""


def escaped(text: str) -> str:
    """Text of a YAML comment, in a table: characters that have a meaning in Markdown stand for themselves."""
    return re.sub(r"([\\|*_<>{}\[\]])", r"\\\1", text)


def sentence(text: str) -> str:
    """A comment of a YAML as a sentence."""
    return f"{escaped(text[:1].upper() + text[1:])}." if text else ""


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def reference_pages() -> Iterator[tuple[str, Page]]:
    """The public names of seqzoo, in the sections of its docstring."""
    for title, names in public_names():
        blocks = [f"# {title}"]
        for name in names:
            home = seqzoo._HOMES.get(name, "seqzoo")
            blocks += [f"## seqzoo.{name}", f"::: {home}.{name}"]
        yield f"reference/{title.lower().replace(' ', '_')}.md", Page(title, "\n\n".join(blocks))


def public_names() -> list[tuple[str, list[str]]]:
    """The headings of the docstring of seqzoo, each with the public names that are listed or mentioned below it."""
    sections: list[tuple[str, list[str]]] = []
    mentioned: dict[str, list[str]] = {}
    for line in (seqzoo.__doc__ or "").splitlines()[1:]:
        if re.match(r"[A-Z]", line) and not line.startswith("See "):
            sections.append((line.strip(), []))
        elif sections and (names := re.match(r"    ((?:\w+, )*\w+)  ", line)):
            sections[-1][1].extend(names[1].split(", "))
            mentioned |= dict.fromkeys(set(re.findall(r"\w+", line)) & {*seqzoo.__all__}, sections[-1][1])
    listed = {name for _, names in sections for name in names}
    for name in seqzoo.__all__:
        if name not in listed:
            mentioned[name].append(name)
    return sections


def all_pages() -> tuple[dict[str, Page], dict[str, str]]:
    """All pages by their path in the site, and pictures: path in the repository -> path in the site."""
    sources = source_pages()
    moved = {source: place for source, (place, _) in sources.items()}
    titles = {source: title for source, (_, title) in sources.items()}
    pictures = {
        path.relative_to(REPOSITORY).as_posix(): f"pictures/{path.relative_to(REPOSITORY / 'docs').as_posix()}"
        for path in sorted((REPOSITORY / "docs").rglob("*"))
        if path.suffix in (".png", ".svg")
    }
    pages = {}
    for source, (place, title) in sources.items():
        path = REPOSITORY / source
        text = notebook(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        pages[place] = Page(title, with_links(text, source, place, moved | pictures, titles))
    return pages | dict(cell_pages()) | dict(option_pages()) | dict(reference_pages()), pictures


def navigation(pages: Mapping[str, Page]) -> list[dict[str, object]]:
    """The navigation of the site: sections with their pages, guides in the order of the README."""
    order = [f"guides/{name.lower()}.md" for name in GUIDES]
    sections = {
        "Guides": order + [path for path in pages if path.startswith("guides/") and path not in order],
        "Cells": ["cells/index.md"] + [path for path in pages if path.startswith("cells/") and "index" not in path],
        "Options": [path for path in pages if path.startswith("options/")],
        "Notebooks": [path for path in pages if path.startswith("notebooks/")],
        "Library": [path for path in pages if path.startswith("reference/")],
        "Results": [path for path in pages if path.startswith("results/")],
        "Project": [path for path in pages if path.startswith("project/")],
    }
    tabs: list[dict[str, object]] = [{"Start": "index.md"}]
    return tabs + [{title: [{pages[path].title: path} for path in paths]} for title, paths in sections.items()]


def configuration(pages: Mapping[str, Page]) -> dict[str, object]:
    """The settings of the generator; nothing on a page is requested from another site."""
    features = ["content.code.copy", "navigation.indexes", "navigation.tabs", "navigation.top", "search.highlight"]
    palettes = [
        {"scheme": scheme, "toggle": {"icon": icon, "name": f"Switch to {other} mode"}}
        for scheme, icon, other in (("default", "lucide/sun", "dark"), ("slate", "lucide/moon", "light"))
    ]
    handler = {
        "paths": [str(REPOSITORY)],
        "options": {"show_root_heading": False, "show_root_toc_entry": False, "heading_level": 3, "show_source": False,
                    "docstring_section_style": "list", "separate_signature": True, "line_length": 100,
                    "members_order": "source", "filters": ["!^_"],
                    "docstring_options": {"warnings": False}},
    }  # fmt: skip
    return {
        "site_name": "seqzoo",
        "site_description": "A PyTorch zoo of recurrent networks for sequence tasks",
        "docs_dir": str(PAGES.relative_to(BUILD)),
        "site_dir": str(SITE.relative_to(BUILD)),
        "use_directory_urls": False,
        "nav": navigation(pages),
        "theme": {"name": "material", "font": False, "features": features, "palette": palettes},
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": handler}}}],
        "markdown_extensions": ["admonition", "tables", "pymdownx.details", "pymdownx.highlight",
                                "pymdownx.superfences", {"toc": {"permalink": True}}],
    }  # fmt: skip


def write_pages() -> None:
    """Write the Markdown pages, the pictures and the settings to build/docs."""
    import yaml

    shutil.rmtree(BUILD, ignore_errors=True)
    pages, pictures = all_pages()
    for place, page in pages.items():
        path = PAGES / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.text + "\n", encoding="utf-8")
    for source, place in pictures.items():
        (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / source, PAGES / place)
    settings = yaml.safe_dump(configuration(pages), sort_keys=False, allow_unicode=True)
    (BUILD / "mkdocs.yml").write_text(settings, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", action="store_true", help="write only the Markdown pages")
    arguments = parser.parse_args()
    write_pages()
    if arguments.pages:
        print(f"pages: {PAGES.relative_to(REPOSITORY)}")
        return
    try:
        importlib.import_module("zensical")
    except ImportError:
        raise SystemExit("zensical is not installed: pip install 'seqzoo[docs]', or give --pages") from None
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(BUILD / "mkdocs.yml")]
    status = subprocess.run(command, check=False).returncode
    if status:
        raise SystemExit(f"zensical ended with status {status}: mend what it says above")
    print(f"site: {(SITE / 'index.html').relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
