"""How many files a reader opens to follow a batch from the command to the loss and to a kernel."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqzoo
from seqzoo.commands.main import main
from seqzoo.kernels import engines
from seqzoo.tasks.tagging import Tagging

PACKAGE = Path(seqzoo.__file__).parent
ARCHITECTURE = PACKAGE.parent / "ARCHITECTURE.md"


def files_on_the_stack() -> list[str]:
    """The files of seqzoo that are being run, outermost first."""
    paths = (Path(frame.filename) for frame in traceback.extract_stack())
    return list(dict.fromkeys(path.relative_to(PACKAGE).as_posix() for path in paths if path.is_relative_to(PACKAGE)))


def test_the_path_of_a_batch_is_the_documented_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks: dict[str, list[list[str]]] = {"kernel": [], "loss": []}

    def recorded(function: Callable, place: str) -> Callable:
        def call(*arguments: Any) -> Any:
            stacks[place].append(files_on_the_stack())
            return function(*arguments)

        return call

    monkeypatch.setattr(engines, "scan", recorded(engines.scan, "kernel"))
    monkeypatch.setattr(Tagging, "loss", recorded(Tagging.loss, "loss"))
    small = ["debug=tiny", "data.train_size=8", "data.validation_size=4", "data.test_size=4", "training.steps=1"]
    main(["train", "task=tagging", *small, f"hydra.run.dir={tmp_path / 'run'}"])

    [sentence] = re.findall(
        r"a batch passes through twelve files from the command line to a kernel: (.*?)\. The loss",
        ARCHITECTURE.read_text(),
        re.DOTALL,
    )
    documented = re.findall(r"`(.*?)`", sentence)
    assert len(documented) == 12
    training = [files for files in stacks["kernel"] if "training/loop.py" in files and "learning/rule.py" in files]
    assert [*training[0], "kernels/engines.py"] == documented
    losses = [files for files in stacks["loss"] if "learning/rule.py" in files]
    assert losses[0] == documented[: documented.index("network/model.py") + 1]
