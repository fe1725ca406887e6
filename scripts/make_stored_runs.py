"""Train the small runs in tests/runs/stored/, which later versions of seqzoo must load, resume and compare.

python scripts/make_stored_runs.py    # with the version whose runs are stored

Each run is trained for 8 updates. expected.json holds the results of this version: scores, predictions, and scores
after resuming to 12 updates.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STORED = Path(__file__).resolve().parents[1] / "tests" / "runs" / "stored"
COMMON = ("debug=tiny", "backbone.hidden_size=4", "backbone.num_layers=1")
RUNS = {
    "tagging": ("cell=gru", "task=tagging", "encoder.embedding_size=4"),
    "transduction": ("cell=lstm", "task=transduction", "encoder.embedding_size=4", "task.decoder.embedding_size=4"),
    "language_modeling": ("cell=min_gru", "task=language_modeling", "encoder.embedding_size=4"),
}
INPUTS = {"tagging": "the small dog", "transduction": "12+34", "language_modeling": "the "}
OMITTED = ("train.log", "*.tfevents.*", ".lock", "trace.json", "*.tsv", "projector_config.pbtxt")


def seqzoo(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "seqzoo", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def scores(run: Path) -> dict[str, Any]:
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {split: metrics[split] for split in ("validation", "test") if split in metrics}


def main() -> None:
    expected = {}
    for name, overrides in RUNS.items():
        run = STORED / name
        shutil.rmtree(run, ignore_errors=True)
        seqzoo("train", *COMMON, *overrides, f"hydra.run.dir={run}")
        for pattern in OMITTED:
            for path in run.glob(pattern):
                path.unlink()
        shutil.rmtree(run / ".hydra", ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            resumed = Path(folder) / name
            shutil.copytree(run, resumed)
            seqzoo("train", f"resume={resumed}", "training.steps=12")
            expected[name] = {
                "input": INPUTS[name],
                "scores": scores(run),
                "prediction": seqzoo("predict", str(run), INPUTS[name]),
                "resumed": scores(resumed),
            }
    (STORED / "expected.json").write_text(json.dumps(expected, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
