"""Chunks from end to end: files in one scheme, a model in another, and the same file back from `predict --conll`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

CHUNKS = """\
The DT B-NP
old JJ I-NP
train NN I-NP
left VBD B-VP
the DT B-NP
city NN I-NP
yesterday NN B-NP
. . O

He PRP B-NP
has VBZ B-VP
never RB I-VP
seen VBN I-VP
it PRP B-NP
in IN B-PP
London NNP B-NP

Stop VB B-VP
! . O
"""


def test_chunks_are_learned_and_written_back(tmp_path: Path, command: Callable) -> None:
    (tmp_path / "chunks.conll").write_text(CHUNKS)
    file = tmp_path / "chunks.conll"
    done = command(
        "train",
        *("task=tagging", "data=tagging_files", f"data.train={file}", f"data.validation={file}", "data.scheme=bioes"),
        *("task.decoder=crf", "task.constrained=true", "task.metrics=[span_f1]", "backbone=bidirectional"),
        *("backbone.hidden_size=24", "training.steps=60", "training.epochs=null", "training.learning_rate=0.03"),
        *("training.validate_every=60", "recipe=none", f"hydra.run.dir={tmp_path / 'run'}"),
    )
    assert done.status == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["validation"]["span_f1"] == 1
    by_type = metrics["report"]["validation"]["by_class"]
    assert {kind: found["support"] for kind, found in by_type.items()} == {"NP": 6, "PP": 1, "VP": 3}
    blanked = "\n".join(" ".join([*line.split()[:2], "_"]) if line else "" for line in CHUNKS.split("\n"))
    assert command("predict", tmp_path / "run", "--conll", "--scheme", "bio", stdin=blanked).out == CHUNKS
    assert "E-NP" in command("predict", tmp_path / "run", "--conll", stdin=blanked).out
