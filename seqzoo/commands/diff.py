"""Print the options in which two runs differ."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from seqzoo.configuration import composing
from seqzoo.contracts.options import Options, has


def diff(arguments: list[str]) -> None:
    """Print the options in which two runs differ."""
    parser = argparse.ArgumentParser("seqzoo diff", description="Print the options in which two runs differ.")
    parser.add_argument("run_dir", type=Path, help="a run directory, or pretrained:NAME")
    parser.add_argument("other", type=Path, help="another run directory")
    chosen = parser.parse_args(arguments)
    from seqzoo.configuration.pretrained import run_folder
    from seqzoo.contracts.errors import printable
    from seqzoo.training.record.files import read_config

    first, second = (read_config(run_folder(given)) for given in (chosen.run_dir, chosen.other))
    differences = composing.differences(first, second)
    differences = {name: values for name, values in differences.items() if name != "overrides"}
    if not differences:
        print("no differences")
        return
    rows = [["", str(chosen.run_dir), str(chosen.other)]]
    for name, values in differences.items():
        rows.append([name.removeprefix("choices."), _shown(first, name, values[0]), _shown(second, name, values[1])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(printable(text).ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _shown(config: Options, path: str, value: Any) -> str:
    """A value as JSON; "-" for an option that the run does not have."""
    return "-" if value is None and not has(config, path) else json.dumps(value, ensure_ascii=False)
