"""Write results/loss_curves.csv and docs/losses.svg: validation during training by each loss, from finished runs.

python scripts/draw_losses.py RUN_DIR ...    # of `seqzoo train -m task=language_modeling task.loss=...`
python scripts/draw_losses.py                # only draws the picture again
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.analysis.svg import COLOURS, HEIGHT, WIDTH, Dot, Line, Plot, document
from seqzoo.training.record.files import read_config

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE, PICTURE = REPOSITORY / "results" / "loss_curves.csv", REPOSITORY / "docs" / "losses.svg"
COLUMNS = ("loss", "update", "seed", "bits_per_character", "command", "commit", "date", "device")


def rows_of(run: Path) -> list[dict[str, str]]:
    """A row for each validation of a run."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    points = [json.loads(line) for line in (run / "curves.jsonl").read_text(encoding="utf-8").splitlines()]
    common = {name: str(metrics[name]) for name in ("seed", "command", "commit", "date", "device")}
    common["loss"] = read_config(run)["task"]["loss"]
    name = "valid/bits_per_character"
    return [
        {**common, "update": str(point["step"]), "bits_per_character": f"{point[name]:.4f}"}
        for point in points
        if name in point
    ]


def picture(rows: list[dict[str, str]]) -> str:
    """Means over seeds, with the range."""
    plot = Plot("Characters of Shakespeare, sigmoid outputs", "update", "bits per character, validation")
    for loss, colour in zip(sorted({row["loss"] for row in rows}), COLOURS, strict=False):
        line = Line(loss, colour, [])
        own = [row for row in rows if row["loss"] == loss]
        for update in sorted({int(row["update"]) for row in own}):
            values = [float(row["bits_per_character"]) for row in own if int(row["update"]) == update]
            line.points.append((update, statistics.fmean(values), min(values), max(values)))
        plot.lines.append(line)
        update, mean, *_ = line.points[-1]
        plot.dots.append(Dot(loss, colour, update, mean, float("nan"), float("nan"), named=True))
    return document(WIDTH, HEIGHT, plot.svg())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run directories")
    runs = parser.parse_args().runs
    if runs:
        rows = [row for run in runs for row in rows_of(run)]
        write_table(TABLE, COLUMNS, sorted(rows, key=lambda row: (row["loss"], row["seed"], int(row["update"]))))
    PICTURE.write_text(picture(read_table(TABLE)), encoding="utf-8")


if __name__ == "__main__":
    main()
