"""The catalogue entry of a cell: paper, equations and options from its file and YAML, sizes from the cell itself.

torch is imported only when a size is requested.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqzoo.configuration import registry
from seqzoo.contracts.class_index import modules

if TYPE_CHECKING:
    from seqzoo.cells.cell import Cell, CellFactory

CELLS = Path(__file__).resolve().parents[1] / "cells"
# sizes at which cells are built; no width of a state equals another letter's by chance
INPUT, HIDDEN = 126, 128
CITATION = re.compile(
    r"(?P<authors>[^,&]+ et al\.|(?:[^,&]+, )*[^,&]+ & [^,&]+|[^,&]+), (?P<title>.+?), (?P<year>\d{4})"
    r"(?: \((?P<note>[^)]*)\))?, (?P<link>https://\S+)"
)


class Paper(NamedTuple):
    """A citation.

    Attributes:
        authors: as cited, "Le, Jaitly & Hinton" or "Cho et al.".
        title: of the paper.
        year: of publication.
        link: a DOI or an address.
        note: the version that the cell follows, or what it takes from the paper.
    """

    authors: str
    title: str
    year: int
    link: str
    note: str = ""

    @property
    def citation(self) -> str:
        """A short form, such as "Elman 1990" or "Le et al. 2015"."""
        return f"{self.authors if self.authors.count(',') == 0 else self.first_author + ' et al.'} {self.year}"

    @property
    def first_author(self) -> str:
        return re.split(r", | & | et al\.", self.authors)[0]

    @property
    def key(self) -> str:
        """The BibTeX key, such as "elman1990finding"."""
        words = [word for word in re.findall(r"[a-z0-9]+", self.title.lower()) if word not in ("a", "an", "on", "the")]
        return re.sub(r"\W", "", self.first_author.lower()) + str(self.year) + words[0]

    @property
    def bibtex(self) -> str:
        authors = re.sub(r", | & ", " and ", self.authors).replace(" et al.", " and others")
        # braces keep a name of several words together
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
    """An option of a cell with its default and description, from its YAML."""

    name: str
    default: str
    help: str


@dataclass(frozen=True)
class CellInfo:
    """The catalogue entry of a name in `conf/cell`.

    Attributes:
        name: the name.
        summary: a one-line description.
        cell_class: the class, as in its YAML.
        papers: the paper that the name stands for, then others; empty if a user-defined cell cites none.
        equations: in the letters of the code; ' marks values after the step.
        notes: the rest of the description.
        options: of this cell and of every cell.
        allow_modules: modules outside seqzoo that may be imported to build it.
    """

    name: str
    summary: str
    cell_class: str
    papers: tuple[Paper, ...]
    equations: str
    notes: str
    options: tuple[Option, ...]
    allow_modules: tuple[str, ...] = ()

    @property
    def paper(self) -> Paper | None:
        """The paper that the name stands for."""
        return self.papers[0] if self.papers else None

    @property
    def bibtex(self) -> str:
        """A BibTeX entry for each paper."""
        return "\n\n".join(paper.bibtex for paper in self.papers)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The shape of each tensor of the state in letters, such as ("(B, H)", "(B, H)")."""
        from seqzoo.contracts.state import flatten

        letters = {INPUT: "I", HIDDEN: "H", HIDDEN // 2: "H/2"}
        shapes = [
            [letters.get(size, str(size)) for size in part.shape[1:]]
            for part in flatten(self._on_meta(INPUT).initial_state(1))
        ]
        return tuple(f"({', '.join(['B', *shape])})" for shape in shapes)

    @cached_property
    def parameters(self) -> int:
        """The number of parameters with input and hidden size 128."""
        return sum(parameter.numel() for parameter in self._on_meta(HIDDEN).parameters())

    @cached_property
    def trains_recurrence(self) -> bool:
        """Whether the recurrent weights are trained; False for reservoirs such as echo state networks."""
        return getattr(self._on_meta(HIDDEN), "trainable", True)

    @cached_property
    def parallel_in_time(self) -> bool:
        """Whether the number of operations grows clearly slower than the length of the sequence; they are counted."""
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode

        class Counter(TorchDispatchMode):
            count = 0

            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                self.count += 1
                return function(*args, **(kwargs or {}))

        # float64 avoids kernels that hide their loop; above 64 steps no special case for short sequences applies
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
    def gated(self) -> bool:
        """Whether a gate keeps or writes the state."""
        cell = self._on_meta(HIDDEN)
        return any(getattr(cell, gate, None) is not None for gate in ("keep_gate", "write_gate"))

    @cached_property
    def linear(self) -> bool:
        """Whether the recurrence is linear in the state, which makes it parallel in time."""
        from seqzoo.cells.linear import LinearRecurrence

        modules = self._on_meta(HIDDEN).modules()
        return any(isinstance(module, LinearRecurrence) for module in modules) and self.parallel_in_time

    @cached_property
    def _create(self) -> CellFactory:
        from seqzoo.configuration import composing
        from seqzoo.configuration.components import make_cell_factory

        return make_cell_factory(composing.load("cell", self.name), self.allow_modules, "cell")

    def _on_meta(self, input_size: int) -> Cell:
        """The cell on the meta device."""
        from seqzoo.contracts.meta_device import on_meta_device

        with on_meta_device():
            return self._create(input_size, HIDDEN)

    def __str__(self) -> str:
        """The output of `seqzoo info`."""
        papers = [
            f"{paper.authors}, {paper.title}, {paper.year}{f' ({paper.note})' if paper.note else ''}\n  {paper.link}"
            for paper in self.papers
        ]
        options = [f"cell.{name}={default}  {what}".rstrip() for name, default, what in self.options]
        parts = [f"{self.name}: {self.summary}", *papers, self.equations, self.notes]
        return "\n\n".join(filter(None, [*parts, "\n".join(self._sizes()), "\n".join(options), self.bibtex]))

    def _sizes(self) -> list[str]:
        module = self.cell_class.rpartition(".")[0]
        if module and module not in self.allow_modules:
            return [f"states, parameters: unknown, as {module} is outside seqzoo: add --allow-module {module}"]
        return [
            f"states: {', '.join(self.states)}",
            f"parameters at I = H = {HIDDEN}: {self.parameters:,}{'' if self.trains_recurrence else ', none trained'}",
            f"parallel in time: {'yes' if self.parallel_in_time else 'no'}",
        ]


def cell_info(name: str, allow_modules: Sequence[str] = ()) -> CellInfo:
    """Paper, equations, options, sizes and BibTeX entry of a cell.

    A user-defined cell cites its paper in a comment of its YAML, in the form of seqzoo's docstrings:
    `# Elman, Finding Structure in Time, 1990, https://doi.org/10.1207/s15516709cog1402_1`.

    Args:
        name: a name in `conf/cell`.
        allow_modules: modules of your own that may be imported for the sizes of the cell.

    Returns:
        The entry; its sizes are computed by building the cell when they are first read.

    Raises:
        ConfigError: there is no cell of this name.

    Examples:
        >>> print(seqzoo.cell_info("gru").equations)
    """
    summary, cell_class = registry.summary("cell", name), _class_of(name)
    cited, equations, notes = parse(_docstring(cell_class))
    in_yaml = papers_in(" ".join(line[2:] for line in _yaml(name).splitlines()[1:] if line.startswith("# ")))
    papers = [*in_yaml, *(paper for paper in cited if paper not in in_yaml)]
    # the paper of a variant comes before that of the cell it changes
    papers.sort(key=lambda paper: not (paper.first_author in summary and str(paper.year) in summary))
    options = tuple(Option(*option) for option in registry.every_option("cell", name))
    return CellInfo(name, summary, cell_class, tuple(papers), equations, notes, options, tuple(allow_modules))


def parse(docstring: str) -> tuple[tuple[Paper, ...], str, str]:
    """Papers, equations and notes of the docstring of a cell's file.

    A paragraph of citations holds papers; indented paragraphs, and lines before them that end in a colon, are
    equations; the rest, except for the first line, are notes.
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
    """The papers of a text that consists of citations: authors, title, year (note), link; empty for any other text."""
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
    return registry.path_of("cell", name).read_text(encoding="utf-8")


def _class_of(name: str) -> str:
    """The class of a cell, from its YAML or the one that it extends."""
    from omegaconf import OmegaConf

    options: Any = OmegaConf.to_container(OmegaConf.create(_yaml(name)))
    return options["class"] if "class" in options else _class_of(options["defaults"][0])


def _docstring(cell_class: str) -> str:
    """The docstring of the file of a cell, which is not imported; empty for classes outside seqzoo."""
    home = modules("seqzoo.cells").get(cell_class)
    if home is None:
        return ""
    path = CELLS / f"{home.rpartition('.')[2]}.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
