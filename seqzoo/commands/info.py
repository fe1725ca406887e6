"""Describe a cell."""

from __future__ import annotations

import argparse
from pathlib import Path

from seqzoo.commands.command_line import add_allow_module, find_modules_here
from seqzoo.configuration.pretrained import PREFIX, read_card
from seqzoo.contracts.errors import ConfigError, printable_lines


def info(arguments: list[str]) -> None:
    """Print paper, equations, options, states, parameters and BibTeX of a cell, or the card of a pretrained network."""
    parser = argparse.ArgumentParser(
        "seqzoo info",
        description="Paper, equations, options, states, parameters and BibTeX of a cell (seqzoo list cells), or the "
        "card of a pretrained network (seqzoo list pretrained).",
    )
    parser.add_argument("cell", help="a name of conf/cell, or of a folder given by --config-dir; or pretrained:NAME")
    add_allow_module(parser, "has the cell")
    chosen = parser.parse_args(arguments)
    if chosen.allow_module:
        find_modules_here()
    if chosen.cell.startswith(PREFIX):
        print(printable_lines(str(read_card(chosen.cell.removeprefix(PREFIX)))))
        return
    if Path(chosen.cell).is_dir():
        raise ConfigError(
            [f"{chosen.cell} is a folder, and info describes a cell: seqzoo compare and seqzoo diff describe runs"]
        )
    from seqzoo.analysis.catalogue import cell_info

    print(printable_lines(str(cell_info(chosen.cell, chosen.allow_module))))
