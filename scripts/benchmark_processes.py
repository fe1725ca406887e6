"""Measure training in several processes, and write results/beyond.csv and the figures of docs/DISTRIBUTED.md.

python scripts/benchmark_processes.py             # a few minutes on two idle cores
python scripts/benchmark_processes.py --page      # only the page, from the table

One and two processes, each on one thread, take turns in training the same language model with the same batches. The
speed is that between two points of `curves.jsonl`, in tokens per second of the clock; the medians of all turns are
compared. Bytes are counted at the loopback interface, where other programs add to them: the smallest count is kept.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from seqzoo.analysis.result_tables import add_measurements, read_table
from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import compose
from seqzoo.data.text.token_files import encode_pieces
from seqzoo.runs.provenance import commit, hardware
from seqzoo.training.record.files import read_curves

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE, PAGE = REPOSITORY / "results/beyond.csv", REPOSITORY / "docs/DISTRIBUTED.md"
PART, WARM_UP, UPDATES, TURNS = "processes", 5, 30, 3
MODEL = [
    "task=language_modeling", "backbone.hidden_size=256", "encoder.embedding_size=128", "data.batch_size=64",
    "data.window=32", "data.train_size=30000", "data.validation_size=50", "data.test_size=50",
    "training.threads=1", "training.log_every=5", "training.validate_every=1000", "training.examples=0",
    "training.diagnostics=0", "baseline=false",
]  # fmt: skip
WORDS, CORPUS = 2_000_000, 10**10
"""Number of tokens of the text that is read, and of the corpus of the page."""


def train(processes: int, steps: int, folder: Path) -> tuple[float, int]:
    """Train the model; returns its tokens per second, and the bytes that went over the loopback interface meanwhile."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    shutil.rmtree(folder, ignore_errors=True)
    before = loopback_bytes()
    command = [*start, "seqzoo", "train", *MODEL, f"training.steps={steps}", f"hydra.run.dir={folder}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, check=True, capture_output=True, cwd=folder.parent, env=environment)
    points = {point["step"]: point for point in read_curves(folder) if "train/loss" in point}
    first, last = points[WARM_UP], points[steps]
    speed = (last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"])
    return speed, loopback_bytes() - before


def loopback_bytes() -> int:
    """The number of bytes that the loopback interface has received (Linux)."""
    found = re.search(r"^ *lo: *(\d+)", Path("/proc/net/dev").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def reader_speeds(folder: Path) -> tuple[float, float, float]:
    """Of a text file of words: tokens per CPU second when it is read and encoded, and when batches are cut from it, and
    bytes per token in the file of ids that is made of a large text.
    """
    words = compose("task=language_modeling", f"data.train_size={WORDS // 8}", "data.validation_size=10")
    source = build_data(words)
    source.load()
    text = folder / "text.txt"
    lines = [
        " ".join(source.spec.input_codec.tokens(row.tolist())) for b in source.batches("train") for row in b.inputs
    ]
    text.write_text("\n".join(lines))
    config = compose("task=language_modeling", "data=text_files", "data.tokenizer=whitespace", f"data.train={text}")
    data = build_data(config)
    began = time.process_time()
    data.load()
    loaded = time.process_time()
    tokens = sum(int(batch.lengths.sum()) for batch in data.batches("train"))
    ended = time.process_time()
    (ids,) = encode_pieces(data.spec.inputs, [""])
    return tokens / (loaded - began), tokens / (ended - loaded), ids.itemsize


def measure(remark: str) -> None:
    """Measure everything, and add it to the table."""
    command = "python scripts/benchmark_processes.py"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        turns = [(train(1, UPDATES, folder / "run")[0], train(2, UPDATES, folder / "run")) for _ in range(TURNS)]
        few = min(train(2, 2 * WARM_UP, folder / "run")[1] for _ in range(2))
        reading, cutting, size = reader_speeds(folder)
    one, two = statistics.median(alone for alone, _ in turns), statistics.median(speed for _, (speed, _) in turns)
    sent = (min(count for _, (_, count) in turns) - few) / (UPDATES - 2 * WARM_UP)
    values = {
        "tokens per second, 1 process": f"{one:.0f}",
        "tokens per second, 2 processes": f"{two:.0f}",
        "speed of 2 processes relative to 1": f"{two / one:.2f}",
        "bytes sent per update by 2 processes together": f"{sent:.0f}",
        "parameters": f"{parameters()}",
        "tokens read and encoded per second and core": f"{reading:.0f}",
        "tokens cut into batches per second and core": f"{cutting:.0f}",
        "bytes per token of an encoded text": f"{size}",
    }
    common = {
        "part": PART, "command": command, "seed": 0, "remark": remark,
        "hardware": f"{hardware(torch.device('cpu'))}, {os.cpu_count()} cores",
        "commit": commit(), "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    add_measurements(TABLE, [{**common, "metric": metric, "value": value} for metric, value in values.items()])


def parameters() -> int:
    """The number of weights of the model that is trained."""
    from seqzoo.configuration.building import build_model

    config = compose(*MODEL)
    data = build_data(config)
    data.load()
    with torch.device("meta"):
        return sum(weight.numel() for weight in build_model(config, data.spec).parameters())


def figures(rows: Sequence[dict[str, str]]) -> str:
    """What the page says about the measurements."""
    if not rows:
        return "Not measured yet."
    lines = ["| measured | value |", "|---|---|"]
    lines += [f"| {row['metric']} | {float(row['value']):,.10g} |" for row in rows]
    remarks = "; ".join(dict.fromkeys(row["remark"] for row in rows if row["remark"]))
    about = "; ".join(dict.fromkeys(row["hardware"] for row in rows))
    values = {row["metric"]: float(row["value"]) for row in rows}
    gradient, hours = 4 * values["parameters"], CORPUS / values["tokens read and encoded per second and core"] / 3600
    size = CORPUS * values["bytes per token of an encoded text"] / 1e9
    cutting = CORPUS / values["tokens cut into batches per second and core"] / 3600
    text = f"""
{about}{f"; {remarks}" if remarks else ""}. The gradient of this model has {gradient:,.0f} bytes, of which n processes
that are connected in a ring each send 2 (n - 1) / n times as many: with two, together twice as many.

Of 10 billion tokens, one core of each machine would read and encode the text in {hours:,.1f} hours, once, into a file
of {size:,.0f} GB that its processes map into memory (for a vocabulary of up to 256 tokens, as here; two bytes per
token up to 32,768, four above), and each process would spend {cutting:,.1f} hours on cutting batches from it, beside
the updates.

| GPUs | bytes that each sends per update and weight |
|---|---|"""
    lines += [text, *(f"| {count} | {8 * (count - 1) / count:.3g} |" for count in (1, 8, 512))]
    return "\n".join(lines)


def page() -> str:
    """docs/DISTRIBUTED.md with the figures of the table."""
    rows = [row for row in read_table(TABLE) if row["part"] == PART]
    begin, end = "<!-- figures: scripts/benchmark_processes.py -->\n", "<!-- end of figures -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    return f"{head}{begin}{figures(rows)}\n{end}{rest.split(end)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--remark", default="", help="what else the machine did meanwhile")
    chosen = parser.parse_args()
    if not chosen.page:
        measure(chosen.remark)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
