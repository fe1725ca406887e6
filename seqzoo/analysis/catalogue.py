"""What is known of a cell: paper, equations and options from its file and YAML; sizes from the cell itself.

Nothing here imports torch before a size is asked for.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqzoo.configuration import registry
from seqzoo.contracts.class_index import modules

if TYPE_CHECKING:
    from seqzoo.cells.cell import Cell, CellFactory

CELLS = Path(__file__).resolve().parents[1] / "cells"
# where sizes are told; no cell has a state that is as wide as another of these letters by chance
INPUT, HIDDEN = 126, 128
CITATION = re.compile(
    r"(?P<authors>[^,&]+ et al\.|(?:[^,&]+, )*[^,&]+ & [^,&]+|[^,&]+), (?P<title>.+?), (?P<year>\d{4})"
    r"(?: \((?P<note>[^)]*)\))?, (?P<link>https://\S+)"
)


class Paper(NamedTuple):
    """authors: as cited, "Le, Jaitly & Hinton" or "Cho et al."; note: what the cell takes from it, or its report."""

    authors: str
    title: str
    year: int
    link: str
    note: str = ""

    @property
    def citation(self) -> str:
        """Elman 1990; Le et al. 2015"""
        return f"{self.authors if self.authors.count(',') == 0 else self.first_author + ' et al.'} {self.year}"

    @property
    def first_author(self) -> str:
        return re.split(r", | & | et al\.", self.authors)[0]

    @property
    def key(self) -> str:
        """elman1990finding"""
        words = [word for word in re.findall(r"[a-z0-9]+", self.title.lower()) if word not in ("a", "an", "on", "the")]
        return re.sub(r"\W", "", self.first_author.lower()) + str(self.year) + words[0]

    @property
    def bibtex(self) -> str:
        authors = re.sub(r", | & ", " and ", self.authors).replace(" et al.", " and others")
        # a name of several words is one name
        authors = " and ".join(f"{{{name}}}" if " " in name else name for name in authors.split(" and "))
        fields = {"author": authors, "title": f"{{{self.title}}}", "year": str(self.year)}
        if "arxiv.org/abs/" in self.link:
            fields |= {"eprint": self.link.split("/abs/")[1], "archiveprefix": "arXiv"}
        elif "doi.org/" in self.link:
            fields["doi"] = self.link.split("doi.org/")[1]
        fields["url"] = self.link
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{{self.key},\n{body}\n}}"


class Option(NamedTuple):
    """default and what it does, as its YAML says them."""

    name: str
    default: str
    help: str


@dataclass(frozen=True)
class CellInfo:
    """What is known of a name in `conf/cell`.

    summary: one line; cell_class: as in its YAML; papers: the one that the name stands for first, none where a cell of
    one's own cites none; equations: letters as in the code, ' marks what comes out of a step; notes: what else its file
    says; options: its own, and those that every cell has.
    """

    name: str
    summary: str
    cell_class: str
    papers: tuple[Paper, ...]
    equations: str
    notes: str
    options: tuple[Option, ...]

    @property
    def paper(self) -> Paper | None:
        return self.papers[0] if self.papers else None

    @property
    def bibtex(self) -> str:
        """An entry for each paper."""
        return "\n\n".join(paper.bibtex for paper in self.papers)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The shape of each tensor of the state, in letters: ("(B, H)", "(B, H)")."""
        from seqzoo.contracts.state import flatten

        letters = {INPUT: "I", HIDDEN: "H", HIDDEN // 2: "H/2"}
        shapes = [
            [letters.get(size, str(size)) for size in part.shape[1:]]
            for part in flatten(self._on_meta(INPUT).initial_state(1))
        ]
        return tuple(f"({', '.join(['B', *shape])})" for shape in shapes)

    @cached_property
    def parameters(self) -> int:
        """How many numbers are trained where input and hidden size are 128."""
        return sum(parameter.numel() for parameter in self._on_meta(HIDDEN).parameters())

    @cached_property
    def trains_recurrence(self) -> bool:
        """False where the cell says that no gradient changes it (`trainable`), as an echo state network."""
        return getattr(self._on_meta(HIDDEN), "trainable", True)

    @cached_property
    def parallel_in_time(self) -> bool:
        """Whether a sequence twice as long takes clearly less than twice as many operations: counted, not claimed."""
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode

        class Counter(TorchDispatchMode):
            count = 0

            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                self.count += 1
                return function(*args, **(kwargs or {}))

        # in float64 no kernel hides its loop; beyond 64 steps short sequences are no exception
        cell = self._create(4, 8).double()
        counts = []
        for steps in (96, 192):
            with Counter() as counter, torch.no_grad():
                x, state = torch.zeros(1, steps, 4, dtype=torch.float64), cell.initial_state(1)
                if cell.torch_scan(x, state, None) is None:
                    return False
            counts.append(counter.count)
        return counts[1] < 1.7 * counts[0]

    @cached_property
    def _create(self) -> CellFactory:
        from seqzoo.configuration.building import cell_factory

        return cell_factory(self.name)

    def _on_meta(self, input_size: int) -> Cell:
        """The cell, without memory for its numbers."""
        import torch

        with torch.device("meta"):
            return self._create(input_size, HIDDEN)

    def __str__(self) -> str:
        """What `seqzoo info` prints."""
        papers = [
            f"{paper.authors}, {paper.title}, {paper.year}{f' ({paper.note})' if paper.note else ''}\n  {paper.link}"
            for paper in self.papers
        ]
        options = [f"cell.{name}={default}  {what}".rstrip() for name, default, what in self.options]
        parts = [f"{self.name}: {self.summary}", *papers, self.equations, self.notes]
        return "\n\n".join(filter(None, [*parts, "\n".join(self._sizes()), "\n".join(options), self.bibtex]))

    def _sizes(self) -> list[str]:
        if "." in self.cell_class:
            return [
                f"states, parameters: not known, as {self.cell_class} is outside seqzoo and is not run for this page"
            ]
        return [
            f"states: {', '.join(self.states)}",
            f"parameters at I = H = {HIDDEN}: {self.parameters:,}{'' if self.trains_recurrence else ', none trained'}",
            f"parallel in time: {'yes' if self.parallel_in_time else 'no'}",
        ]


def cell_info(name: str) -> CellInfo:
    """Paper, equations, options, sizes and BibTeX of a name in `conf/cell`. Raises ConfigError for an unknown name.

    Texts are read without torch; `states`, `parameters`, `parallel_in_time` and `trains_recurrence` build the cell.
    A cell of one's own cites its paper in a comment of its YAML, in the form of seqzoo's docstrings:
    `# Elman, Finding Structure in Time, 1990, https://doi.org/10.1207/s15516709cog1402_1`.

    Example:
        >>> print(seqzoo.cell_info("gru").equations)
    """
    summary, cell_class = registry.summary("cell", name), _class_of(name)
    cited, equations, notes = parse(_docstring(cell_class))
    own = papers_in(" ".join(line[2:] for line in _yaml(name).splitlines()[1:] if line.startswith("# ")))
    papers = [*own, *(paper for paper in cited if paper not in own)]
    # a variant of an older cell is named after its own paper
    papers.sort(key=lambda paper: not (paper.first_author in summary and str(paper.year) in summary))
    options = tuple(Option(*option) for option in registry.every_option("cell", name))
    return CellInfo(name, summary, cell_class, tuple(papers), equations, notes, options)


def parse(docstring: str) -> tuple[tuple[Paper, ...], str, str]:
    """Papers, equations and notes of a cell's file.

    A paragraph of citations alone holds papers; what is indented, and a line that ends in a colon before it, are
    equations; the rest, but for the first line, are notes.
    """
    papers: list[Paper] = []
    equations, notes = [], []
    paragraphs = docstring.split("\n\n")[1:]
    for text, following in zip(paragraphs, [*paragraphs[1:], ""], strict=False):
        if text.startswith("    ") or (text.endswith(":") and following.startswith("    ")):
            equations.append(text)
        elif cited := papers_in(text):
            papers += cited
        else:
            notes.append(text)
    return tuple(papers), "\n\n".join(equations), "\n\n".join(notes)


def papers_in(text: str) -> tuple[Paper, ...]:
    """The papers of a text that does nothing but cite: authors, title, year (note), link, one after the other."""
    cited: list[str] = []
    papers = []
    for word in text.split():
        cited.append(word)
        if word.startswith("https://"):
            match = CITATION.fullmatch(" ".join(cited))
            if match is None:
                return ()
            papers.append(
                Paper(match["authors"], match["title"], int(match["year"]), match["link"], match["note"] or "")
            )
            cited = []
    return () if cited else tuple(papers)


def _yaml(name: str) -> str:
    return registry._path("cell", name).read_text(encoding="utf-8")


def _class_of(name: str) -> str:
    """The class that a YAML names, or that the one it builds on does."""
    from omegaconf import OmegaConf

    options: Any = OmegaConf.to_container(OmegaConf.create(_yaml(name)))
    return options["class"] if "class" in options else _class_of(options["defaults"][0])


def _docstring(cell_class: str) -> str:
    """Of the file that holds a class of `seqzoo.cells`, read and not run; "" for a class outside seqzoo."""
    home = modules("seqzoo.cells").get(cell_class)
    if home is None:
        return ""
    path = CELLS / f"{home.rpartition('.')[2]}.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
