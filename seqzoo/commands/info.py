"""Describe a cell."""

from __future__ import annotations

import sys

from seqzoo.contracts.errors import printable_lines


def info(arguments: list[str]) -> None:
    """Print paper, equations, options, states, parameters and BibTeX of a cell."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(
            "seqzoo info CELL: paper, equations, options, states, parameters and BibTeX of a cell (seqzoo list cells)"
        )
        sys.exit(0 if arguments and arguments[0] in ("-h", "--help") else 2)
    from seqzoo.analysis.catalogue import cell_info

    print(printable_lines(str(cell_info(arguments[0]))))
