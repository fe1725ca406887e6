"""Compare finished runs."""

from __future__ import annotations

import argparse
from pathlib import Path


def compare(arguments: list[str]) -> None:
    """Print tables of finished runs, one row per configuration averaged over its seeds, and write them to files."""
    parser = argparse.ArgumentParser("seqzoo compare", description="Compare finished runs, averaged over seeds.")
    parser.add_argument(
        "runs", nargs="+", help="run directories, folders that contain some, wildcards, or pretrained:NAME"
    )
    parser.add_argument(
        "--split", choices=("test", "validation"), help="split to compare; default: test, if there is one"
    )
    parser.add_argument(
        "--score", type=float, metavar="X", help="report the seconds until the validation score reaches X"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row per configuration and metric")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page with plots")
    chosen = parser.parse_args(arguments)
    from seqzoo.analysis import comparison_tables
    from seqzoo.analysis.comparison import compare as compared
    from seqzoo.analysis.finished_runs import read_runs
    from seqzoo.contracts.disk import write_text

    runs, problems = read_runs(chosen.runs)
    tables = compared(runs, chosen.split, chosen.score)
    print(comparison_tables.as_text(tables, problems))
    texts = [(chosen.csv, comparison_tables.as_csv), (chosen.markdown, comparison_tables.as_markdown)]
    for path, write in texts:
        if path is not None:
            write_text(path, write(tables))
            print(f"wrote {path}")
    if chosen.html is not None:
        from seqzoo.analysis.report import as_html

        write_text(chosen.html, as_html(tables, problems))
        print(f"wrote {chosen.html}")
